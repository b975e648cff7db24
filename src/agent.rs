//! The tasks of the agent and how they end: watches of our kinds, the lease, and while leading one task per Repository and
//! per Environment. Decides nothing about objects.

pub mod hooks;
mod work;

use std::path::PathBuf;
use std::sync::Arc;

use futures::{StreamExt, pin_mut};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::api::{Approval, Environment, Repository};
use crate::cluster::scalers::Scalers;
use crate::cluster::{Cluster, Events, Leadership, Lease, PodWatches, Tracker, watch_backoff};
use crate::fields::HandTools;
use crate::git::Limits;
use crate::kustomize::{self, ParsedFiles};
use crate::metrics::Metrics;
use crate::pass::Context;
use crate::sources::{SourceConfig, Sources};

use work::Work;

/// The memory that parsed files may take. Beyond it, those that were not used for longest are parsed again.
const PARSED_BYTES: usize = 32 << 20;

/// What the agent needs to know to run.
#[derive(Clone)]
pub struct Settings {
    /// The namespace of the agent: its lease and its state.
    pub namespace: String,
    /// The name of this replica.
    pub holder: String,
    /// Where Git mirrors lie.
    pub data: PathBuf,
    pub allow_file: bool,
    pub limits: Limits,
    /// Renders at once.
    pub renders: usize,
    /// Requests of one pass at once.
    pub parallel: usize,
    /// Files that one environment may read.
    pub file_limit: usize,
    /// What one render may ask for.
    pub render: kustomize::Limits,
    /// Field managers whose additions are removed.
    pub hand_tools: HandTools,
}

/// What the server asks the agent.
#[derive(Clone)]
pub struct Handle {
    pub repositories: Store<Repository>,
    pub environments: Store<Environment>,
    pub leads: watch::Receiver<bool>,
    /// Whether the watches have told what there is.
    pub ready: watch::Receiver<bool>,
}

/// Something of ours changed.
#[derive(Clone, Debug)]
enum Changed {
    Repository(ObjectRef<Repository>),
    Environment(ObjectRef<Environment>),
    /// An Approval for this Environment.
    Approval(ObjectRef<Environment>),
}

/// The agent before it runs.
pub struct Agent {
    settings: Settings,
    cluster: Arc<Cluster>,
    metrics: Arc<Metrics>,
    repositories: (Store<Repository>, Writer<Repository>),
    environments: (Store<Environment>, Writer<Environment>),
    approvals: (Store<Approval>, Writer<Approval>),
    leads: watch::Sender<bool>,
    ready: watch::Sender<bool>,
}

impl Agent {
    pub fn new(settings: Settings, cluster: Arc<Cluster>, metrics: Arc<Metrics>) -> Self {
        Self {
            settings,
            cluster,
            metrics,
            repositories: store(),
            environments: store(),
            approvals: store(),
            leads: watch::Sender::new(false),
            ready: watch::Sender::new(false),
        }
    }

    pub fn handle(&self) -> Handle {
        Handle {
            repositories: self.repositories.0.clone(),
            environments: self.environments.0.clone(),
            leads: self.leads.subscribe(),
            ready: self.ready.subscribe(),
        }
    }

    /// Runs until `stop`; what is being written then ends first.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            settings,
            cluster,
            metrics,
            repositories,
            environments,
            approvals,
            leads,
            ready: told,
        } = self;
        // One object may be in the middle of being written: the watches outlive the work.
        let watching = CancellationToken::new();
        let (changes, _) = broadcast::channel(4096);
        let (repositories, writer) = repositories;
        follow(
            &cluster,
            writer,
            &changes,
            &watching,
            |repository: &Repository| Changed::Repository(ObjectRef::from_obj(repository)),
        );
        let (environments, writer) = environments;
        follow(
            &cluster,
            writer,
            &changes,
            &watching,
            |environment: &Environment| Changed::Environment(ObjectRef::from_obj(environment)),
        );
        let (approvals, writer) = approvals;
        follow(
            &cluster,
            writer,
            &changes,
            &watching,
            |approval: &Approval| {
                let environment = ObjectRef::new(&approval.spec.environment);
                Changed::Approval(environment.within(&approval.namespace().unwrap_or_default()))
            },
        );
        let leadership = Arc::<Leadership>::default();
        let lease = Arc::new(Lease::new(
            cluster.client(),
            cluster.watching(),
            &settings.namespace,
            "driftless",
            &settings.holder,
        ));
        let mut leading = leads.subscribe();
        let competition = {
            let (lease, leadership, stop) = (lease.clone(), leadership.clone(), stop.clone());
            tokio::spawn(async move { lease.run(&leads, &leadership, &stop).await })
        };
        let stores = Stores {
            repositories,
            environments,
            approvals,
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = ready(&stores) => { told.send_replace(true); }
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                changed = leading.changed() => if changed.is_err() { break },
            }
            if !*leading.borrow_and_update() {
                continue;
            }
            metrics.leads(true);
            let work = CancellationToken::new();
            let lead = lead(
                &settings,
                &cluster,
                &metrics,
                &leadership,
                &stores,
                &changes,
                work.clone(),
            );
            pin_mut!(lead);
            tokio::select! {
                () = &mut lead => {}
                () = stop.cancelled() => { work.cancel(); lead.await; }
                () = lost(&mut leading) => { work.cancel(); lead.await; }
            }
            metrics.leads(false);
        }
        if let Err(error) = competition.await {
            tracing::error!(%error, "the lease's task ended abnormally");
        }
        lease.release().await;
        watching.cancel();
    }
}

