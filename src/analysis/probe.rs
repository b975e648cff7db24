//! Requests to the canary's pods.

use std::time::{Duration, Instant};

use futures::future::join_all;
use http::{Method, Response};
use hyper::body::Bytes;
use regex::Regex;
use url::Url;

use super::headers::Headers;
use super::http::{Call, Error, send};
use super::{Fault, Target};
use crate::api::{HttpCheck, LatencySpec};
use crate::rollout::machine::Outcome;

/// So much of a body is matched.
const MATCHED: usize = 64 << 10;

/// Asks every pod; the worst answer is the verdict. With it, which pods failed.
pub(super) async fn probe(
    check: &HttpCheck,
    headers: &Headers,
    pods: &[Target],
) -> ((Outcome, String), Vec<Fault>) {
    if pods.is_empty() {
        let why = "no pod of the canary is ready".to_owned();
        return ((Outcome::NoData, why), Vec::new());
    }
    let answers = join_all(pods.iter().map(|pod| one(check, headers, pod))).await;
    let failed = pods.iter().zip(&answers);
    let failed = failed.filter(|(_, (outcome, _))| *outcome == Outcome::Fail);
    let faults = failed.map(|(pod, (_, value))| Fault {
        pod: pod.clone(),
        value: value.clone(),
    });
    let faults = faults.collect();
    (worst(answers), faults)
}

fn worst(answers: Vec<(Outcome, String)>) -> (Outcome, String) {
    for wanted in [Outcome::Fail, Outcome::NoData] {
        if let Some(found) = answers.iter().find(|(outcome, _)| *outcome == wanted) {
            return found.clone();
        }
    }
    answers
        .into_iter()
        .next()
        .unwrap_or((Outcome::NoData, String::new()))
}

async fn one(check: &HttpCheck, headers: &Headers, pod: &Target) -> (Outcome, String) {
    let no_data = |why: String| (Outcome::NoData, format!("pod {}: {why}", pod.name));
    let fail = |why: String| (Outcome::Fail, format!("pod {}: {why}", pod.name));
    let Some(port) = check.port.or(pod.port) else {
        return no_data("its first container names no port; set http.port".to_owned());
    };
    let host = if pod.ip.contains(':') {
        format!("[{}]", pod.ip)
    } else {
        pod.ip.clone()
    };
    let url = match Url::parse(&format!("http://{host}:{port}{}", check.path)) {
        Ok(url) => url,
        Err(error) => return no_data(format!("http.path: {error}")),
    };
    let pattern = match check.body.as_deref().map(Regex::new).transpose() {
        Ok(pattern) => pattern,
        Err(error) => return no_data(format!("http.body: {error}")),
    };
    let method = check.method.as_deref().and_then(|name| name.parse().ok());
    let method = method.unwrap_or(Method::GET);
    let requests = check.requests.unwrap_or(1).max(1);
    let mut latencies = Latencies::new(requests, check.latency.as_ref());
    let mut status = 0;
    for number in 1..=requests {
        let of_several = match requests {
            1 => String::new(),
            _ => format!(" (request {number} of {requests})"),
        };
        let call = Call {
            method: method.clone(),
            headers,
            body: String::new(),
            timeout: check
                .timeout
                .map_or(Duration::from_secs(5), |timeout| timeout.0),
        };
        let start = Instant::now();
        let answer = match send(&url, call).await {
            Ok(answer) => answer,
            // Who cannot be reached may stand behind a policy; who refuses, or is reached and does not answer, is at fault.
            Err(error @ Error::Connect(..)) => return no_data(format!("{error}{of_several}")),
            Err(error) => return fail(format!("{error}{of_several}")),
        };
        let took = start.elapsed();
        status = answer.status().as_u16();
        if let Err(why) = judge(check, pattern.as_ref(), &answer) {
            return fail(format!("{why}{of_several}"));
        }
        if let Err(why) = latencies.add(took) {
            return fail(why);
        }
    }
    (Outcome::Pass, format!("{status}{}", latencies.told()))
}

fn judge(
    check: &HttpCheck,
    pattern: Option<&Regex>,
    answer: &Response<Bytes>,
) -> Result<(), String> {
    let status = answer.status().as_u16();
    let right = check
        .expect
        .map_or(status < 400, |expected| expected == status);
    if !right {
        return Err(status.to_string());
    }
    let body = answer.body();
    let text = String::from_utf8_lossy(&body[..body.len().min(MATCHED)]);
    if pattern.is_some_and(|pattern| !pattern.is_match(&text)) {
        return Err(format!("{status}, the body does not match"));
    }
    Ok(())
}

/// How long the answers of a pod took.
struct Latencies<'a> {
    spec: Option<&'a LatencySpec>,
    requests: u32,
    /// So many may take longer.
    allowed: usize,
    taken: Vec<Duration>,
}

