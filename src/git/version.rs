//! Versions in the names of refs, and ranges of them. Pure.

use std::cmp::Ordering;
use std::str::FromStr;

use semver::{BuildMetadata, Comparator, Op, Prerelease, Version};

/// `1.2.3`, and what people write for it: a leading `v`, and missing parts (`v1.0`, `1`, `v1.0-rc.1`), which are 0.
pub fn parse_version(text: &str) -> Option<Version> {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let (rest, build) = match text.split_once('+') {
        Some((rest, build)) if !build.is_empty() => (rest, BuildMetadata::new(build).ok()?),
        Some(_) => return None,
        None => (text, BuildMetadata::EMPTY),
    };
    let (core, pre) = match rest.split_once('-') {
        Some((core, pre)) if !pre.is_empty() => (core, Prerelease::new(pre).ok()?),
        Some(_) => return None,
        None => (rest, Prerelease::EMPTY),
    };
    let mut numbers = [0; 3];
    for (at, part) in core.split('.').enumerate() {
        *numbers.get_mut(at)? = number(part)?;
    }
    let [major, minor, patch] = numbers;
    Some(Version {
        major,
        minor,
        patch,
        pre,
        build,
    })
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    (digits && !padded).then(|| text.parse().ok()).flatten()
}

/// The version that the name of a branch or tag carries: all of it (`v1`), or, after a separator, the end of it
/// (`release-1.2`, `hotfix/v1.2.3`), which then needs a dot, for a mere number is as often a ticket's.
pub(super) fn version_in(name: &str) -> Option<Version> {
    parse_version(name).or_else(|| {
        name.char_indices()
            .filter(|(_, c)| matches!(c, '/' | '-' | '_' | '@'))
            .map(|(at, c)| &name[at + c.len_utf8()..])
            .filter(|rest| {
                rest.split(['-', '+'])
                    .next()
                    .is_some_and(|core| core.contains('.'))
            })
            .find_map(parse_version)
    })
}

/// A range of versions: alternatives (`||`) of comparators that must all hold (`>=1.2 <2`, commas allowed).
#[derive(Clone, Debug)]
pub struct Range(Vec<Vec<Bounds>>);

/// Text that is not a range.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not a range of versions: {message}")]
pub struct RangeError {
    pub text: String,
    pub message: String,
}

/// What one comparator admits.
#[derive(Clone, Debug)]
struct Bounds {
    lower: Option<(Version, Inclusive)>,
    upper: Option<(Version, Inclusive)>,
    names_pre_release: bool,
}

type Inclusive = bool;

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let fail = |message: String| RangeError {
            text: text.to_owned(),
            message,
        };
        let mut alternatives = Vec::new();
        for part in text.split("||") {
            let comparators = comparators(part);
            if comparators.is_empty() {
                return Err(fail("a comparator is missing".to_owned()));
            }
            let bounds: Result<Vec<Bounds>, String> =
                comparators.iter().map(|one| Bounds::parse(one)).collect();
            alternatives.push(bounds.map_err(fail)?);
        }
        Ok(Self(alternatives))
    }
}

/// Splits at commas and spaces; a space after an operator separates nothing.
fn comparators(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for word in text.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
        match all.last_mut() {
            Some(last) if last.ends_with(['<', '>', '=', '~', '^']) => last.push_str(word),
            _ => all.push(word.to_owned()),
        }
    }
    all
}

impl Range {
    /// Pre-releases are admitted only where the range names one, then of every version in it.
    pub fn admits(&self, version: &Version) -> bool {
        self.0.iter().any(|all| {
            let pre_releases = all.iter().any(|bounds| bounds.names_pre_release);
            (version.pre.is_empty() || pre_releases) && all.iter().all(|one| one.admits(version))
        })
    }
}

