//! The rollout of one workload as a pure state machine: what is recorded, and what was observed, give what is recorded
//! next. What the record means for the cluster's objects, [`super::stage`] says.

mod blue_green;
mod clock;
mod decision;
mod edits;
mod evidence;
mod observed;
mod partition;
mod promotion;
mod record;
mod retreat;
mod size;
mod steps;

pub use decision::Decision;
pub use edits::reroute;
pub use observed::{Command, Observed, Outcome, Side, Verdict};
pub use record::{begin, give_up, is_proved, is_ready_to_promote, recovered, take_back};

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::policy::Policy;
use crate::api::{RolloutPhase as Phase, RolloutStatus, RolloutStrategy};

const BY_A_PERSON: &str = "taken back by a person";
const UNWANTED: &str = "Git no longer wants this change";

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
        self.mend_the_times();
        if self.record.phase == Phase::Switched && self.observed.stable.stopped {
            return self.nowhere_to_go();
        }
        let another_way = self.goes_another_way();
        let anew = self.follow_the_steps();
        let command = self.served(anew.is_some());
        self.follow_the_stable_side();
        self.follow_the_size(anew.is_some());
        let same = self.observed.change.as_ref() == Some(&self.record.change);
        match self.record.phase {
            Phase::Failed => self.failed(same, command),
            Phase::Aborting => self.aborting(),
            Phase::Removing => self.removing(),
            Phase::Restoring => self.restoring(command),
            Phase::Finishing => self.finishing(),
            Phase::Promoting => self.promoting(command),
            _ if let Some(why) = self.given_up() => self.abort(false, why),
            _ if let Some(why) = another_way => self.abort(false, why.to_owned()),
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
            _ if let Some(anew) = anew => self.begin_step_anew(anew, command),
            Phase::Narrowing => self.narrowing(),
            Phase::Starting => self.starting(),
            Phase::Analysing => self.analysing(command),
            Phase::Paused => self.paused(command),
            Phase::Proved => self.proved(),
            Phase::Switched => self.switched(command),
        }
    }

    /// The word of a person that is served now. While nothing goes on each but one to go back waits, and so does one to go
    /// on from a step that begins anew.
    fn served(&mut self, anew: bool) -> Option<Command> {
        let (id, command) = self.observed.command.as_ref()?;
        let waits = match command {
            Command::Abort => false,
            Command::Promote => anew || self.observed.held.is_some(),
            Command::Pause | Command::Retry => self.observed.held.is_some(),
        };
        if waits {
            return None;
        }
        self.record.last_command = Some(id.clone());
        Some(*command)
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

    /// When this phase and step were entered.
    fn since(&self) -> Timestamp {
        self.record.since.as_ref().map_or(self.now, |since| since.0)
    }

    /// Whether `settle` has passed since everything that this phase asks for is written.
    fn settled(&mut self) -> bool {
        let written = self
            .record
            .written_at
            .get_or_insert(Time(clock::up(self.now)));
        let written = written.0;
        let at = after(written, self.policy.settle);
        if self.now < at {
            self.due = Some(at);
        }
        self.now >= at
    }
}

fn after(time: Timestamp, duration: Duration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
