//! A good version, from nobody to everybody: each step has its share, and no request fails, promotion and clean-up included.

use std::time::{Duration, Instant};

use driftless::api::RolloutPhase as Phase;
use serde_json::{Value, json};

use super::{on_new_connections, share, three_sigma};
use crate::main_job::stage::Stage;
use crate::need_node;
use crate::rollouts::load::{Load, Sample};
use crate::rollouts::shop::{self, SHOP, Shop};
use crate::rollouts::table;

/// What is asked for, and what whole pods beside three allow.
const WEIGHTS: [(u32, u32); 4] = [(10, 0), (30, 25), (45, 40), (50, 50)];

/// How long a step may take until enough requests were counted.
const LIMIT: Duration = Duration::from_mins(3);

/// A step of each weight, and a pause there.
fn steps() -> Value {
    WEIGHTS
        .into_iter()
        .flat_map(|(weight, _)| [json!({"weight": weight}), json!({"pause": true})])
        .collect()
}

/// The samples of a whole rollout to version 2, and from when until when each share was counted.
async fn rolled_out(shop: Shop, requests: usize) -> (Vec<Sample>, Vec<(u32, Instant, Instant)>) {
    let second = shop.push("2", &[]).await;
    let mut windows = Vec::new();
    for (step, (weight, achieved)) in (1_u32..).step_by(2).zip(WEIGHTS) {
        let paused = shop
            .stage
            .until(SHOP, &format!("it is paused at {weight} %"), |status| {
                shop::phase(status) == Some(Phase::Paused) && status.rollouts[0].step == step
            })
            .await;
        assert_eq!(paused.rollouts[0].achieved_weight, Some(achieved));
        let begin = Instant::now();
        asked(&shop.load, requests).await;
        windows.push((achieved, begin, Instant::now()));
        shop.say("promote").await;
    }
    shop.over(&second).await;
    (shop.load.end().await, windows)
}

/// Waits until so many requests more were made on new connections.
async fn asked(load: &Load, requests: usize) {
    let start = Instant::now();
    let from = load.so_far(0).len();
    while on_new_connections(&load.so_far(from)).count() < requests {
        assert!(start.elapsed() < LIMIT, "too few requests are answered");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_version_has_its_share_at_every_step_and_no_request_fails() {
    let Some(node) = need_node!() else { return };
    let moment = "1 good version, by pods";
    let requests = if table::is_long() { 4000 } else { 500 };
    let shop = Shop::open(Stage::new(node).await, steps()).await;
    // Requests that are under way at an edge belong to neither side.
    let (samples, windows) = rolled_out(shop, requests + 50).await;

    for (achieved, begin, end) in windows {
        let window: Vec<&Sample> = on_new_connections(&samples)
            .filter(|sample| sample.at >= begin && sample.at < end)
            .collect();
        let met = window.iter().filter(|sample| sample.is_of("2")).count();
        let measured = share(met, window.len());
        let allowed = match (achieved, table::is_long()) {
            (0, _) => 0.0,
            (_, true) => 3.0,
            (_, false) => 3.0 + three_sigma(achieved, window.len()),
        };
        table::must(
            moment,
            &format!("share at an achieved weight of {achieved} %"),
            &format!("{measured:.1} % of {} new connections", window.len()),
            &format!("within {allowed:.1} points, of {requests} and more"),
            window.len() >= requests && (measured - f64::from(achieved)).abs() <= allowed,
        );
    }
    table::none_failed(moment, &samples, |_| false);
}

/// What an application has to do for itself. It has no bar, so that only the long form measures it.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_drain_loses_requests() {
    if !table::is_long() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let undrained: shop::Workload =
        |image, replicas, version, _| shop::api(image, replicas, version, &[("DRAIN", "0s")]);
    let policy = shop::policy(steps(), json!({}));
    let shop = Shop::open_as(Stage::new(node).await, undrained, policy, json!({})).await;
    let (samples, _) = rolled_out(shop, 100).await;
    let failed = samples.iter().filter(|sample| sample.failed()).count();
    assert!(samples.last().is_some_and(|sample| sample.is_of("2")));
    table::note(
        "1 good version, by pods",
        "failed requests of a variant that does not drain (DRAIN=0s)",
        &format!("{failed} of {}", samples.len()),
    );
}
