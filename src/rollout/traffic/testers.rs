//! Requests of testers: they say by a header or a cookie that they want the canary.

use serde_json::{Value, json};

use crate::api::MatchSpec;

/// A header by which a request is known.
pub(super) enum Mark {
    /// This header has this value.
    Is(String, String),
    /// This header matches this regular expression, whether a router asks that it match the whole value or a part.
    Matches(String, String),
}

impl Mark {
    pub fn header(&self) -> &str {
        match self {
            Mark::Is(header, _) | Mark::Matches(header, _) => header,
        }
    }
}

/// What a rule with these matches matches for testers: each match with each of the marks, as `put` puts it in. A rule without
/// matches takes every request.
pub(super) fn matches(
    given: &Value,
    testers: &MatchSpec,
    put: impl Fn(Value, &Mark) -> Result<Value, String>,
) -> Result<Vec<Value>, String> {
    let given = given.as_array().cloned().unwrap_or_default();
    let given = if given.is_empty() {
        vec![json!({})]
    } else {
        given
    };
    let marks = marks(testers);
    let mut matches = Vec::new();
    for one in &given {
        for mark in &marks {
            matches.push(put(one.clone(), mark)?);
        }
    }
    Ok(matches)
}

/// Why a match cannot have a mark.
pub(super) fn is_taken(header: &str) -> String {
    format!(
        "it matches the header {header} already, by which spec.traffic.match would know testers"
    )
}

/// What marks a tester's request: each is enough by itself.
fn marks(testers: &MatchSpec) -> Vec<Mark> {
    let MatchSpec { header, cookie } = testers;
    let header = header
        .iter()
        .map(|header| Mark::Is(header.name.clone(), header.value.clone()));
    let cookie = cookie.iter().map(|cookie| {
        let (name, value) = (regex::escape(&cookie.name), regex::escape(&cookie.value));
        let pattern = format!(r"^(.*;\s*)?{name}={value}(\s*;.*)?$");
        Mark::Matches("cookie".to_owned(), pattern)
    });
    header.chain(cookie).collect()
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;
    use crate::api::RequestMark;

    #[test]
    fn a_cookie_is_found_among_others() {
        let marks = marks(&MatchSpec {
            header: None,
            cookie: Some(RequestMark {
                name: "canary.v2".to_owned(),
                value: "always".to_owned(),
            }),
        });
        let [Mark::Matches(_, pattern)] = marks.as_slice() else {
            panic!("a cookie is one mark");
        };
        let whole = Regex::new(&format!("^(?:{pattern})$")).unwrap();
        let part = Regex::new(pattern).unwrap();
        for (value, found) in [
            ("canary.v2=always", true),
            ("a=b; canary.v2=always", true),
            ("a=b;canary.v2=always; c=d", true),
            ("canary.v2=always;c=d", true),
            ("canary.v2=alwaysnot", false),
            ("canaryxv2=always", false),
            ("other-canary.v2=always", false),
            ("a=canary.v2", false),
        ] {
            assert_eq!(whole.is_match(value), found, "{value}");
            assert_eq!(part.is_match(value), found, "{value}");
        }
    }
}
