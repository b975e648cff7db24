//! Pods are watched only in namespaces where something is not healthy, and only as long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::{Cluster, ClusterError};
use crate::object::Object;

/// The pod watches of one agent.
pub struct PodWatches {
    client: Client,
    watches: Mutex<HashMap<String, Weak<PodWatch>>>,
}

/// The pods of one namespace, as long as somebody holds this.
pub struct PodWatch {
    /// `None` until the first list is in.
    pods: Mutex<Option<HashMap<String, Object>>>,
    wakers: Mutex<Vec<Weak<Notify>>>,
    task: Mutex<Option<AbortHandle>>,
}

impl PodWatches {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            watches: Mutex::default(),
        }
    }

    /// Watches the pods of `namespace`; `wake` is notified of every change.
    pub fn watch(&self, namespace: &str, wake: &Arc<Notify>) -> Arc<PodWatch> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|_, watch| watch.strong_count() > 0);
        let watch = watches
            .get(namespace)
            .and_then(Weak::upgrade)
            .unwrap_or_else(|| {
                let watch = Arc::new(PodWatch {
                    pods: Mutex::default(),
                    wakers: Mutex::default(),
                    task: Mutex::default(),
                });
                let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
                let task = tokio::spawn(follow(api, Arc::downgrade(&watch)));
                *watch.task.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(task.abort_handle());
                watches.insert(namespace.to_owned(), Arc::downgrade(&watch));
                watch
            });
        let mut wakers = watch.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.retain(|known| known.strong_count() > 0);
        if !wakers
            .iter()
            .any(|known| known.as_ptr() == Arc::as_ptr(wake))
        {
            wakers.push(Arc::downgrade(wake));
        }
        drop(wakers);
        watch
    }
}

impl PodWatch {
    /// The pods as last seen; `None` before the first list.
    pub fn pods(&self) -> Option<Vec<Object>> {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.as_ref().map(|pods| pods.values().cloned().collect())
    }

    fn changed(&self) {
        for waker in self
            .wakers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            if let Some(waker) = waker.upgrade() {
                waker.notify_one();
            }
        }
    }
}

impl Drop for PodWatch {
    fn drop(&mut self) {
        if let Some(task) = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            task.abort();
        }
    }
}

async fn follow(api: Api<Pod>, watch: Weak<PodWatch>) {
    let events =
        watcher(api, watcher::Config::default().timeout(3600)).backoff(super::watch_backoff());
    pin_mut!(events);
    let mut listed = HashMap::new();
    while let Some(event) = events.next().await {
        let Some(watch) = watch.upgrade() else {
            return;
        };
        let mut pods = watch.pods.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(watcher::Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(watcher::Event::InitApply(pod)) => {
                listed.extend(entry(pod));
                continue;
            }
            Ok(watcher::Event::InitDone) => *pods = Some(std::mem::take(&mut listed)),
            Ok(watcher::Event::Apply(pod)) => pods.get_or_insert_default().extend(entry(pod)),
            Ok(watcher::Event::Delete(pod)) => {
                pods.get_or_insert_default()
                    .remove(pod.metadata.uid.as_deref().unwrap_or_default());
            }
            Err(error) => {
                tracing::debug!(%error, "the watch of the pods was interrupted; it is started again");
                continue;
            }
        }
        drop(pods);
        watch.changed();
    }
}

/// A pod by its UID.
fn entry(pod: Pod) -> Option<(String, Object)> {
    Some((pod.metadata.uid.clone()?, as_object(pod)?))
}

fn as_object(mut pod: Pod) -> Option<Object> {
    pod.metadata.managed_fields = None;
    let mut object = Object::from_value(serde_json::to_value(pod).ok()?)?;
    object
        .0
        .insert("apiVersion".to_owned(), Pod::api_version(&()).into());
    object.0.insert("kind".to_owned(), Pod::kind(&()).into());
    Some(object)
}

impl Cluster {
    /// The ReplicaSets of a namespace.
    pub async fn replica_sets(&self, namespace: &str) -> Result<Vec<Object>, ClusterError> {
        self.all_of::<k8s_openapi::api::apps::v1::ReplicaSet>(namespace)
            .await
    }

    /// The Services of a namespace, whoever made them.
    pub async fn services(&self, namespace: &str) -> Result<Vec<Object>, ClusterError> {
        self.all_of::<k8s_openapi::api::core::v1::Service>(namespace)
            .await
    }

    async fn all_of<K: Resource<DynamicType = ()>>(
        &self,
        namespace: &str,
    ) -> Result<Vec<Object>, ClusterError> {
        let resource = ApiResource::erase::<K>(&());
        self.listed(&resource, namespace, &ListParams::default())
            .await
    }

    /// The objects of a kind in a namespace, without their managed fields.
    pub(super) async fn listed(
        &self,
        resource: &ApiResource,
        namespace: &str,
        params: &ListParams,
    ) -> Result<Vec<Object>, ClusterError> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(), namespace, resource);
        let list = api.list(params).await.map_err(|error| {
            ClusterError::new(
                format!("list the {} of {namespace}", resource.plural),
                error,
            )
        })?;
        Ok(list
            .items
            .into_iter()
            .filter_map(|mut item| {
                item.metadata.managed_fields = None;
                Object::from_value(serde_json::to_value(item).ok()?)
            })
            .collect())
    }
}
