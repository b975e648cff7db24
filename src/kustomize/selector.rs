//! What a patch or a replacement applies to: by group, version, kind, name, namespace, labels and annotations.

use std::collections::HashMap;

use super::error::{Result, fail};
use super::id::{Gvk, ResId};
use super::node;
use super::regex::Regex;
use crate::yaml::{NodeId, Tree};

/// A selector as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    pub id: ResId,
    pub labels: String,
    pub annotations: String,
}

/// A selector whose parts are compiled. Names and kinds are regular expressions that match the whole.
pub struct Matcher {
    group: Pattern,
    version: Pattern,
    kind: Pattern,
    name: Pattern,
    namespace: Pattern,
    pub labels: LabelSelector,
    pub annotations: LabelSelector,
}

/// A regular expression that has to match the whole; empty matches anything.
enum Pattern {
    Any,
    /// Nothing in it has a meaning of its own.
    Literal(String),
    Regex(Regex),
}

impl Pattern {
    fn new(pattern: &str) -> Result<Self> {
        if pattern.is_empty() {
            return Ok(Self::Any);
        }
        if pattern
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/'))
        {
            return Ok(Self::Literal(pattern.to_owned()));
        }
        // What the parentheses do to it is part of what it means, as `a)|(b` shows.
        match Regex::new(&format!("^(?:{pattern})$")) {
            Ok(regex) => Ok(Self::Regex(regex)),
            Err(error) => fail(format!("`{pattern}` {error}")),
        }
    }

    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => literal == text,
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

impl Matcher {
    pub fn new(selector: &Selector) -> Result<Self> {
        Ok(Self {
            group: Pattern::new(&selector.id.gvk.group)?,
            version: Pattern::new(&selector.id.gvk.version)?,
            kind: Pattern::new(&selector.id.gvk.kind)?,
            name: Pattern::new(&selector.id.name)?,
            namespace: Pattern::new(&selector.id.namespace)?,
            labels: LabelSelector::parse(&selector.labels)?,
            annotations: LabelSelector::parse(&selector.annotations)?,
        })
    }

    pub fn gvk(&self, gvk: &Gvk) -> bool {
        self.group.fits(&gvk.group) && self.version.fits(&gvk.version) && self.kind.fits(&gvk.kind)
    }

    pub fn name(&self, name: &str) -> bool {
        self.name.fits(name)
    }

    /// The one name that fits, if there is only one.
    pub fn literal_name(&self) -> Option<&str> {
        match &self.name {
            Pattern::Literal(name) => Some(name),
            Pattern::Any | Pattern::Regex(_) => None,
        }
    }

    pub fn namespace(&self, namespace: &str) -> bool {
        self.namespace.fits(namespace)
    }

    pub fn id(&self, id: &ResId) -> bool {
        self.gvk(&id.gvk) && self.name(&id.name) && self.namespace(&id.namespace)
    }

    /// Whether the labels and annotations of an object fit.
    pub fn fits(&self, tree: &Tree, object: NodeId) -> bool {
        let fits = |selector: &LabelSelector, field| {
            selector.is_empty() || selector.matches(&node::metadata_map(tree, object, field))
        };
        fits(&self.labels, "labels") && fits(&self.annotations, "annotations")
    }
}

/// Requirements on labels, in the syntax of `kubectl --selector`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

impl LabelSelector {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn parse(text: &str) -> Result<Self> {
        let mut parser = Parser { rest: text };
        let mut requirements = Vec::new();
        parser.space();
        while !parser.rest.is_empty() {
            match parser.requirement() {
                Some(requirement) => requirements.push(requirement),
                None => return fail(format!("`{text}` is not a label selector")),
            }
            parser.space();
            if parser.rest.is_empty() {
                break;
            }
            if !parser.eat(",") {
                return fail(format!("`{text}` is not a label selector"));
            }
            parser.space();
            if parser.rest.is_empty() {
                return fail(format!("`{text}` ends in a comma"));
            }
        }
        Ok(Self(requirements))
    }

    pub fn matches(&self, labels: &[(String, String)]) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let labels: HashMap<&str, &str> = labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        self.0.iter().all(|requirement| {
            let value = labels.get(requirement.key.as_str()).copied();
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match &requirement.test {
                Test::Exists => value.is_some(),
                Test::Missing => value.is_none(),
                Test::In(values) => {
                    value.is_some_and(|value| values.iter().any(|one| one == value))
                }
                Test::NotIn(values) => {
                    value.is_none_or(|value| values.iter().all(|one| one != value))
                }
                Test::Greater(limit) => number().is_some_and(|number| number > *limit),
                Test::Less(limit) => number().is_some_and(|number| number < *limit),
            }
        })
    }
}

struct Parser<'t> {
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> &'t str {
        let end = self
            .rest
            .find(|c: char| {
                c.is_whitespace() || matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
            })
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn requirement(&mut self) -> Option<Requirement> {
        if self.eat("!") {
            self.space();
            let key = self.key()?;
            return Some(Requirement {
                key,
                test: Test::Missing,
            });
        }
        let key = self.key()?;
        self.space();
        let test = if self.rest.is_empty() || self.rest.starts_with(',') {
            Test::Exists
        } else if self.eat("==") || self.eat("=") {
            Test::In(vec![self.value()?])
        } else if self.eat("!=") {
            Test::NotIn(vec![self.value()?])
        } else if self.eat(">") {
            Test::Greater(self.value()?.parse().ok()?)
        } else if self.eat("<") {
            Test::Less(self.value()?.parse().ok()?)
        } else {
            match self.word() {
                "in" => Test::In(self.values()?),
                "notin" => Test::NotIn(self.values()?),
                _ => return None,
            }
        };
        Some(Requirement { key, test })
    }

    fn key(&mut self) -> Option<String> {
        let key = self.word();
        let (prefix, name) = key.split_once('/').unwrap_or(("", key));
        let prefix_fits = !key.contains('/') || (!prefix.is_empty() && prefix.len() <= 253);
        (prefix_fits && !name.is_empty() && is_label_value(name)).then(|| key.to_owned())
    }

    fn value(&mut self) -> Option<String> {
        self.space();
        let value = self.word();
        is_label_value(value).then(|| value.to_owned())
    }

    fn values(&mut self) -> Option<Vec<String>> {
        self.space();
        if !self.eat("(") {
            return None;
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            self.space();
            if self.eat(")") {
                return Some(values);
            }
            if !self.eat(",") {
                return None;
            }
        }
    }
}

fn is_label_value(value: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    value.is_empty()
        || (value.len() <= 63
            && value.starts_with(edge)
            && value.ends_with(edge)
            && value
                .chars()
                .all(|c| edge(c) || matches!(c, '-' | '_' | '.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors() {
        let labels =
            [("app", "shop"), ("tier", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        for (selector, expected) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("app=shop, tier in (1, 2)", true),
            ("app==shop,tier notin (2)", false),
            ("app!=shop", false),
            ("tier > 1,other!=x", true),
            ("missing=x", false),
        ] {
            let parsed = LabelSelector::parse(selector).expect("a selector");
            assert_eq!(parsed.matches(&labels), expected, "{selector}");
        }
        for bad in ["a b", "=x", "a in b", "a,", "a=-x"] {
            assert!(LabelSelector::parse(bad).is_err(), "{bad}");
        }
    }
}
