//! Which changes are held back from the cluster until their rollouts have proved them, and for how long. What is held is
//! kept in memory for its canaries; the status says what it waits for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::Value;

use super::super::{Memory, Pass, Running};
use super::course::is_under_way;
use super::foreign;
use super::observe::{live, number};
use crate::api::{GROUP, NextRevision, ObjectFailure, RolloutPhase as Phase};
use crate::desired::Desired;
use crate::object::{Id, Object};
use crate::rollout::order::{self, record_of, workload_of};
use crate::rollout::policy::{self, Policy, policies};
use crate::rollout::stage;
use crate::status::Problem;

/// Whether the candidate has policies, or a rollout is under way.
pub(in super::super) fn concerns(pass: &Pass<'_>, candidate: &Running) -> bool {
    !pass.report.rollouts.is_empty()
        || candidate
            .desired
            .objects
            .iter()
            .any(|object| object.id.group == GROUP && object.id.kind == "RolloutPolicy")
}

/// Whether the candidate's changes are those against another commit, which was applied.
pub(in super::super) fn compares(pass: &Pass<'_>, candidate: &Running) -> bool {
    let known = pass.report.revision.as_ref();
    pass.report.hash.is_some()
        && known.is_some_and(|known| known.commit != candidate.revision.commit)
}

/// Why a candidate is neither taken nor held: what was held before it stays so.
pub(in super::super) enum NotHeld {
    /// It cannot be rolled out, and why.
    Refused(Vec<ObjectFailure>),
    /// What could not be read.
    Unread(String),
}

/// Whether the candidate has to wait until its changes have proved themselves.
pub(in super::super) async fn holds(
    pass: &mut Pass<'_>,
    memory: &Memory,
    running: Option<&Running>,
    candidate: &Running,
) -> Result<bool, NotHeld> {
    let policies = policies(&candidate.desired).map_err(told)?;
    let Some(running) = running else {
        if policies.is_empty() || !compares(pass, candidate) {
            return Ok(false);
        }
        // What the stable sides run is not known: nothing is held back from what cannot be compared.
        let commit = pass.report.revision.as_ref().map_or("", |it| &it.short);
        let message = format!(
            "{commit}, which is applied, cannot be rendered any more, so that a change to it cannot be rolled out; take the RolloutPolicy out of Git to apply it at once"
        );
        let workloads = policies.into_keys();
        return Err(told(workloads.map(|id| (id, message.clone())).collect()));
    };
    let changed = changes(&policies, &running.desired, &candidate.desired);
    // A rollout whose policy is gone ends before what Git wants now is applied.
    let mut held = pass.report.rollouts.iter().any(|record| {
        record.phase != Phase::Failed
            && workload_of(record, policies.keys()).is_none()
            && workload_of(record, running.desired.ids()).is_some()
    });
    let turned = |workload: &Id| policy::turned(workload, &running.desired, &candidate.desired);
    let mut in_the_way = Vec::new();
    for (workload, change) in &changed {
        let record = record_of(&pass.report.rollouts, workload);
        match record.map(|record| (record.phase, &record.change)) {
            Some((Phase::Finishing, known)) if known == change => {}
            Some((_, known)) => {
                held = true;
                if known != change {
                    in_the_way.extend(turned(workload));
                }
            }
            None => {
                if !has_pods(pass, workload).await {
                    continue;
                }
                held = true;
                in_the_way.extend(turned(workload));
                if let Some(policy) = policies.get(workload) {
                    let (before, after) = (&running.desired, &candidate.desired);
                    let foreign = foreign::foreign(pass, memory, policy, before, after).await;
                    in_the_way.extend(foreign.map_err(NotHeld::Unread)?);
                }
            }
        }
    }
    if !in_the_way.is_empty() {
        // Nobody watches what is not of the environment.
        pass.due(Instant::now() + Duration::from_secs(10));
        return Err(told(in_the_way));
    }
    Ok(held)
}

fn told(problems: Vec<(Id, String)>) -> NotHeld {
    let failures = problems.into_iter().map(|(id, message)| ObjectFailure {
        object: id.to_string(),
        container: None,
        reason: "InvalidRolloutPolicy".to_owned(),
        message,
    });
    NotHeld::Refused(failures.collect())
}

/// The changes that a policy holds back, by workload.
pub(super) fn changes(
    policies: &BTreeMap<Id, Policy>,
    before: &Desired,
    after: &Desired,
) -> BTreeMap<Id, String> {
    policies
        .keys()
        .filter_map(|workload| {
            let old = stage::change(workload, before)?;
            let new = stage::change(workload, after)?;
            (old != new).then(|| (workload.clone(), new))
        })
        .collect()
}

/// Whether a stable side serves: where there is none, or not a ready pod of it, nothing is lost by applying at once, and
/// what would repair it must not wait.
pub(super) async fn has_pods(pass: &Pass<'_>, workload: &Id) -> bool {
    match live(pass, workload, "v1").await {
        Ok(Some(object)) => {
            number(&object, "/status/readyReplicas") > 0 || was_ready_just_now(&object, pass.now)
        }
        Ok(None) => false,
        // What cannot be read is not absent.
        Err(_) => true,
    }
}

