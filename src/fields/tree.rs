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
        // An empty map or list is recorded or not, as the API server likes.
        Value::Object(_) => {}
        Value::Array(list) if list.is_empty() => {}
        _ => found.push(path.clone()),
    }
}

/// The step of `fields` that means this item of a list.
pub(super) fn step_of(item: &Value, fields: &Value) -> Option<String> {
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
        keys.iter().all(|(key, value)| match item.get(key) {
            Some(known) => known == value,
            // The one key with a default that built-in kinds have; of others it is not known.
            None => key != "protocol" || value == "TCP",
        })
    })
}

/// Whether `fields` has a field that `wanted` sets.
pub(super) fn claims(fields: &Value, wanted: &Value) -> bool {
    fields.as_object().is_some_and(|steps| {
        steps.iter().any(|(step, below)| {
            said(wanted, step).is_some_and(|wanted| is_leaf(below) || claims(below, wanted))
        })
    })
}

/// The value at a path of steps.
pub(super) fn value_at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| said(value, step))
}

/// Puts a value at a path of steps, with the keys of the list items that it leads through. False where it leads through
/// a list that has no keys.
pub(super) fn put(value: &mut Value, path: &[String], new: Value) -> bool {
    let Some((step, rest)) = path.split_first() else {
        *value = new;
        return true;
    };
    match step.split_once(':') {
        Some(("f", name)) => {
            if !value.is_object() {
                *value = json!({});
            }
            put(&mut value[name], rest, new)
        }
        Some(("k", keys)) => {
            let Ok(keys @ Value::Object(_)) = serde_json::from_str(keys) else {
                return false;
            };
            if !value.is_array() {
                *value = json!([]);
            }
            let Some(list) = value.as_array_mut() else {
                return false;
            };
            let known = list
                .iter()
                .position(|item| item.as_object().is_some_and(|item| is_key_of(step, item)));
            let index = known.unwrap_or_else(|| {
                list.push(keys);
                list.len() - 1
            });
            put(&mut list[index], rest, new)
        }
        _ => false,
    }
}

/// The steps that a JSON pointer (its parts) into `desired` means in `fields`; `None` if it leads through a list whose
/// items have no keys, or to an item that `fields` does not have.
pub fn steps(desired: &Value, fields: &Value, pointer: &[String]) -> Option<Vec<String>> {
    let (mut value, mut fields) = (Some(desired), Some(fields));
    let mut steps = Vec::new();
    for part in pointer {
        let step = if let Some(Value::Array(list)) = value {
            let item = list.get(part.parse::<usize>().ok()?)?;
            value = Some(item);
            step_of(item, fields?).filter(|step| step.starts_with("k:"))?
        } else {
            value = value.and_then(|value| value.get(part));
            format!("f:{part}")
        };
        fields = fields.and_then(|fields| fields.get(&step));
        steps.push(step);
    }
    Some(steps)
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
        if step == "." {
            // The map or item itself: of no meaning without anything in it.
            continue;
        }
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
    if let Some(itself) = fields.get(".") {
        let only = kept.is_empty() && given.is_empty();
        if only || !given.is_empty() {
            given.insert(".".to_owned(), itself.clone());
        }
        if !kept.is_empty() {
            kept.insert(".".to_owned(), itself.clone());
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
    let steps: Vec<String> = path.iter().map(|name| format!("f:{name}")).collect();
    step_tree(exempt, &steps);
}

/// The tree of one path of steps.
pub fn step_tree(exempt: &mut Value, steps: &[String]) {
    let mut node = exempt;
    for step in steps {
        let Some(map) = node.as_object_mut() else {
            return;
        };
        node = map.entry(step.clone()).or_insert_with(|| json!({}));
    }
    // A leaf: whatever stands below is exempt too.
    *node = json!({});
}
