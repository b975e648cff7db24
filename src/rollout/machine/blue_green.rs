//! Blue/green: the switch of all traffic to the green side, the time in which it can be undone at once, and the end of it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::evidence::missing;
use super::{Command, Decision, Machine, after};
use crate::api::{RolloutPhase as Phase, RolloutStatus, RolloutStrategy};
use crate::rollout::policy::{Policy, Strategy};

/// Whether the old side was kept for as long as the policy says, and the checks still pass.
pub(super) fn has_kept_enough(policy: &Policy, record: &RolloutStatus, now: Timestamp) -> bool {
    let is_over = record
        .kept_until
        .as_ref()
        .is_some_and(|until| now >= until.0);
    is_over && missing(policy, record).is_none()
}

/// For so long the stable Services stay narrowed to pods that are being replaced, so that the green ones are on their way
/// out when they select all: a restart takes longer to be through with the old ones, and these drain.
const RELEASE: Duration = Duration::from_secs(1);

impl Machine<'_> {
    /// Whether the narrowing to pods that are being replaced is kept for the moment.
    pub(super) fn keeps_the_narrowing(&mut self) -> bool {
        if self.record.strategy != RolloutStrategy::BlueGreen {
            return false;
        }
        match self.record.phase {
            Phase::Starting | Phase::Analysing | Phase::Paused | Phase::Proved => true,
            Phase::Narrowing => {
                let until = after(self.since(), RELEASE);
                self.due = Some(until).filter(|until| self.now < *until);
                self.now < until
            }
            _ => false,
        }
    }

    /// Before the switch nothing but the narrowing keeps the green pods from the traffic. Where it has to go, because the
    /// stable pods are being replaced, the green ones go too.
    pub(super) fn must_begin_anew(&self) -> bool {
        self.record.strategy == RolloutStrategy::BlueGreen
            && self.record.phase != Phase::Switched
            && self.observed.stable.restarting
    }

    pub(super) fn begin_anew(mut self) -> Decision {
        self.record.step = 0;
        self.record.checks.clear();
        self.enter(
            Phase::Narrowing,
            "RolloutRestarted",
            "the stable side restarts; the green side starts anew behind it".to_owned(),
        )
    }

    /// All traffic, at once: only to a green side that is as large as the stable one is by now, and ready.
    pub(super) fn switch(mut self) -> Decision {
        if !self.observed.may_switch {
            return self.wait("proved; waits for the other workloads of the revision");
        }
        if let Some(missing) = self.missing_evidence() {
            return self.hold(&format!("proved; holds: {missing}"));
        }
        self.record.canary_replicas = self
            .record
            .canary_replicas
            .max(self.observed.stable.replicas);
        let is_whole = self.observed.canary.replicas >= self.record.canary_replicas;
        if !(is_whole && self.observed.written && self.observed.canary.ready) {
            return self.wait_for_the_pods("waits for the green side's pods to become ready");
        }
        self.record.weight = 100;
        self.record.checks.clear();
        self.enter(
            Phase::Switched,
            "RolloutSwitched",
            "proved; all traffic goes to the green side".to_owned(),
        )
    }

    /// Behind the switch only the green side serves: whatever is found or said of it, without a pod on the other side there
    /// is no way back. What is said is served when there is.
    pub(super) fn nowhere_to_go(self) -> Decision {
        self.wait(
            "the stable side was scaled to 0, so that there is nothing to go back to: the green side serves, whatever is found; scale the stable side up",
        )
    }

    /// The stable side runs as before: going back is a write to its Services.
    pub(super) fn switched(mut self, command: Option<Command>) -> Decision {
        let in_effect = match self.in_effect() {
            Ok(since) => since,
            Err(waits) => return self.hold(&waits),
        };
        self.take_verdicts(in_effect);
        if let Some(failed) = self.over_the_limit() {
            return self.abort(true, failed);
        }
        let keep = match &self.policy.strategy {
            Strategy::BlueGreen { keep, .. } => *keep,
            Strategy::Canary | Strategy::Partition => Duration::ZERO,
        };
        let until = match (command, &self.record.kept_until) {
            (Some(Command::Promote), _) => self.now,
            (_, Some(until)) => until.0,
            (_, None) => after(in_effect, keep),
        };
        self.record.kept_until = Some(Time(until));
        if self.now < until {
            self.due = Some(until);
            return self.wait(
                "all traffic goes to the green side; the old one is kept, and driftless abort goes back to it at once",
            );
        }
        if let Some(missing) = self.missing_evidence() {
            return self.hold(&format!("holds: {missing}"));
        }
        if !self.observed.may_promote {
            return self
                .wait("kept for long enough; waits for the other workloads of the revision");
        }
        self.enter(
            Phase::Promoting,
            "RolloutPromoting",
            "the stable side takes the change; the green side serves".to_owned(),
        )
    }
}
