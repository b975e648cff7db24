//! How many pods a canary has for its weight.

use super::policy::Policy;

/// What a weight comes to in pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub pods: u32,
    /// The share in percent that these pods get where their number splits the traffic.
    pub achieved: Option<u32>,
}

/// Beside a router the canary has its weight's share of the stable side's pods. Without one it has as many as stay within
/// the weight; one that would be too many gets no traffic at all.
pub fn share(policy: &Policy, weight: u32, stable: u32) -> Share {
    let weight = weight.min(100);
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