impl Bounds {
    fn parse(text: &str) -> Result<Self, String> {
        let at = text
            .find(|c| !matches!(c, '<' | '>' | '=' | '~' | '^'))
            .ok_or_else(|| format!("{text} names no version"))?;
        let (operator, version) = text.split_at(at);
        let version = version.strip_prefix(['v', 'V']).unwrap_or(version);
        if matches!(version, "*" | "x" | "X") && operator.is_empty() {
            return Ok(Self {
                lower: None,
                upper: None,
                names_pre_release: false,
            });
        }
        // A version without an operator is that version, as everywhere but in Rust.
        let operator = match operator {
            "" | "==" => "=",
            "~>" => "~",
            "=>" | "=<" | "><" | "<>" => return Err(format!("{operator} is no operator")),
            other => other,
        };
        // The crate knows partial versions with a pre-release not at all; ours are padded first.
        let padded = if version.contains('-') {
            parse_version(version).map(|version| version.to_string())
        } else {
            None
        };
        let wildcard = version.contains(['*', 'x', 'X']) && !version.contains('-');
        let operator = if wildcard && operator == "=" {
            ""
        } else {
            operator
        };
        let text = format!("{operator}{}", padded.as_deref().unwrap_or(version));
        let comparator = Comparator::parse(&text).map_err(|error| format!("{text}: {error}"))?;
        Ok(Self::of(&comparator))
    }

    fn of(comparator: &Comparator) -> Self {
        let Comparator {
            op,
            major,
            minor,
            patch,
            pre,
        } = comparator;
        let full = |major, minor, patch| Version::new(major, minor, patch);
        let mut first = full(*major, minor.unwrap_or(0), patch.unwrap_or(0));
        first.pre = pre.clone();
        // The first version after all that the written parts stand for; `None` where the version is complete.
        let after = match (minor, patch) {
            (None, _) => Some(full(major.saturating_add(1), 0, 0)),
            (Some(minor), None) => Some(full(*major, minor.saturating_add(1), 0)),
            (Some(_), Some(_)) => None,
        };
        let next_minor = full(*major, minor.unwrap_or(0).saturating_add(1), 0);
        let (lower, upper) = match op {
            Op::Greater => (
                Some(after.map_or((first, false), |after| (after, true))),
                None,
            ),
            Op::GreaterEq => (Some((first, true)), None),
            Op::Less => (None, Some((first, false))),
            Op::LessEq => (
                None,
                Some(after.map_or((first, true), |after| (after, false))),
            ),
            Op::Tilde => {
                let upper = after.unwrap_or(next_minor);
                (Some((first, true)), Some((upper, false)))
            }
            Op::Caret => {
                let upper = match (*major, *minor, *patch) {
                    (0, Some(0), Some(patch)) => full(0, 0, patch.saturating_add(1)),
                    (0, Some(minor), _) => full(0, minor.saturating_add(1), 0),
                    (major, _, _) => full(major.saturating_add(1), 0, 0),
                };
                (Some((first, true)), Some((upper, false)))
            }
            // `=`, and wildcards, which are the same with parts missing.
            _ => match after {
                Some(after) => (Some((first, true)), Some((after, false))),
                None => (Some((first.clone(), true)), Some((first, true))),
            },
        };
        Self {
            lower,
            upper,
            names_pre_release: !pre.is_empty(),
        }
    }

