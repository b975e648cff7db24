//! Reading live objects whose shape nobody vouches for: a field that is missing or of the wrong type reads as absent.

use jiff::Timestamp;
use serde_json::Value;

use crate::object::Object;

/// The longest text taken over from a controller or a kubelet.
const LIMIT: usize = 300;

pub(super) fn int(object: &Object, pointer: &str) -> Option<i64> {
    object.at(pointer).and_then(Value::as_i64)
}

pub(super) fn count(object: &Object, pointer: &str) -> i64 {
    int(object, pointer).unwrap_or(0)
}

pub(super) fn text<'a>(object: &'a Object, pointer: &str) -> &'a str {
    object
        .at(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(super) fn flag(object: &Object, pointer: &str) -> bool {
    object
        .at(pointer)
        .and_then(Value::as_bool)
        .unwrap_or_default()
}

pub(super) fn time(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_str()?.parse().ok()
}

/// The elements of a list; none where there is no list.
pub(super) fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn str_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// One entry of `status.conditions`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition<'a> {
    pub kind: &'a str,
    pub status: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
    pub since: Option<Timestamp>,
    /// Only Deployments have it.
    pub updated: Option<Timestamp>,
    pub observed_generation: Option<i64>,
}

impl Condition<'_> {
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }

    pub fn is_false(&self) -> bool {
        self.status == "False"
    }

    /// Its message, else its reason.
    pub fn words(&self) -> String {
        cut(if self.message.is_empty() {
            self.reason
        } else {
            self.message
        })
    }
}

pub(super) fn conditions(object: &Object) -> impl Iterator<Item = Condition<'_>> {
    list(object.at("/status/conditions")).map(|value| Condition {
        kind: str_of(value, "type"),
        status: str_of(value, "status"),
        reason: str_of(value, "reason"),
        message: str_of(value, "message"),
        since: time(value.get("lastTransitionTime")),
        updated: time(value.get("lastUpdateTime")),
        observed_generation: value.get("observedGeneration").and_then(Value::as_i64),
    })
}

pub(super) fn condition<'a>(object: &'a Object, kind: &str) -> Option<Condition<'a>> {
    conditions(object).find(|condition| condition.kind == kind)
}

/// One line of at most 300 characters.
pub(super) fn cut(text: &str) -> String {
    let mut line = String::new();
    for (index, word) in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .enumerate()
    {
        if index > 0 {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > LIMIT * 4 {
            break;
        }
    }
    match line.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_one_short_line() {
        assert_eq!(cut(" a\n\tb  c\u{1b} "), "a b c");
        let long = cut(&"ä".repeat(5000));
        assert_eq!(long.chars().count(), LIMIT + 1);
        assert!(long.ends_with('…'));
    }
}
