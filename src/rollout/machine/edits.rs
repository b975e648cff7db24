//! A policy that Git edits in the middle of a rollout: a step that is another one now begins anew, with its pods first and
//! without the evidence of before, and no pause is skipped; with another route the whole rollout does.

use jiff::Timestamp;

use super::record::{Told, go_back};
use super::{Command, Decision, Machine};
use crate::api::{RolloutPhase as Phase, RolloutStatus};
use crate::rollout::policy::{Policy, Step, route};

const PAUSE: &str = "pause";
const REROUTED: &str = "its policy names another route now";
const ANOTHER_STRATEGY: &str = "its policy names another strategy now";

/// What splits the traffic, as the record keeps it.
pub(super) fn route_of(policy: &Policy) -> String {
    route(policy).map_or_else(String::new, |route| route.to_string())
}

/// Takes the traffic from a canary whose policy names another route now, before that is staged: the parts of the route of before
/// stay until proxies no longer send to them. What is told of it.
pub fn reroute(policy: &Policy, record: &mut RolloutStatus, now: Timestamp) -> Option<Told> {
    let is_another = |known: &String| *known != route_of(policy);
    let has_traffic = matches!(
        record.phase,
        Phase::Starting | Phase::Analysing | Phase::Paused | Phase::Proved
    );
    if !has_traffic || !record.route.as_ref().is_some_and(is_another) {
        return None;
    }
    let why = if policy.strategy.kind() == record.strategy {
        REROUTED
    } else {
        ANOTHER_STRATEGY
    };
    Some(go_back(record, Phase::Aborting, why, now))
}

/// What of the steps decides where a rollout stands: their weights and pauses, not how long each is checked.
pub(super) fn shape(policy: &Policy) -> String {
    let steps: Vec<String> = policy
        .steps
        .iter()
        .map(|step| match step {
            Step::Weight(weight, _) => weight.to_string(),
            Step::Pause => PAUSE.to_owned(),
        })
        .collect();
    steps.join(" ")
}

/// The step to begin anew with, because Git has others now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anew {
    step: u32,
    /// A person had paused the rollout.
    stays_paused: bool,
}

impl Machine<'_> {
    /// Whether the policy brings the change to the traffic in another way than the rollout began with: it begins anew. While
    /// nothing goes on the policy may not be known.
    pub(super) fn goes_another_way(&mut self) -> Option<&'static str> {
        let goes_up = matches!(
            self.record.phase,
            Phase::Narrowing
                | Phase::Starting
                | Phase::Analysing
                | Phase::Paused
                | Phase::Proved
                | Phase::Switched
        );
        if !goes_up || self.observed.held.is_some() {
            return None;
        }
        if self.policy.strategy.kind() != self.record.strategy {
            return Some(ANOTHER_STRATEGY);
        }
        let route = route_of(self.policy);
        // Nothing leads to the canary yet; or an agent before this one did not say.
        if self.record.phase == Phase::Narrowing || self.record.route.is_none() {
            if let Some(known) = &mut self.record.route {
                *known = route;
            }
            return None;
        }
        (self.record.route != Some(route)).then_some(REROUTED)
    }

    /// Takes the steps as Git has them now where what is behind the rollout, and the present step, are as they were.
    pub(super) fn follow_the_steps(&mut self) -> Option<Anew> {
        // The policy is not known, or nothing comes of it any more.
        if self.policy.steps.is_empty() || self.record.phase == Phase::Failed {
            return None;
        }
        let wanted = shape(self.policy);
        // A record of an agent before this one does not say.
        let known = self.record.shape.clone().unwrap_or_else(|| wanted.clone());
        let before: Vec<&str> = known.split_whitespace().collect();
        let after: Vec<&str> = wanted.split_whitespace().collect();
        let step = usize::try_from(self.record.step).unwrap_or(usize::MAX);
        let is_at_a_step = matches!(
            self.record.phase,
            Phase::Analysing | Phase::Paused | Phase::Proved
        );
        let so_far = step.saturating_add(1);
        if is_at_a_step && !before.iter().take(so_far).eq(after.iter().take(so_far)) {
            let pauses = before.iter().take(step).filter(|step| **step == PAUSE);
            return Some(Anew {
                step: self.step_within(pauses.count()),
                stays_paused: self.record.phase == Phase::Paused
                    && before.get(step).is_some_and(|step| *step != PAUSE),
            });
        }
        self.record.steps = u32::try_from(after.len()).unwrap_or(u32::MAX);
        if let Some(known) = &mut self.record.shape {
            *known = wanted;
        }
        None
    }

    /// Says in the record of an older agent what it did not say. Once in a phase: a server that does not know the fields
    /// yet drops them each time.
    pub(super) fn complete_the_record(&mut self) {
        if self.policy.steps.is_empty() || self.observed.held.is_some() {
            return;
        }
        let policy = self.policy;
        self.record.shape.get_or_insert_with(|| shape(policy));
        self.record.route.get_or_insert_with(|| route_of(policy));
    }

    /// The last step up to which no weight is above the present one, and no pause without its word; else the first.
    fn step_within(&self, mut pauses: usize) -> u32 {
        let mut within = 0;
        for (index, step) in (0..).zip(&self.policy.steps) {
            match step {
                Step::Pause if pauses == 0 => break,
                Step::Pause => pauses -= 1,
                Step::Weight(weight, _) if *weight > self.record.weight => break,
                Step::Weight(..) => {}
            }
            within = index;
        }
        within
    }

    pub(super) fn begin_step_anew(mut self, anew: Anew, command: Option<Command>) -> Decision {
        self.record.shape = Some(shape(self.policy));
        self.record.steps = u32::try_from(self.policy.steps.len()).unwrap_or(u32::MAX);
        self.record.step = anew.step;
        if anew.stays_paused {
            let message = self.record.message.clone();
            return self.wait(&message);
        }
        if command == Some(Command::Pause) {
            return self.pause();
        }
        let mut decision = self.at_step();
        if let Some((_, reason, what)) = &mut decision.told {
            *reason = "RolloutRestarted";
            what.push_str("; Git has other steps now");
        }
        decision
    }
}

#[cfg(test)]
mod tests;
