//! What of a desired object Git decides: replicas belong to an autoscaler, ignored fields to whoever writes them.

use serde_json::{Map, Value, json};

use super::PlanInput;
use crate::desired::DesiredObject;
use crate::fields::{own_fields, pointer_tree};
use crate::object::{ENVIRONMENT_ANNOTATION, IGNORE_ANNOTATION, Object};

/// `kubectl rollout restart` is an operation, and stays until the next change of the template.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// The paths, as field names, that Git does not decide.
fn undecided(input: &PlanInput, desired: &DesiredObject) -> Vec<Vec<String>> {
    let mut paths: Vec<Vec<String>> = desired
        .object
        .annotation(IGNORE_ANNOTATION)
        .into_iter()
        .flat_map(|pointers| pointers.split(','))
        .map(str::trim)
        .filter_map(|pointer| pointer.strip_prefix('/'))
        .map(|pointer| {
            pointer
                .split('/')
                .map(|part| part.replace("~1", "/").replace("~0", "~"))
                .collect()
        })
        .collect();
    if input.autoscaled.contains(&desired.id) {
        paths.push(vec!["spec".to_owned(), "replicas".to_owned()]);
    }
    paths
}

/// Whether Git decides less of the object than it says.
pub(super) fn is_partial(input: &PlanInput, desired: &DesiredObject) -> bool {
    !undecided(input, desired).is_empty()
}

/// What is sent.
pub(super) fn body(input: &PlanInput, desired: &DesiredObject) -> Object {
    let mut body = desired.object.clone();
    for path in undecided(input, desired) {
        remove(&mut body.0, &path);
    }
    body
}

fn remove(map: &mut Map<String, Value>, path: &[String]) {
    match path {
        [] => {}
        [last] => {
            map.remove(last);
        }
        [first, rest @ ..] => match map.get_mut(first) {
            Some(Value::Object(below)) => remove(below, rest),
            Some(Value::Array(list)) => remove_from_list(list, rest),
            _ => {}
        },
    }
}

fn remove_from_list(list: &mut Vec<Value>, path: &[String]) {
    let [first, rest @ ..] = path else {
        return;
    };
    let Some(index) = first
        .parse::<usize>()
        .ok()
        .filter(|index| *index < list.len())
    else {
        return;
    };
    match (rest, &mut list[index]) {
        ([], _) => {
            list.remove(index);
        }
        (rest, Value::Object(below)) => remove(below, rest),
        (rest, Value::Array(below)) => remove_from_list(below, rest),
        _ => {}
    }
}

/// The live values of undecided fields that we own now: another manager gets them before we let go, so that none falls
/// back to its default. Paths through lists are let go as they are.
pub(super) fn hand_over(
    input: &PlanInput,
    desired: &DesiredObject,
    live: &Object,
) -> Option<Object> {
    let own = own_fields(live)?;
    let mut given = Map::new();
    for path in undecided(input, desired) {
        let owned = path
            .iter()
            .try_fold(own, |own, name| own.get(format!("f:{name}")))
            .is_some();
        let value = path
            .iter()
            .try_fold(&Value::Object(live.0.clone()), |value, name| {
                value.get(name)
            })
            .cloned();
        if let (true, Some(value)) = (owned, value) {
            put(&mut given, &path, value);
        }
    }
    if given.is_empty() {
        return None;
    }
    given.insert("apiVersion".to_owned(), json!(desired.object.api_version()));
    given.insert("kind".to_owned(), json!(desired.object.kind()));
    let mut metadata = Map::from_iter([("name".to_owned(), json!(desired.object.name()))]);
    if let Some(namespace) = desired.object.namespace() {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    match given.get_mut("metadata").and_then(Value::as_object_mut) {
        Some(known) => known.extend(metadata),
        None => {
            given.insert("metadata".to_owned(), Value::Object(metadata));
        }
    }
    Some(Object(given))
}

fn put(map: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            map.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            if let Value::Object(below) = map.entry(first.clone()).or_insert_with(|| json!({})) {
                put(below, rest, value);
            }
        }
    }
}

/// The fields, as a tree, that stay with whoever added them by hand.
pub(super) fn exempt(input: &PlanInput, desired: &DesiredObject, live: &Object) -> Value {
    let mut exempt = json!({});
    for path in undecided(input, desired) {
        pointer_tree(
            &mut exempt,
            &path.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }
    // Where Git omits it, it is nobody's drift.
    if desired.object.at("/spec/replicas").is_none() {
        pointer_tree(&mut exempt, &["spec", "replicas"]);
    }
    pointer_tree(
        &mut exempt,
        &["spec", "template", "metadata", "annotations", RESTARTED_AT],
    );
    // What a person tells the agent on the live object is meant.
    let annotations = live.at("/metadata/annotations").and_then(Value::as_object);
    for name in annotations.into_iter().flat_map(Map::keys) {
        if name.starts_with("driftless.dev/") && name != ENVIRONMENT_ANNOTATION {
            pointer_tree(&mut exempt, &["metadata", "annotations", name]);
        }
    }
    exempt
}