/// Whether the pods of a Deployment were ready once, and stopped to be a moment ago: they are being replaced or restart,
/// which is no reason to bring a change to all of them unproved.
fn was_ready_just_now(object: &Object, now: Timestamp) -> bool {
    let time = |text: &Value| text.as_str()?.parse::<Timestamp>().ok();
    let created = object.at("/metadata/creationTimestamp").and_then(time);
    let conditions = object.at("/status/conditions").and_then(Value::as_array);
    let available = conditions.and_then(|all| all.iter().find(|it| it["type"] == "Available"));
    let Some((created, lost)) =
        created.zip(available.and_then(|it| time(&it["lastTransitionTime"])))
    else {
        return false;
    };
    let since = |from: Timestamp, to: Timestamp| Duration::try_from(to.duration_since(from)).ok();
    // One that is new was never ready.
    number(object, "/spec/replicas") > 0
        && available.is_some_and(|it| it["status"] == "False")
        && since(created, lost).is_some_and(|after| after > NEW)
        && since(lost, now).is_some_and(|ago| ago < MOMENT)
}

/// So long after its pods were ready a stable side counts as one that serves.
const MOMENT: Duration = Duration::from_secs(30);

/// So long after its creation a Deployment says for the first time that it is not available.
const NEW: Duration = Duration::from_secs(5);

/// What is wanted is what the stable sides run.
pub(in super::super) fn nothing_is_held(memory: &mut Memory) {
    memory.rollouts.next = None;
    memory.rollouts.looked = true;
}

/// What was held back when it was last looked at is so still, where nobody looks now: it stays admitted.
pub(in super::super) fn still_held(pass: &mut Pass<'_>) {
    let status = pass.environment.status.as_ref();
    let next = status.and_then(|status| status.next.clone());
    if is_under_way(&pass.report.rollouts) {
        pass.report.next = next.filter(|next| next.hash.is_some());
    }
}

/// Takes what is held, where all stable sides run it: also when Git wants something by now that cannot be had.
pub(in super::super) fn take_proved(pass: &Pass<'_>, memory: &mut Memory) {
    let (Some(next), Some(running)) = (&memory.rollouts.next, &memory.running) else {
        return;
    };
    let policies = policies(&next.desired).unwrap_or_default();
    let changes = changes(&policies, &running.desired, &next.desired);
    if order::all_promoted(&changes, &pass.report.rollouts) {
        memory.running = memory.rollouts.next.take();
        memory.generation = pass.environment.metadata.generation;
    }
}

/// Tells that the candidate waits, and keeps it for its canaries.
pub(in super::super) fn hold(pass: &mut Pass<'_>, memory: &mut Memory, candidate: Running) {
    let records = &pass.report.rollouts;
    let waiting_for = records
        .iter()
        .map(|record| format!("the rollout of {}: {}", record.workload, record.message))
        .collect();
    pass.report.next = Some(NextRevision {
        revision: candidate.revision.clone(),
        waiting_for,
        hash: Some(candidate.desired.hash.clone()),
    });
    // What went back before may have been another change.
    let mut taken_back = records.iter().filter(|record| record.taken_back);
    let failed = taken_back.find(|record| stage::brings(&candidate.desired, record));
    if let Some(failed) = failed {
        let name = pass.environment.name_any();
        let message = format!(
            "the rollout of {} in {} was taken back: {}; a new commit, or `driftless retry {name}`, tries again",
            failed.workload, candidate.revision.short, failed.message
        );
        pass.problem(Problem {
            reason: "RolloutFailed",
            message,
            unknown: false,
            held: false,
        });
    }
    memory.rollouts.next = Some(Arc::new(candidate));
    memory.rollouts.looked = true;
    pass.holds = true;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_that_restarts_when_the_commit_arrives_does_not_let_it_through() {
        let by = |replicas: u32, status: &str, since: &str, now: &str| {
            let object = json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "api", "creationTimestamp": "2026-11-21T12:00:00Z"},
                "spec": {"replicas": replicas},
                "status": {"conditions": [{"type": "Available", "status": status, "lastTransitionTime": since}]},
            });
            was_ready_just_now(&Object::from_value(object).unwrap(), now.parse().unwrap())
        };
        let (lost, now) = ("2026-11-21T12:30:00Z", "2026-11-21T12:30:10Z");
        assert!(by(1, "False", lost, now));
        assert!(!by(0, "False", lost, now), "it was scaled to none");
        assert!(
            !by(1, "True", lost, now),
            "with no pod ready it says nothing yet"
        );
        let later = "2026-11-21T12:31:00Z";
        assert!(
            !by(1, "False", lost, later),
            "what would repair it does not wait"
        );
        let created = "2026-11-21T12:00:01Z";
        let soon = "2026-11-21T12:00:09Z";
        assert!(!by(1, "False", created, soon), "it never served");
    }
}
