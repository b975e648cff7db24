//! How a step of the machine ends: in another phase, waiting where it is, or with the rollout.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Machine, after};
use crate::api::{HoldEnd, RolloutPhase as Phase, RolloutStatus};

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

impl Machine<'_> {
    pub(super) fn enter(mut self, phase: Phase, reason: &'static str, what: String) -> Decision {
        self.complete_the_record();
        self.record.phase = phase;
        self.record.since = Some(Time(self.now));
        // A pause keeps the weight, and goes on collecting evidence; none of it is begun anew.
        let keeps = matches!(phase, Phase::Paused | Phase::Proved);
        self.record.in_effect_since = self.record.in_effect_since.filter(|_| keeps);
        self.record.written_at = None;
        self.record.held_since = None;
        self.record.until = None;
        self.record.message.clone_from(&what);
        let told = format!("{}: {what}", self.record.workload);
        Decision {
            due: None,
            told: Some((
                matches!(phase, Phase::Aborting | Phase::Removing | Phase::Restoring),
                reason,
                told,
            )),
            record: Some(self.record),
        }
    }

    pub(super) fn wait(mut self, message: &str) -> Decision {
        self.record.held_since = None;
        self.stay(message)
    }

    /// Waits for as long as the policy says: from when it began to wait like this, and somebody looked.
    pub(super) fn hold(mut self, waits: &str) -> Decision {
        let held = self.record.held_since.get_or_insert(Time(self.now)).0;
        let looked = self.looked_since().unwrap_or(held);
        let deadline = after(held.max(looked), self.policy.max_hold);
        if self.now >= deadline && self.policy.hold_end == HoldEnd::Abort {
            let why = format!("longer than maxHold: {waits}");
            if self.record.phase == Phase::Promoting {
                return self.restore(true, why);
            }
            return self.abort(true, why);
        }
        let due = [self.due, Some(deadline)].into_iter().flatten();
        self.due = due.filter(|at| *at > self.now).min();
        self.stay(waits)
    }

    fn stay(mut self, message: &str) -> Decision {
        message.clone_into(&mut self.record.message);
        Decision {
            record: Some(self.record),
            due: self.due,
            told: None,
        }
    }

    pub(super) fn end(self, record: Option<RolloutStatus>) -> Decision {
        Decision {
            record,
            due: None,
            told: None,
        }
    }
}
