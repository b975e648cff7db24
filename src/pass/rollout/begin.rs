//! The rollouts that begin now.

use super::super::{Memory, Pass};
use super::Rolling;
use super::observe::{said, stable};
use crate::api::RolloutStatus;
use crate::desired::Desired;
use crate::object::Id;
use crate::rollout::autoscaler;
use crate::rollout::machine;
use crate::rollout::order::{self, record_of};

/// Begins the rollouts of changes that have none: not as long as another of the same revision was taken back.
pub(super) async fn begin(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    rolling: &Rolling,
    records: &mut Vec<RolloutStatus>,
) {
    // Not those of a revision that was refused, or that this pass did not look at.
    if !pass.holds {
        return;
    }
    for (workload, change) in &rolling.changes {
        let begins = record_of(records, workload).is_none()
            && record_of(&rolling.records, workload).is_none()
            && order::taken_back(workload, &rolling.changes, records).is_none();
        let Some(policy) = rolling.policies.get(workload).filter(|_| begins) else {
            continue;
        };
        let stable = match stable(pass, memory, policy).await {
            Ok(stable) => stable,
            Err(error) => {
                // Its size is what everything else is measured by.
                pass.stop("RolloutUnknown", error);
                continue;
            }
        };
        let mut record = machine::begin(policy, &rolling.commit, change, &stable, pass.now);
        record.stable_pinned = memory.rollouts.pinned.get(workload).copied();
        if let Some(what) = foreign_autoscaler(pass, workload, &rolling.taken.desired) {
            pass.events
                .push((true, "AutoscalerNotInGit", "Observe", what));
        }
        record.last_command = said(pass).cloned();
        records.push(record);
    }
}

/// What is told of an autoscaler that gets no floor: it is not the environment's.
fn foreign_autoscaler(pass: &Pass<'_>, workload: &Id, desired: &Desired) -> Option<String> {
    let is_scaled = pass.context.scalers.targets().contains(workload);
    let mut all = desired.objects.iter();
    let ours = all.any(|object| autoscaler::scales(object, workload));
    (is_scaled && !ours).then(|| {
        format!(
            "{workload} is scaled by an autoscaler that Git does not have in this environment: it may take the stable side below its size while the rollout is under way; put it into the environment, or raise its minReplicas"
        )
    })
}
