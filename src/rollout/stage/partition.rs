//! What a rollout makes of a `StatefulSet`: the new template, and the partition below which its pods keep the old one.

use serde_json::json;

use super::{Stage, mark, pinned};
use crate::api::{RolloutPhase as Phase, RolloutStatus};
use crate::desired::Desired;
use crate::object::Id;

impl Stage<'_> {
    /// The rest of the set stays as it was before the change, until it is promoted.
    pub(super) fn partition(
        &mut self,
        workload: &Id,
        source: Option<&Desired>,
        is_promoted: bool,
        record: &RolloutStatus,
    ) {
        let goes_back = !is_promoted
            && matches!(
                record.phase,
                Phase::Restoring | Phase::Aborting | Phase::Removing
            );
        let runs_both = !is_promoted
            && matches!(
                record.phase,
                Phase::Starting
                    | Phase::Analysing
                    | Phase::Paused
                    | Phase::Proved
                    | Phase::Promoting
            );
        if goes_back || runs_both {
            self.roles.mixed.insert(workload.clone());
        }
        // Before the record ends the set is what Git says.
        if record.phase == Phase::Removing && record.canary_replicas == 0 {
            return;
        }
        let Some(object) = self.objects.get_mut(workload) else {
            return;
        };
        mark(&mut object.object, record);
        if !runs_both {
            return;
        }
        let Some(pinned) = source.and_then(|source| pinned(workload, source)) else {
            return;
        };
        let spec = &mut object.object.0["spec"];
        spec["template"] = pinned.template;
        spec["updateStrategy"]["type"] = json!("RollingUpdate");
        spec["updateStrategy"]["rollingUpdate"]["partition"] = json!(
            record
                .stable_replicas
                .saturating_sub(record.canary_replicas)
        );
        self.roles.parts.extend(pinned.copies.keys().cloned());
        self.objects.extend(pinned.copies);
    }
}
