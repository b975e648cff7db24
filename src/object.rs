//! A Kubernetes object as plain data, and its identity. Must not talk to anything.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The label that says which environment owns an object: 16 hex digits, see [`crate::inventory::owner_id`].
pub const ENVIRONMENT_LABEL: &str = "driftless.dev/environment";
/// The annotation with the owning environment's `namespace/name`.
pub const ENVIRONMENT_ANNOTATION: &str = "driftless.dev/environment";
/// `"true"`: take an object over from another tool.
pub const ADOPT_ANNOTATION: &str = "driftless.dev/adopt";
/// `"true"`: delete and create again where an immutable field changed.
pub const REPLACE_ANNOTATION: &str = "driftless.dev/replace";
/// JSON pointers, separated by commas, that Git does not decide.
pub const IGNORE_ANNOTATION: &str = "driftless.dev/ignore";
/// An integer: lower waves are applied, and healthy, before higher ones.
pub const WAVE_ANNOTATION: &str = "driftless.dev/wave";
/// `never`: the object is not deleted when it leaves Git.
pub const PRUNE_ANNOTATION: &str = "driftless.dev/prune";
/// A time; asks for a pass on a Repository or an Environment.
pub const SYNC_ANNOTATION: &str = "driftless.dev/sync-requested";
/// The field manager of every apply.
pub const FIELD_MANAGER: &str = "driftless";

/// What makes an object itself, whatever version it is written in. Ordered by group, kind, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    pub group: String,
    pub kind: String,
    /// `None` for cluster-scoped objects.
    pub namespace: Option<String>,
    pub name: String,
}

impl fmt::Display for Id {
    /// `Deployment.apps shop/api`, `Namespace shop`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " {namespace}/{}", self.name),
            None => write!(f, " {}", self.name),
        }
    }
}

/// A Kubernetes object: a JSON object whose keys are sorted.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(pub Map<String, Value>);

impl fmt::Debug for Object {
    /// Names the object only: its content may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({})", self.id())
    }
}

impl Object {
    /// `None` if `value` is not a JSON object.
    pub fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self(map)),
            _ => None,
        }
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn api_version(&self) -> &str {
        self.text("apiVersion")
    }

    /// The part of `apiVersion` before the slash; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version()
            .rsplit_once('/')
            .map_or("", |(group, _)| group)
    }

    pub fn version(&self) -> &str {
        let api_version = self.api_version();
        api_version
            .rsplit_once('/')
            .map_or(api_version, |(_, version)| version)
    }

    pub fn kind(&self) -> &str {
        self.text("kind")
    }

    fn metadata(&self, key: &str) -> Option<&Value> {
        self.0.get("metadata")?.get(key)
    }

    pub fn name(&self) -> &str {
        self.metadata("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// `None` where the object names no namespace.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata("namespace")
            .and_then(Value::as_str)
            .filter(|namespace| !namespace.is_empty())
    }

    pub fn uid(&self) -> Option<&str> {
        self.metadata("uid").and_then(Value::as_str)
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata("labels")?.get(key)?.as_str()
    }

    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata("annotations")?.get(key)?.as_str()
    }

    pub fn id(&self) -> Id {
        Id {
            group: self.group().to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().map(str::to_owned),
            name: self.name().to_owned(),
        }
    }

    /// The value at a JSON pointer.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        let mut parts = pointer.strip_prefix('/')?.split('/');
        let first = unescape(parts.next()?);
        let mut value = self.0.get(&first)?;
        for part in parts {
            let part = unescape(part);
            value = match value {
                Value::Object(map) => map.get(&part)?,
                Value::Array(list) => list.get(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The elements of the list at a JSON pointer; none where there is no list.
    pub fn list<'a>(&'a self, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.at(pointer)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }

    /// Sets `metadata.KEY.NAME`, making the map where it is missing.
    pub fn set_metadata_entry(&mut self, key: &str, name: &str, value: &str) {
        let metadata = self
            .0
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        if !metadata.is_object() {
            *metadata = Value::Object(Map::new());
        }
        let entry = &mut metadata[key];
        if !entry.is_object() {
            *entry = Value::Object(Map::new());
        }
        entry[name] = Value::String(value.to_owned());
    }

    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}
