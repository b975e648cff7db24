//! Queries to a Prometheus server.

mod answer;

use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use url::Url;

use super::headers::Headers;
use super::http::{Call, send};
use crate::api::{CompareSpec, PrometheusCheck, TrafficSpec};
use crate::rollout::machine::Outcome;
use crate::rollout::names::{Names, Side};
use crate::rollout::query::{queries, window};
use answer::{Sample, read};

const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn query(
    check: &PrometheusCheck,
    traffic: Option<&TrafficSpec>,
    headers: &Headers,
    names: &Names,
    now: Timestamp,
) -> (Outcome, String) {
    let asker = Asker {
        check,
        traffic,
        headers,
        names,
        window: window(check),
    };
    match asker.values(now).await {
        Err(why) => (Outcome::NoData, why),
        Ok((canary, stable)) => judge(check, canary, stable),
    }
}

struct Asker<'a> {
    check: &'a PrometheusCheck,
    traffic: Option<&'a TrafficSpec>,
    headers: &'a Headers,
    names: &'a Names,
    window: Duration,
}

impl Asker<'_> {
    /// The canary's value, and the stable side's where they are compared: both of the same time of the server.
    async fn values(&self, now: Timestamp) -> Result<(f64, Option<f64>), String> {
        let canary = self.side(Side::Canary, None).await?;
        canary.is_of(now, self.window)?;
        if self.check.compare.is_none() {
            return Ok((canary.value, None));
        }
        let stable = self.side(Side::Stable, Some(canary.at)).await;
        let stable = stable.map_err(|why| format!("the stable side: {why}"))?;
        Ok((canary.value, Some(stable.value)))
    }

    /// The value of a side, at a time of the server or now; there must be enough requests in its window.
    async fn side(&self, side: Side, at: Option<f64>) -> Result<Sample, String> {
        let asked = queries(self.check, self.traffic, side)?;
        let fill = |text: &str| self.names.fill(text, side, self.window);
        let query = fill(&asked.value);
        let Some((requests, least)) = asked.requests else {
            let sample = self.ask(&query, at).await?;
            self.is_fresh(&query, &sample).await?;
            return Ok(sample);
        };
        // No series at all is no request.
        let requests = format!("({}) or vector(0)", fill(&requests));
        let counted = self.ask(&requests, at).await?;
        if counted.value < f64::from(least) {
            return Err(format!(
                "{} requests in {}s, of at least {least}",
                told(counted.value),
                self.window.as_secs()
            ));
        }
        let sample = self.ask(&query, Some(counted.at)).await?;
        self.is_fresh(&query, &sample).await?;
        Ok(sample)
    }

    /// The server answers with the last sample of up to five minutes, under the time of the question. Of a series, the sample's
    /// own time can be asked for; what is computed has the time of its computation.
    async fn is_fresh(&self, query: &str, sample: &Sample) -> Result<(), String> {
        // A scalar has no time.
        if !sample.of_series {
            return Ok(());
        }
        // The query may end in a comment.
        let age = format!("timestamp({query}\n)");
        let time = self.ask(&age, Some(sample.at)).await;
        let time = time.map_err(|why| format!("its age: {why}"))?;
        let age = sample.at - time.value;
        if age > self.window.as_secs_f64() {
            return Err(format!(
                "the value is {} s old, and the window is of {} s",
                age.round(),
                self.window.as_secs()
            ));
        }
        Ok(())
    }

    async fn ask(&self, query: &str, at: Option<f64>) -> Result<Sample, String> {
        let base = self.names.fill(&self.check.url, Side::Canary, self.window);
        let mut url = Url::parse(&format!("{}/api/v1/query", base.trim_end_matches('/')))
            .map_err(|error| format!("prometheus.url: {error}"))?;
        url.query_pairs_mut().append_pair("query", query);
        if let Some(at) = at {
            url.query_pairs_mut().append_pair("time", &at.to_string());
        }
        let call = Call {
            method: Method::GET,
            headers: self.headers,
            body: String::new(),
            timeout: TIMEOUT,
        };
        let answer = send(&url, call).await.map_err(|error| error.to_string())?;
        read(answer.body()).map_err(|why| format!("{why} ({})", answer.status().as_u16()))
    }
}

