//! The way up: the narrowing, the canary's start, and each step of the policy until its evidence is there.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Command, Decision, Machine, after};
use crate::api::{RolloutPhase as Phase, RolloutStrategy};
use crate::rollout::policy::Step;

impl Machine<'_> {
    pub(super) fn narrowing(mut self) -> Decision {
        if self.record.stable_hash.is_none() || self.observed.stable.restarting {
            let again = after(self.now, Duration::from_secs(2));
            self.due = Some(self.due.map_or(again, |due| due.min(again)));
            return self.wait("waits until the stable side's pods are of one template");
        }
        if !self.observed.written {
            return self
                .hold_unwritten("the stable Services are being narrowed to the stable pods");
        }
        let is_narrowed =
            self.policy.traffic.is_some() || self.record.strategy == RolloutStrategy::BlueGreen;
        if is_narrowed && !self.settled() {
            return self.wait("waits until every proxy knows the stable pods");
        }
        self.record.canary_replicas = self.share(self.first_weight()).pods;
        self.enter(
            Phase::Starting,
            "RolloutStarted",
            "the canary starts".to_owned(),
        )
    }

    pub(super) fn starting(mut self) -> Decision {
        if !(self.observed.written && self.observed.canary.ready) {
            return self.wait_for_the_pods("waits for the canary's pods to become ready");
        }
        self.record.step = 0;
        self.at_step()
    }

    /// Enters the step that the record names, or what comes behind the last.
    pub(super) fn at_step(mut self) -> Decision {
        match self.present_step() {
            None => {
                self.keep_the_evidence();
                self.enter(
                    Phase::Proved,
                    "RolloutProved",
                    "every step was passed".to_owned(),
                )
            }
            Some(Step::Pause) => {
                self.keep_the_evidence();
                self.enter(
                    Phase::Paused,
                    "RolloutPaused",
                    "paused; driftless promote goes on".to_owned(),
                )
            }
            Some(Step::Weight(weight, _)) => {
                self.record.checks.clear();
                let share = self.share(weight);
                // Its pods come before its traffic, and go after it.
                let falls = weight < self.record.weight && self.policy.traffic.is_some();
                let least = if falls {
                    self.record.canary_replicas
                } else {
                    0
                };
                self.record.canary_replicas = share.pods.max(least);
                let what = match self.record.strategy {
                    RolloutStrategy::Canary => format!("to {weight} % of the traffic"),
                    RolloutStrategy::BlueGreen => "checked without traffic".to_owned(),
                    RolloutStrategy::Partition => {
                        format!("to {} of {} pods", share.pods, self.record.stable_replicas)
                    }
                };
                self.enter(Phase::Analysing, "RolloutStepped", what)
            }
        }
    }

    pub(super) fn analysing(mut self, command: Option<Command>) -> Decision {
        match command {
            Some(Command::Pause) => return self.pause(),
            Some(Command::Promote) => {
                self.record.step += 1;
                return self.at_step();
            }
            _ => {}
        }
        let (weight, for_) = self.weight_step();
        if self.record.weight != weight {
            if weight > self.record.weight && !(self.observed.written && self.observed.canary.ready)
            {
                return self.wait_for_the_pods("waits for the canary's pods to become ready");
            }
            self.record.weight = weight;
            self.record.achieved_weight = self.share(weight).achieved;
            // What was seen at another weight says nothing of this one.
            self.record.checks.clear();
            self.record.in_effect_since = None;
            self.record.written_at = None;
            return self.wait("the weight is being written");
        }
        let in_effect = match self.in_effect() {
            Ok(since) => since,
            Err(waits) => return self.hold(&waits),
        };
        self.take_verdicts(in_effect);
        if let Some(failed) = self.over_the_limit() {
            return self.abort(true, failed);
        }
        let until = after(in_effect, for_);
        self.record.until = Some(Time(until));
        if self.now < until {
            self.due = Some(until);
            return self.wait("collects evidence");
        }
        if let Some(missing) = self.missing_evidence() {
            return self.hold(&format!("holds: {missing}"));
        }
        if !self.observed.canary.ready {
            return self.hold("holds: the canary's pods are not all ready");
        }
        self.record.step += 1;
        self.at_step()
    }

    /// Pods take as long as their own deadline lets them; what cannot be written as long as the policy says.
    pub(super) fn wait_for_the_pods(self, waits: &str) -> Decision {
        if self.observed.written {
            return self.wait(waits);
        }
        self.hold_unwritten(waits)
    }

    pub(super) fn hold_unwritten(self, waits: &str) -> Decision {
        let waits = self.being_written(waits);
        self.hold(&waits)
    }

    /// What it waits for, in the words of what refuses it.
    pub(super) fn being_written(&self, waits: &str) -> String {
        match &self.observed.refused {
            Some(refused) => format!("{waits}: {refused}"),
            _ => waits.to_owned(),
        }
    }

    /// Since when the weight of this step is in effect; else what it waits for.
    pub(super) fn in_effect(&mut self) -> Result<Timestamp, String> {
        if let Some(since) = &self.record.in_effect_since {
            return Ok(since.0);
        }
        self.takes_effect()?;
        self.record.in_effect_since = Some(Time(self.now));
        self.record.held_since = None;
        Ok(self.now)
    }

    /// Whether the weight of this step is in effect: written, accepted, and known to every proxy.
    fn takes_effect(&mut self) -> Result<(), String> {
        if !self.observed.written {
            return Err(self.being_written("the weight is being written"));
        }
        if let Some(waits) = &self.observed.router_waits {
            return Err(format!("the router has not accepted the weight: {waits}"));
        }
        if !self.observed.canary.ready {
            return Err("waits for the canary's pods to become ready".to_owned());
        }
        if !self.settled() {
            return Err("waits until every proxy knows the weight".to_owned());
        }
        Ok(())
    }

    pub(super) fn pause(self) -> Decision {
        let what = "paused by a person; driftless promote goes on".to_owned();
        self.enter(Phase::Paused, "RolloutPaused", what)
    }

    pub(super) fn paused(mut self, command: Option<Command>) -> Decision {
        if let Some(failed) = self.still_fails() {
            return self.abort(true, failed);
        }
        if command != Some(Command::Promote) {
            let message = self.record.message.clone();
            return self.wait(&message);
        }
        if self.present_step().is_some_and(|step| step != Step::Pause) {
            return self.resume();
        }
        self.record.step += 1;
        self.at_step()
    }

    /// The rest of a step in whose middle a person paused the rollout: what was seen meanwhile counts.
    fn resume(mut self) -> Decision {
        if self.record.weight != self.weight_step().0 {
            return self.at_step();
        }
        let since = self.record.in_effect_since.take();
        let written_at = self.record.written_at.take();
        let mut decision = self.enter(
            Phase::Analysing,
            "RolloutStepped",
            "goes on where it was paused".to_owned(),
        );
        if let Some(record) = &mut decision.record {
            record.in_effect_since = since;
            record.written_at = written_at;
        }
        decision
    }

    /// The weight stays, and so does what was seen of it; as many failures as before may follow.
    fn keep_the_evidence(&mut self) {
        for check in &mut self.record.checks {
            check.failed = 0;
        }
    }

    /// Whether the weight that the canary keeps has turned out to be too much.
    pub(super) fn still_fails(&mut self) -> Option<String> {
        // Paused or suspended before the weight was in effect: it may be by now.
        let is_written = match self.record.phase {
            Phase::Analysing => self.record.weight == self.weight_step().0,
            Phase::Paused | Phase::Proved | Phase::Switched => true,
            _ => false,
        };
        if is_written && self.record.in_effect_since.is_none() && self.takes_effect().is_ok() {
            self.record.in_effect_since = Some(Time(self.now));
        }
        let in_effect = self.record.in_effect_since.as_ref()?.0;
        self.take_verdicts(in_effect);
        self.over_the_limit()
    }

    /// Nothing rises. What is found bad is taken back all the same.
    pub(super) fn hold_still(mut self, why: &str) -> Decision {
        if let Some(failed) = self.still_fails() {
            return self.abort(true, failed);
        }
        self.wait(why)
    }

    /// The weight of this step, and for how long it is checked.
    pub(super) fn weight_step(&self) -> (u32, Duration) {
        match self.present_step() {
            Some(Step::Weight(weight, for_)) => (weight, for_),
            _ => (self.record.weight, Duration::ZERO),
        }
    }

    /// `None` behind the last one.
    fn present_step(&self) -> Option<Step> {
        let index = usize::try_from(self.record.step).unwrap_or(usize::MAX);
        self.policy.steps.get(index).copied()
    }
}

#[cfg(test)]
mod tests;
