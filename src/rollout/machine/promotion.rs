//! The way onto the stable side, and off it again: the stable side takes the change while the canary serves, and what fails
//! there goes back while the canary still does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::record::without_traffic;
use super::{BY_A_PERSON, Command, Decision, Machine, UNWANTED};
use crate::api::{RolloutPhase as Phase, RolloutStrategy};

impl Machine<'_> {
    pub(super) fn proved(mut self) -> Decision {
        if let Some(failed) = self.still_fails() {
            return self.abort(true, failed);
        }
        if self.record.strategy == RolloutStrategy::BlueGreen {
            return self.switch();
        }
        // Without evidence of its own none of the revision is promoted: it does not wait for the others, they do for it.
        if let Some(missing) = self.missing_evidence() {
            return self.hold(&format!("proved; holds: {missing}"));
        }
        if !self.observed.may_promote {
            return self.wait("proved; waits for the other workloads of the revision");
        }
        self.enter(
            Phase::Promoting,
            "RolloutPromoting",
            "proved; the stable side takes the change".to_owned(),
        )
    }

    pub(super) fn promoting(mut self, command: Option<Command>) -> Decision {
        if let Some(why) = self.given_up() {
            return self.restore(false, why);
        }
        if command == Some(Command::Abort) {
            return self.restore(true, BY_A_PERSON.to_owned());
        }
        if let Some(failure) = self.canary_failure() {
            // Whoever still serves does better than one that fails.
            without_traffic(&mut self.record);
            return self.restore(true, failure);
        }
        let is_taking = self.record.in_effect_since.is_some() && self.observed.written;
        if let Some(failure) = self.observed.stable.failure.as_ref().filter(|_| is_taking) {
            let why = format!("the stable side cannot take the change: {failure}");
            return self.restore(true, why);
        }
        if let Some(why) = self.observed.held.clone() {
            return self.wait(&why);
        }
        if self.record.in_effect_since.is_none() {
            // Pods of the change get the stable Services' traffic from the moment in which they are ready.
            if self.is_narrow() {
                let waits = "waits until every proxy knows all pods again";
                if !self.observed.written {
                    return self.hold_unwritten(waits);
                }
                if !self.settled() {
                    return self.wait(waits);
                }
            }
            self.record.in_effect_since = Some(Time(self.now));
            self.record.written_at = None;
            return self.wait("the stable side takes the change");
        }
        if !(self.observed.written && self.observed.stable.ready) {
            return self.wait_for_the_pods("the stable side takes the change");
        }
        without_traffic(&mut self.record);
        self.enter(
            Phase::Finishing,
            "RolloutPromoted",
            "the stable side runs the change; the canary drains".to_owned(),
        )
    }

    pub(super) fn finishing(mut self) -> Decision {
        if !self.observed.taken {
            if let Some(why) = self.given_up() {
                return self.restore(false, why);
            }
            return self.wait("promoted; waits for the other workloads of the revision");
        }
        if !self.is_drained() {
            return self.wait("the canary drains");
        }
        self.leave_the_rest();
        self.wait("the canary is being removed")
    }

    /// The canary serves until the stable side is what it was; or until that is known to fail and Git wants another
    /// change for it, or a person says that it is enough.
    pub(super) fn restoring(mut self, command: Option<Command>) -> Decision {
        self.due = None;
        let is_whole = self.observed.written && self.observed.stable.ready;
        if is_whole || command == Some(Command::Abort) || self.waits_for_another_change() {
            let (taken_back, why) = (self.record.taken_back, self.record.message.clone());
            return self.abort(taken_back, why);
        }
        if self.canary_failure().is_some() {
            without_traffic(&mut self.record);
        }
        let message = self.record.message.clone();
        self.wait(&message)
    }

    /// Whether the stable side fails with the template of before, and Git has something else for it.
    fn waits_for_another_change(&mut self) -> bool {
        let change = self.observed.change.as_ref();
        let stable = &self.observed.stable;
        change.is_some_and(|change| *change != self.record.change)
            && stable.failure.is_some()
            && !stable.restarting
            && self.observed.written
            && self.settled()
    }

    pub(super) fn restore(mut self, taken_back: bool, why: String) -> Decision {
        self.record.taken_back = taken_back;
        self.enter(Phase::Restoring, "RolloutRestoring", why)
    }

    /// Why it goes back without being at fault: Git wants something else, or what it belongs to went back.
    pub(super) fn given_up(&self) -> Option<String> {
        match &self.observed.change {
            None => Some(UNWANTED.to_owned()),
            Some(change) if *change != self.record.change => {
                Some("Git wants another change now".to_owned())
            }
            Some(_) => self.observed.go_back.clone(),
        }
    }

    pub(super) fn canary_failure(&self) -> Option<String> {
        let failure = self.observed.canary.failure.as_ref()?;
        Some(format!("the canary failed: {failure}"))
    }

    /// Whether the stable Services select the stable pods only, up to the promotion.
    fn is_narrow(&self) -> bool {
        // Those of blue/green select the green pods, those of a set all.
        self.record.strategy == RolloutStrategy::Canary
            && (self.policy.traffic.is_some() || self.record.achieved_weight.unwrap_or(0) == 0)
    }
}

#[cfg(test)]
mod tests;
