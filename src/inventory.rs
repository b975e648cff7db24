//! What an environment owns, and what it may own because a write was begun. Must not delete anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::api;
use crate::desired::Desired;
use crate::object::Id;

/// The objects of an environment. It is recorded before the first write, and shrinks only after a confirmed delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    pub entries: BTreeMap<Id, Entry>,
    /// How many objects there were before those that came with what is desired now, while some are still to go: what
    /// the limits of a prune are shares of. `None`: as many as there are.
    pub before: Option<usize>,
}

/// What is recorded of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The version that it was last applied in.
    pub version: String,
    /// The UID that it had then; `None` before the first apply.
    pub uid: Option<String>,
    /// The digest of the content under which a Job has finished.
    pub finished: Option<String>,
}

/// An entry that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("status.inventory: {0:?} is not group/version/kind/namespace/name")]
pub struct InventoryError(String);

impl Inventory {
    pub fn from_status(status: &api::Inventory) -> Result<Self, InventoryError> {
        let entries = status.entries.iter().map(|entry| {
            let api::InventoryEntry { id, uid, finished } = entry;
            let mut parts = id.splitn(5, '/');
            let mut next = || {
                parts
                    .next()
                    .map(str::to_owned)
                    .ok_or_else(|| InventoryError(id.clone()))
            };
            let (group, version, kind, namespace, name) =
                (next()?, next()?, next()?, next()?, next()?);
            let id = Id {
                group,
                kind,
                namespace: Some(namespace).filter(|namespace| !namespace.is_empty()),
                name,
            };
            Ok((
                id,
                Entry {
                    version,
                    uid: uid.clone(),
                    finished: finished.clone(),
                },
            ))
        });
        Ok(Self {
            entries: entries.collect::<Result<_, _>>()?,
            before: None,
        })
    }

    pub fn to_status(&self) -> api::Inventory {
        api::Inventory {
            count: i64::try_from(self.entries.len()).unwrap_or(i64::MAX),
            entries: self
                .entries
                .iter()
                .map(|(id, entry)| api::InventoryEntry {
                    id: format!(
                        "{}/{}/{}/{}/{}",
                        id.group,
                        entry.version,
                        id.kind,
                        id.namespace.as_deref().unwrap_or_default(),
                        id.name
                    ),
                    uid: entry.uid.clone(),
                    finished: entry.finished.clone(),
                })
                .collect(),
            secrets: Vec::new(),
        }
    }

    /// With everything that is desired: what is recorded before the first write.
    #[must_use]
    pub fn union(&self, desired: &Desired) -> Self {
        let mut union = self.clone();
        let departed = self.entries.keys().any(|id| !desired.contains(id));
        union.before = departed.then(|| self.before.unwrap_or(self.entries.len()));
        for object in &desired.objects {
            let entry = union.entries.entry(object.id.clone()).or_default();
            object.object.version().clone_into(&mut entry.version);
        }
        union
    }

    /// Whether every object of this is in `recorded` too.
    pub fn covers_no_more_than(&self, recorded: &Self) -> bool {
        self.entries
            .keys()
            .all(|id| recorded.entries.contains_key(id))
    }

    /// Notes what an apply answered.
    pub fn applied(&mut self, id: &Id, version: &str, uid: &str) {
        let entry = self.entries.entry(id.clone()).or_default();
        version.clone_into(&mut entry.version);
        entry.uid = Some(uid.to_owned());
    }
}

/// The first 16 hex digits of the SHA-256 of `KUBE_SYSTEM_UID/NAMESPACE/NAME`: what the ownership label says.
pub fn owner_id(kube_system_uid: &str, namespace: &str, name: &str) -> String {
    let mut id = hex(format!("{kube_system_uid}/{namespace}/{name}").as_bytes());
    id.truncate(16);
    id
}

/// The SHA-256 (hex) of the sorted lines `group/kind/namespace/name/UID`: which deletions an approval admits.
pub fn deletions_hash<'a>(deletions: impl Iterator<Item = (&'a Id, &'a str)>) -> String {
    let mut lines: Vec<String> = deletions
        .map(|(id, uid)| {
            let namespace = id.namespace.as_deref().unwrap_or_default();
            format!("{}/{}/{namespace}/{}/{uid}\n", id.group, id.kind, id.name)
        })
        .collect();
    lines.sort();
    hex(lines.concat().as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_id() -> impl Strategy<Value = Id> {
        (
            "[a-z.]{0,8}",
            "[A-Z][a-z]{0,6}",
            prop::option::of("[a-z]{1,6}"),
            "[a-z:/.-]{1,12}",
        )
            .prop_map(|(group, kind, namespace, name)| Id {
                group,
                kind,
                namespace,
                name,
            })
    }

    proptest! {
        #[test]
        fn what_is_written_down_is_read_again(entries in prop::collection::btree_map(
            any_id(),
            ("v[12]", prop::option::of("[0-9a-f]{4}"), prop::option::of("[0-9a-f]{4}"))
                .prop_map(|(version, uid, finished)| Entry { version, uid, finished }),
            0..10,
        )) {
            let inventory = Inventory { entries, before: None };
            prop_assert_eq!(Inventory::from_status(&inventory.to_status()).unwrap(), inventory);
        }

        #[test]
        fn the_hash_of_deletions_ignores_their_order(ids in prop::collection::vec(any_id(), 1..6)) {
            let forwards = deletions_hash(ids.iter().map(|id| (id, "uid")));
            let backwards = deletions_hash(ids.iter().rev().map(|id| (id, "uid")));
            prop_assert_eq!(&forwards, &backwards);
            prop_assert_ne!(forwards, deletions_hash(ids.iter().map(|id| (id, "other"))));
        }
    }

    #[test]
    fn an_entry_that_is_no_identity_is_an_error() {
        let status = api::Inventory {
            entries: vec![api::InventoryEntry {
                id: "nonsense".to_owned(),
                ..api::InventoryEntry::default()
            }],
            ..api::Inventory::default()
        };
        assert!(Inventory::from_status(&status).is_err());
    }

    #[test]
    fn owner_ids_differ_by_cluster_namespace_and_name() {
        let id = owner_id("uid", "shop", "dev");
        assert_eq!(id.len(), 16);
        for (cluster, namespace, name) in [
            ("other", "shop", "dev"),
            ("uid", "other", "dev"),
            ("uid", "shop", "other"),
        ] {
            assert_ne!(id, owner_id(cluster, namespace, name));
        }
    }
}
