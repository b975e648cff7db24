//! The way back to the stable side: the canary loses its traffic, drains, and goes; what failed is remembered.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::record::without_traffic;
use super::{Command, Decision, Machine};
use crate::api::RolloutPhase as Phase;

impl Machine<'_> {
    pub(super) fn abort(mut self, taken_back: bool, why: String) -> Decision {
        self.record.taken_back = taken_back;
        without_traffic(&mut self.record);
        // Where nothing runs yet nothing has to drain, and what could not be written on the way up is not asked for again.
        let runs = self.record.phase != Phase::Narrowing || self.record.canary_replicas > 0;
        let phase = if runs {
            Phase::Aborting
        } else {
            Phase::Removing
        };
        self.enter(phase, "RolloutAborted", why)
    }

    pub(super) fn aborting(mut self) -> Decision {
        if self.is_drained() {
            self.leave_the_rest();
        }
        let message = self.record.message.clone();
        self.wait(&message)
    }

    /// Nothing goes to the canary any more.
    pub(super) fn leave_the_rest(&mut self) {
        self.record.phase = Phase::Removing;
        self.record.since = Some(Time(self.now));
        self.record.written_at = None;
    }

    /// Weight 0 is written, accepted or not, and proxies have had the time to know it.
    pub(super) fn is_drained(&mut self) -> bool {
        self.observed.written && self.settled()
    }

    pub(super) fn removing(mut self) -> Decision {
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

    pub(super) fn failed(mut self, same: bool, command: Option<Command>) -> Decision {
        if !same || command == Some(Command::Retry) {
            return self.end(None);
        }
        let message = self.record.message.clone();
        self.due = None;
        self.wait(&message)
    }
}
