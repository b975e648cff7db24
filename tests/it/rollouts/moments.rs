//! The moments that matter, where the number of pods splits the traffic, each under constant load: a good version, bad ones,
//! configuration, a third version, a revert. Through routers `by_route` shows the first two.

mod bad;
mod configuration;
mod good;
mod revert;
mod third;
pub mod timeline;

use super::load::Sample;
use super::{shop, table};
use crate::main_job::stage::Stage;

/// In percent.
fn share(part: usize, all: usize) -> f64 {
    let number = |count| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    100.0 * number(part) / number(all.max(1))
}

/// Three standard deviations of a share of so many requests, in points.
fn three_sigma(percent: u32, requests: usize) -> f64 {
    let likely = f64::from(percent) / 100.0;
    let requests = f64::from(u32::try_from(requests.max(1)).unwrap_or(u32::MAX));
    300.0 * (likely * (1.0 - likely) / requests).sqrt()
}

/// Connections are what Services split: one that is kept stays with its pod.
fn on_new_connections(samples: &[Sample]) -> impl Iterator<Item = &Sample> {
    samples.iter().filter(|sample| sample.new_connection)
}

/// The pods of the stable side are those of before, and none was restarted.
fn stable_stayed(moment: &str, stage: &Stage, before: &[String]) {
    table::must(
        moment,
        "stable pods that are others or were restarted",
        "0 of 3",
        "0",
        shop::stable_pods(stage) == before,
    );
}

#[test]
fn a_standard_deviation_is_that_of_a_coin() {
    assert!((three_sigma(50, 100) - 15.0).abs() < 1e-9);
    assert!((share(1, 4) - 25.0).abs() < 1e-9);
}