async fn lost(leading: &mut watch::Receiver<bool>) {
    while *leading.borrow_and_update() {
        if leading.changed().await.is_err() {
            return;
        }
    }
}

struct Stores {
    repositories: Store<Repository>,
    environments: Store<Environment>,
    approvals: Store<Approval>,
}

/// Watches one of our kinds into its store, telling of every change.
fn follow<K>(
    cluster: &Cluster,
    writer: Writer<K>,
    changes: &broadcast::Sender<Changed>,
    stop: &CancellationToken,
    changed: impl Fn(&K) -> Changed + Send + Sync + 'static,
) where
    K: Resource<DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let api: Api<K> = Api::all(cluster.watching());
    let events = watcher(api, watcher::Config::default().timeout(3600)).backoff(watch_backoff());
    let (changes, stop) = (changes.clone(), stop.clone());
    tokio::spawn(async move {
        let mut writer = writer;
        pin_mut!(events);
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => {
                    writer.apply_watcher_event(&event);
                    match &event {
                        watcher::Event::Apply(object)
                        | watcher::Event::Delete(object)
                        | watcher::Event::InitApply(object) => {
                            // Nobody listens while this replica does not lead.
                            let _ = changes.send(changed(object));
                        }
                        watcher::Event::Init | watcher::Event::InitDone => {}
                    }
                }
                Some(Err(error)) => {
                    tracing::warn!(kind = %K::kind(&()), %error, "a watch was interrupted; it is started again");
                }
                None => return,
            }
        }
    });
}

/// The work of the leader, until `stop`.
async fn lead(
    settings: &Settings,
    cluster: &Arc<Cluster>,
    metrics: &Arc<Metrics>,
    leadership: &Arc<Leadership>,
    stores: &Stores,
    changes: &broadcast::Sender<Changed>,
    stop: CancellationToken,
) {
    let mut changed = changes.subscribe();
    tokio::select! {
        () = stop.cancelled() => return,
        () = ready(stores) => {}
    }
    let events = Events::new(cluster.client(), &settings.holder);
    let scalers = Arc::<Scalers>::default();
    scalers
        .watch(&cluster.watching(), &*cluster.kinds().await, &stop)
        .await;
    let config = SourceConfig {
        data: settings.data.clone(),
        allow_file: settings.allow_file,
        limits: settings.limits,
    };
    let sources = Sources::new(cluster.clone(), events.clone(), metrics.clone(), config);
    let context = Arc::new(Context {
        cluster: cluster.clone(),
        tracker: Tracker::new(cluster.watching(), stop.clone()),
        pods: PodWatches::new(cluster.watching()),
        scalers,
        leadership: leadership.clone(),
        events,
        metrics: metrics.clone(),
        sources: sources.clone(),
        approvals: stores.approvals.clone(),
        environments: stores.environments.clone(),
        renders: Semaphore::new(settings.renders),
        parsed: Arc::new(ParsedFiles::new(PARSED_BYTES)),
        parallel: settings.parallel,
        hand_tools: settings.hand_tools.clone(),
        file_limit: settings.file_limit,
        limits: settings.render,
        namespace: settings.namespace.clone(),
    });
    let mut work = Work::new(context, stop.clone());
    work.all(stores);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            change = changed.recv() => match change {
                Ok(change) => work.changed(stores, &change),
                Err(broadcast::error::RecvError::Lagged(_)) => work.all(stores),
                Err(broadcast::error::RecvError::Closed) => break,
            },
            Some(ended) = work.running.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "the task of an environment ended abnormally");
                }
            }
        }
    }
    while work.running.join_next().await.is_some() {}
}

async fn ready(stores: &Stores) {
    // An error means that the watches have ended, and so does the agent.
    let _ = stores.repositories.wait_until_ready().await;
    let _ = stores.environments.wait_until_ready().await;
    let _ = stores.approvals.wait_until_ready().await;
}
