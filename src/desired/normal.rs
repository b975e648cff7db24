//! One way to write an object, and what must not be in one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::Owner;
use crate::api::GROUP;
use crate::object::{ENVIRONMENT_LABEL, Object};

/// What the API server sets: said in Git, it would be a promise that nobody keeps.
const SERVER_SET: [&str; 8] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// Why this object cannot come from Git.
pub(super) fn refuse(object: &Object, owner: &Owner) -> Vec<String> {
    let mut messages = Vec::new();
    for (field, value) in [
        ("apiVersion", object.api_version()),
        ("kind", object.kind()),
    ] {
        if value.is_empty() {
            messages.push(format!("has no {field}"));
        }
    }
    if !is_name(object.name()) {
        messages.push(format!("metadata.name: {:?} is not a name", object.name()));
    }
    if let Some(namespace) = object.namespace().filter(|name| !is_namespace(name)) {
        messages.push(format!(
            "metadata.namespace: {namespace:?} is not the name of a namespace"
        ));
    }
    for field in ["labels", "annotations"] {
        let value = object.at(&format!("/metadata/{field}"));
        if value.is_some_and(|value| !value.is_object() && !value.is_null()) {
            messages.push(format!("metadata.{field} is not a map"));
        }
    }
    if object.name().is_empty() {
        let generated = object.at("/metadata/generateName").is_some();
        messages.push(if generated {
            "has metadata.generateName, which makes a new object at every apply; give it a metadata.name".to_owned()
        } else {
            "has no metadata.name".to_owned()
        });
    }
    if object.group() == GROUP && object.kind() == "Approval" {
        messages.push(
            "an Approval is a person's word in the cluster and is never taken from Git".to_owned(),
        );
    }
    if object
        .label(ENVIRONMENT_LABEL)
        .is_some_and(|label| label != owner.id)
    {
        messages.push(format!(
            "carries the label {ENVIRONMENT_LABEL}, which only the agent sets"
        ));
    }
    messages
}

/// Whether this can stand in a URL as what it is. (What a kind allows beyond that, the API server says.)
fn is_name(name: &str) -> bool {
    !matches!(name, "." | "..")
        && !name.contains(['/', '%', '?', '#'])
        && !name.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// Whether this is an RFC 1123 label.
fn is_namespace(name: &str) -> bool {
    name.len() <= 63
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Without what the API server sets, without the nulls that say nothing, with `stringData` folded into `data`.
pub(super) fn normal(object: Object) -> Result<Object, String> {
    let Object(mut map) = object;
    map.remove("status");
    if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
        for field in SERVER_SET {
            metadata.remove(field);
        }
    }
    let mut object = Object(map);
    if object.group().is_empty() && object.kind() == "Secret" {
        fold_string_data(&mut object.0)?;
    }
    if object.group().is_empty() && matches!(object.kind(), "ConfigMap" | "Secret") {
        // In a map of texts the API server reads a null as the empty text.
        if let Some(Value::Object(data)) = object.0.get_mut("data") {
            for value in data.values_mut().filter(|value| value.is_null()) {
                *value = Value::String(String::new());
            }
        }
    }
    if is_built_in(object.group()) {
        without_nulls(&mut object.0);
    } else if let Some(Value::Object(metadata)) = object.0.get_mut("metadata") {
        // In a custom kind a null may be a value like any other (`values: {key: null}` of a HelmRelease).
        without_nulls(metadata);
    }
    Ok(object)
}

/// Whether Kubernetes itself brings the kinds of this group.
fn is_built_in(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}

fn fold_string_data(secret: &mut Map<String, Value>) -> Result<(), String> {
    let texts = match secret.remove("stringData") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(texts)) => texts,
        Some(_) => return Err("stringData is not a map".to_owned()),
    };
    let data = secret
        .entry("data")
        .or_insert_with(|| Value::Object(Map::new()));
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    let Some(data) = data.as_object_mut() else {
        return Err("data is not a map".to_owned());
    };
    for (key, value) in texts {
        let text = match value {
            Value::String(text) => text,
            Value::Null => String::new(),
            _ => return Err(format!("stringData.{key} is not a text; put it in quotes")),
        };
        data.insert(key, Value::String(STANDARD.encode(text)));
    }
    Ok(())
}

/// A null says "no value": to the API server the same as the field not being there. (In lists it stays.)
fn without_nulls(map: &mut Map<String, Value>) {
    map.retain(|_, value| !value.is_null());
    for value in map.values_mut() {
        below(value);
    }
}

fn below(value: &mut Value) {
    match value {
        Value::Object(map) => without_nulls(map),
        Value::Array(list) => list.iter_mut().for_each(below),
        _ => {}
    }
}

/// Sets or removes `metadata.namespace`.
pub fn set_namespace(object: &mut Object, namespace: Option<&str>) {
    if let Some(Value::Object(metadata)) = object.0.get_mut("metadata") {
        match namespace {
            Some(namespace) => {
                metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned()))
            }
            None => metadata.remove("namespace"),
        };
    }
}
