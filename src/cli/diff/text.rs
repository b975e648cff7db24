//! The difference of two objects as the lines of their YAML. Pure.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::output::{BAD, BOLD, DIM, GOOD, styled};
use crate::object::Object;
use crate::yaml::to_yaml;

/// Lines that are shown around a change.
const CONTEXT: usize = 3;
/// What the API server writes by itself.
const OWN: [&str; 7] = [
    "managedFields",
    "resourceVersion",
    "uid",
    "generation",
    "creationTimestamp",
    "selfLink",
    "deletionTimestamp",
];

/// The difference under a title; `None` if there is none.
pub(super) fn diff(title: &str, before: Option<Object>, after: Object) -> Option<String> {
    let new = before.is_none();
    let old_text = before.map_or_else(String::new, yaml);
    let new_text = yaml(after);
    let old: Vec<&str> = old_text.lines().collect();
    let lines: Vec<&str> = new_text.lines().collect();
    let changes = compare(&old, &lines);
    if changes.iter().all(|(side, _)| *side == Side::Both) {
        return None;
    }
    let mut text = format!(
        "{}{}\n",
        styled(title, BOLD),
        if new { " (new)" } else { "" }
    );
    let mut skipped = false;
    for (index, (side, line)) in changes.iter().enumerate() {
        let near = changes[index.saturating_sub(CONTEXT)..(index + CONTEXT + 1).min(changes.len())]
            .iter()
            .any(|(side, _)| *side != Side::Both);
        let _ = match side {
            Side::Old => writeln!(text, "{}", styled(format!("- {line}"), BAD)),
            Side::New => writeln!(text, "{}", styled(format!("+ {line}"), GOOD)),
            Side::Both if near => writeln!(text, "  {line}"),
            Side::Both if skipped => continue,
            Side::Both => writeln!(text, "{}", styled("  …", DIM)),
        };
        skipped = *side == Side::Both && !near;
    }
    Some(text)
}

fn yaml(mut object: Object) -> String {
    object.0.remove("status");
    if let Some(Value::Object(metadata)) = object.0.get_mut("metadata") {
        for field in OWN {
            metadata.remove(field);
        }
    }
    to_yaml(&object.into_value())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Old,
    New,
    Both,
}

/// The lines of both, in order: what only one has, and the longest sequence that both have.
fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Side, &'a str)> {
    // Equal ends need no table.
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let end = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let a = &old_rest[..old_rest.len() - end];
    let b = &new_rest[..new_rest.len() - end];
    let mut lines: Vec<(Side, &str)> = old[..start]
        .iter()
        .map(|line| (Side::Both, *line))
        .collect();
    // longest[i][j]: of a[i..] and b[j..].
    let mut longest = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i][j] = if a[i] == b[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push((Side::Both, a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            lines.push((Side::Old, a[i]));
            i += 1;
        } else {
            lines.push((Side::New, b[j]));
            j += 1;
        }
    }
    lines.extend(
        old[old.len() - end..]
            .iter()
            .map(|line| (Side::Both, *line)),
    );
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn shown(before: Option<Value>, after: Value) -> Option<String> {
        let object = |value| Object::from_value(value).unwrap();
        let text = diff("ConfigMap shop/a", before.map(object), object(after))?;
        Some(anstream::adapter::strip_str(&text).to_string())
    }

    #[test]
    fn what_the_api_server_writes_is_no_difference() {
        let before = json!({"kind": "ConfigMap", "metadata": {"name": "a", "uid": "1", "resourceVersion": "2"}, "status": {"a": 1}});
        let after = json!({"kind": "ConfigMap", "metadata": {"name": "a", "generation": 3}});
        assert_eq!(shown(Some(before), after), None);
    }

    #[test]
    fn a_change_is_shown_with_what_stands_around_it() {
        let data = |value: &str| json!({"kind": "ConfigMap", "data": {"a": "1", "b": "2", "c": "3", "d": value, "e": "5", "f": "6"}, "metadata": {"name": "a"}});
        insta::assert_snapshot!(shown(Some(data("4")), data("five")).unwrap());
        insta::assert_snapshot!(
            shown(
                None,
                json!({"kind": "ConfigMap", "metadata": {"name": "a"}})
            )
            .unwrap()
        );
    }

    proptest! {
        #[test]
        fn both_sides_can_be_read_from_the_difference(old in "[abc\n]{0,40}", new in "[abc\n]{0,40}") {
            let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
            let lines = compare(&old, &new);
            let side = |not: Side| lines.iter().filter(|(side, _)| *side != not).map(|(_, line)| *line).collect::<Vec<_>>();
            prop_assert_eq!(side(Side::New), old);
            prop_assert_eq!(side(Side::Old), new);
        }
    }
}
