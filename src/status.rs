//! What a pass found, as the status that people read. Pure: the time comes in, nothing is written here.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;

use crate::api::{
    EnvironmentStatus, HeldObject, HistoryEntry, NextRevision, ObjectFailure, Outcome,
    RenderSettings, RevisionStatus, RolloutStatus,
};
use crate::inventory::Inventory;
use crate::object::SYNC_ANNOTATION;

/// How many revisions the history keeps.
const HISTORY: usize = 10;

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

/// A revision that a rollout took back.
#[derive(Clone, Debug)]
pub struct TakenBack {
    pub revision: RevisionStatus,
    pub hash: String,
    /// Of which workload, and why.
    pub message: String,
}

/// The entry of the revision that was applied last.
pub fn newest_applied(history: &[HistoryEntry]) -> Option<&HistoryEntry> {
    history
        .iter()
        .find(|entry| entry.outcome != Outcome::TakenBack)
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
        history: history(&before.history, report, now),
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

fn history(before: &[HistoryEntry], report: &Report, now: Timestamp) -> Vec<HistoryEntry> {
    let mut history = before.to_vec();
    for taken in &report.taken_back {
        let entry = HistoryEntry {
            revision: taken.revision.clone(),
            hash: taken.hash.clone(),
            outcome: Outcome::TakenBack,
            taken_back_at: Some(Time(now)),
            message: Some(taken.message.clone()),
            ..HistoryEntry::default()
        };
        history.insert(0, entry);
    }
    apply(&mut history, report, now);
    while history.len() > HISTORY {
        let last = history.len() - 1;
        // However often changes are taken back, what is applied is known.
        let is_newest = newest_applied(&history[..last]).is_none();
        history.remove(last - usize::from(is_newest));
    }
    history
}

/// What became of the revision that is applied.
fn apply(history: &mut Vec<HistoryEntry>, report: &Report, now: Timestamp) {
    let (Some(revision), Some(hash)) = (&report.revision, &report.hash) else {
        return;
    };
    let outcome = match report.progress {
        Progress::None => return,
        Progress::Progressing => Outcome::Progressing,
        Progress::Healthy => Outcome::Healthy,
        Progress::Failed => Outcome::Failed,
    };
    let applied = |entry: &HistoryEntry| entry.outcome != Outcome::TakenBack;
    let mut newest = history.iter().position(applied);
    let same = newest.is_some_and(|newest| {
        let newest = &history[newest];
        newest.hash == *hash && newest.revision.commit == revision.commit
    });
    if !same {
        if let Some(newest) = newest.and_then(|newest| history.get_mut(newest))
            && newest.outcome == Outcome::Progressing
        {
            newest.outcome = Outcome::Superseded;
        }
        history.insert(
            0,
            HistoryEntry {
                revision: revision.clone(),
                hash: hash.clone(),
                applied_at: Some(Time(now)),
                approved_by: report.approved_by.clone(),
                ..HistoryEntry::default()
            },
        );
        newest = Some(0);
    }
    if let Some(newest) = newest.and_then(|newest| history.get_mut(newest)) {
        // Deletions are approved after their revision was taken.
        if newest.approved_by.is_none() {
            newest.approved_by.clone_from(&report.approved_by);
        }
        // What was healthy once stays so in the history: later trouble is the cluster's, not the revision's.
        if newest.outcome != Outcome::Healthy {
            newest.outcome = outcome;
            newest.message = (outcome == Outcome::Failed).then(|| failure_message(report));
            if outcome == Outcome::Healthy {
                newest.healthy_at = Some(Time(now));
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The history after a healthy pass over this commit.
    fn after(
        before: &[HistoryEntry],
        commit: &str,
        approved_by: Option<&str>,
    ) -> Vec<HistoryEntry> {
        let report = Report {
            revision: Some(RevisionStatus {
                commit: commit.to_owned(),
                ..RevisionStatus::default()
            }),
            hash: Some("hash".to_owned()),
            progress: Progress::Healthy,
            approved_by: approved_by.map(str::to_owned),
            ..Report::default()
        };
        history(before, &report, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn who_approved_a_revisions_deletions_stands_beside_it() {
        let applied = after(&[], "a", None);
        let approved = after(&applied, "a", Some("alice"));
        let next = after(&approved, "b", None);
        let by: Vec<_> = next
            .iter()
            .map(|entry| entry.approved_by.as_deref())
            .collect();
        assert_eq!(by, [None, Some("alice")]);
    }

    #[test]
    fn what_was_taken_back_stands_in_front_of_what_stays_applied() {
        let taken = |commit: &str| TakenBack {
            revision: RevisionStatus {
                commit: commit.to_owned(),
                ..RevisionStatus::default()
            },
            hash: "other".to_owned(),
            message: "check errors failed 3 times at 25 %: 0.2 is more than 0.01".to_owned(),
        };
        let report = |commit: &str, taken_back: Vec<TakenBack>| Report {
            revision: Some(RevisionStatus {
                commit: commit.to_owned(),
                ..RevisionStatus::default()
            }),
            hash: Some("hash".to_owned()),
            progress: Progress::Healthy,
            taken_back,
            ..Report::default()
        };
        let now = Timestamp::UNIX_EPOCH;
        let mut seen = after(&[], "a", None);
        seen = history(&seen, &report("a", vec![taken("b")]), now);
        // The next passes over the same revision change nothing.
        let again = history(&seen, &report("a", Vec::new()), now);
        assert_eq!(seen, again);
        assert_eq!(newest_applied(&seen).unwrap().revision.commit, "a");
        seen = history(&seen, &report("c", Vec::new()), now);
        let told: Vec<_> = seen
            .iter()
            .map(|entry| (entry.revision.commit.as_str(), entry.outcome))
            .collect();
        assert_eq!(
            told,
            [
                ("c", Outcome::Healthy),
                ("b", Outcome::TakenBack),
                ("a", Outcome::Healthy)
            ]
        );
        assert!(seen[1].message.as_ref().unwrap().contains("0.2"));
        for number in 0..20 {
            seen = history(&seen, &report("c", vec![taken(&number.to_string())]), now);
        }
        assert_eq!(seen.len(), HISTORY);
        assert_eq!(seen[0].revision.commit, "19");
        let applied = newest_applied(&seen).unwrap();
        assert_eq!(applied.revision.commit, "c");
        assert_eq!(seen.last(), Some(applied));
    }
}