impl<'a> Latencies<'a> {
    fn new(requests: u32, spec: Option<&'a LatencySpec>) -> Self {
        // The number of requests that must be in time is rounded up: 95 % of 10 are all of them.
        let within = spec.map_or(0.0, |spec| {
            (f64::from(requests) * spec.percentile / 100.0 - 1e-9).ceil()
        });
        let allowed = (0..=requests)
            .rev()
            .find(|allowed| f64::from(requests - allowed) >= within)
            .unwrap_or(0);
        Self {
            spec,
            requests,
            allowed: usize::try_from(allowed).unwrap_or(usize::MAX),
            taken: Vec::new(),
        }
    }

    /// Fails as soon as too many were too slow, whatever comes after them.
    fn add(&mut self, took: Duration) -> Result<(), String> {
        self.taken.push(took);
        let Some(spec) = self.spec else {
            return Ok(());
        };
        let slow = self.taken.iter().filter(|took| **took > spec.max.0).count();
        if slow <= self.allowed {
            return Ok(());
        }
        Err(format!(
            "{slow} of {} requests took longer than {}, up to {}; at most {} of {} may",
            self.taken.len(),
            spec.max,
            millis(self.taken.iter().max().copied().unwrap_or_default()),
            self.allowed,
            self.requests,
        ))
    }

    /// `, p95 12 ms`
    fn told(&self) -> String {
        let Some(spec) = self.spec else {
            return String::new();
        };
        let mut taken = self.taken.clone();
        taken.sort();
        let at = taken.len().saturating_sub(self.allowed + 1);
        let latency = taken.get(at).copied().unwrap_or_default();
        format!(", p{} {}", spec.percentile, millis(latency))
    }
}

fn millis(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(percentile: f64) -> LatencySpec {
        LatencySpec {
            percentile,
            max: crate::api::HumanDuration(Duration::from_millis(300)),
        }
    }

    #[test]
    fn so_many_must_be_in_time() {
        for (requests, percentile, allowed) in [
            (1, 95.0, 0),
            (10, 95.0, 0),
            (20, 95.0, 1),
            (100, 99.0, 1),
            (1000, 99.9, 1),
            (20, 100.0, 0),
            (20, 50.0, 10),
        ] {
            let spec = spec(percentile);
            let mut latencies = Latencies::new(requests, Some(&spec));
            let mut slow = 0;
            while latencies.add(Duration::from_millis(301)).is_ok() {
                slow += 1;
            }
            assert_eq!(slow, allowed, "{percentile} % of {requests}");
        }
    }

    #[test]
    fn the_percentile_is_told() {
        let spec = spec(95.0);
        let mut latencies = Latencies::new(20, Some(&spec));
        for number in 1..=20 {
            latencies.add(Duration::from_millis(number * 15)).unwrap();
        }
        assert_eq!(latencies.told(), ", p95 285 ms");
        let mut latencies = Latencies::new(2, Some(&spec));
        latencies.add(Duration::from_millis(20)).unwrap();
        assert_eq!(
            latencies.add(Duration::from_millis(812)),
            Err(
                "1 of 2 requests took longer than 300ms, up to 812 ms; at most 0 of 2 may"
                    .to_owned()
            )
        );
    }

    #[test]
    fn status_and_body_are_held_to_what_is_expected() {
        let of = |check: &HttpCheck, status: u16, body: &'static str| {
            let answer = Response::builder().status(status);
            let answer = answer.body(Bytes::from(body)).unwrap();
            let pattern = check.body.as_deref().map(|it| Regex::new(it).unwrap());
            judge(check, pattern.as_ref(), &answer)
        };
        let any = HttpCheck::default();
        assert_eq!(of(&any, 204, ""), Ok(()));
        assert_eq!(of(&any, 302, ""), Ok(()));
        assert_eq!(of(&any, 404, ""), Err("404".to_owned()));
        let exact = HttpCheck {
            expect: Some(503),
            body: Some("^draining".to_owned()),
            ..HttpCheck::default()
        };
        assert_eq!(of(&exact, 503, "draining\n"), Ok(()));
        assert_eq!(of(&exact, 200, "draining\n"), Err("200".to_owned()));
        assert_eq!(
            of(&exact, 503, "ok"),
            Err("503, the body does not match".to_owned())
        );
    }

    #[test]
    fn the_worst_pod_decides() {
        let told = |outcome, text: &str| (outcome, text.to_owned());
        let (pass, fail, none) = (
            told(Outcome::Pass, "200"),
            told(Outcome::Fail, "500"),
            told(Outcome::NoData, "?"),
        );
        assert_eq!(worst(vec![pass.clone(), none.clone(), fail.clone()]), fail);
        assert_eq!(worst(vec![pass.clone(), none.clone()]), none);
        assert_eq!(worst(vec![pass.clone()]), pass);
    }
}
