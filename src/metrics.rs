//! What Prometheus sees of the agent. Owns every metric and its labels, whose values are names of our objects or one of a
//! closed set; must not be asked for a decision. docs/metrics.md lists them, checked by a test.

mod labels;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::api::EnvironmentStatus;
pub use labels::Webhook;
use labels::{
    Environment, EnvironmentOutcome, Outcome, Repository, RepositoryOutcome, Transition,
    WebhookOutcome, Workload,
};

/// The media type of [`Metrics::exposition`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// Everything that is measured. Environments and repositories are named `namespace/name`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    leader: Gauge,
    passes: Family<EnvironmentOutcome, Counter>,
    pass_duration: Histogram,
    renders: Family<Environment, Counter>,
    applied: Family<Environment, Counter>,
    deleted: Family<Environment, Counter>,
    drifts: Family<Environment, Counter>,
    ready: Family<Environment, Gauge>,
    objects: Family<Environment, Gauge>,
    failures: Family<Environment, Gauge>,
    held: Family<Environment, Gauge>,
    looks: Family<RepositoryOutcome, Counter>,
    look_duration: Family<Repository, Histogram, fn() -> Histogram>,
    webhooks: Family<WebhookOutcome, Counter>,
    transitions: Family<Transition, Counter>,
    weight: Family<Workload, Gauge>,
    /// Which of these two have values, by environment.
    rollouts: Mutex<BTreeMap<String, Rollouts>>,
}

#[derive(Debug, Default)]
struct Rollouts {
    reasons: BTreeSet<&'static str>,
    workloads: BTreeSet<String>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("driftless");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of the agent", build);
        let r = &mut registry;
        Self {
            leader: add(r, "leader", "1 while this replica leads"),
            passes: add(
                r,
                "passes",
                "Passes of an environment; an error is tried again",
            ),
            pass_duration: seconds(
                r,
                "pass_duration",
                "The time that a pass takes",
                histogram(),
            ),
            renders: add(
                r,
                "renders",
                "Renders of an environment: commits that changed what it reads",
            ),
            applied: add(r, "applied_objects", "Objects that were written"),
            deleted: add(r, "deleted_objects", "Objects that were pruned"),
            drifts: add(
                r,
                "drift_repairs",
                "Objects that somebody changed and that were put back",
            ),
            ready: add(
                r,
                "environment_ready",
                "1 while the condition Ready is True",
            ),
            objects: add(r, "environment_objects", "Objects in the inventory"),
            failures: add(
                r,
                "environment_failures",
                "Objects that are not healthy or were refused",
            ),
            held: add(
                r,
                "environment_held",
                "Objects or revisions that wait for a person",
            ),
            looks: add(
                r,
                "repository_looks",
                "Listings of a Git server's refs, with the fetch where they changed",
            ),
            look_duration: seconds(
                r,
                "repository_look_duration",
                "The time that a listing takes, with the fetch where something changed",
                Family::new_with_constructor(histogram as fn() -> Histogram),
            ),
            webhooks: add(r, "webhooks", "Requests to /hooks/ and what became of them"),
            transitions: add(
                r,
                "rollout_transitions",
                "Transitions of rollouts, by the reason of their Event",
            ),
            weight: add(
                r,
                "rollout_weight_percent",
                "The canary's share while a rollout is under way, as it is written or as whole pods allow",
            ),
            rollouts: Mutex::default(),
            registry,
        }
    }
}

impl Metrics {
    /// The text that Prometheus reads.
    #[expect(clippy::missing_panics_doc, reason = "a String takes any text")]
    pub fn exposition(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("a String takes any text");
        text
    }

    /// Whether this replica leads now.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// A pass ended; `ok`: it need not be tried again.
    pub fn passed(&self, environment: &str, ok: bool, took: Duration) {
        let labels = EnvironmentOutcome {
            environment: environment.to_owned(),
            outcome: Outcome::of(ok),
        };
        self.passes.get_or_create(&labels).inc();
        self.pass_duration.observe(took.as_secs_f64());
    }

