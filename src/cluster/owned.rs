//! Everything that carries an environment's label: how an inventory that was lost is found again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use http::Request;
use serde::Deserialize;

use super::{Cluster, ClusterError};
use crate::desired::KindInfo;
use crate::inventory::{Entry, Inventory};
use crate::object::{ENVIRONMENT_LABEL, Id};

/// What one sweep over all kinds found, by owner.
pub(super) type Sweep = Arc<BTreeMap<String, Inventory>>;

/// So long one sweep serves all environments that ask.
const FRESH: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct List {
    /// The API server writes an empty list as null.
    #[serde(default)]
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: Option<String>,
    uid: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Cluster {
    /// The objects that carry the label of this owner. What cannot be asked makes it an error.
    pub async fn owned(&self, owner: &str) -> Result<Inventory, ClusterError> {
        let mut sweep = self.sweep.lock().await;
        let found = match &*sweep {
            Some((at, found)) if at.elapsed() < FRESH => found.clone(),
            _ => {
                let found = Arc::new(self.sweep_all().await?);
                *sweep = Some((Instant::now(), found.clone()));
                found
            }
        };
        Ok(found.get(owner).cloned().unwrap_or_default())
    }

    async fn sweep_all(&self) -> Result<BTreeMap<String, Inventory>, ClusterError> {
        let kinds = self.kinds().await;
        let requests: Vec<_> = kinds
            .iter()
            .filter(|kind| kind.listable)
            .map(|kind| async move { (kind, self.list_owned(kind).await) })
            .collect();
        let mut lists: Vec<(&KindInfo, List)> = Vec::new();
        let mut answers = stream::iter(requests).buffer_unordered(8);
        while let Some((kind, answer)) = answers.next().await {
            match answer {
                Ok(list) => lists.push((kind, list)),
                // Its objects stay unknown, and so are never deleted: no reason to keep every environment waiting.
                Err(error) if matches!(error.code, 403 | 404 | 405 | 503) => {
                    tracing::warn!(kind = kind.kind, group = kind.group, %error, "a kind cannot be listed; what an environment may own of it stays unknown");
                }
                Err(error) => return Err(error),
            }
        }
        let mut found: BTreeMap<String, Inventory> = BTreeMap::new();
        for (kind, list) in lists {
            for item in list.items.into_iter().flatten() {
                let Some(owner) = item.metadata.labels.get(ENVIRONMENT_LABEL) else {
                    continue;
                };
                let id = Id {
                    group: kind.group.clone(),
                    kind: kind.kind.clone(),
                    namespace: item.metadata.namespace,
                    name: item.metadata.name,
                };
                let entry = Entry {
                    version: kind.versions.first().cloned().unwrap_or_default(),
                    uid: item.metadata.uid,
                    finished: None,
                };
                found
                    .entry(owner.clone())
                    .or_default()
                    .entries
                    .insert(id, entry);
            }
        }
        Ok(found)
    }

    async fn list_owned(&self, kind: &KindInfo) -> Result<List, ClusterError> {
        let action = format!("list the {} that environments own", kind.plural);
        let version = kind.versions.first().map_or("", String::as_str);
        let root = if kind.group.is_empty() {
            "/api".to_owned()
        } else {
            format!("/apis/{}", kind.group)
        };
        let request = Request::get(format!(
            "{root}/{version}/{}?labelSelector={ENVIRONMENT_LABEL}",
            kind.plural
        ))
        .header(
            "accept",
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        )
        .body(Vec::new())
        .map_err(|error| ClusterError::new(&*action, kube::Error::HttpError(error)))?;
        self.client
            .request(request)
            .await
            .map_err(|error| ClusterError::new(&*action, error))
    }
}
