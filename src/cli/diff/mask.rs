//! Secrets are told apart, not shown: equal values as `***`, others as `*** (before)` and `*** (changed)`. Pure.

use serde_json::{Map, Value};

use crate::object::Object;

/// The annotation in which kubectl keeps whole objects.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Both sides without what is secret.
pub(super) fn masked(before: Option<&Object>, after: &Object) -> (Option<Object>, Object) {
    if !is_secret(after) {
        return (before.cloned(), after.clone());
    }
    let (mut masked_before, mut masked_after) = (before.cloned(), after.clone());
    for field in ["data", "stringData"] {
        let values = |object: Option<&Object>| {
            object
                .and_then(|object| object.0.get(field)?.as_object().cloned())
                .unwrap_or_default()
        };
        let (old, new) = (values(before), values(Some(after)));
        if let Some(object) = &mut masked_before {
            mask(object, field, &old, |_, _| "***".to_owned());
        }
        mask(&mut masked_after, field, &new, |key, value| {
            match old.get(key) {
                Some(known) if known != value => "*** (changed)".to_owned(),
                _ => "***".to_owned(),
            }
        });
    }
    for object in masked_before.iter_mut().chain([&mut masked_after]) {
        if object.annotation(LAST_APPLIED).is_some() {
            object.set_metadata_entry("annotations", LAST_APPLIED, "***");
        }
    }
    (masked_before, masked_after)
}

fn is_secret(object: &Object) -> bool {
    object.group().is_empty() && object.kind() == "Secret"
}

fn mask(
    object: &mut Object,
    field: &str,
    values: &Map<String, Value>,
    with: impl Fn(&str, &Value) -> String,
) {
    if object.0.contains_key(field) {
        let masked = values
            .iter()
            .map(|(key, value)| (key.clone(), Value::String(with(key, value))))
            .collect();
        object.0.insert(field.to_owned(), Value::Object(masked));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        Object::from_value(value).unwrap()
    }

    #[test]
    fn values_of_secrets_are_on_neither_side() {
        let before = object(
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"same": "c2VjcmV0", "old": "c2VjcmV0", "other": "c2VjcmV0"},
            "metadata": {"name": "s", "annotations": {LAST_APPLIED: "c2VjcmV0"}}}),
        );
        let after = object(
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"same": "c2VjcmV0", "other": "c2VjcmV1", "new": "c2VjcmV0"},
            "metadata": {"name": "s", "annotations": {LAST_APPLIED: "c2VjcmV0"}}}),
        );
        let (before, after) = masked(Some(&before), &after);
        let before = before.unwrap();
        assert_eq!(
            before.0["data"],
            json!({"same": "***", "old": "***", "other": "***"})
        );
        assert_eq!(
            after.0["data"],
            json!({"same": "***", "other": "*** (changed)", "new": "***"})
        );
        let shown = format!("{:?}{:?}", before.0, after.0);
        assert!(!shown.contains("c2VjcmV"), "{shown}");
    }

    #[test]
    fn other_kinds_are_shown_as_they_are() {
        let map = object(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}, "metadata": {"name": "s"}}),
        );
        assert_eq!(masked(None, &map), (None, map.clone()));
    }
}
