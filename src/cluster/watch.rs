//! Watches the metadata of what any environment owns, one watch per kind, and puts what changed into the mailbox of the
//! environment that it concerns. Keeps of each object only whose it is.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::api::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::utils::{Backoff, ResetTimerBackoff};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::desired::KindInfo;
use crate::object::{ENVIRONMENT_LABEL, Id, Object};

/// What a watch saw of an object since the mailbox was last emptied.
#[derive(Clone, Debug)]
pub enum Seen {
    /// Its metadata as it is now.
    Present(Object),
    /// It is gone, or no longer carries an environment's label.
    Gone,
}

/// The watches of one agent.
pub struct Tracker {
    client: Client,
    stop: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watched: HashSet<(String, String)>,
    owners: HashMap<Id, Arc<str>>,
    mailboxes: HashMap<Arc<str>, Mailbox>,
}

#[derive(Default)]
struct Mailbox {
    wake: Arc<Notify>,
    seen: HashMap<Id, Seen>,
}

/// How long a watch that broke waits before it is started again: half a second, then more, up to five. It is short
/// because drift is not seen meanwhile.
#[derive(Default)]
pub struct WatchBackoff {
    failures: u32,
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = Duration::from_millis(500 << self.failures.min(4));
        self.failures += 1;
        Some(wait.min(Duration::from_secs(5)))
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Begins anew after a minute without failures: a watch of a quiet kind has no event that would say that all is well.
pub fn watch_backoff() -> ResetTimerBackoff<WatchBackoff> {
    ResetTimerBackoff::new(WatchBackoff::default(), Duration::from_mins(1))
}

impl Tracker {
    /// Watches until `stop`.
    pub fn new(client: Client, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            client,
            stop,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the environment with this owner id a mailbox; `wake` is notified whenever something lands in it.
    pub fn register(&self, owner: &str, wake: Arc<Notify>) {
        self.state().mailboxes.insert(
            owner.into(),
            Mailbox {
                wake,
                seen: HashMap::new(),
            },
        );
    }

    pub fn unregister(&self, owner: &str) {
        self.state().mailboxes.remove(owner);
    }

    /// Empties the mailbox of an environment.
    pub fn take(&self, owner: &str) -> HashMap<Id, Seen> {
        self.state()
            .mailboxes
            .get_mut(owner)
            .map(|mailbox| std::mem::take(&mut mailbox.seen))
            .unwrap_or_default()
    }

    /// Starts the watch of a kind that is not watched yet.
    pub fn watch(self: &Arc<Self>, kind: &KindInfo) {
        let key = (kind.group.clone(), kind.kind.clone());
        if self.state().watched.contains(&key) {
            return;
        }
        let Some(version) = kind.versions.first().cloned() else {
            return;
        };
        self.state().watched.insert(key);
        let tracker = self.clone();
        let kind = kind.clone();
        tokio::spawn(async move {
            let stop = tracker.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tracker.follow(&kind, &version) => {}
            }
        });
    }

    async fn follow(&self, kind: &KindInfo, version: &str) {
        let resource = ApiResource {
            group: kind.group.clone(),
            version: version.to_owned(),
            api_version: if kind.group.is_empty() {
                version.to_owned()
            } else {
                format!("{}/{version}", kind.group)
            },
            kind: kind.kind.clone(),
            plural: kind.plural.clone(),
        };
        let api: Api<PartialObjectMeta<DynamicObject>> =
            Api::all_with(self.client.clone(), &resource);
        let config = watcher::Config::default()
            .labels(ENVIRONMENT_LABEL)
            .timeout(3600);
        let events = watcher(api, config).backoff(watch_backoff());
        pin_mut!(events);
        let mut listed: HashSet<Id> = HashSet::new();
        let mut well = true;
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Apply(object)) => self.present(kind, &resource, object),
                Ok(watcher::Event::Delete(object)) => {
                    let object = metadata(kind, &resource, object);
                    self.gone(&object.id());
                }
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(object)) => {
                    let object = metadata(kind, &resource, object);
                    listed.insert(object.id());
                    self.put(object);
                }
                Ok(watcher::Event::InitDone) => {
                    well = true;
                    let missing: Vec<Id> = self
                        .state()
                        .owners
                        .keys()
                        .filter(|id| {
                            id.group == kind.group && id.kind == kind.kind && !listed.contains(*id)
                        })
                        .cloned()
                        .collect();
                    for id in &missing {
                        self.gone(id);
                    }
                    listed.clear();
                }
                Err(error) => {
                    // Drift of this kind is not seen meanwhile: told once, until it is well again.
                    if std::mem::replace(&mut well, false) {
                        tracing::warn!(kind = kind.kind, group = kind.group, %error, "the watch of a kind was interrupted; it is started again");
                    }
                }
            }
        }
    }

    fn present(
        &self,
        kind: &KindInfo,
        resource: &ApiResource,
        object: PartialObjectMeta<DynamicObject>,
    ) {
        self.put(metadata(kind, resource, object));
    }

    fn put(&self, object: Object) {
        let id = object.id();
        let owner: Arc<str> = object.label(ENVIRONMENT_LABEL).unwrap_or_default().into();
        let mut state = self.state();
        // Who had it before is told too: the label was moved to another.
        if let Some(before) = state.owners.insert(id.clone(), owner.clone())
            && before != owner
            && let Some(mailbox) = state.mailboxes.get_mut(&before)
        {
            mailbox
                .seen
                .insert(id.clone(), Seen::Present(object.clone()));
            mailbox.wake.notify_one();
        }
        if let Some(mailbox) = state.mailboxes.get_mut(&owner) {
            mailbox.seen.insert(id, Seen::Present(object));
            mailbox.wake.notify_one();
        }
    }

    fn gone(&self, id: &Id) {
        let mut state = self.state();
        if let Some(owner) = state.owners.remove(id)
            && let Some(mailbox) = state.mailboxes.get_mut(&owner)
        {
            mailbox.seen.insert(id.clone(), Seen::Gone);
            mailbox.wake.notify_one();
        }
    }
}

fn metadata(
    kind: &KindInfo,
    resource: &ApiResource,
    object: PartialObjectMeta<DynamicObject>,
) -> Object {
    let mut map = Map::new();
    map.insert(
        "apiVersion".to_owned(),
        Value::String(resource.api_version.clone()),
    );
    map.insert("kind".to_owned(), Value::String(kind.kind.clone()));
    let metadata = serde_json::to_value(object.metadata).unwrap_or_default();
    map.insert("metadata".to_owned(), metadata);
    Object(map)
}
