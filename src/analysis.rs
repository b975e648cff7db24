//! Evidence: makes the checks of rollouts when they are due, beside the passes, and wakes the next pass with their verdicts.
//! Must not decide what follows from them.

mod headers;
mod http;
mod job;
mod json;
mod probe;
mod prometheus;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::api::TrafficSpec;
use crate::cluster::{Cluster, Identity, Leadership};
use crate::object::Id;
use crate::rollout::machine::{Outcome, Verdict};
use crate::rollout::names::{Names, Side};
use crate::rollout::policy::{Check, Policy};
use headers::{Headers, redacted};

/// What checks are made against.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// What stands for `{{…}}`.
    pub names: Names,
    /// The ready pods of the canary.
    pub pods: Vec<Target>,
    /// The first digits of the change.
    pub change: String,
    /// What is gone when the rollout is over, and its UID: Jobs go with it.
    pub owner: Option<(Id, String)>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    pub ip: String,
    /// The first port of its first container.
    pub port: Option<u16>,
}

/// What a pod did wrong.
struct Fault {
    pod: Target,
    value: String,
}

/// The cluster, as an environment may act on it.
#[derive(Clone)]
pub struct Actor {
    pub cluster: Arc<Cluster>,
    pub leadership: Arc<Leadership>,
    pub identity: Identity,
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
    verdicts: Vec<(Id, Fallen)>,
}

/// A verdict that was not taken yet, and the pods that it blames.
struct Fallen {
    verdict: Verdict,
    faults: Vec<Fault>,
}

impl Fallen {
    /// The verdict, where these pods are ready by now: one that is taken away refuses what it is asked for.
    fn now(self, ready: &[Target]) -> Verdict {
        let Self {
            mut verdict,
            faults,
        } = self;
        if verdict.outcome != Outcome::Fail || faults.is_empty() {
            return verdict;
        }
        let mut still = faults.into_iter().filter(|it| ready.contains(&it.pod));
        if let Some(fault) = still.next() {
            verdict.value = fault.value;
        } else {
            verdict.outcome = Outcome::NoData;
            verdict.value.push_str("; it is not ready any more");
        }
        verdict
    }
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

    /// Starts the checks that are due; when the next is. Those that began before `since` count as not made, and one that looks
    /// back is first due when nothing of before `since` is in what it sees.
    pub fn make(
        &mut self,
        actor: &Actor,
        policy: &Policy,
        targets: &Targets,
        since: Timestamp,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        for check in &policy.checks {
            let key = (policy.workload.clone(), check.spec.name.clone());
            let due = due(check, self.started.get(&key).copied(), since, now);
            if due <= now {
                let work = Work {
                    actor: actor.clone(),
                    check: check.clone(),
                    traffic: policy.traffic.clone(),
                    targets: targets.clone(),
                    since,
                    now,
                };
                self.start(key, work);
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

    fn start(&mut self, key: Key, work: Work) {
        {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            // One that takes longer than its interval is not made twice at once.
            if !shared.under_way.insert(key.clone()) {
                return;
            }
        }
        self.started.insert(key.clone(), work.now);
        let (shared, wake) = (self.shared.clone(), self.wake.clone());
        tokio::spawn(async move {
            let Seen {
                outcome,
                value,
                began,
                faults,
            } = work.verdict().await;
            let verdict = Verdict {
                check: work.check.spec.name,
                outcome,
                value,
                at: began,
            };
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.under_way.remove(&key);
            shared.verdicts.push((key.0, Fallen { verdict, faults }));
            drop(shared);
            wake.notify_one();
        });
    }

    /// The verdicts of a workload's checks since they were taken last, in order; `ready` are the canary's pods now.
    pub fn take(&mut self, workload: &Id, ready: &[Target]) -> Vec<Verdict> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, left) = std::mem::take(&mut shared.verdicts)
            .into_iter()
            .partition(|(id, _)| id == workload);
        shared.verdicts = left;
        let taken: Vec<(Id, Fallen)> = taken;
        taken.into_iter().map(|(_, it)| it.now(ready)).collect()
    }
}

/// When a check is due that was last started then. A clock that was set back knows nothing of what it calls the future.
fn due(check: &Check, started: Option<Timestamp>, since: Timestamp, now: Timestamp) -> Timestamp {
    let since = if since > now { Timestamp::MIN } else { since };
    let later = |time: Timestamp, by| time.checked_add(by).unwrap_or(Timestamp::MAX);
    match started.filter(|started| (since..=now).contains(started)) {
        Some(started) => later(started, check.interval),
        None => later(since, check.looks_back()).max(now),
    }
}

/// One check to be made.
struct Work {
    actor: Actor,
    check: Check,
    traffic: Option<TrafficSpec>,
    targets: Targets,
    since: Timestamp,
    now: Timestamp,
}

/// What came of it.
struct Seen {
    outcome: Outcome,
    value: String,
    began: Timestamp,
    faults: Vec<Fault>,
}

impl Work {
    async fn verdict(&self) -> Seen {
        if let Some(job) = &self.check.job {
            return job::run(self, job.as_ref()).await;
        }
        let mut faults = Vec::new();
        let (outcome, value) = self.answer(&mut faults).await;
        Seen {
            outcome,
            value,
            began: self.now,
            faults,
        }
    }

    async fn answer(&self, faults: &mut Vec<Fault>) -> (Outcome, String) {
        let spec = &self.check.spec;
        let wanted = [
            spec.http.as_ref().map(|check| &check.headers),
            spec.prometheus.as_ref().map(|check| &check.headers),
            spec.json.as_ref().map(|check| &check.headers),
        ];
        let wanted = wanted.into_iter().flatten().flatten();
        let headers: Headers =
            match headers::resolve(&self.actor, &self.targets.names.namespace, wanted).await {
                Ok(headers) => headers,
                Err(why) => return (Outcome::NoData, why),
            };
        let (outcome, value) = if let Some(http) = &spec.http {
            let (answer, of_pods) = probe::probe(http, &headers, &self.targets.pods).await;
            faults.extend(of_pods.into_iter().map(|fault| Fault {
                value: redacted(fault.value, &headers),
                ..fault
            }));
            answer
        } else if let Some(check) = &spec.prometheus {
            let traffic = self.traffic.as_ref();
            prometheus::query(check, traffic, &headers, &self.targets.names, self.now).await
        } else if let Some(check) = &spec.json {
            let fill = |text: &str| self.fill(text);
            json::ask(check, &headers, fill).await
        } else {
            (Outcome::NoData, "the check says nothing".to_owned())
        };
        // A server may repeat in its answer what it was sent.
        (outcome, redacted(value, &headers))
    }

    /// The names of the canary's side in a text.
    fn fill(&self, text: &str) -> String {
        let names = &self.targets.names;
        names.fill(text, Side::Canary, Duration::from_mins(1))
    }
}

#[cfg(test)]
mod tests;
