//! Without a router: the number of pods splits the traffic.

use std::time::Duration;

use driftless::api::RolloutPhase as Phase;
use serde_json::json;

use super::load;
use super::shop::{self, SHOP, Shop};
use super::table;
use crate::main_job::stage::{Stage, condition, is_ready};
use crate::need_node;

#[tokio::test(flavor = "multi_thread")]
async fn a_good_change_reaches_everybody_and_a_bad_one_is_taken_back() {
    let Some(node) = need_node!() else { return };
    let steps = json!([{"weight": 25, "for": "3s"}, {"weight": 50, "for": "3s"}]);
    let shop = Shop::open(Stage::new(node).await, steps).await;
    let stage = &shop.stage;
    let first = stage.status(SHOP).await.revision.expect("it is applied");
    let first = first.commit;

    // A good version.
    let second = shop.push("2", &[]).await;
    let held = stage
        .until(SHOP, "half of the traffic goes to the canary", |status| {
            status.rollouts.first().is_some_and(|rollout| {
                rollout.phase == Phase::Analysing
                    && rollout.achieved_weight == Some(50)
                    && rollout.in_effect_since.is_some()
            })
        })
        .await;
    assert!(is_ready(&held, &first), "the state before stays ready");
    assert_eq!(held.next.expect("it is named").revision.commit, second);
    let promoted = stage.ready(SHOP, &second).await;
    let ended = stage
        .until(SHOP, "the rollout is over", |status| {
            status.rollouts.is_empty()
        })
        .await;
    assert!(is_ready(&ended, &second) && promoted.next.is_none());
    shop::nothing_left(stage).await;
    let selector =
        stage
            .namespace
            .kubectl(&["get", "service", "api", "-o", "jsonpath={.spec.selector}"]);
    assert_eq!(selector, r#"{"app":"api"}"#);

    // A bad one.
    let stable = shop::stable_pods(stage);
    shop.push("3", &[("FAIL_RATE", "1")]).await;
    let failed = shop::taken_back(stage).await;
    let (ready, _, message) = condition(&failed, "Ready");
    assert_eq!(ready, "False", "{message}");
    assert!(
        message.contains("check answers failed 3 times"),
        "{message}"
    );
    assert_eq!(
        shop::stable_pods(stage),
        stable,
        "no stable pod was restarted"
    );
    shop::nothing_left(stage).await;
    let settled = std::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let reverted = stage.revert().await;
    stage.ready(SHOP, &reverted).await;

    let samples = shop.load.end().await;
    let of_bad = |sample: &&load::Sample| sample.is_of("3");
    let moment = "by pods: a good change, a bad one, its revert";
    table::none_failed(moment, &samples, |sample| sample.is_of("3"));
    assert!(samples.iter().any(|sample| sample.is_of("2")));
    assert!(
        samples
            .iter()
            .filter(of_bad)
            .all(|sample| sample.at < settled)
    );
    let window = samples.iter().filter(|sample| sample.new_connection);
    let bad = window.clone().filter(of_bad).count();
    assert!(
        bad < window.count() / 4,
        "{bad} requests met the bad version"
    );
}
