//! The rollout of one workload as a pure state machine: what is recorded, and what was observed, give what is recorded
//! next. What the record means for the cluster's objects, [`super::stage`] says.

mod blue_green;
mod evidence;
mod partition;
mod promotion;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::policy::{Policy, Step};
use super::share::{Share, share};
use crate::api::{HoldEnd, RolloutPhase as Phase, RolloutStatus, RolloutStrategy};

/// What was seen since the record was written.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and all combinations happen"
)]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The digest of the change that Git wants now; `None` where it wants what the stable side runs.
    pub change: Option<String>,
    /// Everything that the record asks for was written.
    pub written: bool,
    /// The router has not accepted what was written, in its words.
    pub router_waits: Option<String>,
    pub canary: Side,
    /// Neither the canary nor a pod of it exists.
    pub canary_is_gone: bool,
    pub stable: Side,
    /// Verdicts that fell since the last step, in order.
    pub verdicts: Vec<Verdict>,
    /// The newest word of a person that was not served yet.
    pub command: Option<(String, Command)>,
    /// Every rollout of the revision is proved: traffic may be switched.
    pub may_switch: bool,
    /// Every rollout of the revision is proved, and none keeps its old side any longer; those that this one depends on are
    /// promoted.
    pub may_promote: bool,
    /// The revision was taken: the change is what the stable side is to run from now on.
    pub taken: bool,
    /// Why it goes back, though the change itself is not at fault.
    pub go_back: Option<String>,
    /// Since when somebody looks without a break: older verdicts may no longer hold.
    pub looked_since: Option<Timestamp>,
    /// Why nothing goes on. What is found bad is taken back all the same.
    pub held: Option<String>,
}

/// The pods of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// It is what was written, and every pod of it is ready.
    pub ready: bool,
    /// It will not become so: why.
    pub failure: Option<String>,
    /// The number of its pods.
    pub replicas: u32,
    /// The `pod-template-hash` of its pods, where they all have the same and it is known.
    pub hash: Option<String>,
    /// Pods of two templates are there.
    pub restarting: bool,
    /// It was scaled to 0.
    pub stopped: bool,
}

/// What a check said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub check: String,
    pub outcome: Outcome,
    /// What was measured, or why there is nothing.
    pub value: String,
    /// When it was begun.
    pub at: Timestamp,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    Fail,
    /// Unreachable, empty, stale: no verdict.
    NoData,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Pass => "Pass",
            Outcome::Fail => "Fail",
            Outcome::NoData => "NoData",
        }
    }
}

/// What a person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Go on from a pause, or to the next step.
    Promote,
    Abort,
    /// Try a change again that was taken back.
    Retry,
    Pause,
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The record from now on; `None` where the rollout is over.
    pub record: Option<RolloutStatus>,
    /// When it has to be looked at again, if nothing happens before.
    pub due: Option<Timestamp>,
    /// What is told: whether it is a warning, its reason, and the words.
    pub told: Option<(bool, &'static str, String)>,
}

const BY_A_PERSON: &str = "taken back by a person";

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
        stable_replicas: stable.replicas.max(1),
        stable_hash: stable.hash.clone(),
        since: Some(Time(now)),
        ..RolloutStatus::default()
    }
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
        Phase::Proved => record.strategy != RolloutStrategy::BlueGreen,
        Phase::Switched => blue_green::has_kept_enough(policy, record, now),
        Phase::Promoting | Phase::Finishing => true,
        _ => false,
    }
}

