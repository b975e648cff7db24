//! The test's own watch: what the API server says happened, and when. Nothing here asks the agent.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt, pin_mut};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};

use super::cluster::Cluster;

/// One event of the watch.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub at: Instant,
    pub kind: String,
    pub name: String,
    /// `None`: it is gone.
    pub object: Option<Value>,
}

impl Sighting {
    pub fn is(&self, kind: &str, name: &str) -> bool {
        self.kind == kind && self.name == name
    }

    /// The value at `pointer`; null where it is not there.
    pub fn at(&self, pointer: &str) -> &Value {
        self.object
            .as_ref()
            .and_then(|object| object.pointer(pointer))
            .unwrap_or(&Value::Null)
    }
}

/// Watches until it is dropped.
pub struct Sight {
    log: Arc<Mutex<Vec<Sighting>>>,
    grown: watch::Receiver<usize>,
    tasks: Vec<JoinHandle<()>>,
}

impl Sight {
    /// Of these kinds, from their lists on.
    pub async fn of(cluster: &Cluster, kinds: &[&str]) -> Self {
        let log = Arc::<Mutex<Vec<Sighting>>>::default();
        let (grow, grown) = watch::channel(0);
        let grow = Arc::new(grow);
        let mut tasks = Vec::new();
        for kind in kinds {
            let (listed, list) = tokio::sync::oneshot::channel();
            tasks.push(tokio::spawn(follow(
                cluster.clone(),
                (*kind).to_owned(),
                log.clone(),
                grow.clone(),
                listed,
            )));
            list.await.expect("the watch begins with a list");
        }
        Self { log, grown, tasks }
    }

    /// The sightings from here on are those after what is done next.
    pub fn mark(&self) -> usize {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub fn since(&self, mark: usize) -> Vec<Sighting> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)[mark..].to_vec()
    }

    /// The first sighting from `mark` on that `pick` takes, and its place; `None` after `limit`.
    pub async fn first(
        &self,
        mark: usize,
        limit: Duration,
        pick: impl Fn(&Sighting) -> bool,
    ) -> Option<(usize, Sighting)> {
        let mut grown = self.grown.clone();
        let end = tokio::time::Instant::now() + limit;
        let mut next = mark;
        loop {
            grown.borrow_and_update();
            for sighting in self.since(next) {
                if pick(&sighting) {
                    return Some((next, sighting));
                }
                next += 1;
            }
            if tokio::time::timeout_at(end, grown.changed()).await.is_err() {
                return None;
            }
        }
    }

    /// [`Sight::first`] where it must come.
    pub async fn expect(
        &self,
        mark: usize,
        limit: Duration,
        what: &str,
        pick: impl Fn(&Sighting) -> bool,
    ) -> Sighting {
        match self.first(mark, limit, pick).await {
            Some((_, sighting)) => sighting,
            None => panic!("not seen within {limit:?}: {what}"),
        }
    }
}

impl Drop for Sight {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn follow(
    cluster: Cluster,
    kind: String,
    log: Arc<Mutex<Vec<Sighting>>>,
    grow: Arc<watch::Sender<usize>>,
    listed: tokio::sync::oneshot::Sender<()>,
) {
    let events = watcher(cluster.api(&kind), watcher::Config::default()).default_backoff();
    pin_mut!(events);
    let mut listed = Some(listed);
    while let Some(event) = events.next().await {
        let (object, gone) = match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                (object, false)
            }
            Ok(watcher::Event::Delete(object)) => (object, true),
            Ok(watcher::Event::InitDone) => {
                if let Some(listed) = listed.take() {
                    let _ = listed.send(());
                }
                continue;
            }
            Ok(watcher::Event::Init) | Err(_) => continue,
        };
        let sighting = Sighting {
            at: Instant::now(),
            kind: kind.clone(),
            name: object.metadata.name.clone().unwrap_or_default(),
            object: (!gone).then(|| serde_json::to_value(object).expect("an object is JSON")),
        };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(sighting);
        grow.send_replace(log.len());
    }
}
