//! The times of a record, held against the clock of the agent that looks.

use std::time::Duration;

use jiff::Timestamp;

use super::Machine;

/// Times are recorded in whole seconds.
const A_MOMENT: Duration = Duration::from_secs(1);

impl Machine<'_> {
    /// A clock that was set back must not have the rollout wait, blind, until it is where it was.
    pub(super) fn mend_the_times(&mut self) {
        let record = &mut self.record;
        // The old side is kept for as long as it was to be: its end moves with what it was counted from.
        if let (Some(in_effect), Some(until)) = (&record.in_effect_since, &mut record.kept_until)
            && in_effect.0 > self.now
        {
            let ahead = in_effect.0.duration_since(self.now);
            until.0 = until.0.checked_sub(ahead).unwrap_or(self.now);
        }
        // A verdict of the future fell before now: an agent that begins to look now has not seen it.
        let before = self.now.checked_sub(A_MOMENT).unwrap_or(self.now);
        let checks = record.checks.iter_mut();
        let verdicts = checks.flat_map(|check| [&mut check.began, &mut check.at]);
        for time in verdicts.flatten().filter(|time| time.0 > self.now) {
            time.0 = before;
        }
        let times = [
            &mut record.since,
            &mut record.in_effect_since,
            &mut record.written_at,
            &mut record.held_since,
        ];
        for time in times.into_iter().flatten().filter(|time| time.0 > self.now) {
            time.0 = self.now;
        }
    }

    /// Since when somebody looks without a break; of a clock that was set back since, from now on.
    pub(super) fn looked_since(&self) -> Option<Timestamp> {
        self.observed.looked_since.map(|since| since.min(self.now))
    }
}
