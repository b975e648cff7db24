//! When what is wrong becomes a verdict. Must not find out what is wrong.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::pods::{SLOW, STEADY};
use super::read::condition;
use super::{Finding, Gravity, Health, Reason};
use crate::api::ObjectFailure;
use crate::object::Object;

/// The most failures that one object may list: thousands of pods fail for few reasons.
const FAILURES: usize = 10;

/// The times of one object's wait.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// When the wait began: when this content was applied or, later, when the object ceased to be healthy.
    pub started: Timestamp,
    pub now: Timestamp,
    /// How long it may take to become healthy.
    pub timeout: Duration,
    /// How long something that can heal by itself is waited for.
    pub grace: Duration,
}

/// What to do about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    Healthy,
    /// Wait.
    Progressing {
        /// What is known so far; never empty.
        failures: Vec<ObjectFailure>,
        /// Look again then, even if nothing happens: a limit ends, or something slow gets its name.
        recheck_at: Option<Timestamp>,
    },
    /// The verdict.
    Failed {
        failures: Vec<ObjectFailure>,
    },
}

/// Weighs an object's own word and its pods' against the time it has had.
///
/// - What cannot heal is a verdict at once.
/// - What can is waited for until `grace` has passed since it began, however long `timeout` is.
/// - Everything else has until `timeout`.
pub fn settle(
    object: &Object,
    health: Health,
    findings: &[Finding],
    progress: Progress,
) -> Settled {
    let (reason, message) = match health {
        Health::Current if !unsteady(object, findings) => return Settled::Healthy,
        Health::Current => (
            Reason::RolloutInProgress,
            "its pods are not steady yet".to_owned(),
        ),
        Health::Failed { reason, message } if !is_revocable(object, reason, findings, progress) => {
            let own = (reason, message);
            return Settled::Failed {
                failures: failures(object, findings, &own, None, true),
            };
        }
        Health::Failed { reason, message } | Health::InProgress { reason, message } => {
            (reason, message)
        }
        Health::Terminating => (Reason::Terminating, "it is being deleted".to_owned()),
    };
    let own = (reason, message);
    let failed = |after: Option<Duration>| Settled::Failed {
        failures: failures(object, findings, &own, after, false),
    };
    let waits: Vec<Timestamp> = findings
        .iter()
        .filter(|finding| finding.gravity == Gravity::Waiting)
        .map(|finding| later(began(finding, progress), progress.grace))
        .collect();
    let limit = later(progress.started, progress.timeout);
    if findings
        .iter()
        .any(|finding| finding.gravity == Gravity::Verdict)
    {
        return failed(None);
    }
    if waits.iter().any(|end| *end <= progress.now) {
        return failed(Some(progress.grace));
    }
    if waits.is_empty() && limit <= progress.now {
        return failed(Some(progress.timeout));
    }
    let steady = findings
        .iter()
        .filter(|finding| finding.reason == Reason::Restarted)
        .filter_map(|finding| finding.since?.checked_add(STEADY).ok());
    let recheck_at = waits
        .iter()
        .copied()
        .chain([limit, next_look(progress)])
        .chain(steady)
        .filter(|time| *time > progress.now)
        .min();
    Settled::Progressing {
        failures: failures(object, findings, &own, None, false),
        recheck_at,
    }
}

/// A workload that says it is ready while its new pods crash, or did a moment ago, is between two restarts. A Job that is
/// done is done.
fn unsteady(object: &Object, findings: &[Finding]) -> bool {
    object.kind() != "Job"
        && findings
            .iter()
            .any(|finding| finding.container.is_some() || finding.gravity != Gravity::Named)
}

/// A progress deadline is only a limit of time: it says nothing where its cause can still heal, and nothing about this
/// content if it passed before this content was applied.
fn is_revocable(object: &Object, reason: Reason, findings: &[Finding], progress: Progress) -> bool {
    if reason != Reason::ProgressDeadlineExceeded {
        return false;
    }
    let passed = condition(object, "Progressing").and_then(|found| found.updated.or(found.since));
    // Kubernetes' times have whole seconds.
    let is_stale = passed.is_some_and(|passed| passed.as_second() < progress.started.as_second());
    is_stale
        || findings
            .iter()
            .any(|finding| finding.gravity == Gravity::Waiting)
}

/// When a finding's wait began. A time in the future is a clock that is wrong.
fn began(finding: &Finding, progress: Progress) -> Timestamp {
    finding
        .since
        .filter(|since| *since <= progress.now)
        .map_or(progress.started, |since| since.max(progress.started))
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| time.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

/// What only time shows (a slow start) is looked for after 15, 30, 60… seconds.
fn next_look(progress: Progress) -> Timestamp {
    let waited = progress.now.duration_since(progress.started);
    let mut step = SLOW;
    while step <= waited {
        step = step.saturating_mul(2);
    }
    progress.started.checked_add(step).unwrap_or(Timestamp::MAX)
}

/// The findings, alike ones of several pods as one. The object's own word is added where they say nothing, and put first
/// where it gave up (`gave_up`). `after`: the limit that made it a verdict.
fn failures(
    object: &Object,
    findings: &[Finding],
    own: &(Reason, String),
    after: Option<Duration>,
    gave_up: bool,
) -> Vec<ObjectFailure> {
    let name = object.id().to_string();
    let suffix = after.map_or_else(String::new, |after| {
        format!(" (still so after {})", crate::api::HumanDuration(after))
    });
    let mut listed: Vec<(&Finding, usize)> = Vec::new();
    for finding in findings {
        match listed.iter_mut().find(|(other, _)| {
            (other.reason, &other.container, other.gravity)
                == (finding.reason, &finding.container, finding.gravity)
        }) {
            Some((_, pods)) => *pods += 1,
            None => listed.push((finding, 1)),
        }
    }
    let mut failures: Vec<ObjectFailure> = listed
        .into_iter()
        .take(FAILURES)
        .map(|(finding, pods)| {
            let pod = match (finding.pod.as_str(), pods) {
                ("", _) => String::new(),
                (pod, _) if pod == object.name() => String::new(),
                (pod, 1) => format!("pod {pod}: "),
                (pod, 2) => format!("pod {pod} and 1 other: "),
                (pod, pods) => format!("pod {pod} and {} others: ", pods - 1),
            };
            ObjectFailure {
                object: name.clone(),
                container: finding.container.clone(),
                reason: finding.reason.as_str().to_owned(),
                message: format!("{pod}{}{suffix}", finding.message),
            }
        })
        .collect();
    let (reason, message) = own;
    let says_more = failures
        .iter()
        .all(|failure| failure.reason != reason.as_str());
    if failures.is_empty() || gave_up && says_more {
        let own = ObjectFailure {
            object: name,
            container: None,
            reason: reason.as_str().to_owned(),
            message: format!("{message}{suffix}"),
        };
        failures.insert(0, own);
    }
    failures
}
