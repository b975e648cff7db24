//! A `StatefulSet`'s rollout: its own pods take the change from the highest ordinal down, as far as the partition lets them.

use super::Machine;
use crate::api::RolloutPhase as Phase;

impl Machine<'_> {
    /// The steps are shares of the pods that the set has now. Its revision is known where all of them are of one; in the middle
    /// of a rollout they are not.
    pub(super) fn follow_the_set(&mut self) {
        let set = &self.observed.stable;
        if self.record.phase == Phase::Narrowing {
            self.record.stable_hash.clone_from(&set.hash);
        }
        if set.replicas == 0 || set.replicas == self.record.stable_replicas {
            return;
        }
        self.record.stable_replicas = set.replicas;
        let weight = match self.record.phase {
            Phase::Starting | Phase::Analysing => self.weight_step().0,
            Phase::Paused | Phase::Proved => self.record.weight,
            _ => return,
        };
        let share = self.share(weight);
        self.record.canary_replicas = share.pods;
        self.record.achieved_weight = self.record.achieved_weight.and(share.achieved);
    }
}