    pub fn rendered(&self, environment: &str) {
        self.renders
            .get_or_create(&Environment::of(environment))
            .inc();
    }

    pub fn applied(&self, environment: &str) {
        self.applied
            .get_or_create(&Environment::of(environment))
            .inc();
    }

    pub fn deleted(&self, environment: &str) {
        self.deleted
            .get_or_create(&Environment::of(environment))
            .inc();
    }

    pub fn drift_repaired(&self, environment: &str) {
        self.drifts
            .get_or_create(&Environment::of(environment))
            .inc();
    }

    /// What the status of an environment says now.
    pub fn environment(&self, environment: &str, status: &EnvironmentStatus) {
        let labels = Environment::of(environment);
        let ready = status
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        self.ready.get_or_create(&labels).set(i64::from(ready));
        self.objects
            .get_or_create(&labels)
            .set(status.inventory.count);
        self.failures
            .get_or_create(&labels)
            .set(count(status.failures.len()));
        self.held
            .get_or_create(&labels)
            .set(count(status.held.len()));
        let mut rollouts = self.rollouts();
        let known = rollouts.entry(environment.to_owned()).or_default();
        let labels = |workload: &str| Workload {
            environment: environment.to_owned(),
            workload: workload.to_owned(),
        };
        let mut present = BTreeSet::new();
        for rollout in &status.rollouts {
            let weight = rollout.achieved_weight.unwrap_or(rollout.weight);
            self.weight
                .get_or_create(&labels(&rollout.workload))
                .set(i64::from(weight));
            present.insert(rollout.workload.clone());
        }
        for gone in known.workloads.difference(&present) {
            self.weight.remove(&labels(gone));
        }
        known.workloads = present;
    }

    /// A rollout went on; `reason` is that of the Event.
    pub fn rollout_went_on(&self, environment: &str, reason: &'static str) {
        let mut rollouts = self.rollouts();
        let known = rollouts.entry(environment.to_owned()).or_default();
        known.reasons.insert(reason);
        let labels = Transition {
            environment: environment.to_owned(),
            reason,
        };
        self.transitions.get_or_create(&labels).inc();
    }

    fn rollouts(&self) -> MutexGuard<'_, BTreeMap<String, Rollouts>> {
        self.rollouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The environment is gone: it has no values any more.
    pub fn forget(&self, environment: &str) {
        let labels = Environment::of(environment);
        for family in [&self.renders, &self.applied, &self.deleted, &self.drifts] {
            family.remove(&labels);
        }
        for family in [&self.ready, &self.objects, &self.failures, &self.held] {
            family.remove(&labels);
        }
        for outcome in [Outcome::Ok, Outcome::Error] {
            self.passes.remove(&EnvironmentOutcome {
                environment: environment.to_owned(),
                outcome,
            });
        }
        let known = self.rollouts().remove(environment).unwrap_or_default();
        for reason in known.reasons {
            self.transitions.remove(&Transition {
                environment: environment.to_owned(),
                reason,
            });
        }
        for workload in known.workloads {
            self.weight.remove(&Workload {
                environment: environment.to_owned(),
                workload,
            });
        }
    }

    /// A Git server was asked for its refs, and for what was new.
    pub fn looked(&self, repository: &str, ok: bool, took: Duration) {
        let labels = RepositoryOutcome {
            repository: repository.to_owned(),
            outcome: Outcome::of(ok),
        };
        self.looks.get_or_create(&labels).inc();
        let labels = Repository {
            repository: repository.to_owned(),
        };
        self.look_duration
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// The repository is gone: it has no values any more.
    pub fn forget_repository(&self, repository: &str) {
        for outcome in [Outcome::Ok, Outcome::Error] {
            self.looks.remove(&RepositoryOutcome {
                repository: repository.to_owned(),
                outcome,
            });
        }
        self.look_duration.remove(&Repository {
            repository: repository.to_owned(),
        });
    }

    /// A request came to `/hooks/`.
    pub fn webhook(&self, outcome: Webhook) {
        self.webhooks
            .get_or_create(&WebhookOutcome { outcome })
            .inc();
    }
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn seconds<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}
