//! How many pods the canary has: its weight's share of the stable side as large as that is now, whoever scales it.

use super::Machine;
use super::edits::route_of;
use crate::api::{RolloutPhase as Phase, RolloutStrategy};
use crate::rollout::policy::Step;
use crate::rollout::share::{Share, share};

impl Machine<'_> {
    /// Of the stable side's pods. Where a router or a switch decides who gets the traffic it was at least as large as when
    /// the rollout began, and may be again; where the number of pods does, nothing but the present one counts.
    pub(super) fn share(&self, weight: u32) -> Share {
        let began_with = self.record.stable_replicas;
        let now = self.observed.stable.replicas;
        let size = if self.counts_pods() && now > 0 {
            now
        } else if self.record.strategy == RolloutStrategy::Partition {
            began_with
        } else {
            began_with.max(now)
        };
        share(self.policy, weight, size)
    }

    /// Whether the number of pods splits the traffic.
    fn counts_pods(&self) -> bool {
        self.record.strategy == RolloutStrategy::Canary && self.policy.traffic.is_none()
    }

    /// Follows a stable side that is scaled in the middle of a step. A set's steps are shares of the pods that it has; without
    /// a router with fewer pods, at once, so that the canary's share stays within the step's; beside one with more, for its
    /// share of the traffic does not become smaller.
    /// `anew`: the step of Git is not the one that it is at.
    pub(super) fn follow_the_size(&mut self, anew: bool) {
        let stable = self.observed.stable.replicas;
        if self.record.strategy == RolloutStrategy::BlueGreen || stable == 0 {
            return;
        }
        // While nothing goes on the policy may not be known, or be that of the revision before.
        let route = route_of(self.policy);
        let is_another = self
            .record
            .route
            .as_ref()
            .is_some_and(|known| *known != route);
        if is_another || self.policy.steps.is_empty() {
            return;
        }
        // Nor what it starts with: a set that is smaller than its record says updates fewer of its pods.
        if self.record.phase == Phase::Starting && self.observed.held.is_some() {
            return;
        }
        let is_a_set = self.record.strategy == RolloutStrategy::Partition;
        if is_a_set {
            let is_as_before = self.record.stable_replicas == stable;
            self.record.stable_replicas = stable;
            if is_as_before && self.record.phase != Phase::Starting {
                return;
            }
        }
        let weight = match self.record.phase {
            Phase::Starting if !anew => self.first_weight(),
            Phase::Analysing if !anew => self.weight_step().0,
            Phase::Starting | Phase::Analysing | Phase::Paused | Phase::Proved => {
                // Before its first weight it has the pods for that.
                let before = self.counts_pods() && self.record.achieved_weight.is_none();
                let first = before.then(|| self.first_weight());
                first.unwrap_or(self.record.weight)
            }
            _ => return,
        };
        let share = self.share(weight);
        if is_a_set {
            // Not to none: that says that the last one is gone.
            let least = self.record.canary_replicas.min(1);
            self.record.canary_replicas = share.pods.max(least);
            self.record.achieved_weight = self.record.achieved_weight.and(share.achieved);
            return;
        }
        if !self.counts_pods() {
            self.record.canary_replicas = self.record.canary_replicas.max(share.pods);
            return;
        }
        let pods = self.record.canary_replicas.min(share.pods);
        self.record.canary_replicas = pods;
        // What gets nothing at this step gets something with the next.
        if self.record.achieved_weight.is_some_and(|it| it > 0) {
            let present = 100 * pods / (pods + stable);
            let is_too_much = share.achieved == Some(0);
            self.record.achieved_weight = Some(if is_too_much { 0 } else { present });
        }
    }

    /// What the canary starts with.
    pub(super) fn first_weight(&self) -> u32 {
        let first = self.policy.steps.iter().find_map(|step| match step {
            Step::Weight(weight, _) => Some(*weight),
            // The pods of a set have their traffic as soon as they run.
            Step::Pause if self.record.strategy == RolloutStrategy::Partition => Some(0),
            Step::Pause => None,
        });
        first.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
