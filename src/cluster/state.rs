//! Inventories that are too large for a status lie in Secrets of the agent's own namespace, named by their content.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use sha2::{Digest, Sha256};

use super::{Cluster, ClusterError};
use crate::api::{Inventory, InventoryEntry};

/// So many objects lie in the status itself.
const IN_STATUS: usize = 2_000;
/// So many bytes lie in one Secret.
const CHUNK: usize = 900 * 1024;
/// Whose inventory a Secret holds.
const LABEL: &str = "driftless.dev/inventory-of";

impl Cluster {
    /// Puts an inventory that is too large for a status into Secrets; what the status then says of it.
    pub async fn store_inventory(
        &self,
        namespace: &str,
        owner: &str,
        inventory: Inventory,
    ) -> Result<Inventory, ClusterError> {
        if inventory.entries.len() <= IN_STATUS {
            return Ok(inventory);
        }
        let action = "record the inventory";
        let secrets: Api<Secret> = Api::namespaced(self.client(), namespace);
        let mut names = Vec::new();
        for chunk in chunks(&inventory.entries)
            .map_err(|error| ClusterError::new(action, kube::Error::SerdeError(error)))?
        {
            let name = name(owner, &chunk);
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some(name.clone()),
                    labels: Some(BTreeMap::from([(LABEL.to_owned(), owner.to_owned())])),
                    ..ObjectMeta::default()
                },
                data: Some(BTreeMap::from([("entries".to_owned(), ByteString(chunk))])),
                immutable: Some(true),
                ..Secret::default()
            };
            match secrets.create(&PostParams::default(), &secret).await {
                Ok(_) => {}
                // The name says the content.
                Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {}
                Err(error) => return Err(ClusterError::new(action, error)),
            }
            names.push(name);
        }
        Ok(Inventory {
            count: inventory.count,
            entries: Vec::new(),
            secrets: names,
        })
    }

    /// The inventory with the entries that lie in Secrets. A Secret that is missing makes it an error.
    pub async fn load_inventory(
        &self,
        namespace: &str,
        mut inventory: Inventory,
    ) -> Result<Inventory, ClusterError> {
        let secrets: Api<Secret> = Api::namespaced(self.client(), namespace);
        for name in std::mem::take(&mut inventory.secrets) {
            let action = format!("read the inventory in the Secret {namespace}/{name}");
            let secret = secrets
                .get(&name)
                .await
                .map_err(|error| ClusterError::new(&*action, error))?;
            let data = secret.data.unwrap_or_default();
            let entries = data.get("entries").map_or(&[][..], |entries| &entries.0);
            let entries: Vec<InventoryEntry> = serde_json::from_slice(entries)
                .map_err(|error| ClusterError::unexpected(&*action, error.to_string()))?;
            inventory.entries.extend(entries);
        }
        Ok(inventory)
    }

    /// Deletes the Secrets of this owner that its status no longer names.
    pub async fn clean_inventories(
        &self,
        namespace: &str,
        owner: &str,
        keep: &[String],
    ) -> Result<(), ClusterError> {
        let failed = |error| ClusterError::new("delete old inventories", error);
        let secrets: Api<Secret> = Api::namespaced(self.client(), namespace);
        let keep: BTreeSet<&String> = keep.iter().collect();
        let list = secrets
            .list_metadata(&ListParams::default().labels(&format!("{LABEL}={owner}")))
            .await
            .map_err(failed)?;
        for secret in list.items {
            if !keep.contains(&secret.name_any()) {
                secrets
                    .delete(&secret.name_any(), &DeleteParams::default())
                    .await
                    .map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// The entries as JSON lists of at most [`CHUNK`] bytes.
fn chunks(entries: &[InventoryEntry]) -> Result<Vec<Vec<u8>>, serde_json::Error> {
    let mut chunks = Vec::new();
    let mut current = vec![b'['];
    for entry in entries {
        let entry = serde_json::to_vec(entry)?;
        if current.len() > 1 {
            if current.len() + entry.len() + 2 > CHUNK {
                current.push(b']');
                chunks.push(std::mem::replace(&mut current, vec![b'[']));
            } else {
                current.push(b',');
            }
        }
        current.extend(entry);
    }
    current.push(b']');
    chunks.push(current);
    Ok(chunks)
}

fn name(owner: &str, chunk: &[u8]) -> String {
    let mut name = format!("inventory-{owner}-");
    for byte in Sha256::digest(chunk).iter().take(8) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_every_entry_once_and_are_no_larger_than_allowed() {
        let entries: Vec<_> = (0..30_000)
            .map(|number| InventoryEntry {
                id: format!("apps/v1/Deployment/some-namespace/some-workload-{number}"),
                uid: Some("00000000-0000-0000-0000-000000000000".to_owned()),
                finished: None,
            })
            .collect();
        let chunks = chunks(&entries).unwrap();
        assert!(chunks.len() > 1);
        assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK));
        let read: Vec<InventoryEntry> = chunks
            .iter()
            .flat_map(|chunk| serde_json::from_slice::<Vec<InventoryEntry>>(chunk).unwrap())
            .collect();
        assert_eq!(read, entries);
    }
}
