//! A `StatefulSet`'s rollout: its own pods take the change from the highest ordinal down, as far as the partition lets them.

use super::Machine;
use crate::api::RolloutPhase as Phase;

impl Machine<'_> {
    /// Its revision is known where all of its pods are of one; in the middle of a rollout they are not.
    pub(super) fn follow_the_set(&mut self) {
        let set = &self.observed.stable;
        if self.record.phase == Phase::Narrowing {
            self.record.stable_hash.clone_from(&set.hash);
        }
    }
}
