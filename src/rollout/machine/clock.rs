//! The times of a record, held against the clock of the agent that looks.

use super::{Machine, after};
use crate::rollout::policy::Strategy;

impl Machine<'_> {
    /// A clock that was set back must not have the rollout wait, blind, until it is where it was.
    pub(super) fn mend_the_times(&mut self) {
        let record = &mut self.record;
        let checks = record.checks.iter_mut();
        let times = checks
            .flat_map(|check| [&mut check.began, &mut check.at])
            .chain([
                &mut record.since,
                &mut record.in_effect_since,
                &mut record.written_at,
                &mut record.held_since,
            ]);
        for time in times.flatten().filter(|time| time.0 > self.now) {
            time.0 = self.now;
        }
        if let (Some(until), Strategy::BlueGreen { keep, .. }) =
            (&mut record.kept_until, &self.policy.strategy)
        {
            until.0 = until.0.min(after(self.now, *keep));
        }
    }
}
