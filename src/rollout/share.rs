//! How many pods a canary has for its weight.

use super::policy::{Policy, Strategy};

/// What a weight comes to in pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub pods: u32,
    /// The share in percent that these pods get where their number splits the traffic.
    pub achieved: Option<u32>,
}

/// The weight to write while the stable Services select the canary's pods too: with the part that it gets through them the
/// canary's share is that of `weight`, or, where its pods alone are more than that, theirs.
pub fn released(weight: u32, canary: u32, stable: u32) -> u32 {
    let (weight, canary, stable) = (weight.min(100), canary.max(1), stable.max(1));
    // weight = written + (1 - written) × canary / (canary + stable)
    let over = (weight * (canary + stable)).saturating_sub(100 * canary);
    over / stable
}

/// Beside a router the canary has its weight's share of the stable side's pods. Without one it has as many as stay within
/// the weight; one that would be too many gets no traffic at all. The green side is as large as the stable one at any
/// weight. Of a `StatefulSet` so many of its own pods run the change as stay within the weight, but one at least.
pub fn share(policy: &Policy, weight: u32, stable: u32) -> Share {
    let weight = weight.min(100);
    match policy.strategy {
        Strategy::Canary => {}
        Strategy::BlueGreen { .. } => {
            return Share {
                pods: stable.max(1),
                achieved: None,
            };
        }
        Strategy::Partition => {
            let least = u32::from(weight > 0).min(stable);
            let pods = (weight * stable / 100).max(least);
            return Share {
                pods,
                achieved: Some(100 * pods / stable.max(1)),
            };
        }
    }
    if policy.traffic.is_some() {
        return Share {
            pods: (weight * stable).div_ceil(100).max(1),
            achieved: None,
        };
    }
    let pods = if weight == 100 {
        stable
    } else {
        weight * stable / (100 - weight)
    };
    let achieved = 100 * pods / (pods + stable).max(1);
    Share {
        pods: pods.max(1),
        achieved: Some(achieved),
    }
}
