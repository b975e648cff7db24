//! JSON from any server, and a condition on it.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::headers::Headers;
use super::http::{Call, send};
use crate::api::JsonCheck;
use crate::health::Condition;
use crate::rollout::machine::Outcome;

pub(super) async fn ask(
    check: &JsonCheck,
    headers: &Headers,
    fill: impl Fn(&str) -> String,
) -> (Outcome, String) {
    let no_data = |why: String| (Outcome::NoData, why);
    let url = match Url::parse(&fill(&check.url)) {
        Ok(url) => url,
        Err(error) => return no_data(format!("json.url: {error}")),
    };
    let method = check.method.as_deref().and_then(|name| name.parse().ok());
    let call = Call {
        method: method.unwrap_or(Method::GET),
        headers,
        body: check.body.as_deref().map(&fill).unwrap_or_default(),
        timeout: check
            .timeout
            .map_or(Duration::from_secs(10), |timeout| timeout.0),
    };
    match send(&url, call).await {
        Ok(answer) => judge(&check.condition, answer.status(), answer.body()),
        Err(error) => no_data(error.to_string()),
    }
}

fn judge(condition: &str, status: StatusCode, body: &[u8]) -> (Outcome, String) {
    let no_data = |why: String| (Outcome::NoData, why);
    if !status.is_success() {
        return no_data(format!("the server answered {}", status.as_u16()));
    }
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return no_data("the answer is no JSON".to_owned());
    };
    let compiled = match Condition::compile(condition) {
        Ok(compiled) => compiled,
        Err(why) => return no_data(format!("json.condition is not a CEL expression: {why}")),
    };
    let readings = compiled.readings(&value).join(", ");
    let told = |verdict: &str| match readings.as_str() {
        "" => format!("{condition}: {verdict}"),
        readings => format!("{readings} ({condition}: {verdict})"),
    };
    match compiled.holds(&value) {
        Ok(true) => (Outcome::Pass, told("true")),
        Ok(false) => (Outcome::Fail, told("false")),
        Err(why) => no_data(format!("{condition}: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_on_an_answer() {
        let of = |status: StatusCode, body: &str| judge("self.errors < 3", status, body.as_bytes());
        let (pass, fail, none) = (Outcome::Pass, Outcome::Fail, Outcome::NoData);
        for (body, outcome, value) in [
            (
                r#"{"errors":2}"#,
                pass,
                "errors = 2 (self.errors < 3: true)",
            ),
            (
                r#"{"errors":3}"#,
                fail,
                "errors = 3 (self.errors < 3: false)",
            ),
            (r#"{"errors":null}"#, none, "self.errors < 3: "),
            (
                r#"{"other":3}"#,
                none,
                "self.errors < 3: there is no field errors",
            ),
            ("<html>", none, "the answer is no JSON"),
            ("", none, "the answer is no JSON"),
        ] {
            let (seen, told) = of(StatusCode::OK, body);
            assert_eq!(seen, outcome, "{body}");
            assert!(told.starts_with(value), "{told}");
        }
        let (seen, told) = of(StatusCode::BAD_GATEWAY, r#"{"errors":0}"#);
        assert_eq!((seen, told.as_str()), (none, "the server answered 502"));
    }
}
