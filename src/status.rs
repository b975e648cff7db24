//! What a pass found, as the status that people read. Pure: the time comes in, nothing is written here.

mod history;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;

use crate::api::{
    EnvironmentStatus, HeldObject, NextRevision, ObjectFailure, RenderSettings, RevisionStatus,
    RolloutStatus,
};
use crate::inventory::Inventory;
use crate::object::SYNC_ANNOTATION;

pub use history::{TakenBack, newest_applied};

/// How far the objects of the revision are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is applied yet.
    #[default]
    None,
    /// Applied in part, or not healthy yet.
    Progressing,
    /// Everything is applied and healthy.
    Healthy,
    /// Something will not become healthy.
    Failed,
}

/// Why the wanted revision is not what the cluster has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One word from the documented list.
    pub reason: &'static str,
    pub message: String,
    /// The wanted revision itself is not known (and not just refused).
    pub unknown: bool,
    /// It waits for a person.
    pub held: bool,
}

impl Problem {
    /// The repository is only about to be looked at for the first time.
    pub const PENDING: &'static str = "RepositoryPending";

    /// Whether the next moments will tell.
    pub fn is_only_early(&self) -> bool {
        self.reason == Self::PENDING
    }
}

/// What a pass found and did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub generation: Option<i64>,
    pub suspended: bool,
    /// The revision that is kept, and the hash of its objects.
    pub revision: Option<RevisionStatus>,
    pub hash: Option<String>,
    pub settings: Option<RenderSettings>,
    pub problem: Option<Problem>,
    pub next: Option<NextRevision>,
    pub progress: Progress,
    pub failures: Vec<ObjectFailure>,
    pub held: Vec<HeldObject>,
    pub deletions: Option<String>,
    pub inventory: Inventory,
    pub renders: i64,
    pub sync: Option<String>,
    pub approved_by: Option<String>,
    pub rollouts: Vec<RolloutStatus>,
    /// The revisions that rollouts took back now, with the reason.
    pub taken_back: Vec<TakenBack>,
}

/// The status after this report. Equal reports give equal statuses, whatever the time.
pub fn status(before: &EnvironmentStatus, report: &Report, now: Timestamp) -> EnvironmentStatus {
    let mut conditions = before.conditions.clone();
    for condition in [
        ready(report),
        healthy(report),
        progressing(report),
        held(report),
        suspended(report),
    ] {
        set_condition(&mut conditions, condition, now);
    }
    EnvironmentStatus {
        observed_generation: report.generation,
        conditions,
        revision: report.revision.clone(),
        hash: report.hash.clone(),
        settings: report.settings.clone(),
        next: report.next.clone(),
        failures: report.failures.clone(),
        held: report.held.clone(),
        deletions: report.deletions.clone(),
        renders: report.renders,
        inventory: report.inventory.to_status(),
        rollouts: report.rollouts.clone(),
        history: history::history(&before.history, report, now),
        last_sync: report.sync.clone(),
    }
}

fn short(report: &Report) -> &str {
    report
        .revision
        .as_ref()
        .map_or("nothing", |revision| &revision.short)
}

fn ready(report: &Report) -> Condition {
    let generation = report.generation;
    if report.suspended {
        let message = format!("suspended; the cluster is left at {}", short(report));
        return condition("Ready", "Unknown", "Suspended", &message, generation);
    }
    if let Some(problem) = &report.problem {
        let kept = match &report.revision {
            Some(revision) => format!("; {} is kept", revision.short),
            None => "; nothing was applied".to_owned(),
        };
        let status = if problem.unknown { "Unknown" } else { "False" };
        let message = format!("{}{kept}", problem.message);
        return condition("Ready", status, problem.reason, &message, generation);
    }
    match report.progress {
        Progress::Healthy if report.held.is_empty() => condition(
            "Ready",
            "True",
            "Applied",
            &format!("{} is applied and healthy", short(report)),
            generation,
        ),
        Progress::Healthy => {
            let message = format!(
                "{} is applied and healthy; {}",
                short(report),
                held_message(report)
            );
            condition("Ready", "True", "Held", &message, generation)
        }
        Progress::Failed => condition(
            "Ready",
            "False",
            "Failed",
            &failure_message(report),
            generation,
        ),
        Progress::Progressing | Progress::None => condition(
            "Ready",
            "False",
            "Progressing",
            &failure_message(report),
            generation,
        ),
    }
}

