//! Requests to the canary's pods.

use std::time::Duration;

use futures::future::join_all;
use http::{Method, Request};
use regex::Regex;
use url::Url;

use super::Target;
use super::http::{Error, send};
use crate::api::HttpCheck;
use crate::rollout::machine::Outcome;

/// So much of a body is matched.
const MATCHED: usize = 64 << 10;

/// Asks every pod; the worst answer is the verdict.
pub(super) async fn probe(check: &HttpCheck, pods: &[Target]) -> (Outcome, String) {
    if pods.is_empty() {
        return (Outcome::NoData, "no pod of the canary is ready".to_owned());
    }
    let answers = join_all(pods.iter().map(|pod| one(check, pod))).await;
    for wanted in [Outcome::Fail, Outcome::NoData] {
        if let Some((_, value)) = answers.iter().find(|(outcome, _)| *outcome == wanted) {
            return (wanted, value.clone());
        }
    }
    answers
        .into_iter()
        .next()
        .unwrap_or((Outcome::NoData, String::new()))
}

async fn one(check: &HttpCheck, pod: &Target) -> (Outcome, String) {
    let no_data = |why: String| (Outcome::NoData, format!("pod {}: {why}", pod.name));
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
    let method = check
        .method
        .as_deref()
        .and_then(|method| method.parse().ok())
        .unwrap_or(Method::GET);
    let named = check
        .headers
        .keys()
        .any(|name| name.eq_ignore_ascii_case("host"));
    let mut request = Request::builder().method(method);
    if !named {
        request = request.header("host", format!("{host}:{port}"));
    }
    for (name, value) in &check.headers {
        request = request.header(name, value);
    }
    let timeout = check
        .timeout
        .map_or(Duration::from_secs(5), |timeout| timeout.0);
    let answer = match send(&url, request, timeout).await {
        Ok(answer) => answer,
        // Who cannot be reached may stand behind a policy; who is reached and does not answer is at fault.
        Err(error @ Error::Connect(..)) => return no_data(error.to_string()),
        Err(error) => return (Outcome::Fail, format!("pod {}: {error}", pod.name)),
    };
    let status = answer.status().as_u16();
    let right = check
        .expect
        .map_or(status < 400, |expected| expected == status);
    if !right {
        return (Outcome::Fail, format!("pod {}: {status}", pod.name));
    }
    if let Some(pattern) = &check.body {
        let body = answer.body();
        let text = String::from_utf8_lossy(&body[..body.len().min(MATCHED)]);
        match Regex::new(pattern) {
            Err(error) => return no_data(format!("http.body: {error}")),
            Ok(pattern) if !pattern.is_match(&text) => {
                return (
                    Outcome::Fail,
                    format!("pod {}: {status}, the body does not match", pod.name),
                );
            }
            Ok(_) => {}
        }
    }
    (Outcome::Pass, status.to_string())
}
