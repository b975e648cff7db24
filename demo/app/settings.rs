//! The environment variables that decide how the application behaves.

use std::env;
use std::time::Duration;

use anyhow::{Context, ensure};

/// README.md says what each is for.
pub struct Settings {
    pub port: u16,
    pub version: String,
    pub color: String,
    /// From 0 to 1.
    pub fail_rate: f64,
    pub latency: Duration,
    pub ready_after: Duration,
    pub never_ready: bool,
    pub crash_after: Option<Duration>,
    pub drain: Duration,
}

impl Settings {
    pub fn from_environment() -> anyhow::Result<Self> {
        let fail_rate = text("FAIL_RATE", "0");
        let fail_rate: f64 = fail_rate.parse().context("FAIL_RATE is not a number")?;
        ensure!(
            (0.0..=1.0).contains(&fail_rate),
            "FAIL_RATE is not between 0 and 1"
        );
        Ok(Self {
            port: text("PORT", "8080").parse().context("PORT is not a port")?,
            version: text("VERSION", "1.0"),
            color: text("COLOR", "blue"),
            fail_rate,
            latency: duration("LATENCY", "0s")?,
            ready_after: duration("READY_AFTER", "0s")?,
            never_ready: text("NEVER_READY", "") == "true",
            crash_after: super::positive(duration("CRASH_AFTER", "0s")?),
            drain: duration("DRAIN", "10s")?,
        })
    }

    /// Whether the request of this number fails: exactly the share that was asked for, evenly spread.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a demo does not serve 2^53 requests"
    )]
    pub fn fails(&self, number: u64) -> bool {
        let failed_before = |count: u64| (count as f64 * self.fail_rate).floor();
        failed_before(number + 1) > failed_before(number)
    }

    pub fn is_ready(&self, running: Duration) -> bool {
        !self.never_ready && running >= self.ready_after
    }
}

fn text(name: &str, default: &str) -> String {
    env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| default.to_owned())
}

fn duration(name: &str, default: &str) -> anyhow::Result<Duration> {
    let value = text(name, default);
    humantime::parse_duration(&value).with_context(|| format!("{name} is not a duration: {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fails_the_share_that_was_asked_for() {
        for (rate, of_ten) in [(0.0, 0), (0.2, 2), (0.5, 5), (1.0, 10)] {
            let settings = Settings {
                fail_rate: rate,
                ..Settings::from_environment().unwrap()
            };
            let failed = (0..10).filter(|&number| settings.fails(number)).count();
            assert_eq!(failed, of_ten, "at {rate}");
        }
    }
}
