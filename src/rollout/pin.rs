//! Configuration that moves with its workload: references to ConfigMaps and Secrets of the environment become references
//! to copies that are named by their content.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ROLLOUT_LABEL;
use crate::desired::{Desired, DesiredObject, digest};
use crate::object::{ENVIRONMENT_ANNOTATION, ENVIRONMENT_LABEL, IGNORE_ANNOTATION, Id, Object};

/// A pod template whose references are pinned, and the copies that it refers to.
#[derive(Clone, Debug)]
pub struct Pinned {
    pub template: Value,
    pub copies: BTreeMap<Id, DesiredObject>,
}

impl Pinned {
    /// SHA-256 of the template: equal templates run equal containers on equal configuration.
    pub fn digest(&self) -> String {
        digest(&self.template)
    }
}

/// Pins the template of a workload of this namespace to the configuration that `desired` has.
pub fn pin(template: &Value, namespace: Option<&str>, desired: &Desired) -> Pinned {
    let mut pinned = Pinned {
        template: template.clone(),
        copies: BTreeMap::new(),
    };
    let mut template = pinned.template.take();
    let mut rename = |kind: &str, name: &mut Value| {
        let id = Id {
            group: String::new(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.as_str().unwrap_or_default().to_owned(),
        };
        let Some(source) = desired.get(&id).filter(|source| is_of_git(source)) else {
            return;
        };
        let copy = copy(source);
        *name = json!(copy.id.name);
        pinned.copies.insert(copy.id.clone(), copy);
    };
    if let Some(pod) = template.get_mut("spec") {
        for volume in items(pod, "volumes") {
            named(volume, "configMap", "name", "ConfigMap", &mut rename);
            named(volume, "secret", "secretName", "Secret", &mut rename);
            for source in volume
                .get_mut("projected")
                .into_iter()
                .flat_map(|projected| items(projected, "sources"))
            {
                named(source, "configMap", "name", "ConfigMap", &mut rename);
                named(source, "secret", "name", "Secret", &mut rename);
            }
        }
        for list in ["containers", "initContainers"] {
            for container in items(pod, list) {
                for from in items(container, "envFrom") {
                    named(from, "configMapRef", "name", "ConfigMap", &mut rename);
                    named(from, "secretRef", "name", "Secret", &mut rename);
                }
                for from in items(container, "env").filter_map(|env| env.get_mut("valueFrom")) {
                    named(from, "configMapKeyRef", "name", "ConfigMap", &mut rename);
                    named(from, "secretKeyRef", "name", "Secret", &mut rename);
                }
            }
        }
    }
    pinned.template = template;
    pinned
}

fn named(
    holder: &mut Value,
    field: &str,
    key: &str,
    kind: &str,
    rename: &mut impl FnMut(&str, &mut Value),
) {
    if let Some(name) = holder
        .get_mut(field)
        .and_then(|reference| reference.get_mut(key))
        .filter(|name| name.is_string())
    {
        rename(kind, name);
    }
}

fn items<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    value
        .get_mut(key)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

/// Whether Git says anything of what this configuration has. What is filled in the cluster (no data in Git, or
/// `driftless.dev/ignore` on all of it) stays what it is: of that there is nothing to copy.
fn is_of_git(source: &DesiredObject) -> bool {
    let ignored = source.object.annotation(IGNORE_ANNOTATION);
    let ignored: Vec<Vec<String>> = ignored
        .into_iter()
        .flat_map(|it| it.split(','))
        .map(|pointer| pointer.trim().split('/').skip(1))
        .map(|parts| {
            parts
                .map(|part| part.replace("~1", "/").replace("~0", "~"))
                .collect()
        })
        .collect();
    let is_whole = |path: &Vec<String>| matches!(&path[..], [field] if is_data(field));
    let is_ignored = |key: &String| {
        ignored
            .iter()
            .any(|path| matches!(&path[..], [field, name] if is_data(field) && name == key))
    };
    let fields = ["data", "binaryData"].map(|field| source.object.0.get(field));
    let mut keys = fields
        .into_iter()
        .filter_map(|field| field?.as_object())
        .flat_map(serde_json::Map::keys);
    !ignored.iter().any(is_whole) && keys.any(|key| !is_ignored(key))
}

fn is_data(field: &str) -> bool {
    matches!(field, "data" | "binaryData" | "stringData")
}

/// A copy that never changes: `NAME-<10 digits of its content>`.
fn copy(source: &DesiredObject) -> DesiredObject {
    let content = digest(&json!([
        source.object.0.get("data"),
        source.object.0.get("binaryData"),
        source.object.0.get("type"),
    ]));
    let name = format!("{}-{}", shortened(&source.id.name), &content[..10]);
    let mut map = serde_json::Map::new();
    for key in ["apiVersion", "kind", "type", "data", "binaryData"] {
        if let Some(value) = source.object.0.get(key) {
            map.insert(key.to_owned(), value.clone());
        }
    }
    map.insert("immutable".to_owned(), json!(true));
    map.insert(
        "metadata".to_owned(),
        json!({"name": name, "namespace": source.id.namespace}),
    );
    let mut object = Object(map);
    for (label, value) in [
        (ENVIRONMENT_LABEL, source.object.label(ENVIRONMENT_LABEL)),
        (ROLLOUT_LABEL, Some(&content[..10])),
    ] {
        if let Some(value) = value {
            object.set_metadata_entry("labels", label, value);
        }
    }
    if let Some(value) = source.object.annotation(ENVIRONMENT_ANNOTATION) {
        object.set_metadata_entry("annotations", ENVIRONMENT_ANNOTATION, value);
    }
    DesiredObject {
        id: object.id(),
        digest: digest(&Value::Object(object.0.clone())),
        object,
        wave: source.wave,
        origin: source.origin.clone(),
    }
}

/// Names may have 253 characters.
fn shortened(name: &str) -> &str {
    &name[..name.len().min(242)]
}
