//! What is promised with a number: measured, written as a table, and in the long form judged by its bar.

mod drift;
mod drifts;
mod push;
mod renders;
mod table;
mod undisturbed;

use std::{env, time::Duration};

/// Whether the long form was asked for, whose figures are judged. The short form only shows that everything is undone.
fn is_long() -> bool {
    env::var_os("DRIFTLESS_LONG").is_some_and(|value| value == "1")
}

/// The duration that `percent` of these do not exceed.
fn percentile(durations: &[Duration], percent: usize) -> Duration {
    let mut sorted = durations.to_vec();
    sorted.sort();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// `p50 120 ms, p95 300 ms, max 310 ms`.
fn spread(durations: &[Duration]) -> String {
    let [half, most, all] = [50, 95, 100].map(|percent| percentile(durations, percent).as_millis());
    format!("p50 {half} ms, p95 {most} ms, max {all} ms")
}

#[test]
fn percentiles_are_of_the_nearest_rank() {
    let durations: Vec<Duration> = (1..=30).rev().map(Duration::from_millis).collect();
    assert_eq!(spread(&durations), "p50 15 ms, p95 29 ms, max 30 ms");
    assert_eq!(percentile(&durations[..1], 95), Duration::from_millis(30));
    assert_eq!(percentile(&[], 95), Duration::ZERO);
}
