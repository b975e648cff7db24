//! Evidence: makes the checks of rollouts when they are due, beside the passes, and wakes the next pass with their verdicts.
//! Must not decide what follows from them.

mod http;
mod probe;
mod prometheus;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::object::Id;
use crate::rollout::machine::{Outcome, Verdict};
use crate::rollout::policy::{Check, Policy};

/// What checks are made against.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// The names that stand for `{{…}}` in queries.
    pub names: Vec<(&'static str, String)>,
    /// The ready pods of the canary.
    pub pods: Vec<Target>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    pub ip: String,
    /// The first port of its first container.
    pub port: Option<u16>,
}

type Key = (Id, String);

/// The checks of one environment.
pub struct Analysis {
    wake: Arc<Notify>,
    shared: Arc<Mutex<Shared>>,
    started: HashMap<Key, Timestamp>,
}

#[derive(Default)]
struct Shared {
    under_way: HashSet<Key>,
    verdicts: Vec<(Id, Verdict)>,
}

impl Analysis {
    /// `wake` is notified of every verdict.
    pub fn new(wake: Arc<Notify>) -> Self {
        Self {
            wake,
            shared: Arc::default(),
            started: HashMap::new(),
        }
    }

    /// Starts the checks that are due; when the next is. Those that began before `since` count as not made.
    pub fn make(
        &mut self,
        policy: &Policy,
        targets: &Targets,
        since: Timestamp,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        for check in &policy.checks {
            let key = (policy.workload.clone(), check.spec.name.clone());
            let due = self
                .started
                .get(&key)
                .filter(|started| **started >= since)
                .and_then(|started| started.checked_add(check.interval).ok())
                .unwrap_or(now);
            if due <= now {
                self.start(key, check, targets, now);
            }
            let after = if due <= now {
                now.checked_add(check.interval).unwrap_or(Timestamp::MAX)
            } else {
                due
            };
            next = Some(next.map_or(after, |next| next.min(after)));
        }
        next
    }

    fn start(&mut self, key: Key, check: &Check, targets: &Targets, now: Timestamp) {
        {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            // One that takes longer than its interval is not made twice at once.
            if !shared.under_way.insert(key.clone()) {
                return;
            }
        }
        self.started.insert(key.clone(), now);
        let (shared, wake) = (self.shared.clone(), self.wake.clone());
        let (spec, targets) = (check.spec.clone(), targets.clone());
        tokio::spawn(async move {
            let (outcome, value) = match (&spec.http, &spec.prometheus) {
                (Some(http), _) => probe::probe(http, &targets.pods).await,
                (None, Some(prometheus)) => prometheus::query(prometheus, &targets.names).await,
                (None, None) => (Outcome::NoData, "the check says nothing".to_owned()),
            };
            let verdict = Verdict {
                check: spec.name,
                outcome,
                value,
                at: now,
            };
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.under_way.remove(&key);
            shared.verdicts.push((key.0, verdict));
            drop(shared);
            wake.notify_one();
        });
    }

    /// The verdicts of a workload's checks since they were taken last, in order.
    pub fn take(&mut self, workload: &Id) -> Vec<Verdict> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, left) = std::mem::take(&mut shared.verdicts)
            .into_iter()
            .partition(|(id, _)| id == workload);
        shared.verdicts = left;
        let taken: Vec<(Id, Verdict)> = taken;
        taken.into_iter().map(|(_, verdict)| verdict).collect()
    }
}
