//! The names of what a rollout makes, and what stands for `{{…}}` in checks.

use std::time::Duration;

use crate::object::Id;

/// The name of the canary of a workload or a Service.
pub fn canary_name(name: &str) -> String {
    format!("{name}-canary")
}

/// What stands beside a workload, or a Service, for its canary.
pub fn canary_of(id: &Id) -> Id {
    Id {
        name: canary_name(&id.name),
        ..id.clone()
    }
}

/// The name of the preview that is made of a Service.
pub fn preview_name(name: &str) -> String {
    format!("{name}-preview")
}

/// The names of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub namespace: String,
    pub workload: String,
    /// The Service that selects the workload's pods; the workload's own name where there is none.
    pub service: String,
    /// The `pod-template-hash` of the stable pods, where they all have the same and it is known.
    pub stable_hash: Option<String>,
    pub runs: Runs,
}

/// What runs the change, and how it is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Runs {
    /// A Deployment beside the stable one, with a Service of its own.
    #[default]
    Beside,
    /// The same, behind a preview Service; made by the rollout where Git names none.
    Preview(Option<String>),
    /// The pods of one set from the first of these ordinals on, up to the second, which is its size.
    Ordinals(u32, u32),
}

/// Whose evidence it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Canary,
    Stable,
}

const KNOWN: [&str; 8] = [
    "namespace",
    "workload",
    "canary",
    "side",
    "deployment",
    "service",
    "pods",
    "window",
];
/// So many characters of what stands before the last part of a pod's name Kubernetes keeps.
const KEPT: usize = 58;
/// Characters of a `pod-template-hash`, at most.
const HASH: usize = 10;
/// What Kubernetes makes up: without vowels, so that it is no word, nor `canary`.
const MADE_UP: &str = "[0-9b-df-hj-np-tv-xz]+";

/// What differs between the sides.
const OF_A_SIDE: [&str; 4] = ["side", "deployment", "service", "pods"];

impl Names {
    /// `text` with the names in it.
    pub fn fill(&self, text: &str, side: Side, window: Duration) -> String {
        replace(text, |name| {
            Some(match name {
                "namespace" => self.namespace.clone(),
                "workload" => self.workload.clone(),
                "canary" => self.deployment(Side::Canary),
                "side" => match side {
                    Side::Canary => "canary".to_owned(),
                    Side::Stable => "stable".to_owned(),
                },
                "deployment" => self.deployment(side),
                "service" => self.service(side),
                "pods" => self.pods(side),
                "window" => format!("{}s", window.as_secs().max(1)),
                _ => return None,
            })
        })
    }

    /// The Deployment (or the set) that runs this side.
    fn deployment(&self, side: Side) -> String {
        match (side, &self.runs) {
            (Side::Canary, Runs::Beside | Runs::Preview(_)) => canary_name(&self.workload),
            _ => self.workload.clone(),
        }
    }

    fn service(&self, side: Side) -> String {
        match (side, &self.runs) {
            (Side::Canary, Runs::Beside) => canary_name(&self.service),
            (Side::Canary, Runs::Preview(named)) => {
                let made = || preview_name(&self.service);
                named.clone().unwrap_or_else(made)
            }
            _ => self.service.clone(),
        }
    }

    /// A regular expression without a backslash: it stands in the strings of other languages.
    fn pods(&self, side: Side) -> String {
        let deployment = self.deployment(side);
        let name = literal(&deployment);
        if let Runs::Ordinals(first, end) = self.runs {
            let ordinals = match side {
                Side::Canary => first..end,
                Side::Stable => 0..first,
            };
            let ordinals: Vec<String> = ordinals.map(|ordinal| ordinal.to_string()).collect();
            return format!("{name}-({})", ordinals.join("|"));
        }
        let hash = match side {
            Side::Canary => None,
            Side::Stable => self.stable_hash.as_deref(),
        };
        let is_cut = |hash: usize| deployment.len() + hash + 2 > KEPT;
        match hash {
            // Of a long name there is neither the whole hash nor a dash behind it.
            Some(hash) if is_cut(hash.len()) => {
                let kept: String = format!("{deployment}-{hash}").chars().take(KEPT).collect();
                format!("{}{MADE_UP}", literal(&kept))
            }
            None if is_cut(HASH) => format!("{name}-{MADE_UP}(-{MADE_UP})?"),
            hash => format!("{name}-{}-{MADE_UP}", hash.unwrap_or(MADE_UP)),
        }
    }
}

/// As it stands in a regular expression.
fn literal(name: &str) -> String {
    name.replace('.', "[.]")
}

/// Whether the names of pods say which side of this Deployment they are of; of longer ones too little is left.
pub fn pods_tell_sides_apart(workload: &str) -> bool {
    canary_name(workload).len() < KEPT
}

/// Whether it asks for pods by their names.
pub fn asks_for_pods(text: &str) -> bool {
    let mut asks = false;
    replace(text, |name| {
        asks |= name == "pods";
        None
    });
    asks
}

/// The first `{{name}}` in it that stands for nothing.
pub fn unknown(text: &str) -> Option<String> {
    let mut unknown = None;
    replace(text, |name| {
        if !KNOWN.contains(&name) {
            unknown.get_or_insert_with(|| name.to_owned());
        }
        None
    });
    unknown
}

