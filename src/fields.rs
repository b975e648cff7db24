//! `metadata.managedFields`: who owns which field of a live object. Must not write anything.

mod path;
mod tree;

use std::fmt::Write as _;

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

pub use path::human;
pub use tree::{missing, pointer_tree, step_tree, steps};

use crate::object::{FIELD_MANAGER, Object};

/// Field managers of tools that people use by hand: what they add to an owned object is removed.
#[derive(Clone, Debug)]
pub struct HandTools(GlobSet);

impl HandTools {
    /// By globs over manager names.
    pub fn new(patterns: &[String]) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(Glob::new(pattern)?);
        }
        Ok(Self(set.build()?))
    }

    pub fn is(&self, manager: &str) -> bool {
        self.0.is_match(manager)
    }
}

impl Default for HandTools {
    fn default() -> Self {
        Self::new(&["kubectl*".to_owned()]).unwrap_or_else(|_| Self(GlobSet::empty()))
    }
}

/// Kubernetes' own controllers, whose fields are nobody's news.
const CONTROLLERS: [&str; 7] = [
    "kube-controller-manager",
    "kube-scheduler",
    "kube-apiserver",
    "kubelet",
    "cloud-controller-manager",
    "driftless-handover",
    "before-first-apply",
];

fn entries(object: &Object) -> impl Iterator<Item = &Value> {
    object.list("/metadata/managedFields")
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is_own(entry: &Value) -> bool {
    text(entry, "manager") == FIELD_MANAGER
        && text(entry, "operation") == "Apply"
        && text(entry, "subresource").is_empty()
}

/// The fields of our own Apply entry; `None` if there is none.
pub fn own_fields(object: &Object) -> Option<&Value> {
    entries(object).find(|entry| is_own(entry))?.get("fieldsV1")
}

/// The value of `object` at a path of steps (`f:spec`, `k:{"name":"api"}`).
pub fn value_at(object: &Object, path: &[String]) -> Option<Value> {
    let (first, rest) = path.split_first()?;
    let value = object.0.get(first.strip_prefix("f:")?)?;
    tree::value_at(value, rest).cloned()
}

/// Puts a value at a path of steps; false where it leads through a list whose items have no keys.
pub fn put(object: &mut Object, path: &[String], new: Value) -> bool {
    let Some((name, rest)) = path
        .split_first()
        .and_then(|(first, rest)| Some((first.strip_prefix("f:")?, rest)))
    else {
        return false;
    };
    tree::put(
        object.0.entry(name.to_owned()).or_insert(Value::Null),
        rest,
        new,
    )
}

/// Whether `fields` has this path of steps.
pub fn has(fields: &Value, path: &[String]) -> bool {
    tree::has(fields, path)
}

/// Whether somebody who is neither a hand tool nor Kubernetes itself owns a field that `wanted` sets.
pub fn is_claimed(object: &Object, wanted: &Object, hand: &HandTools) -> bool {
    let wanted = Value::Object(wanted.0.clone());
    entries(object).any(|entry| {
        let manager = text(entry, "manager");
        text(entry, "subresource") != "status"
            && manager != FIELD_MANAGER
            && !CONTROLLERS.contains(&manager)
            && !hand.is(manager)
            && entry
                .get("fieldsV1")
                .is_some_and(|fields| tree::claims(fields, &wanted))
    })
}

/// The fields of a hand tool's entry that can become ours, and those that cannot: of another version of the kind only
/// the metadata means the same.
fn takeable(object: &Object, entry: &Value) -> (Value, Value) {
    let fields = entry.get("fieldsV1").cloned().unwrap_or_else(|| json!({}));
    let own = entries(object)
        .find(|entry| is_own(entry))
        .map_or(object.api_version(), |own| text(own, "apiVersion"));
    let version = text(entry, "apiVersion");
    if version.is_empty() || own.is_empty() || version == own {
        return (fields, json!({}));
    }
    let mut rest = fields;
    let metadata = rest
        .as_object_mut()
        .and_then(|rest| rest.remove("f:metadata"));
    let metadata = metadata.map_or_else(|| json!({}), |metadata| json!({"f:metadata": metadata}));
    (metadata, rest)
}

/// The fingerprint of our own Apply entry, time and fields: another one says that somebody changed what Git decides.
pub fn fingerprint(object: &Object) -> Option<String> {
    let entry = entries(object).find(|entry| is_own(entry))?;
    let time = text(entry, "time");
    let fields = crate::desired::digest(entry.get("fieldsV1").unwrap_or(&Value::Null));
    let mut fingerprint = format!("{time} ");
    for byte in Sha256::digest(fields.as_bytes()).iter().take(16) {
        let _ = write!(fingerprint, "{byte:02x}");
    }
    Some(fingerprint)
}

/// Whether our own Apply entry was written since it had this fingerprint, or is gone. What others take from it leaves its time
/// as it is.
pub fn is_rewritten(object: &Object, fingerprint: &str) -> bool {
    let time = entries(object)
        .find(|entry| is_own(entry))
        .map(|entry| text(entry, "time"));
    time.is_none() || time != fingerprint.split_once(' ').map(|(time, _)| time)
}

/// The managers other than us that own one of these fields; where none does, whoever wrote last.
pub fn who(object: &Object, fields: &[Vec<String>]) -> Vec<String> {
    let others: Vec<&Value> = entries(object)
        .filter(|entry| !is_own(entry) && text(entry, "subresource") != "status")
        .collect();
    let mut managers: Vec<String> = others
        .iter()
        .filter(|entry| {
            fields
                .iter()
                .any(|path| tree::has(entry.get("fieldsV1").unwrap_or(&Value::Null), path))
        })
        .map(|entry| text(entry, "manager").to_owned())
        .collect();
    if managers.is_empty() {
        let newest = entries(object)
            .filter(|entry| {
                text(entry, "subresource") != "status"
                    && !CONTROLLERS.contains(&text(entry, "manager"))
            })
            .max_by_key(|entry| text(entry, "time"));
        managers.extend(newest.map(|entry| text(entry, "manager").to_owned()));
    }
    managers.sort();
    managers.dedup();
    managers
}

/// Fields outside `status` that Git does not have, by manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    /// Of hand tools: they are removed.
    pub taken: Vec<(String, Vec<Vec<String>>)>,
    /// Of others: they are told, and left.
    pub foreign: Vec<(String, Vec<Vec<String>>)>,
}

