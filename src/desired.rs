//! What Git wants: the rendered objects sorted, unique, namespaced and labelled, and their hash. Must not look at the
//! cluster beyond the list of its kinds.

mod kinds;
mod normal;
mod wave;

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

pub use kinds::{KindInfo, Kinds};
pub use normal::set_namespace;
pub use wave::{Wave, stage};

use crate::api::PruneSpec;
use crate::object::{ENVIRONMENT_ANNOTATION, ENVIRONMENT_LABEL, Id, Object, PRUNE_ANNOTATION};

/// A rendered object, and where it comes from (`file:line`; empty if it was generated).
#[derive(Clone, Debug)]
pub struct Source {
    pub object: Object,
    pub origin: String,
}

/// The environment that owns the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// See [`crate::inventory::owner_id`].
    pub id: String,
    /// `namespace/name`.
    pub name: String,
}

/// What an environment's spec says of its objects.
pub struct Scope<'a> {
    pub owner: &'a Owner,
    pub namespace: Option<&'a str>,
    pub create_namespace: bool,
    pub service_account: &'a str,
    pub prune: &'a PruneSpec,
    pub kinds: &'a Kinds,
}

/// The origin of the namespace that the Environment asks for.
const CREATED: &str = "spec.createNamespace";

/// Something that is wrong with a rendered object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// `Kind.group namespace/name`; empty where there is none.
    pub object: String,
    /// `file:line`; empty where it is not known.
    pub origin: String,
    pub message: String,
    /// The cluster has no such kind: a definition may have come since it was asked.
    pub unknown_kind: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.origin, &self.object] {
            if !part.is_empty() {
                write!(f, "{part}: ")?;
            }
        }
        f.write_str(&self.message)
    }
}

/// All objects of an environment, sorted by wave and identity.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    pub objects: Vec<DesiredObject>,
    index: BTreeMap<Id, usize>,
    /// SHA-256 (hex) of the objects as Git says them, with the namespace, the service account and the prune settings.
    pub hash: String,
}

/// One object as it is to be applied.
#[derive(Clone, Debug)]
pub struct DesiredObject {
    pub id: Id,
    pub object: Object,
    /// SHA-256 (hex) of its canonical JSON.
    pub digest: String,
    pub wave: Wave,
    pub origin: String,
}

impl From<Object> for DesiredObject {
    /// By itself: without a digest, in the first wave, from nowhere.
    fn from(object: Object) -> Self {
        Self {
            id: object.id(),
            object,
            digest: String::new(),
            wave: Wave::default(),
            origin: String::new(),
        }
    }
}

impl Desired {
    /// Of objects in the order in which they are to be applied.
    pub fn new(objects: Vec<DesiredObject>, hash: String) -> Self {
        let index = objects
            .iter()
            .enumerate()
            .map(|(index, object)| (object.id.clone(), index))
            .collect();
        Self {
            objects,
            index,
            hash,
        }
    }

    /// Of these manifests, in this order.
    #[cfg(test)]
    pub(crate) fn of_manifests(manifests: impl IntoIterator<Item = Value>) -> Self {
        let objects = manifests
            .into_iter()
            .map(|manifest| Object::from_value(manifest).unwrap().into());
        Self::new(objects.collect(), "hash".to_owned())
    }

    pub fn get(&self, id: &Id) -> Option<&DesiredObject> {
        self.objects.get(*self.index.get(id)?)
    }

    pub fn contains(&self, id: &Id) -> bool {
        self.index.contains_key(id)
    }

    pub fn ids(&self) -> impl Iterator<Item = &Id> {
        self.objects.iter().map(|object| &object.id)
    }

    /// Whether Git wants nothing (a namespace that the Environment asks for is not Git's).
    pub fn is_empty(&self) -> bool {
        self.objects.iter().all(|object| object.origin == CREATED)
    }
}