fn judge(check: &PrometheusCheck, canary: f64, stable: Option<f64>) -> (Outcome, String) {
    let mut seen = told(canary);
    let mut bounds = vec![("", canary, check.min, check.max)];
    if let (Some(compare), Some(stable)) = (&check.compare, stable) {
        seen = format!("canary {seen}, stable {}", told(stable));
        bounds.extend(compared(compare, canary, stable));
    }
    for (what, value, min, max) in bounds {
        let value_told = match what {
            "" => seen.clone(),
            what => format!("{seen}: the {what} {}", told(value)),
        };
        // Infinity minus infinity, as of two latencies beyond the last bucket.
        if value.is_nan() && (min.is_some() || max.is_some()) {
            return (Outcome::NoData, format!("{seen}: there is no {what}"));
        }
        if let Some(min) = min.filter(|min| value < *min) {
            return (Outcome::Fail, format!("{value_told} is less than {min}"));
        }
        if let Some(max) = max.filter(|max| value > *max) {
            return (Outcome::Fail, format!("{value_told} is more than {max}"));
        }
    }
    (Outcome::Pass, seen)
}

type Bound = (&'static str, f64, Option<f64>, Option<f64>);

fn compared(compare: &CompareSpec, canary: f64, stable: f64) -> [Bound; 2] {
    let CompareSpec {
        min_ratio,
        max_ratio,
        min_difference,
        max_difference,
    } = compare;
    // Beside a stable side of 0 another 0 is as much, and anything else without measure.
    let ratio = if canary == 0.0 && stable == 0.0 {
        1.0
    } else {
        canary / stable
    };
    [
        ("ratio", ratio, *min_ratio, *max_ratio),
        (
            "difference",
            canary - stable,
            *min_difference,
            *max_difference,
        ),
    ]
}

/// A value with as many digits as people read.
fn told(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the exponent of a float has three digits"
    )]
    let digits = 4 - value.abs().log10().floor() as i32;
    let Ok(digits) = usize::try_from(digits) else {
        return value.round().to_string();
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(check: &PrometheusCheck, canary: f64, stable: Option<f64>) -> (Outcome, String) {
        judge(check, canary, stable)
    }

    #[test]
    fn a_value_must_lie_in_the_range() {
        let check = PrometheusCheck {
            min: Some(0.0),
            max: Some(1.0),
            ..PrometheusCheck::default()
        };
        let of = |value| outcome(&check, value, None);
        assert_eq!(of(0.5), (Outcome::Pass, "0.5".to_owned()));
        assert_eq!(of(1.0).0, Outcome::Pass);
        assert_eq!(of(1.5), (Outcome::Fail, "1.5 is more than 1".to_owned()));
        assert_eq!(of(-0.5), (Outcome::Fail, "-0.5 is less than 0".to_owned()));
        assert_eq!(of(f64::INFINITY).0, Outcome::Fail);
    }

    #[test]
    fn the_canary_is_held_against_the_stable_side() {
        let check = |compare| PrometheusCheck {
            compare: Some(compare),
            ..PrometheusCheck::default()
        };
        let slower = check(CompareSpec {
            max_ratio: Some(1.5),
            ..CompareSpec::default()
        });
        let of = |canary, stable| outcome(&slower, canary, Some(stable));
        assert_eq!(of(0.3, 0.2).0, Outcome::Pass);
        assert_eq!(
            of(0.4, 0.2),
            (
                Outcome::Fail,
                "canary 0.4, stable 0.2: the ratio 2 is more than 1.5".to_owned()
            )
        );
        assert_eq!(of(0.0, 0.0).0, Outcome::Pass);
        assert_eq!(of(0.1, 0.0).0, Outcome::Fail);
        assert_eq!(of(f64::INFINITY, f64::INFINITY).0, Outcome::NoData);
        let worse = check(CompareSpec {
            min_difference: Some(-0.01),
            ..CompareSpec::default()
        });
        assert_eq!(outcome(&worse, 0.99, Some(0.995)).0, Outcome::Pass);
        assert_eq!(outcome(&worse, 0.9, Some(1.0)).0, Outcome::Fail);
    }

    #[test]
    fn values_are_told_short() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.987_654_321, "0.98765"),
            (1_234_567.8, "1234568"),
            (0.000_012_345_678, "0.000012346"),
            (-2.5, "-2.5"),
            (100.0, "100"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(told(value), text);
        }
    }
}