/// A rollout that has lost its record: nobody knows what was proved, and the canary goes.
pub fn recovered(policy: &Policy, change: &str, stable: &Side, now: Timestamp) -> RolloutStatus {
    RolloutStatus {
        phase: Phase::Aborting,
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
) -> Option<String> {
    if wanted == Some(&record.change) || stable == Some(&record.change) {
        return None;
    }
    match record.phase {
        Phase::Starting | Phase::Analysing | Phase::Paused | Phase::Proved | Phase::Switched => {
            record.phase = Phase::Aborting;
            without_traffic(record);
        }
        // The canary serves until the stable side is what it was.
        Phase::Promoting | Phase::Finishing => record.phase = Phase::Restoring,
        Phase::Narrowing | Phase::Restoring | Phase::Aborting | Phase::Removing | Phase::Failed => {
            return None;
        }
    }
    record.taken_back = false;
    record.since = Some(Time(now));
    record.in_effect_since = None;
    record.written_at = None;
    "Git no longer wants this change".clone_into(&mut record.message);
    Some(format!("{}: {}", record.workload, record.message))
}

/// What the record says of a canary that is to get nothing.
fn without_traffic(record: &mut RolloutStatus) {
    record.weight = 0;
    record.achieved_weight = record.achieved_weight.map(|_| 0);
    record.kept_until = None;
}

/// One step of the machine.
pub fn step(
    policy: &Policy,
    record: &RolloutStatus,
    observed: &Observed,
    now: Timestamp,
) -> Decision {
    let machine = Machine {
        policy,
        observed,
        now,
        record: record.clone(),
        due: None,
    };
    machine.run()
}

struct Machine<'a> {
    policy: &'a Policy,
    observed: &'a Observed,
    now: Timestamp,
    record: RolloutStatus,
    due: Option<Timestamp>,
}

