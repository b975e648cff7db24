//! Records outside of the machine's steps: one that begins, one in place of one that was lost, one that is given up, and what
//! others of the revision read from one.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::evidence::missing;
use super::{BY_A_PERSON, Side, UNWANTED, blue_green, edits};
use crate::api::{RolloutPhase as Phase, RolloutStatus, RolloutStrategy};
use crate::rollout::policy::Policy;

/// The reason of an Event, and its words.
pub type Told = (&'static str, String);

/// A rollout of this change that begins.
pub fn begin(
    policy: &Policy,
    commit: &str,
    change: &str,
    stable: &Side,
    now: Timestamp,
) -> RolloutStatus {
    let steps = u32::try_from(policy.steps.len()).unwrap_or(u32::MAX);
    RolloutStatus {
        workload: policy.workload.to_string(),
        strategy: policy.strategy.kind(),
        commit: commit.to_owned(),
        change: change.to_owned(),
        phase: Phase::Narrowing,
        steps,
        shape: Some(edits::shape(policy)),
        route: Some(edits::route_of(policy)),
        stable_replicas: stable.replicas.max(1),
        stable_hash: stable.hash.clone(),
        since: Some(Time(now)),
        ..RolloutStatus::default()
    }
}

/// A rollout that has lost its record: nobody knows what was proved, and the canary goes. Where the stable side's pods
/// are being replaced it may have been lost in the middle of a promotion: the canary serves until that side is whole.
pub fn recovered(policy: &Policy, change: &str, stable: &Side, now: Timestamp) -> RolloutStatus {
    RolloutStatus {
        phase: if stable.restarting {
            Phase::Restoring
        } else {
            Phase::Aborting
        },
        canary_replicas: 1,
        message: "its record was lost".to_owned(),
        ..begin(policy, "", change, stable, now)
    }
}

/// Gives a rollout up whose change is not wanted any more; what is told of it. `wanted` is the change that Git wants of the
/// workload, `stable` what its stable side is to run.
pub fn give_up(
    record: &mut RolloutStatus,
    wanted: Option<&String>,
    stable: Option<&String>,
    now: Timestamp,
) -> Option<Told> {
    if wanted == Some(&record.change) || stable == Some(&record.change) {
        return None;
    }
    let phase = match record.phase {
        Phase::Starting | Phase::Analysing | Phase::Paused | Phase::Proved | Phase::Switched => {
            Phase::Aborting
        }
        Phase::Promoting | Phase::Finishing => Phase::Restoring,
        Phase::Narrowing | Phase::Restoring | Phase::Aborting | Phase::Removing | Phase::Failed => {
            return None;
        }
    };
    Some(go_back(record, phase, UNWANTED, now))
}

/// Takes a promotion back on a person's word; what is told of it.
pub fn take_back(record: &mut RolloutStatus, word: String, now: Timestamp) -> Told {
    record.last_command = Some(word);
    let told = go_back(record, Phase::Restoring, BY_A_PERSON, now);
    record.taken_back = true;
    told
}

/// Sends a rollout back before its revision is staged: at once, or, where the stable side runs the change, when that is
/// what it was; the canary serves until then.
pub(super) fn go_back(record: &mut RolloutStatus, phase: Phase, why: &str, now: Timestamp) -> Told {
    let reason = if phase == Phase::Restoring {
        "RolloutRestoring"
    } else {
        without_traffic(record);
        "RolloutAborted"
    };
    record.phase = phase;
    record.taken_back = false;
    record.since = Some(Time(now));
    record.in_effect_since = None;
    record.written_at = None;
    record.held_since = None;
    record.until = None;
    why.clone_into(&mut record.message);
    (reason, format!("{}: {why}", record.workload))
}

/// What the record says of a canary that is to get nothing.
pub(super) fn without_traffic(record: &mut RolloutStatus) {
    record.weight = 0;
    record.achieved_weight = record.achieved_weight.map(|_| 0);
    record.kept_until = None;
    record.until = None;
}

/// Whether every step of a rollout was passed: others of the revision may switch their traffic.
pub fn is_proved(record: &RolloutStatus) -> bool {
    matches!(
        record.phase,
        Phase::Proved | Phase::Switched | Phase::Promoting | Phase::Finishing
    )
}

/// Whether nothing of a rollout stands in the way of the promotion of the whole revision.
pub fn is_ready_to_promote(policy: &Policy, record: &RolloutStatus, now: Timestamp) -> bool {
    match record.phase {
        Phase::Proved => {
            record.strategy != RolloutStrategy::BlueGreen && missing(policy, record).is_none()
        }
        Phase::Switched => blue_green::has_kept_enough(policy, record, now),
        Phase::Promoting | Phase::Finishing => true,
        _ => false,
    }
}