/// The desired objects, or everything that is wrong with them.
pub fn desired(sources: Vec<Source>, scope: &Scope) -> Result<Desired, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut found: BTreeMap<Id, DesiredObject> = BTreeMap::new();
    for source in sources {
        match one(source, scope) {
            Ok(object) => {
                if let Some(first) = found.get(&object.id) {
                    problems.push(Problem {
                        object: object.id.to_string(),
                        message: format!(
                            "is there twice; the first is at {}",
                            place(&first.origin)
                        ),
                        origin: object.origin,
                        unknown_kind: false,
                    });
                } else {
                    found.insert(object.id.clone(), object);
                }
            }
            Err(mut found) => problems.append(&mut found),
        }
    }
    if scope.create_namespace {
        match created_namespace(scope) {
            Ok(namespace) => {
                found.entry(namespace.id.clone()).or_insert(namespace);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let hash = hash(&found, scope);
    let mut objects: Vec<DesiredObject> = found
        .into_values()
        .map(|mut desired| {
            own(&mut desired.object, scope.owner);
            desired.digest = digest(&Value::Object(desired.object.0.clone()));
            desired
        })
        .collect();
    objects.sort_by(|one, other| (one.wave, &one.id).cmp(&(other.wave, &other.id)));
    Ok(Desired::new(objects, hash))
}

fn place(origin: &str) -> &str {
    if origin.is_empty() {
        "a generated place"
    } else {
        origin
    }
}

fn one(source: Source, scope: &Scope) -> Result<DesiredObject, Vec<Problem>> {
    let Source { object, origin } = source;
    let named = object.id().to_string();
    let problem = |message: String, unknown_kind: bool| Problem {
        object: named.clone(),
        origin: origin.clone(),
        message,
        unknown_kind,
    };
    let mut problems: Vec<Problem> = normal::refuse(&object, scope.owner)
        .into_iter()
        .map(|message| problem(message, false))
        .collect();
    let mut object = match normal::normal(object) {
        Ok(object) => object,
        Err(message) => {
            problems.push(problem(message, false));
            return Err(problems);
        }
    };
    if object.api_version().is_empty() || object.kind().is_empty() {
        return Err(problems);
    }
    match scope.kinds.get(object.group(), object.kind()) {
        None => problems.push(problem(
            format!(
                "the cluster has no kind {} in {}; apply its CustomResourceDefinition first, or put it into the same revision",
                object.kind(),
                object.api_version()
            ),
            true,
        )),
        Some(kind) if !kind.versions.iter().any(|version| version == object.version()) => problems.push(problem(
            format!("the cluster has {} in the versions {}, not in {}", kind.kind, kind.versions.join(", "), object.version()),
            true,
        )),
        Some(kind) if !kind.namespaced => normal::set_namespace(&mut object, None),
        Some(_) => match object.namespace().or(scope.namespace).map(str::to_owned) {
            Some(namespace) => normal::set_namespace(&mut object, Some(&namespace)),
            None => problems.push(problem(
                "names no namespace; name one, or set spec.namespace of the Environment".to_owned(),
                false,
            )),
        },
    }
    let wave = match wave::wave(&object) {
        Ok(wave) => wave,
        Err(message) => {
            problems.push(problem(message, false));
            return Err(problems);
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(DesiredObject {
        id: object.id(),
        object,
        digest: String::new(),
        wave,
        origin,
    })
}

/// The namespace that `createNamespace` asks for. It is never deleted: it may hold what nobody asked to delete.
fn created_namespace(scope: &Scope) -> Result<DesiredObject, Problem> {
    let Some(name) = scope.namespace else {
        return Err(Problem {
            object: String::new(),
            origin: CREATED.to_owned(),
            message: "is true, but spec.namespace names none".to_owned(),
            unknown_kind: false,
        });
    };
    let mut map = Map::new();
    map.insert("apiVersion".to_owned(), json!("v1"));
    map.insert("kind".to_owned(), json!("Namespace"));
    map.insert("metadata".to_owned(), json!({"name": name}));
    let mut object = Object(map);
    object.set_metadata_entry("annotations", PRUNE_ANNOTATION, "never");
    Ok(DesiredObject {
        id: object.id(),
        wave: Wave::namespaces(),
        object,
        digest: String::new(),
        origin: CREATED.to_owned(),
    })
}

fn own(object: &mut Object, owner: &Owner) {
    object.set_metadata_entry("labels", ENVIRONMENT_LABEL, &owner.id);
    object.set_metadata_entry("annotations", ENVIRONMENT_ANNOTATION, &owner.name);
}

fn hash(objects: &BTreeMap<Id, DesiredObject>, scope: &Scope) -> String {
    let PruneSpec {
        enabled,
        limit,
        protect,
    } = scope.prune;
    let mut protect = protect.clone();
    protect.sort();
    let objects: Vec<Value> = objects
        .values()
        .map(|object| Value::Object(object.object.0.clone()))
        .collect();
    digest(&json!({
        "objects": objects,
        "namespace": scope.namespace,
        "serviceAccount": scope.service_account,
        "prune": {"enabled": enabled, "limit": limit, "protect": protect},
    }))
}

/// SHA-256 (hex) of the canonical JSON: keys sorted by their bytes, no white space, numbers as serde_json writes them.
pub fn digest(value: &Value) -> String {
    let mut text = String::new();
    canonical(value, &mut text);
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            // The map's own order depends on a feature of serde_json that any crate can switch on.
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            text.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(key.clone()).to_string());
                text.push(':');
                canonical(&map[key], text);
            }
            text.push('}');
        }
        Value::Array(list) => {
            text.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                canonical(value, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests;
