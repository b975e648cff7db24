//! The rules of the kinds that run pods, from the workload alone. Must not look at pods: see [`super::pods`].

use super::read::{condition, count, flag, int, text};
use super::{Health, Reason, pods};
use crate::object::Object;

fn rollout(message: String) -> Health {
    Health::InProgress {
        reason: Reason::RolloutInProgress,
        message,
    }
}

/// `spec.replicas`, whose default is 1.
fn wanted(object: &Object) -> i64 {
    int(object, "/spec/replicas").unwrap_or(1)
}

/// The first count that falls short, in words.
fn shortfall(counts: &[(i64, &str)], wanted: i64) -> Option<Health> {
    counts
        .iter()
        .find(|(has, _)| *has < wanted)
        .map(|(has, what)| rollout(format!("{has} of {wanted} pods {what}")))
}

/// What keeps the pods from being as many as are wanted, all of them ready and available.
fn unsettled(object: &Object, wanted: i64) -> Option<Health> {
    let replicas = count(object, "/status/replicas");
    let counts = [
        (replicas, "exist"),
        (count(object, "/status/readyReplicas"), "are ready"),
        (count(object, "/status/availableReplicas"), "are available"),
    ];
    shortfall(&counts, wanted).or_else(|| {
        (replicas > wanted).then(|| {
            rollout(format!(
                "{} surplus pods are still there",
                replicas - wanted
            ))
        })
    })
}

/// A status that its controller has never written says nothing about the object.
fn unobserved(object: &Object) -> Option<Health> {
    int(object, "/status/observedGeneration")
        .is_none()
        .then(|| Health::InProgress {
            reason: Reason::NotObserved,
            message: "its controller has not looked at it yet".to_owned(),
        })
}

pub(super) fn deployment(object: &Object) -> Health {
    if let Some(health) = unobserved(object) {
        return health;
    }
    let progressing = condition(object, "Progressing");
    if let Some(progressing) = progressing
        && progressing.reason == "ProgressDeadlineExceeded"
    {
        return Health::Failed {
            reason: Reason::ProgressDeadlineExceeded,
            message: progressing.words(),
        };
    }
    let wanted = wanted(object);
    let replicas = count(object, "/status/replicas");
    let updated = count(object, "/status/updatedReplicas");
    if flag(object, "/spec/paused") && (updated < wanted || replicas > updated) {
        return Health::InProgress {
            reason: Reason::DeploymentPaused,
            message: format!("it is paused with {updated} of {wanted} pods updated"),
        };
    }
    if let Some(health) = shortfall(&[(replicas, "exist"), (updated, "are updated")], wanted) {
        return health;
    }
    if replicas > updated {
        return rollout(format!("{} old pods are still there", replicas - updated));
    }
    if let Some(health) = shortfall(
        &[
            (count(object, "/status/readyReplicas"), "are ready"),
            (count(object, "/status/availableReplicas"), "are available"),
        ],
        wanted,
    ) {
        return health;
    }
    if let Some(available) = condition(object, "Available")
        && !available.is_true()
    {
        return rollout(available.words());
    }
    Health::Current
}

pub(super) fn stateful_set(object: &Object) -> Health {
    if let Some(health) = unobserved(object) {
        return health;
    }
    let wanted = wanted(object);
    if let Some(health) = unsettled(object, wanted) {
        return health;
    }
    // With OnDelete, old pods stay until somebody deletes them: that is what Git asks for.
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Health::Current;
    }
    let updated = count(object, "/status/updatedReplicas");
    let partition = count(object, "/spec/updateStrategy/rollingUpdate/partition");
    if partition > 0 {
        return shortfall(
            &[(updated, "above the partition are updated")],
            wanted - partition,
        )
        .unwrap_or(Health::Current);
    }
    if text(object, "/status/currentRevision") != text(object, "/status/updateRevision") {
        return rollout(format!("{updated} of {wanted} pods are updated"));
    }
    Health::Current
}

pub(super) fn daemon_set(object: &Object) -> Health {
    if let Some(health) = unobserved(object) {
        return health;
    }
    let on_delete = text(object, "/spec/updateStrategy/type") == "OnDelete";
    let wanted = count(object, "/status/desiredNumberScheduled");
    let mut counts = vec![(count(object, "/status/currentNumberScheduled"), "exist")];
    if !on_delete {
        counts.push((
            count(object, "/status/updatedNumberScheduled"),
            "are updated",
        ));
    }
    counts.push((count(object, "/status/numberReady"), "are ready"));
    counts.push((count(object, "/status/numberAvailable"), "are available"));
    shortfall(&counts, wanted).unwrap_or(Health::Current)
}

/// `ReplicaSet` and `ReplicationController`.
pub(super) fn replica_set(object: &Object) -> Health {
    unobserved(object)
        .or_else(|| unsettled(object, wanted(object)))
        .unwrap_or(Health::Current)
}

/// A Job is healthy when it has succeeded, or where Git suspends it. `SuccessCriteriaMet` and `FailureTarget` are its
/// controller's decision; `Complete` and `Failed` follow when the last pods are gone.
pub(super) fn job(object: &Object) -> Health {
    let is_true = |kind| condition(object, kind).is_some_and(|found| found.is_true());
    for kind in ["Failed", "FailureTarget"] {
        if let Some(failed) = condition(object, kind)
            && failed.is_true()
        {
            return Health::Failed {
                reason: match failed.reason {
                    "BackoffLimitExceeded" => Reason::BackoffLimitExceeded,
                    "DeadlineExceeded" => Reason::DeadlineExceeded,
                    _ => Reason::JobFailed,
                },
                message: failed.words(),
            };
        }
    }
    if is_true("Complete") || is_true("SuccessCriteriaMet") || flag(object, "/spec/suspend") {
        return Health::Current;
    }
    let wanted = int(object, "/spec/completions").unwrap_or(1);
    Health::InProgress {
        reason: Reason::JobRunning,
        message: format!(
            "{} of {wanted} completions, {} active, {} failed",
            count(object, "/status/succeeded"),
            count(object, "/status/active"),
            count(object, "/status/failed"),
        ),
    }
}

pub(super) fn pod(object: &Object) -> Health {
    match text(object, "/status/phase") {
        "Succeeded" => Health::Current,
        "Failed" => {
            let (reason, message) = pods::why_failed(object);
            Health::Failed { reason, message }
        }
        phase => match condition(object, "Ready") {
            Some(ready) if ready.is_true() => Health::Current,
            Some(ready) if !ready.message.is_empty() => rollout(ready.words()),
            _ if phase.is_empty() => rollout("it has no status yet".to_owned()),
            _ => rollout(format!("it is {phase} and not ready")),
        },
    }
}
