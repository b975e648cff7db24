//! What the environment's own state means for its rollouts: they go on, they hold still, or they end. And what is found of
//! a rollout without a record, or of one that is to go by another route: it ends too.

use std::collections::BTreeMap;

use super::super::{Memory, Pass};
use super::observe::{is_pinned, live, said, stable};
use crate::api::{RolloutPhase as Phase, RolloutStatus};
use crate::object::{ENVIRONMENT_LABEL, Id};
use crate::rollout::machine;
use crate::rollout::names::canary_of;
use crate::rollout::policy::{Policy, Strategy};
use crate::rollout::stage;
use crate::rollout::{ROLLOUT_LABEL, TRACK_LABEL};

/// How the rollouts of an environment go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    On,
    /// Nothing rises, and nothing else is written; what is found bad is taken back.
    Suspended,
    /// The Environment is being deleted: back to stable.
    Ending,
}

impl Course {
    pub fn of(pass: &Pass<'_>) -> Self {
        if pass.environment.metadata.deletion_timestamp.is_some() {
            Self::Ending
        } else if pass.environment.spec.suspend {
            Self::Suspended
        } else {
            Self::On
        }
    }

    /// Why no rollout goes on.
    pub fn held(self) -> Option<String> {
        (self == Self::Suspended).then(|| {
            "the environment is suspended; what the checks find bad is taken back".to_owned()
        })
    }

    /// Why every rollout goes back.
    pub fn go_back(self) -> Option<String> {
        (self == Self::Ending).then(|| "the Environment is being deleted".to_owned())
    }

    /// Whether anything may be written for these rollouts.
    pub fn writes(self, records: &[RolloutStatus]) -> bool {
        self != Self::Suspended || records.iter().any(ends)
    }

    /// Whether what exists for a rollout stays though nobody asks for it: who does is not known, or the proxies may still
    /// send to it.
    pub fn keeps_parts(self, record: &RolloutStatus, looked: bool) -> bool {
        let may_serve = !matches!(
            record.phase,
            Phase::Narrowing | Phase::Removing | Phase::Failed
        );
        stage::keeps_parts(record) || may_serve && (self != Self::On || !looked)
    }
}

/// Whether a rollout only lowers what it raised.
fn ends(record: &RolloutStatus) -> bool {
    matches!(
        record.phase,
        Phase::Restoring | Phase::Aborting | Phase::Removing | Phase::Finishing
    )
}

/// Whether something of a rollout is in the cluster.
pub(in super::super) fn is_under_way(records: &[RolloutStatus]) -> bool {
    records.iter().any(|record| record.phase != Phase::Failed)
}

/// Gives up the rollouts whose policies name another route than the one that leads to their canaries.
pub(super) fn give_up_rerouted(
    pass: &mut Pass<'_>,
    policies: &BTreeMap<Id, Policy>,
    records: &mut [RolloutStatus],
) {
    for policy in policies.values() {
        let workload = policy.workload.to_string();
        let record = records
            .iter_mut()
            .find(|record| record.workload == workload);
        let told = record.and_then(|record| machine::reroute(policy, record, pass.now));
        if let Some((reason, what)) = told {
            pass.events.push((true, reason, "Rollout", what));
        }
    }
}

/// The record of a canary that has none: it was lost, and the canary goes.
pub(super) async fn recovered(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    policy: &Policy,
) -> Result<Option<RolloutStatus>, String> {
    let workload = &policy.workload;
    let by_partition = policy.strategy == Strategy::Partition;
    let canary = if by_partition {
        workload.clone()
    } else {
        canary_of(workload)
    };
    let known = memory
        .inventory
        .as_ref()
        .is_some_and(|inventory| inventory.entries.contains_key(&canary));
    if !known {
        return Ok(None);
    }
    let Some(object) = live(pass, &canary, "v1").await? else {
        return Ok(None);
    };
    let is_of_a_rollout = if by_partition {
        object.label(ROLLOUT_LABEL).is_some()
    } else {
        object.label(TRACK_LABEL) == Some("canary")
    };
    if !is_of_a_rollout || object.label(ENVIRONMENT_LABEL) != Some(memory.owner.id.as_str()) {
        return Ok(None);
    }
    let change = object.label(ROLLOUT_LABEL).unwrap_or_default().to_owned();
    let pinned = is_pinned(pass, workload).await?;
    let side = stable(pass, memory, policy).await?;
    let record = machine::recovered(policy, &change, &side, pass.now);
    Ok(Some(RolloutStatus {
        stable_pinned: Some(pinned),
        last_command: said(pass).cloned(),
        ..record
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(phases: &[Phase]) -> Vec<RolloutStatus> {
        let of = |phase: &Phase| RolloutStatus {
            phase: *phase,
            ..RolloutStatus::default()
        };
        phases.iter().map(of).collect()
    }

    #[test]
    fn suspended_only_what_goes_down_is_written() {
        use Phase::{Aborting, Analysing, Failed, Finishing, Promoting, Removing, Restoring};
        for (phases, writes) in [
            (&[Analysing][..], false),
            (&[Promoting], false),
            (&[Failed], false),
            (&[Analysing, Aborting], true),
            (&[Restoring], true),
            (&[Removing], true),
            (&[Finishing], true),
        ] {
            let records = records(phases);
            assert_eq!(Course::Suspended.writes(&records), writes, "{phases:?}");
            assert!(Course::On.writes(&records) && Course::Ending.writes(&records));
        }
    }

    #[test]
    fn parts_stay_as_long_as_nobody_knows_who_asks_for_them() {
        let kept =
            |course: Course, phase, looked| course.keeps_parts(&records(&[phase])[0], looked);
        assert!(kept(Course::On, Phase::Paused, false));
        assert!(!kept(Course::On, Phase::Paused, true));
        assert!(kept(Course::On, Phase::Aborting, true));
        for course in [Course::Suspended, Course::Ending] {
            assert!(kept(course, Phase::Paused, true));
        }
        for course in [Course::On, Course::Suspended, Course::Ending] {
            assert!(!kept(course, Phase::Narrowing, false));
            assert!(!kept(course, Phase::Removing, false));
        }
    }

    #[test]
    fn what_was_taken_back_is_not_under_way() {
        assert!(!is_under_way(&records(&[Phase::Failed])));
        assert!(is_under_way(&records(&[Phase::Failed, Phase::Removing])));
    }
}
