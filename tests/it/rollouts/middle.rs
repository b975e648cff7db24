//! What happens in the middle of a rollout: a person's word, a revert, another change, a change of configuration.

use driftless::api::RolloutPhase as Phase;
use serde_json::json;

use super::load;
use super::shop::{self, SHOP, Shop};
use super::table;
use crate::main_job::stage::{Stage, condition, is_ready};
use crate::need_node;

#[tokio::test(flavor = "multi_thread")]
async fn people_and_commits_decide_in_the_middle() {
    let Some(node) = need_node!() else { return };
    let steps = json!([{"weight": 25, "for": "1s"}, {"pause": true}, {"weight": 50, "for": "1s"}]);
    let shop = Shop::open(Stage::new(node).await, steps).await;
    let stable = shop::stable_pods(&shop.stage);

    // A revert goes back, and is no failure.
    shop.push("2", &[]).await;
    shop.at(Phase::Paused).await;
    let reverted = shop.stage.revert().await;
    shop.over(&reverted).await;

    // A third version: the second never reaches the stable side.
    shop.push("3", &[]).await;
    shop.at(Phase::Paused).await;
    let fourth = shop.push("4", &[]).await;
    shop.stage
        .until(SHOP, "the newest is at its pause", |status| {
            shop::phase(status) == Some(Phase::Paused) && status.rollouts[0].commit == fourth
        })
        .await;
    assert_eq!(shop::stable_pods(&shop.stage), stable);

    // A person takes it back; it is not tried again until somebody says so.
    shop.say("abort").await;
    shop.at(Phase::Failed).await;
    shop.stage.sync(SHOP).await;
    let failed = shop.stage.status(SHOP).await;
    assert_eq!(condition(&failed, "Ready").1, "RolloutFailed");
    assert_eq!(shop::stable_pods(&shop.stage), stable);
    shop.say("retry").await;
    shop.at(Phase::Paused).await;
    shop.say("promote").await;
    let tip = failed.next.expect("it waits").revision.commit;
    shop.over(&tip).await;
    let moment = "by pods: a revert, a third version, abort, retry, promote";
    table::none_failed(moment, &shop.load.end().await, |_| false);
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_moves_with_its_workload() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let image = shop::image();
    let policy = shop::policy(
        json!([{"weight": 25, "for": "1s"}, {"pause": true}]),
        json!({}),
    );
    let objects = |color: &str| {
        let mut api = shop::api(&image, 2, "1", &[]);
        api["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
            json!([{"configMapRef": {"name": "settings"}}]);
        let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"COLOR": color}});
        [api, shop::service(), settings, policy.clone()]
    };
    let first = stage.push_objects(SHOP, &objects("blue")).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;
    let pods = shop::stable_pods(&stage);

    // Nothing but the configuration changes: it is a change of the workload.
    let second = stage.push_objects(SHOP, &objects("green")).await;
    stage
        .until(SHOP, "it is at its pause", |status| {
            shop::phase(status) == Some(Phase::Paused)
        })
        .await;
    assert_eq!(
        shop::stable_pods(&stage),
        pods,
        "the stable side was left alone"
    );
    let color = |selector: &str| {
        let pod = stage.namespace.kubectl(&[
            "get",
            "pods",
            "-l",
            selector,
            "-o",
            "jsonpath={.items[0].status.podIP}",
        ]);
        async move { load::ask_for_text(&format!("{pod}:8080")).await }
    };
    assert!(color("driftless.dev/track=canary").await.contains("green"));
    // A stable pod that starts now still sees the old configuration.
    stage.namespace.kubectl(&[
        "delete",
        "pod",
        "-l",
        "app=api,driftless.dev/track!=canary",
        "--wait=true",
    ]);
    stage.ready(SHOP, &first).await;
    assert!(
        color("app=api,driftless.dev/track!=canary")
            .await
            .contains("blue")
    );
    let api = stage.cluster.api("Environment");
    let text = format!("{} promote", jiff::Timestamp::now());
    let patch = json!({"metadata": {"annotations": {"driftless.dev/rollout": text}}});
    api.patch(
        SHOP,
        &kube::api::PatchParams::default(),
        &kube::api::Patch::Merge(patch),
    )
    .await
    .expect("the API server takes it");
    stage
        .until(SHOP, "it is over", |status| {
            status.rollouts.is_empty() && is_ready(status, &second)
        })
        .await;
    assert!(color("app=api").await.contains("green"));
}
