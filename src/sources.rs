//! One task per Repository: asks the server for its refs, fetches what changed, and wakes the environments that refer to
//! it. Decides nothing about revisions.

mod task;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::api::{CommitRenders, Repository};
use crate::cluster::{Cluster, Events};
use crate::git::{Limits, Mirror, Refs};
use crate::metrics::Metrics;
use crate::status::sync_requested;

/// What was last fetched of a repository.
#[derive(Clone)]
pub struct Snapshot {
    pub refs: Arc<Refs>,
    pub mirror: Arc<Mirror>,
    /// Counts the changes of the refs.
    pub serial: u64,
}

/// What is known of a repository.
#[derive(Clone, Default)]
pub struct View {
    /// The last refs that were seen whole.
    pub snapshot: Option<Snapshot>,
    /// Why the last look failed.
    pub problem: Option<String>,
}

/// How the repositories are fetched.
#[derive(Clone)]
pub struct SourceConfig {
    /// Where the mirrors lie; they can be lost at any time.
    pub data: PathBuf,
    /// Whether `file://` repositories are allowed.
    pub allow_file: bool,
    pub limits: Limits,
}

/// All repositories of one agent.
pub struct Sources {
    cluster: Arc<Cluster>,
    events: Events,
    metrics: Arc<Metrics>,
    config: SourceConfig,
    state: Mutex<HashMap<ObjectRef<Repository>, Source>>,
}

struct Source {
    repository: Arc<Repository>,
    view: View,
    waiting: Vec<Weak<Notify>>,
    renders: Renders,
    signals: Arc<Signals>,
    stop: CancellationToken,
}

/// What the task of a repository waits for, beside time.
#[derive(Default)]
struct Signals {
    /// Look at the server at once.
    look: Notify,
    /// The count of renders changed.
    counted: Notify,
}

/// What the change number `serial` of the refs cost.
#[derive(Clone, Default)]
struct Renders {
    serial: u64,
    count: CommitRenders,
}

impl Renders {
    /// Counts an environment. One that comes late, of a change before, is no news.
    fn add(&mut self, serial: u64, commit: &str, rendered: bool) {
        if serial < self.serial {
            return;
        }
        if serial > self.serial {
            *self = Self {
                serial,
                count: CommitRenders::default(),
            };
        }
        commit.clone_into(&mut self.count.commit);
        self.count.environments += 1;
        self.count.rendered += i64::from(rendered);
    }
}

impl Sources {
    pub fn new(
        cluster: Arc<Cluster>,
        events: Events,
        metrics: Arc<Metrics>,
        config: SourceConfig,
    ) -> Arc<Self> {
        Arc::new(Self {
            cluster,
            events,
            metrics,
            config,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, HashMap<ObjectRef<Repository>, Source>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a repository; `None` if there is no such Repository. `wake` is notified when that changes.
    pub fn view(
        &self,
        reference: &ObjectRef<Repository>,
        wake: &Arc<Notify>,
    ) -> Option<(Arc<Repository>, View)> {
        let mut state = self.state();
        let source = state.get_mut(reference)?;
        source.waiting.retain(|known| known.strong_count() > 0);
        if !source
            .waiting
            .iter()
            .any(|known| known.as_ptr() == Arc::as_ptr(wake))
        {
            source.waiting.push(Arc::downgrade(wake));
        }
        Some((source.repository.clone(), source.view.clone()))
    }

    /// Asks for a look at the server at once.
    pub fn look(&self, reference: &ObjectRef<Repository>) {
        if let Some(source) = self.state().get(reference) {
            source.signals.look.notify_one();
        }
    }

    /// An environment chose `commit` after change `serial`, and had to be rendered for it or not.
    pub fn count_render(
        &self,
        reference: &ObjectRef<Repository>,
        serial: u64,
        commit: &str,
        rendered: bool,
    ) {
        let mut state = self.state();
        let Some(source) = state.get_mut(reference) else {
            return;
        };
        source.renders.add(serial, commit, rendered);
        source.signals.counted.notify_one();
    }

    /// Takes over a Repository as it is now, starting its task where it is new.
    pub fn set(self: &Arc<Self>, repository: Arc<Repository>, stop: &CancellationToken) {
        let reference = ObjectRef::from_obj(&*repository);
        let mut state = self.state();
        if let Some(source) = state.get_mut(&reference) {
            let changed = source.repository.metadata.generation != repository.metadata.generation;
            let asked = sync_requested(&*source.repository) != sync_requested(&*repository);
            source.repository = repository;
            if changed || asked {
                source.signals.look.notify_one();
            }
            if changed {
                // Who may refer to it may have changed.
                source.wake();
            }
            return;
        }
        let signals = Arc::<Signals>::default();
        let stop = stop.child_token();
        state.insert(
            reference.clone(),
            Source {
                repository,
                view: View::default(),
                waiting: Vec::new(),
                renders: Renders::default(),
                signals: signals.clone(),
                stop: stop.clone(),
            },
        );
        drop(state);
        tokio::spawn(task::run(self.clone(), reference, signals, stop));
    }

    /// Forgets a Repository that was deleted. Its environments keep what they have.
    pub fn remove(&self, reference: &ObjectRef<Repository>) {
        if let Some(source) = self.state().remove(reference) {
            source.stop.cancel();
            source.wake();
            let namespace = reference.namespace.as_deref().unwrap_or_default();
            self.metrics
                .forget_repository(&format!("{namespace}/{}", reference.name));
        }
    }

    fn publish(&self, reference: &ObjectRef<Repository>, view: View) {
        if let Some(source) = self.state().get_mut(reference) {
            source.view = view;
            source.wake();
        }
    }
}

impl Source {
    fn wake(&self) {
        for waker in &self.waiting {
            if let Some(waker) = waker.upgrade() {
                waker.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_late_does_not_undo_the_count_of_the_next_change() {
        let mut renders = Renders::default();
        renders.add(1, "a", true);
        renders.add(2, "b", true);
        renders.add(1, "a", true);
        renders.add(2, "b", false);
        assert_eq!(renders.serial, 2);
        assert_eq!(
            renders.count,
            CommitRenders {
                commit: "b".to_owned(),
                environments: 2,
                rendered: 1,
            }
        );
    }
}
