//! What the API server says was deleted, from its own watches. Nothing here asks the agent.

use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt, pin_mut};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::{WatchStreamExt, watcher},
};
use tokio::task::JoinHandle;

/// One object that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub namespace: String,
    /// `Kind name`.
    pub object: String,
    pub uid: String,
}

/// Watches all the kinds that the cases use until it is dropped.
pub struct Witness {
    gone: Arc<Mutex<Vec<Gone>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// Group, version, kind and plural of what the cases use.
pub const KINDS: [(&str, &str, &str, &str); 6] = [
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "Service", "services"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "RoleBinding",
        "rolebindings",
    ),
];

pub fn resource((group, version, kind, plural): (&str, &str, &str, &str)) -> ApiResource {
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        },
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

impl Witness {
    /// From the first lists on.
    pub async fn new(client: &Client) -> Self {
        let gone = Arc::<Mutex<Vec<Gone>>>::default();
        let mut tasks = Vec::new();
        for kind in KINDS {
            let api: Api<PartialObjectMeta<DynamicObject>> =
                Api::all_with(client.clone(), &resource(kind));
            let (listed, list) = tokio::sync::oneshot::channel();
            tasks.push(tokio::spawn(follow(api, kind.2, gone.clone(), listed)));
            list.await.expect("the watch begins with a list");
        }
        Self { gone, tasks }
    }

    /// What was deleted in this namespace so far.
    pub fn gone_in(&self, namespace: &str) -> Vec<Gone> {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.iter()
            .filter(|gone| gone.namespace == namespace)
            .cloned()
            .collect()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn follow(
    api: Api<PartialObjectMeta<DynamicObject>>,
    kind: &'static str,
    gone: Arc<Mutex<Vec<Gone>>>,
    listed: tokio::sync::oneshot::Sender<()>,
) {
    let events = watcher(api, watcher::Config::default()).default_backoff();
    pin_mut!(events);
    let mut listed = Some(listed);
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::InitDone) => {
                if let Some(listed) = listed.take() {
                    let _ = listed.send(());
                }
            }
            Ok(watcher::Event::Delete(PartialObjectMeta { metadata, .. })) => {
                gone.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(Gone {
                        namespace: metadata.namespace.unwrap_or_default(),
                        object: format!("{kind} {}", metadata.name.unwrap_or_default()),
                        uid: metadata.uid.unwrap_or_default(),
                    });
            }
            _ => {}
        }
    }
}
