//! FieldsV1 as the tree that it is: a map from steps to trees, where `.` stands for the node itself.

use serde_json::{Map, Value, json};

/// What the API server does not record as a field: an object's identity.
const IDENTITY: [&str; 2] = ["apiVersion", "kind"];
const IDENTITY_METADATA: [&str; 2] = ["name", "namespace"];

/// The paths of `desired` that are not in `fields`, the highest only.
pub fn missing(desired: &Map<String, Value>, fields: &Value) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (key, value) in desired {
        if IDENTITY.contains(&key.as_str()) {
            continue;
        }
        let step = format!("f:{key}");
        match (key.as_str(), value) {
            ("metadata", Value::Object(metadata)) => {
                for (key, value) in metadata {
                    if !IDENTITY_METADATA.contains(&key.as_str()) {
                        let child = fields
                            .get("f:metadata")
                            .and_then(|metadata| metadata.get(format!("f:{key}")));
                        walk(
                            value,
                            child,
                            &mut vec![step.clone(), format!("f:{key}")],
                            &mut found,
                        );
                    }
                }
            }
            _ => walk(value, fields.get(&step), &mut vec![step], &mut found),
        }
    }
    found
}

fn walk(
    value: &Value,
    fields: Option<&Value>,
    path: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) {
    let Some(fields) = fields else {
        lost(value, path, found);
        return;
    };
    // Without steps below it is owned as one: a scalar, or a list or map that is replaced whole.
    let steps = fields
        .as_object()
        .map_or(0, |steps| steps.keys().filter(|key| *key != ".").count());
    match value {
        Value::Object(map) if steps > 0 => {
            for (key, value) in map {
                let step = format!("f:{key}");
                let child = fields.get(&step);
                path.push(step);
                walk(value, child, path, found);
                path.pop();
            }
        }
        Value::Array(list) if steps > 0 => {
            for item in list {
                let step = step_of(item, fields);
                let child = step.as_ref().and_then(|step| fields.get(step));
                path.push(step.unwrap_or_else(|| format!("v:{item}")));
                match (item, child) {
                    (Value::Object(_), Some(_)) => walk(item, child, path, found),
                    (_, Some(_)) => {}
                    (_, None) => found.push(path.clone()),
                }
                path.pop();
            }
        }
        // A map that was not empty, and is owned now only as such: everything in it was lost.
        Value::Object(map) if !map.is_empty() && fields.get(".").is_some() => {
            lost(value, path, found);
        }
        _ => {}
    }
}

/// All of `value` is missing: every field in it, down to the first list.
fn lost(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                path.push(format!("f:{key}"));
                lost(value, path, found);
                path.pop();
            }
        }
        _ => found.push(path.clone()),
    }
}

/// The step of `fields` that means this item of a list.
fn step_of(item: &Value, fields: &Value) -> Option<String> {
    let steps = fields.as_object()?.keys();
    match item {
        Value::Object(map) => steps
            .filter(|step| step.starts_with("k:"))
            .find(|step| is_key_of(step, map))
            .cloned(),
        scalar => {
            let step = format!("v:{scalar}");
            fields.get(&step).map(|_| step)
        }
    }
}

/// Whether the item has these keys; a key that it does not name was filled in with its default.
fn is_key_of(step: &str, item: &Map<String, Value>) -> bool {
    let keys: Value = serde_json::from_str(step.trim_start_matches("k:")).unwrap_or_default();
    keys.as_object().is_some_and(|keys| {
        keys.iter()
            .all(|(key, value)| item.get(key).is_none_or(|known| known == value))
    })
}

/// Whether a tree has this path.
pub(super) fn has(fields: &Value, path: &[String]) -> bool {
    path.iter()
        .try_fold(fields, |fields, step| fields.get(step))
        .is_some()
}

/// The paths of `fields` that are neither in `own`, nor said by `wanted`, nor in `exempt`.
pub(super) fn added(
    fields: &Value,
    own: &Value,
    wanted: &Value,
    exempt: &Value,
) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut path = Vec::new();
    collect(
        fields,
        Some(own),
        Some(wanted),
        Some(exempt),
        &mut path,
        &mut found,
    );
    found
}

fn collect(
    fields: &Value,
    own: Option<&Value>,
    wanted: Option<&Value>,
    exempt: Option<&Value>,
    path: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) {
    for (step, below) in fields.as_object().into_iter().flatten() {
        if step == "." || (path.is_empty() && step == "f:status") {
            continue;
        }
        let exempt = exempt.and_then(|exempt| exempt.get(step));
        if exempt.is_some_and(is_leaf) {
            continue;
        }
        let own = own.and_then(|own| own.get(step));
        let wanted = wanted.and_then(|wanted| said(wanted, step));
        path.push(step.clone());
        if is_leaf(below) {
            if own.is_none() && wanted.is_none() {
                found.push(path.clone());
            }
        } else if own.is_some_and(is_leaf) {
            // We own it as a whole.
        } else {
            collect(below, own, wanted, exempt, path, found);
        }
        path.pop();
    }
}

fn is_leaf(fields: &Value) -> bool {
    fields
        .as_object()
        .is_none_or(|steps| steps.keys().all(|step| step == "."))
}

/// What a value has at a step.
fn said<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match (value, step.split_once(':')?) {
        (Value::Object(map), ("f", name)) => map.get(name),
        (Value::Array(list), ("k", _)) => list
            .iter()
            .find(|item| item.as_object().is_some_and(|item| is_key_of(step, item))),
        (Value::Array(list), ("v", scalar)) => {
            let scalar: Value = serde_json::from_str(scalar).ok()?;
            list.iter().find(|item| **item == scalar)
        }
        (Value::Array(list), ("i", index)) => list.get(index.parse::<usize>().ok()?),
        _ => None,
    }
}

/// The parts of `fields` that are in `exempt`, and the others.
pub(super) fn split(fields: &Value, exempt: &Value) -> (Value, Value) {
    let (mut kept, mut given) = (Map::new(), Map::new());
    for (step, below) in fields.as_object().into_iter().flatten() {
        match exempt.get(step) {
            Some(exempt) if is_leaf(exempt) => {
                kept.insert(step.clone(), below.clone());
            }
            Some(exempt) if !is_leaf(below) => {
                let (below_kept, below_given) = split(below, exempt);
                if below_kept.as_object().is_some_and(|map| !map.is_empty()) {
                    kept.insert(step.clone(), below_kept);
                }
                if below_given.as_object().is_some_and(|map| !map.is_empty()) {
                    given.insert(step.clone(), below_given);
                }
            }
            _ => {
                given.insert(step.clone(), below.clone());
            }
        }
    }
    (Value::Object(kept), Value::Object(given))
}

/// Adds the steps of `other`.
pub(super) fn merge(fields: &mut Value, other: &Value) {
    let (Some(fields), Some(other)) = (fields.as_object_mut(), other.as_object()) else {
        return;
    };
    for (step, below) in other {
        merge(
            fields.entry(step.clone()).or_insert_with(|| json!({})),
            below,
        );
    }
}

/// The tree of one path of field names.
pub fn pointer_tree(exempt: &mut Value, path: &[&str]) {
    let mut node = exempt;
    for name in path {
        let Some(map) = node.as_object_mut() else {
            return;
        };
        node = map.entry(format!("f:{name}")).or_insert_with(|| json!({}));
    }
    // A leaf: whatever stands below is exempt too.
    *node = json!({});
}