/// Whether it says something else of the canary than of the stable side.
pub fn tells_sides_apart(text: &str) -> bool {
    let mut tells = false;
    replace(text, |name| {
        tells |= OF_A_SIDE.contains(&name);
        None
    });
    tells
}

/// Replaces each `{{name}}` by what `value` has for it, and leaves what it has nothing for.
fn replace(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let name = after
            .split_once("}}")
            .map(|(name, after)| (name.trim(), after))
            .filter(|(name, _)| {
                !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphabetic())
            });
        match name.map(|(name, after)| (value(name), after)) {
            Some((Some(value), after)) => {
                filled.push_str(&value);
                rest = after;
            }
            _ => {
                filled.push_str("{{");
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn names() -> Names {
        Names {
            namespace: "shop".to_owned(),
            workload: "api.v1".to_owned(),
            service: "web".to_owned(),
            ..Names::default()
        }
    }

    fn fill(text: &str, side: Side) -> String {
        names().fill(text, side, Duration::from_secs(90))
    }

    #[test]
    fn names_differ_by_side() {
        let text = "{{namespace}} {{ workload }} {{canary}} {{side}} {{deployment}} {{service}} {{window}}";
        assert_eq!(
            fill(text, Side::Canary),
            "shop api.v1 api.v1-canary canary api.v1-canary web-canary 90s"
        );
        assert_eq!(
            fill(text, Side::Stable),
            "shop api.v1 api.v1-canary stable api.v1 web 90s"
        );
    }

    #[test]
    fn names_follow_the_strategy() {
        let preview = |named: Option<&str>| Names {
            runs: Runs::Preview(named.map(str::to_owned)),
            ..names()
        };
        let fill = |names: &Names, side| {
            names.fill("{{deployment}} {{service}} {{pods}}", side, Duration::ZERO)
        };
        let green = fill(&preview(None), Side::Canary);
        assert!(
            green.starts_with("api.v1-canary web-preview api[.]v1-canary-"),
            "{green}"
        );
        let named = fill(&preview(Some("web-next")), Side::Canary);
        assert!(named.starts_with("api.v1-canary web-next "), "{named}");
        let set = Names {
            runs: Runs::Ordinals(2, 4),
            ..names()
        };
        assert_eq!(fill(&set, Side::Canary), "api.v1 web api[.]v1-(2|3)");
        assert_eq!(fill(&set, Side::Stable), "api.v1 web api[.]v1-(0|1)");
    }

    #[test]
    fn what_stands_for_nothing_stays() {
        let text = r#"up{a=~"x{{2}}"} {{ {{pod}} {{"#;
        assert_eq!(fill(text, Side::Canary), text);
        assert_eq!(unknown(text).as_deref(), Some("pod"));
        assert_eq!(unknown("{{pods}} {{window}}"), None);
        assert!(tells_sides_apart("{{ pods }}") && !tells_sides_apart("{{canary}} {{window}}"));
    }

    /// The name of a pod, as Kubernetes makes it of its Deployment's.
    fn pod(deployment: &str, hash: &str) -> String {
        let before: String = format!("{deployment}-{hash}-").chars().take(58).collect();
        format!("{before}x7k2p")
    }

    #[test]
    fn names_that_kubernetes_cuts_are_matched_as_long_as_they_tell_sides_apart() {
        for (length, hash) in (1..=50).flat_map(|length| [(length, "5d8f6c9b7"), (length, "bf")]) {
            let workload = "a".repeat(length);
            assert!(pods_tell_sides_apart(&workload));
            let stable = pod(&workload, hash);
            let canary = pod(&format!("{workload}-canary"), hash);
            for stable_hash in [None, Some(hash.to_owned())] {
                let names = Names {
                    workload: workload.clone(),
                    stable_hash,
                    ..Names::default()
                };
                for (side, own, other) in [
                    (Side::Stable, &stable, &canary),
                    (Side::Canary, &canary, &stable),
                ] {
                    let pattern = names.fill("^(?:{{pods}})$", side, Duration::ZERO);
                    let pattern = Regex::new(&pattern).unwrap();
                    assert!(pattern.is_match(own), "{pattern} {own}");
                    assert!(!pattern.is_match(other), "{pattern} {other}");
                }
            }
        }
        assert!(!pods_tell_sides_apart(&"a".repeat(51)));
    }

    #[test]
    fn pods_of_one_side_are_not_those_of_the_other() {
        let matches = |names: &Names, side, pod: &str| {
            let pattern = names.fill("^(?:{{pods}})$", side, Duration::ZERO);
            Regex::new(&pattern).unwrap().is_match(pod)
        };
        let names = names();
        let (stable, canary) = ("api.v1-5d8f-x7k2p", "api.v1-canary-7c9b-q2w4z");
        assert!(matches(&names, Side::Stable, stable));
        assert!(!matches(&names, Side::Stable, canary));
        assert!(matches(&names, Side::Canary, canary));
        assert!(!matches(&names, Side::Canary, stable));
        assert!(!matches(&names, Side::Stable, "apixv1-5d8f-x7k2p"));
        let of_one_template = Names {
            stable_hash: Some("5d8f".to_owned()),
            ..names
        };
        assert!(matches(&of_one_template, Side::Stable, stable));
        assert!(!matches(
            &of_one_template,
            Side::Stable,
            "api.v1-66aa-x7k2p"
        ));
    }
}
