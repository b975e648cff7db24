//! Queries to a Prometheus server.

use std::time::Duration;

use http::Request;
use serde_json::Value;
use url::Url;

use super::http::send;
use crate::api::PrometheusCheck;
use crate::rollout::machine::Outcome;

const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn query(
    check: &PrometheusCheck,
    names: &[(&'static str, String)],
) -> (Outcome, String) {
    match value(check, names).await {
        Err(why) => (Outcome::NoData, why),
        Ok(value) => judge(check, value),
    }
}

fn judge(check: &PrometheusCheck, value: f64) -> (Outcome, String) {
    if let Some(min) = check.min.filter(|min| value < *min) {
        return (Outcome::Fail, format!("{value} is less than {min}"));
    }
    if let Some(max) = check.max.filter(|max| value > *max) {
        return (Outcome::Fail, format!("{value} is more than {max}"));
    }
    (Outcome::Pass, value.to_string())
}

async fn value(check: &PrometheusCheck, names: &[(&'static str, String)]) -> Result<f64, String> {
    let mut query = check.query.clone();
    for (name, value) in names {
        query = query.replace(&format!("{{{{{name}}}}}"), value);
    }
    let base = check.url.trim_end_matches('/');
    let mut url = Url::parse(&format!("{base}/api/v1/query"))
        .map_err(|error| format!("prometheus.url: {error}"))?;
    url.query_pairs_mut().append_pair("query", &query);
    let host = url.host_str().unwrap_or_default();
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let request = Request::get("/").header("host", host);
    let answer = send(&url, request, TIMEOUT)
        .await
        .map_err(|error| error.to_string())?;
    read(answer.body()).map_err(|why| format!("{why} ({})", answer.status()))
}

/// The single value of an answer.
fn read(body: &[u8]) -> Result<f64, String> {
    let answer: Value = serde_json::from_slice(body)
        .map_err(|_| "the answer is not that of a Prometheus server".to_owned())?;
    if answer["status"] != "success" {
        let words = answer["error"]
            .as_str()
            .unwrap_or("the answer is not that of a Prometheus server");
        return Err(words.chars().take(256).collect());
    }
    let data = &answer["data"];
    let sample = match (data["resultType"].as_str(), &data["result"]) {
        (Some("scalar"), result) => &result[1],
        (Some("vector"), Value::Array(series)) => match series.as_slice() {
            [] => return Err("the query has no result".to_owned()),
            [one] => &one["value"][1],
            several => return Err(format!("the query has {} results, not one", several.len())),
        },
        (kind, _) => {
            return Err(format!(
                "the query's result is a {}, not a number",
                kind.unwrap_or("nothing")
            ));
        }
    };
    let value: f64 = sample
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or("the query's value is no number")?;
    if value.is_nan() {
        return Err("the query's value is NaN".to_owned());
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_number_is_a_value() {
        let vector = |result: &str| {
            format!(
                r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#
            )
        };
        let one = |value: &str| format!(r#"{{"metric":{{}},"value":[1,"{value}"]}}"#);
        assert_eq!(read(vector(&one("0.25")).as_bytes()), Ok(0.25));
        assert_eq!(
            read(br#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#),
            Ok(2.0)
        );
        for nothing in [
            vector(""),
            vector(&one("NaN")),
            vector(&format!("{},{}", one("1"), one("2"))),
            r#"{"status":"error","error":"parse error"}"#.to_owned(),
            "<html>".to_owned(),
        ] {
            assert!(read(nothing.as_bytes()).is_err(), "{nothing}");
        }
    }

    #[test]
    fn a_value_must_lie_in_the_range() {
        let check = PrometheusCheck {
            min: Some(0.0),
            max: Some(1.0),
            ..PrometheusCheck::default()
        };
        let outcome = |value| judge(&check, value).0;
        assert_eq!(outcome(0.5), Outcome::Pass);
        assert_eq!(outcome(1.5), Outcome::Fail);
        assert_eq!(outcome(-0.5), Outcome::Fail);
    }
}
