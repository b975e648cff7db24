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
            &mut record.held_since,
        ];
        for time in times.into_iter().flatten().filter(|time| time.0 > self.now) {
            time.0 = self.now;
        }
        let next = up(self.now);
        if let Some(written) = record.written_at.as_mut().filter(|time| time.0 > next) {
            written.0 = next;
        }
    }

    /// Since when somebody looks without a break; of a clock that was set back since, from now on. In whole seconds, as what
    /// is seen is recorded.
    pub(super) fn looked_since(&self) -> Option<Timestamp> {
        let since = self.observed.looked_since?.min(self.now);
        Timestamp::from_second(since.as_second()).ok()
    }
}

/// The next whole second: what counts from a recorded time must not end before it would from the time itself.
pub(super) fn up(time: Timestamp) -> Timestamp {
    let seconds = time.as_second() + i64::from(time.subsec_nanosecond() > 0);
    Timestamp::from_second(seconds).unwrap_or(time)
}
