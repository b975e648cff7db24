//! How many pods a canary has for its weight.

use super::policy::{Policy, Strategy};

/// What a weight comes to in pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub pods: u32,
    /// The share in percent that these pods get where their number splits the traffic.
    pub achieved: Option<u32>,
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