/// What others added to `object`, beside `desired` and the fields in `exempt` (a tree as `fieldsV1` has it).
pub fn additions(object: &Object, desired: &Object, hand: &HandTools, exempt: &Value) -> Additions {
    let mut additions = Additions::default();
    let nothing = json!({});
    let own = own_fields(object).unwrap_or(&nothing);
    let wanted = Value::Object(desired.0.clone());
    for entry in entries(object).filter(|entry| !is_own(entry)) {
        let manager = text(entry, "manager");
        if text(entry, "subresource") == "status"
            || manager == FIELD_MANAGER
            || CONTROLLERS.contains(&manager)
        {
            continue;
        }
        let (taken, foreign) = if hand.is(manager) {
            takeable(object, entry)
        } else {
            let fields = entry.get("fieldsV1").unwrap_or(&nothing);
            (json!({}), fields.clone())
        };
        for (fields, list) in [
            (taken, &mut additions.taken),
            (foreign, &mut additions.foreign),
        ] {
            let added = tree::added(&fields, own, &wanted, exempt);
            if !added.is_empty() {
                list.push((manager.to_owned(), added));
            }
        }
    }
    additions
}

/// `metadata.managedFields` in which the fields of hand tools belong to us, but for those in `exempt`: our next apply
/// then removes what it does not say. `None` if there is nothing to take.
pub fn take_over(object: &Object, hand: &HandTools, exempt: &Value) -> Option<Value> {
    let mut own = own_fields(object).cloned().unwrap_or_else(|| json!({}));
    let mut result: Vec<Value> = Vec::new();
    let mut taken = false;
    for entry in entries(object).filter(|entry| !is_own(entry)) {
        if !hand.is(text(entry, "manager")) || text(entry, "subresource") == "status" {
            result.push(entry.clone());
            continue;
        }
        let (fields, rest) = takeable(object, entry);
        let (mut kept, given) = tree::split(&fields, exempt);
        tree::merge(&mut kept, &rest);
        if given.as_object().is_none_or(Map::is_empty) {
            result.push(entry.clone());
            continue;
        }
        taken = true;
        tree::merge(&mut own, &given);
        if kept.as_object().is_some_and(|kept| !kept.is_empty()) {
            let mut entry = entry.clone();
            entry["fieldsV1"] = kept;
            result.push(entry);
        }
    }
    if !taken {
        return None;
    }
    let mut entry = entries(object)
        .find(|entry| is_own(entry))
        .cloned()
        .unwrap_or_else(|| {
            json!({
                "manager": FIELD_MANAGER,
                "operation": "Apply",
                "apiVersion": object.api_version(),
                "fieldsType": "FieldsV1",
            })
        });
    entry["fieldsV1"] = own;
    result.push(entry);
    Some(Value::Array(result))
}

#[cfg(test)]
mod tests;
