//! The tasks of the leader: one for each Environment, that passes over it again and again. Brings them in line with what
//! the watches tell. Must not know what a pass does.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Changed, Stores};
use crate::api::{Environment, Repository};
use crate::pass::{Context, Memory, Next, pass};
use crate::rollout::COMMAND_ANNOTATION;
use crate::status::sync_requested;

/// The tasks of the leader.
pub(super) struct Work {
    context: Arc<Context>,
    tasks: HashMap<ObjectRef<Environment>, Task>,
    /// The tasks themselves, to be joined.
    pub running: JoinSet<()>,
    stop: CancellationToken,
}

struct Task {
    /// The owner id of the environment.
    owner: String,
    wake: Arc<Notify>,
    stop: CancellationToken,
    /// What of the Environment matters to a pass.
    key: Key,
}

/// Two Environments with equal keys ask for the same.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    uid: Option<String>,
    generation: Option<i64>,
    sync: Option<String>,
    /// What a person says to its rollouts.
    command: Option<String>,
    deleted: bool,
}

impl Key {
    fn of(environment: &Environment) -> Self {
        Self {
            uid: environment.metadata.uid.clone(),
            generation: environment.metadata.generation,
            sync: sync_requested(environment).map(str::to_owned),
            command: environment.annotations().get(COMMAND_ANNOTATION).cloned(),
            deleted: environment.metadata.deletion_timestamp.is_some(),
        }
    }
}

impl Work {
    pub fn new(context: Arc<Context>, stop: CancellationToken) -> Self {
        Self {
            context,
            tasks: HashMap::new(),
            running: JoinSet::new(),
            stop,
        }
    }

    /// Brings the tasks in line with the stores.
    pub fn all(&mut self, stores: &Stores) {
        for repository in stores.repositories.state() {
            self.context.sources.set(repository, &self.stop);
        }
        let gone: Vec<_> = self
            .tasks
            .keys()
            .filter(|known| stores.environments.get(known).is_none())
            .cloned()
            .collect();
        for reference in gone {
            self.end(&reference);
        }
        for environment in stores.environments.state() {
            self.environment(&environment);
        }
    }

    pub fn changed(&mut self, stores: &Stores, change: &Changed) {
        match change {
            Changed::Repository(reference) => match stores.repositories.get(reference) {
                Some(repository) => {
                    self.context.sources.set(repository, &self.stop);
                    // Environments that waited for it to be there, or to be allowed.
                    for environment in stores.environments.state() {
                        if names(&environment, reference)
                            && let Some(task) = self.tasks.get(&ObjectRef::from_obj(&*environment))
                            && self
                                .context
                                .sources
                                .view(reference, &task.wake)
                                .is_some_and(|(known, view)| {
                                    view.snapshot.is_none() || known.status.is_none()
                                })
                        {
                            task.wake.notify_one();
                        }
                    }
                }
                None => self.context.sources.remove(reference),
            },
            Changed::Environment(reference) => match stores.environments.get(reference) {
                Some(environment) => self.environment(&environment),
                None => self.end(reference),
            },
            Changed::Approval(reference) => {
                if let Some(task) = self.tasks.get(reference) {
                    task.wake.notify_one();
                }
            }
        }
    }

    fn environment(&mut self, environment: &Arc<Environment>) {
        let reference = ObjectRef::from_obj(&**environment);
        let key = Key::of(environment);
        match self.tasks.get_mut(&reference) {
            Some(task) if task.key.uid == key.uid => {
                if task.key != key {
                    task.key = key;
                    task.wake.notify_one();
                }
            }
            _ => {
                self.end(&reference);
                let memory = Memory::new(&self.context.cluster.uid, environment);
                let task = Task {
                    owner: memory.owner().id.clone(),
                    wake: memory.wake.clone(),
                    stop: self.stop.child_token(),
                    key,
                };
                self.context
                    .tracker
                    .register(&memory.owner().id, task.wake.clone());
                self.running.spawn(keep(
                    self.context.clone(),
                    reference.clone(),
                    memory,
                    task.stop.clone(),
                ));
                self.tasks.insert(reference, task);
            }
        }
    }

    fn end(&mut self, reference: &ObjectRef<Environment>) {
        if let Some(task) = self.tasks.remove(reference) {
            task.stop.cancel();
            self.context.tracker.unregister(&task.owner);
            self.context.metrics.forget(&format!(
                "{}/{}",
                reference.namespace.as_deref().unwrap_or_default(),
                reference.name
            ));
        }
    }
}

/// Whether the environment refers to the repository.
fn names(environment: &Environment, reference: &ObjectRef<Repository>) -> bool {
    let own = environment.namespace().unwrap_or_default();
    let (namespace, name) = environment
        .spec
        .repository
        .split_once('/')
        .unwrap_or((&own, &environment.spec.repository));
    reference.name == name && reference.namespace.as_deref() == Some(namespace)
}

/// Passes of one environment, one after the other, until `stop` or until it is gone. Its trouble delays nobody else.
async fn keep(
    context: Arc<Context>,
    reference: ObjectRef<Environment>,
    mut memory: Memory,
    stop: CancellationToken,
) {
    let wake = memory.wake.clone();
    let mut failures: u32 = 0;
    let mut asked: Option<String> = None;
    while let Some(environment) = context.environments.get(&reference) {
        let environment = memory.newest(environment);
        let sync = sync_requested(&*environment).map(str::to_owned);
        if sync != asked {
            failures = 0;
            asked = sync;
        }
        let started = Instant::now();
        let ended = AssertUnwindSafe(pass(&context, &environment, &mut memory))
            .catch_unwind()
            .await;
        let Next { at, retry } = ended.unwrap_or_else(|_| {
            // A fault of ours in one environment is no trouble of another: it starts from what is recorded.
            tracing::error!(
                environment = memory.owner().name,
                "the pass ended abnormally; it is tried again from what is recorded"
            );
            memory = memory.renewed(&context.cluster.uid, &environment);
            Next {
                at: None,
                retry: true,
            }
        });
        context
            .metrics
            .passed(&memory.owner().name, !retry, started.elapsed());
        if stop.is_cancelled() {
            break;
        }
        failures = if retry { failures.saturating_add(1) } else { 0 };
        let again = retry.then(|| {
            Instant::now()
                + Duration::from_secs(1 << (failures.min(9) - 1)).min(Duration::from_mins(5))
        });
        let due = [at, again].into_iter().flatten().min();
        tokio::select! {
            () = stop.cancelled() => break,
            () = wake.notified() => {
                // A burst of events makes a few passes, not one for each.
                let pause = Duration::from_millis(30).saturating_sub(started.elapsed());
                tokio::time::sleep(pause).await;
            }
            () = until(due) => {}
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