    fn admits(&self, version: &Version) -> bool {
        let above = self.lower.as_ref().is_none_or(|(bound, inclusive)| {
            match version.cmp_precedence(bound) {
                Ordering::Greater => true,
                Ordering::Equal => *inclusive,
                Ordering::Less => false,
            }
        });
        let below = self.upper.as_ref().is_none_or(|(bound, inclusive)| {
            // `<2.0.0` does not mean 2.0.0's own pre-releases, although they come before it.
            let own_pre_release = !*inclusive
                && bound.pre.is_empty()
                && (version.major, version.minor, version.patch)
                    == (bound.major, bound.minor, bound.patch);
            match version.cmp_precedence(bound) {
                Ordering::Less => !own_pre_release,
                Ordering::Equal => *inclusive,
                Ordering::Greater => false,
            }
        });
        above && below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_people_write_them() {
        for (text, version) in [
            ("1.2.3", "1.2.3"),
            ("v1.2.3", "1.2.3"),
            ("v1.0", "1.0.0"),
            ("1.0", "1.0.0"),
            ("v1", "1.0.0"),
            ("v1.0-rc.1", "1.0.0-rc.1"),
            ("v1-rc.1+build.7", "1.0.0-rc.1+build.7"),
            ("1.2.3-a-b", "1.2.3-a-b"),
            ("1.2.3+a-b", "1.2.3+a-b"),
        ] {
            assert_eq!(parse_version(text).unwrap().to_string(), version, "{text}");
        }
        for text in [
            "",
            "v",
            "vv1",
            "1.2.3.4",
            "01.2",
            "1.02",
            "1.",
            ".1",
            "1.2-",
            "1.2+",
            "1.2-01",
            "latest",
            "99999999999999999999.0",
            "1.2-rc_1",
        ] {
            assert_eq!(parse_version(text), None, "{text}");
        }
    }

    #[test]
    fn versions_in_names() {
        for (name, version) in [
            ("v1", Some("1.0.0")),
            ("release-1.2", Some("1.2.0")),
            ("hotfix/v1.2.3", Some("1.2.3")),
            ("hotfix/1.2.3-rc.1", Some("1.2.3-rc.1")),
            ("release-1.2-rc-3", Some("1.2.0-rc-3")),
            ("api@2.0.0", Some("2.0.0")),
            ("hotfix/1234", None),
            ("release-2024", None),
            ("fix-1.2-of-it_all", None),
            ("main", None),
        ] {
            let found = version_in(name).map(|version| version.to_string());
            assert_eq!(found.as_deref(), version, "{name}");
        }
    }

    #[test]
    fn ranges() {
        for (range, yes, no) in [
            (
                ">=1.0.0",
                &["1.0.0", "2.3.4", "1.0"][..],
                &["0.9.9", "1.2.0-rc.1", "1.0.0-rc.1"][..],
            ),
            (
                ">=1.0.0-0",
                &["1.0.0", "1.0.0-rc.1", "1.2.0-rc.1", "3.0-a"],
                &["0.9.9", "0.9.9-rc.1"],
            ),
            (">=v1.0-0", &["1.2.0-rc.1"], &["0.9.0"]),
            (
                ">=1.0.0-0 <2.0.0",
                &["1.9.0-rc.1", "1.9.9"],
                &["2.0.0", "2.0.0-rc.1"],
            ),
            (
                ">=1.0.0-0, <2.0.0-rc.2",
                &["2.0.0-rc.1"],
                &["2.0.0-rc.2", "2.0.0"],
            ),
            (">= 1.2 < 2", &["1.2.0", "1.9.0"], &["1.1.9", "2.0.0"]),
            ("1.2.3", &["1.2.3", "1.2.3+b"], &["1.2.4", "1.3.0"]),
            ("=1.2.3-rc.1", &["1.2.3-rc.1"], &["1.2.3", "1.2.3-rc.2"]),
            (
                "1.2",
                &["1.2.0", "1.2.9"],
                &["1.3.0", "1.1.9", "1.2.1-rc.1"],
            ),
            ("1.x", &["1.0.0", "1.9.9"], &["2.0.0"]),
            ("1.2.*", &["1.2.7"], &["1.3.0"]),
            ("*", &["0.0.1", "9.0.0"], &["1.0.0-rc.1"]),
            ("^1.2.3", &["1.2.3", "1.9.0"], &["1.2.2", "2.0.0"]),
            ("^0.2.3", &["0.2.3", "0.2.9"], &["0.3.0"]),
            ("^0.0.3", &["0.0.3"], &["0.0.4"]),
            ("^1.2.3-0", &["1.2.3-rc.1", "1.3.0-rc.1"], &["2.0.0-rc.1"]),
            ("~1.2.3", &["1.2.9"], &["1.3.0"]),
            ("~1.2", &["1.2.0"], &["1.3.0"]),
            ("~1", &["1.9.0"], &["2.0.0"]),
            (">1.2", &["1.3.0"], &["1.2.9"]),
            ("<=1.2", &["1.2.9"], &["1.3.0"]),
            (">1.0.0-rc.1", &["1.0.0-rc.2", "1.0.0"], &["1.0.0-rc.1"]),
            (
                "<1.0 || >=2.0.0-0",
                &["0.9.0", "2.1.0-rc.1"],
                &["1.0.0", "0.9.0-rc.1"],
            ),
        ] {
            let parsed: Range = range.parse().unwrap();
            for version in yes {
                assert!(
                    parsed.admits(&parse_version(version).unwrap()),
                    "{range} {version}"
                );
            }
            for version in no {
                assert!(
                    !parsed.admits(&parse_version(version).unwrap()),
                    "{range} {version}"
                );
            }
        }
        for text in ["", "||", ">=", "a", ">=1.0.0 ||", "=>1", "1.2.3.4", ">=01"] {
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
    }
}