fn healthy(report: &Report) -> Condition {
    let (status, reason, message) = match report.progress {
        Progress::Healthy => ("True", "Healthy", "every object is healthy".to_owned()),
        Progress::Failed => ("False", "Failed", failure_message(report)),
        Progress::Progressing => ("Unknown", "Progressing", failure_message(report)),
        Progress::None => ("Unknown", "Pending", "nothing is applied yet".to_owned()),
    };
    condition("Healthy", status, reason, &message, report.generation)
}

fn progressing(report: &Report) -> Condition {
    if report.progress == Progress::Progressing && !report.suspended {
        condition(
            "Progressing",
            "True",
            "Progressing",
            &failure_message(report),
            report.generation,
        )
    } else {
        condition(
            "Progressing",
            "False",
            "Settled",
            "nothing is under way",
            report.generation,
        )
    }
}

fn held(report: &Report) -> Condition {
    if report.held.is_empty() && !report.problem.as_ref().is_some_and(|problem| problem.held) {
        return condition(
            "Held",
            "False",
            "Nothing",
            "nothing is held back",
            report.generation,
        );
    }
    condition(
        "Held",
        "True",
        "WaitsForApproval",
        &held_message(report),
        report.generation,
    )
}

fn suspended(report: &Report) -> Condition {
    if report.suspended {
        condition(
            "Suspended",
            "True",
            "Suspended",
            "spec.suspend is true; nothing is applied, repaired or deleted",
            report.generation,
        )
    } else {
        condition(
            "Suspended",
            "False",
            "Running",
            "the environment is kept",
            report.generation,
        )
    }
}

fn held_message(report: &Report) -> String {
    match (report.held.as_slice(), &report.problem) {
        ([], Some(problem)) => problem.message.clone(),
        ([], None) => String::new(),
        ([one], _) => format!("{} of {} is held: {}", one.action, one.object, one.reason),
        ([first, rest @ ..], _) => {
            format!(
                "{} and {} more are held, the first ({} of {}): {}",
                first.object,
                rest.len(),
                first.action,
                first.object,
                first.reason
            )
        }
    }
}

fn failure_message(report: &Report) -> String {
    let Some(first) = report.failures.first() else {
        return format!("{} is being applied", short(report));
    };
    let container = first.container.as_ref().map_or(String::new(), |container| {
        format!(", container {container}")
    });
    let more = match report.failures.len() {
        0 | 1 => String::new(),
        several => format!(" (and {} more)", several - 1),
    };
    format!(
        "{}{container}: {}: {}{more}",
        first.object, first.reason, first.message
    )
}

/// A condition without a time: [`set_condition`] gives it one.
pub fn condition(
    type_: &str,
    status: &str,
    reason: &str,
    message: &str,
    generation: Option<i64>,
) -> Condition {
    let mut message = message.to_owned();
    if message.len() > 4096 {
        let mut end = 4096;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push('…');
    }
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

/// Puts a condition among the others; its time moves only where its status does.
pub fn set_condition(conditions: &mut Vec<Condition>, mut new: Condition, now: Timestamp) {
    match conditions.iter_mut().find(|known| known.type_ == new.type_) {
        Some(known) => {
            new.last_transition_time = if known.status == new.status {
                known.last_transition_time.clone()
            } else {
                Time(now)
            };
            *known = new;
        }
        None => {
            new.last_transition_time = Time(now);
            conditions.push(new);
        }
    }
}

/// The condition of this type.
pub fn find_condition<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// The value of the annotation that asks for a pass.
pub fn sync_requested<K: ResourceExt>(object: &K) -> Option<&str> {
    object
        .annotations()
        .get(SYNC_ANNOTATION)
        .map(String::as_str)
}
