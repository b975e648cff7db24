//! Paths of FieldsV1 (`f:spec`, `k:{"name":"api"}`, `v:"x"`, `i:0`), and how people read them.

use std::fmt::Write as _;

use serde_json::Value;

/// `spec.template.spec.containers[name="api"].image`.
pub fn human(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        match step.split_once(':') {
            Some(("f", name)) => {
                let plain = name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
                if plain {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                } else {
                    let _ = write!(text, "[{name:?}]");
                }
            }
            Some(("k", keys)) => {
                let keys: Value = serde_json::from_str(keys).unwrap_or_default();
                let keys: Vec<String> = keys
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                let _ = write!(text, "[{}]", keys.join(","));
            }
            Some(("v", value)) => {
                let _ = write!(text, "[={value}]");
            }
            Some(("i", index)) => {
                let _ = write!(text, "[{index}]");
            }
            _ => {}
        }
    }
    text
}
