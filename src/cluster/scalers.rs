//! Which workloads an autoscaler scales: the targets of the cluster's HorizontalPodAutoscalers and KEDA's ScaledObjects.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt, pin_mut};
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use crate::desired::Kinds;
use crate::object::Id;
pub use crate::rollout::autoscaler::{REFERENCE, SCALERS, target};

/// The targets, kept up to date by watches.
#[derive(Default)]
pub struct Scalers {
    targets: Mutex<HashMap<(String, String, String), Id>>,
    watched: Mutex<BTreeSet<&'static str>>,
}

impl Scalers {
    /// The workloads that something scales.
    pub fn targets(&self) -> BTreeSet<Id> {
        self.targets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Starts the watches of the scaler kinds that the cluster has, once; comes back when the first lists are in.
    pub async fn watch(self: &Arc<Self>, client: &Client, kinds: &Kinds, stop: &CancellationToken) {
        for (group, version, kind, plural) in SCALERS {
            if kinds.get(group, kind).is_none()
                || !self
                    .watched
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(kind)
            {
                continue;
            }
            let resource = ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version: format!("{group}/{version}"),
                kind: kind.to_owned(),
                plural: plural.to_owned(),
            };
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let (listed, first_list) = tokio::sync::oneshot::channel();
            let (scalers, stop) = (self.clone(), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = scalers.follow(api, kind, listed) => {}
                }
            });
            // A kind that cannot be listed now is seen later; its workloads are handed over then.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(10), first_list).await;
        }
    }

    async fn follow(
        &self,
        api: Api<DynamicObject>,
        kind: &str,
        listed: tokio::sync::oneshot::Sender<()>,
    ) {
        let events =
            watcher(api, watcher::Config::default().timeout(3600)).backoff(super::watch_backoff());
        pin_mut!(events);
        let mut listed = Some(listed);
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                    let reference = object.data.pointer(REFERENCE);
                    let target = target(reference, object.metadata.namespace.as_deref());
                    let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
                    match target {
                        Some(target) => targets.insert(key(kind, &object), target),
                        None => targets.remove(&key(kind, &object)),
                    };
                }
                Ok(watcher::Event::Delete(object)) => {
                    self.targets
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(&key(kind, &object));
                }
                Ok(watcher::Event::Init) => {
                    self.targets
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .retain(|(known, _, _), _| known != kind);
                }
                Ok(watcher::Event::InitDone) => {
                    if let Some(listed) = listed.take() {
                        let _ = listed.send(());
                    }
                }
                Err(error) => {
                    tracing::debug!(kind, %error, "a watch was interrupted; it is started again");
                }
            }
        }
    }
}

fn key(kind: &str, object: &DynamicObject) -> (String, String, String) {
    (
        kind.to_owned(),
        object.metadata.namespace.clone().unwrap_or_default(),
        object.metadata.name.clone().unwrap_or_default(),
    )
}
