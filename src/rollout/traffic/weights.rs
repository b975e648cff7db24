//! Weights of a rule's backends: the canary gets its share of what the workload gets, and the others keep their proportion.

use serde_json::{Value, json};

/// A rule's backends after the split.
pub(super) struct Backends {
    pub all: Vec<Value>,
    /// Those of the canary alone, as they divide what testers send.
    pub canaries: Vec<Value>,
}

/// Puts the canary's backend behind each of the workload's. `weight_of` is the weight of a backend as Git has it,
/// `canary_of` the canary's beside it; no weight exceeds `most`. `None` where the workload gets nothing of this rule.
pub(super) fn split(
    backends: &[Value],
    percent: u32,
    most: u64,
    weight_of: impl Fn(&Value) -> u64,
    canary_of: impl Fn(&Value) -> Option<Value>,
) -> Option<Backends> {
    let parts: Vec<(&Value, u64, Option<Value>)> = backends
        .iter()
        .map(|backend| {
            let weight = weight_of(backend);
            // What gets nothing has nothing to share.
            let canary = canary_of(backend).filter(|_| weight > 0);
            (backend, weight, canary)
        })
        .collect();
    if parts.iter().all(|(_, _, canary)| canary.is_none()) {
        return None;
    }
    let percent = u64::from(percent.min(100));
    let common = parts
        .iter()
        .fold(0, |common, (_, weight, _)| divisor(common, *weight));
    let largest = parts.iter().map(|(_, weight, _)| weight / common).max();
    // By so much every weight is too large; never to the canary's advantage.
    let factor = (largest.unwrap_or(0) * 100).div_ceil(most).max(1);
    let mut all = Vec::with_capacity(parts.len() + 1);
    let mut canaries = Vec::new();
    for (backend, weight, canary) in parts {
        let part = weight / common;
        let mut stable = backend.clone();
        let Some(canary) = canary else {
            stable["weight"] = json!((part * 100).div_ceil(factor));
            all.push(stable);
            continue;
        };
        stable["weight"] = json!((part * (100 - percent)).div_ceil(factor));
        let mut second = canary.clone();
        second["weight"] = json!(part * percent / factor);
        all.push(stable);
        all.push(second);
        let mut alone = canary;
        alone["weight"] = json!(weight);
        canaries.push(alone);
    }
    if let [only] = canaries.as_mut_slice() {
        only.as_object_mut().map(|only| only.remove("weight"));
    }
    Some(Backends { all, canaries })
}

/// The greatest common divisor.
fn divisor(one: u64, other: u64) -> u64 {
    if other == 0 {
        one
    } else {
        divisor(other, one % other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(weights: &[u64], ours: usize, percent: u32, most: u64) -> Option<Vec<u64>> {
        let backends: Vec<Value> = weights
            .iter()
            .enumerate()
            .map(|(index, weight)| json!({"name": index, "weight": weight}))
            .collect();
        let weight_of = |backend: &Value| backend["weight"].as_u64().unwrap();
        let split = split(&backends, percent, most, weight_of, |backend| {
            (backend["name"] == json!(ours)).then(|| json!({"name": "canary"}))
        })?;
        Some(split.all.iter().map(weight_of).collect())
    }

    #[test]
    fn others_keep_their_proportion() {
        assert_eq!(parts(&[1], 0, 25, 1_000_000), Some(vec![75, 25]));
        assert_eq!(
            parts(&[90, 10], 0, 25, 1_000_000),
            Some(vec![675, 225, 100])
        );
        assert_eq!(parts(&[50, 50], 1, 10, 1_000_000), Some(vec![100, 90, 10]));
        assert_eq!(
            parts(&[1, 0], 0, 10, 1_000_000),
            Some(vec![90, 10, 0]),
            "weight 0 stays 0"
        );
        assert_eq!(parts(&[1, 0], 1, 10, 1_000_000), None, "0 is not shared");
        // 6363 to 3737 to 5700, in a router that knows no more than 999.
        assert_eq!(parts(&[101, 57], 0, 37, 999), Some(vec![579, 339, 519]));
    }

    proptest! {
        #[test]
        fn a_canary_never_gets_more_than_its_share(
            weights in proptest::collection::vec(0_u64..2000, 1..6), ours in 0_usize..6, percent in 0_u32..=100,
        ) {
            if let Some(after) = parts(&weights, ours, percent, 999) {
                let sum: u64 = after.iter().sum();
                let whole: u64 = weights.iter().sum();
                prop_assert!(after.iter().all(|weight| *weight <= 999));
                let (stable, canary) = (after[ours], after[ours + 1]);
                prop_assert!(canary * 100 * whole <= u64::from(percent) * weights[ours] * sum);
                prop_assert!(canary * 100 <= u64::from(percent) * (stable + canary));
                prop_assert!(percent > 0 || canary == 0);
                prop_assert!(percent < 100 || stable == 0);
            }
        }
    }
}
