//! What of a desired object Git decides: replicas belong to an autoscaler, ignored fields to whoever writes them.

use serde_json::{Map, Value, json};

use super::PlanInput;
use crate::desired::DesiredObject;
use crate::fields::{has, own_fields, pointer_tree, put, step_tree, steps, value_at};
use crate::object::{ENVIRONMENT_ANNOTATION, IGNORE_ANNOTATION, Object};

/// `kubectl rollout restart` is an operation, and stays until the next change of the template.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

const REPLICAS: [&str; 2] = ["spec", "replicas"];

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
        paths.push(REPLICAS.map(str::to_owned).to_vec());
    }
    paths
}

/// Whether Git decides less of the object than it says.
pub(super) fn is_partial(input: &PlanInput, desired: &DesiredObject) -> bool {
    !undecided(input, desired).is_empty()
}

/// What is sent. A new object gets the fields that Git does not decide as Git has them, as its first value, but for
/// replicas: the autoscaler knows better from the start.
pub(super) fn body(input: &PlanInput, desired: &DesiredObject, is_new: bool) -> Object {
    let mut body = desired.object.clone();
    let autoscaled = input.autoscaled.contains(&desired.id);
    for path in undecided(input, desired) {
        if !is_new || (autoscaled && path == REPLICAS) {
            remove(&mut body.0, &path);
        }
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
/// back to its default.
pub(super) fn hand_over(
    input: &PlanInput,
    desired: &DesiredObject,
    live: &Object,
) -> Option<Object> {
    let own = own_fields(live)?;
    let mut given = Object(Map::new());
    for path in undecided_steps(input, desired, live) {
        if has(own, &path)
            && let Some(value) = value_at(live, &path)
        {
            put(&mut given, &path, value);
        }
    }
    if given.0.is_empty() {
        return None;
    }
    let Object(mut given) = given;
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

/// The undecided paths as the steps of `managedFields`.
fn undecided_steps(input: &PlanInput, desired: &DesiredObject, live: &Object) -> Vec<Vec<String>> {
    let wanted = Value::Object(desired.object.0.clone());
    let nothing = json!({});
    let own = own_fields(live).unwrap_or(&nothing);
    undecided(input, desired)
        .iter()
        .filter_map(|path| steps(&wanted, own, path))
        .collect()
}

/// The fields, as a tree, that stay with whoever added them by hand.
pub(super) fn exempt(input: &PlanInput, desired: &DesiredObject, live: &Object) -> Value {
    let mut exempt = json!({});
    for path in undecided_steps(input, desired, live) {
        step_tree(&mut exempt, &path);
    }
    // Where Git omits it, it is nobody's drift.
    if desired.object.at("/spec/replicas").is_none() {
        pointer_tree(&mut exempt, &REPLICAS);
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
