//! The single value of a Prometheus server's answer.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

/// A value, and when it was true: in seconds of the server's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub at: f64,
    pub value: f64,
    /// Whether it is of a series, whose samples have times of their own.
    pub of_series: bool,
}

impl Sample {
    /// Whether it is not older than the window: an answer out of a cache, or a server without the right time.
    ///
    /// # Errors
    /// How old it is.
    pub fn is_of(&self, now: Timestamp, window: Duration) -> Result<(), String> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds since 1970 are exact to far beyond"
        )]
        let now = now.as_millisecond() as f64 / 1000.0;
        let age = now - self.at;
        if age.abs() > window.as_secs_f64() {
            return Err(format!(
                "the server answered for a time {} s {}, and the window is of {} s",
                age.abs().round(),
                if age > 0.0 { "ago" } else { "ahead" },
                window.as_secs()
            ));
        }
        Ok(())
    }
}

/// What some versions of Prometheus say among the warnings of a query that they answered in full.
const HINT: &str = "PromQL info:";

/// # Errors
/// There is not exactly one number, or not of all series: what there is.
pub(super) fn read(body: &[u8]) -> Result<Sample, String> {
    const FOREIGN: &str = "the answer is not that of a Prometheus server";
    let answer: Value = serde_json::from_slice(body).map_err(|_| FOREIGN.to_owned())?;
    if answer["status"] != "success" {
        let words = answer["error"].as_str().unwrap_or(FOREIGN);
        return Err(words.chars().take(256).collect());
    }
    if let Some(warning) = answer["warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .find(|warning| !warning.starts_with(HINT))
    {
        let words: String = warning.chars().take(256).collect();
        return Err(format!("the answer is not of everything: {words}"));
    }
    // As VictoriaMetrics says it.
    if answer["isPartial"] == true {
        return Err("the answer is not of everything".to_owned());
    }
    let data = &answer["data"];
    let sample = match (data["resultType"].as_str(), &data["result"]) {
        (Some("scalar"), result) => result,
        (Some("vector"), Value::Array(series)) => match series.as_slice() {
            [] => return Err("the query has no result".to_owned()),
            [one] => &one["value"],
            several => return Err(format!("the query has {} results, not one", several.len())),
        },
        (kind, _) => {
            return Err(format!(
                "the query's result is a {}, not a number",
                kind.unwrap_or("nothing")
            ));
        }
    };
    let value = sample[1].as_str().and_then(|text| text.parse().ok());
    let (Some(at), Some(value)) = (sample[0].as_f64(), value) else {
        return Err("the query's value is no number".to_owned());
    };
    let sample = Sample {
        at,
        value,
        of_series: data["resultType"] == "vector",
    };
    if sample.value.is_nan() {
        return Err("the query's value is NaN".to_owned());
    }
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of Prometheus 2.42 as they came.
    const RECORDED: &str = include_str!("fixtures/prometheus-2.42.txt");

    #[test]
    fn only_one_number_is_a_value() {
        let mut told = String::new();
        for answer in RECORDED.lines() {
            let (query, body) = answer.split_once('\t').unwrap();
            let outcome = match read(body.as_bytes()) {
                Ok(Sample { at, value, .. }) => format!("{value} at {at}"),
                Err(why) => format!("no data: {why}"),
            };
            told.push_str(&format!("{query}\n  {outcome}\n"));
        }
        insta::assert_snapshot!(told);
    }

    #[test]
    fn what_is_no_answer_of_prometheus_is_none() {
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"status":"success"}"#,
            r#"{"status":"success","data":{"resultType":"scalar","result":["x","y"]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}"#,
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn an_answer_with_a_part_missing_is_none() {
        let with = |warning: &str| {
            let body = serde_json::json!({
                "status": "success", "warnings": [warning],
                "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "0"]}]},
            });
            read(body.to_string().as_bytes())
        };
        let partial = with("No StoreAPIs matched for this query");
        assert_eq!(
            partial.unwrap_err(),
            "the answer is not of everything: No StoreAPIs matched for this query"
        );
        let hint = "PromQL info: metric might not be a counter, name does not end in _total";
        assert!(with(hint).is_ok(), "it lacks nothing");
        let flagged = |is_partial: bool| {
            let data = serde_json::json!({"resultType": "scalar", "result": [1, "0"]});
            let body =
                serde_json::json!({"status": "success", "isPartial": is_partial, "data": data});
            read(body.to_string().as_bytes())
        };
        assert!(flagged(true).is_err() && flagged(false).is_ok());
    }

    #[test]
    fn an_answer_is_of_its_window() {
        let sample = Sample {
            at: 1000.5,
            value: 1.0,
            of_series: true,
        };
        let at = |seconds| {
            sample.is_of(
                Timestamp::from_second(seconds).unwrap(),
                Duration::from_secs(60),
            )
        };
        assert_eq!(at(1001), Ok(()));
        assert_eq!(at(1060), Ok(()));
        assert!(at(1061).unwrap_err().contains("61 s ago"));
        assert!(at(900).unwrap_err().contains("ahead"));
    }
}
