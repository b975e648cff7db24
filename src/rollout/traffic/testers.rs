//! Requests of testers: they say by a header or a cookie that they want the canary.

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

/// What marks a tester's request: each is enough by itself.
pub(super) fn marks(testers: &MatchSpec) -> Vec<Mark> {
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