impl Machine<'_> {
    fn run(mut self) -> Decision {
        let command = self.observed.command.as_ref().map(|(id, command)| {
            self.record.last_command = Some(id.clone());
            *command
        });
        self.follow_the_stable_side();
        let same = self.observed.change.as_ref() == Some(&self.record.change);
        match self.record.phase {
            Phase::Failed => self.failed(same, command),
            Phase::Aborting => self.aborting(),
            Phase::Removing => self.removing(),
            Phase::Restoring => self.restoring(),
            Phase::Finishing => self.finishing(),
            Phase::Promoting => self.promoting(command),
            _ if let Some(why) = self.given_up() => self.abort(false, why),
            _ if self.policy.strategy.kind() != self.record.strategy => {
                self.abort(false, "its policy names another strategy now".to_owned())
            }
            _ if self.observed.stable.stopped => {
                self.abort(false, "the stable side was scaled to 0".to_owned())
            }
            _ if command == Some(Command::Abort) => self.abort(true, BY_A_PERSON.to_owned()),
            // What starts anew leaves its pods of before behind.
            phase if phase != Phase::Narrowing && self.must_begin_anew() => self.begin_anew(),
            phase
                if phase != Phase::Narrowing
                    && let Some(failure) = self.canary_failure() =>
            {
                self.abort(true, failure)
            }
            _ if let Some(why) = self.observed.held.clone() => self.hold_still(&why),
            Phase::Narrowing => self.narrowing(),
            Phase::Starting => self.starting(),
            Phase::Analysing => self.analysing(command),
            Phase::Paused => self.paused(command),
            Phase::Proved => self.proved(),
            Phase::Switched => self.switched(command),
        }
    }

    /// A stable side that restarts in the middle has other pods: the narrowing must never leave them out, and is
    /// released rather than that.
    fn follow_the_stable_side(&mut self) {
        let stable = &self.observed.stable;
        if self.record.strategy == RolloutStrategy::Partition {
            return self.follow_the_set();
        }
        if stable.restarting {
            if !self.keeps_the_narrowing() {
                self.record.stable_hash = None;
            }
        } else if stable.hash.is_some() {
            self.record.stable_hash.clone_from(&stable.hash);
        }
    }

    fn share(&self, weight: u32) -> Share {
        share(self.policy, weight, self.record.stable_replicas)
    }

    fn narrowing(mut self) -> Decision {
        if self.record.stable_hash.is_none() || self.observed.stable.restarting {
            let again = after(self.now, Duration::from_secs(2));
            self.due = Some(self.due.map_or(again, |due| due.min(again)));
            return self.wait("waits until the stable side's pods are of one template");
        }
        if !self.observed.written {
            return self.wait("the stable Services are being narrowed to the stable pods");
        }
        let is_narrowed =
            self.policy.traffic.is_some() || self.record.strategy == RolloutStrategy::BlueGreen;
        if is_narrowed && !self.settled() {
            return self.wait("waits until every proxy knows the stable pods");
        }
        let first = self.policy.steps.iter().find_map(|step| match step {
            Step::Weight(weight, _) => Some(*weight),
            // The pods of a set have their traffic as soon as they run.
            Step::Pause if self.record.strategy == RolloutStrategy::Partition => Some(0),
            Step::Pause => None,
        });
        self.record.canary_replicas = self.share(first.unwrap_or(0)).pods;
        self.enter(
            Phase::Starting,
            "RolloutStarted",
            "the canary starts".to_owned(),
        )
    }

    fn starting(mut self) -> Decision {
        if !(self.observed.written && self.observed.canary.ready) {
            return self.wait("waits for the canary's pods to become ready");
        }
        self.record.step = 0;
        self.at_step()
    }

    /// Enters the step that the record names, or what comes behind the last.
    fn at_step(mut self) -> Decision {
        self.record.checks.clear();
        let index = usize::try_from(self.record.step).unwrap_or(usize::MAX);
        match self.policy.steps.get(index) {
            None => self.enter(
                Phase::Proved,
                "RolloutProved",
                "every step was passed".to_owned(),
            ),
            Some(Step::Pause) => self.enter(
                Phase::Paused,
                "RolloutPaused",
                "paused; driftless promote goes on".to_owned(),
            ),
            Some(Step::Weight(weight, _)) => {
                let share = self.share(*weight);
                self.record.canary_replicas = share.pods;
                // Its pods come before its traffic.
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

    fn analysing(mut self, command: Option<Command>) -> Decision {
        match command {
            Some(Command::Pause) => {
                let what = "paused by a person; driftless promote goes on".to_owned();
                return self.enter(Phase::Paused, "RolloutPaused", what);
            }
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
                return self.wait("waits for the canary's pods to become ready");
            }
            self.record.weight = weight;
            self.record.achieved_weight = self.share(weight).achieved;
            self.record.written_at = None;
            return self.wait("the weight is being written");
        }
        let in_effect = match &self.record.in_effect_since {
            Some(since) => since.0,
            None => match self.takes_effect() {
                Ok(()) => {
                    self.record.in_effect_since = Some(Time(self.now));
                    self.now
                }
                Err(waits) => {
                    let since = self.since();
                    return self.hold(since, &waits);
                }
            },
        };
        self.take_verdicts(in_effect);
        if let Some(failed) = self.over_the_limit() {
            return self.abort(true, failed);
        }
        let until = after(in_effect, for_);
        let missing = self.missing_evidence();
        if self.now >= until && missing.is_none() && self.observed.canary.ready {
            if let Some(outdated) = self.outdated_evidence() {
                return self.wait(&format!("holds: {outdated}"));
            }
            self.record.step += 1;
            return self.at_step();
        }
        if self.now < until {
            self.due = Some(until);
            return self.wait("collects evidence");
        }
        let missing = missing.unwrap_or_else(|| "the canary's pods are not all ready".to_owned());
        self.hold(until, &format!("holds: {missing}"))
    }

    /// Waits for as long as the policy says, from `since` on.
    fn hold(mut self, since: Timestamp, waits: &str) -> Decision {
        let deadline = after(since, self.policy.max_hold);
        if self.now >= deadline && self.policy.hold_end == HoldEnd::Abort {
            return self.abort(true, format!("longer than maxHold: {waits}"));
        }
        let due = self.due.unwrap_or(deadline).min(deadline);
        self.due = Some(due).filter(|at| *at > self.now);
        self.wait(waits)
    }

    /// When this phase and step were entered.
    fn since(&self) -> Timestamp {
        self.record.since.as_ref().map_or(self.now, |since| since.0)
    }

    /// Whether the weight of this step is in effect: written, accepted, and known to every proxy.
    fn takes_effect(&mut self) -> Result<(), String> {
        if !self.observed.written {
            return Err("the weight is being written".to_owned());
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

    fn paused(mut self, command: Option<Command>) -> Decision {
        if let Some(failed) = self.still_fails() {
            return self.abort(true, failed);
        }
        if command != Some(Command::Promote) {
            let message = self.record.message.clone();
            return self.wait(&message);
        }
        self.record.step += 1;
        self.at_step()
    }

    /// Whether the weight that the canary keeps has turned out to be too much.
    fn still_fails(&mut self) -> Option<String> {
        let in_effect = self.record.in_effect_since.as_ref()?.0;
        self.take_verdicts(in_effect);
        self.over_the_limit()
    }

    /// Nothing rises. What is found bad is taken back all the same.
    fn hold_still(mut self, why: &str) -> Decision {
        // The weight may have been written already: then it is checked.
        let is_due = self.record.phase == Phase::Analysing
            && self.record.in_effect_since.is_none()
            && self.record.weight == self.weight_step().0;
        if is_due && self.takes_effect().is_ok() {
            self.record.in_effect_since = Some(Time(self.now));
        }
        if let Some(failed) = self.still_fails() {
            return self.abort(true, failed);
        }
        self.wait(why)
    }

    fn aborting(mut self) -> Decision {
        if self.is_drained() {
            self.record.phase = Phase::Removing;
            self.record.written_at = None;
        }
        let message = self.record.message.clone();
        self.wait(&message)
    }

    fn removing(mut self) -> Decision {
        let message = self.record.message.clone();
        if !self.observed.written {
            return self.wait(&message);
        }
        if self.record.canary_replicas > 0 {
            // The canary's last pods get nothing; when they are gone everything becomes what it was.
            if self.observed.canary_is_gone {
                self.record.canary_replicas = 0;
                self.record.written_at = None;
            }
            return self.wait(&message);
        }
        if !self.record.taken_back {
            return self.end(None);
        }
        // What failed is remembered, so that it is not tried again.
        self.record.phase = Phase::Failed;
        self.record.since = Some(Time(self.now));
        let record = self.record.clone();
        self.end(Some(record))
    }

    fn failed(mut self, same: bool, command: Option<Command>) -> Decision {
        if !same || command == Some(Command::Retry) {
            return self.end(None);
        }
        let message = self.record.message.clone();
        self.due = None;
        self.wait(&message)
    }

    /// Weight 0 is written, accepted or not, and proxies have had the time to know it.
    fn is_drained(&mut self) -> bool {
        self.observed.written && self.settled()
    }

    /// The weight of this step, and for how long it is checked.
    fn weight_step(&self) -> (u32, Duration) {
        let index = usize::try_from(self.record.step).unwrap_or(usize::MAX);
        match self.policy.steps.get(index) {
            Some(Step::Weight(weight, for_)) => (*weight, *for_),
            _ => (self.record.weight, Duration::ZERO),
        }
    }

    /// Whether `settle` has passed since this phase and step were entered, and everything was written.
    fn settled(&mut self) -> bool {
        let written = self.record.written_at.get_or_insert(Time(self.now)).0;
        let at = after(written, self.policy.settle);
        if self.now < at {
            self.due = Some(at);
        }
        self.now >= at
    }

    fn abort(mut self, taken_back: bool, why: String) -> Decision {
        self.record.taken_back = taken_back;
        without_traffic(&mut self.record);
        self.enter(Phase::Aborting, "RolloutAborted", why)
    }

    fn enter(mut self, phase: Phase, reason: &'static str, what: String) -> Decision {
        self.record.phase = phase;
        self.record.since = Some(Time(self.now));
        // A pause keeps the weight, and goes on collecting evidence; none of it is begun anew.
        let keeps = matches!(phase, Phase::Paused | Phase::Proved);
        let since = self.record.in_effect_since.take();
        self.record.in_effect_since = keeps.then(|| since.unwrap_or(Time(self.now)));
        self.record.written_at = None;
        self.record.message.clone_from(&what);
        let told = format!("{}: {what}", self.record.workload);
        Decision {
            due: None,
            told: Some((
                matches!(phase, Phase::Aborting | Phase::Restoring),
                reason,
                told,
            )),
            record: Some(self.record),
        }
    }

    fn wait(mut self, message: &str) -> Decision {
        message.clone_into(&mut self.record.message);
        Decision {
            record: Some(self.record),
            due: self.due,
            told: None,
        }
    }

    fn end(self, record: Option<RolloutStatus>) -> Decision {
        Decision {
            record,
            due: None,
            told: None,
        }
    }
}

fn after(time: Timestamp, duration: Duration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
