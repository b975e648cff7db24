//! What Git edits in the middle of a rollout and is no change of the workload: the policy's steps, the route, the workload's
//! size. The rollout goes on from where it is.

use driftless::api::{EnvironmentStatus, RolloutPhase as Phase, RolloutStatus};
use serde_json::{Value, json};

use super::load::{self, Load};
use super::moments::timeline::Timeline;
use super::router;
use super::shop::{self, SHOP, Shop};
use super::table;
use super::unaccepted::weights;
use crate::main_job::{manifests::annotated, stage::Stage};
use crate::need_node;

/// Waits until the one rollout of the Environment is so.
async fn rollout(stage: &Stage, what: &str, is: impl Fn(&RolloutStatus) -> bool) -> RolloutStatus {
    let is = |status: &EnvironmentStatus| status.rollouts.first().is_some_and(&is);
    stage.until(SHOP, what, is).await.rollouts.remove(0)
}

async fn paused(stage: &Stage) -> RolloutStatus {
    rollout(stage, "it is at its pause", |it| it.phase == Phase::Paused).await
}

/// Waits until what this commit brings is known; the rollout then.
async fn knows(stage: &Stage, commit: &str) -> RolloutStatus {
    let is_known = |status: &EnvironmentStatus| {
        let next = status.next.as_ref();
        next.is_some_and(|next| next.revision.commit == commit)
    };
    stage.until(SHOP, "the commit is known", is_known).await;
    stage.sync(SHOP).await.rollouts.remove(0)
}

/// Where it is, and since when: what begins anew is somewhere else.
fn place(rollout: &RolloutStatus) -> impl PartialEq + std::fmt::Debug {
    let RolloutStatus {
        change,
        phase,
        step,
        weight,
        canary_replicas,
        since,
        in_effect_since,
        ..
    } = rollout.clone();
    let at = (phase, step, weight, canary_replicas);
    (change, at, since, in_effect_since)
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_followed_and_the_weight_goes_on_from_where_it_is() {
    let Some(node) = need_node!() else { return };
    let steps = json!([{"weight": 25, "for": "1h"}, {"weight": 50, "for": "1h"}]);
    let mut shop = Shop::open(Stage::new(node).await, steps).await;
    let timeline = Timeline::of(&shop.stage).await;
    let pods = shop::stable_pods(&shop.stage);
    let in_effect = async |shop: &Shop, weight: u32| {
        rollout(&shop.stage, &format!("{weight} % are in effect"), |it| {
            it.weight == weight && it.in_effect_since.is_some()
        })
        .await
    };
    let edit = async |shop: &mut Shop, steps: Value| {
        shop.policy = shop::policy(steps, json!({}));
        shop.push("2", &[]).await
    };
    shop.push("2", &[]).await;
    let before = in_effect(&shop, 25).await;

    // What is behind the present step.
    let steps = json!([{"weight": 25, "for": "1h"}, {"weight": 40, "for": "1h"}, {"pause": true}]);
    let commit = edit(&mut shop, steps).await;
    let after = knows(&shop.stage, &commit).await;
    assert_eq!(after.steps, 3);
    assert_eq!(place(&after), place(&before));

    // The present one: more of the traffic, less of it, and for a shorter time.
    edit(&mut shop, json!([{"weight": 50, "for": "1h"}])).await;
    in_effect(&shop, 50).await;
    let steps = json!([{"weight": 25, "for": "1h"}, {"pause": true}]);
    edit(&mut shop, steps).await;
    in_effect(&shop, 25).await;
    let steps = json!([{"weight": 25, "for": "1s"}, {"pause": true}]);
    let commit = edit(&mut shop, steps).await;
    paused(&shop.stage).await;
    assert_eq!(shop::stable_pods(&shop.stage), pods);
    shop.say("promote").await;
    shop.over(&commit).await;

    let records = timeline.records(0);
    let mut weights: Vec<u32> = records.iter().map(|(_, it)| it.weight).collect();
    weights.dedup();
    assert_eq!(weights, [0, 25, 50, 25, 0], "it never began anew");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_comes_with_the_promotion() {
    let Some(node) = need_node!() else { return };
    let image = shop::image();
    let steps = json!([{"weight": 50, "for": "1s"}, {"pause": true}]);
    let policy = shop::policy(steps, json!({}));
    let objects = |version: &str, replicas: u32| {
        let api = shop::api(&image, replicas, version, &[]);
        [api, shop::service(), policy.clone()]
    };
    let first = objects("1", 3);
    let shop = Shop::of(Stage::new(node).await, &first, Value::Null, json!({})).await;
    let stage = &shop.stage;
    let size = async || {
        stage
            .cluster
            .at("Deployment", "api", "/spec/replicas")
            .await
    };

    for (version, from, to) in [("2", 3, 4), ("3", 4, 2)] {
        stage.push_objects(SHOP, &objects(version, from)).await;
        let before = paused(stage).await;
        let pods = shop::stable_pods(stage);
        let commit = stage.push_objects(SHOP, &objects(version, to)).await;
        let after = knows(stage, &commit).await;
        assert_eq!(place(&after), place(&before));
        assert_eq!(shop::stable_pods(stage), pods);
        assert_eq!(size().await, from);
        shop.say("promote").await;
        shop.over(&commit).await;
        assert_eq!(size().await, to);
    }
    assert_eq!(shop::stable_pods(stage).len(), 2);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_keeps_its_weights() {
    const TEST: &str = "a_route_keeps_its_weights";
    let Some((stage, router)) = router::open(TEST).await else {
        return;
    };
    let image = shop::image();
    let traffic = json!({"httpRoute": {"name": "api"}});
    // Traefik gathers changes for 2 s before it follows them.
    let policy = shop::policy(
        json!([{"weight": 20}, {"pause": true}]),
        json!({"traffic": traffic, "settle": "4s"}),
    );
    let objects = |version: &str, route: &Value| {
        [
            shop::api(&image, 3, version, &[]),
            shop::service(),
            route.clone(),
            policy.clone(),
        ]
    };
    let route = router.http_route();
    let first = stage.push_objects(SHOP, &objects("1", &route)).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;
    let (address, host) = (router.address(), router.host());
    load::answers_as(&address, host).await;
    let load = Load::start(&address, host, 200);
    stage.push_objects(SHOP, &objects("2", &route)).await;
    let before = paused(&stage).await;
    let split = json!({"api": 80, "api-canary": 20});
    assert_eq!(weights(&stage), split);

    // An edit waits with its revision, but for one that asks for it at once.
    let adds = json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-shop", "value": "1"}]}});
    let elsewhere =
        json!({"type": "RequestRedirect", "requestRedirect": {"hostname": "old.example.com"}});
    let mut edited = route.clone();
    edited["spec"]["rules"][0]["filters"] = json!([adds]);
    let old = json!({"matches": [{"path": {"type": "PathPrefix", "value": "/old"}}], "filters": [elsewhere]});
    let rules = edited["spec"]["rules"].as_array_mut();
    rules.expect("a list").push(old);
    edited["metadata"]["annotations"] = json!({"example.com/team": "shop"});
    let live = |path: &str| {
        let path = format!("jsonpath={path}");
        stage
            .namespace
            .kubectl(&["get", "httproute", "api", "-o", &path])
    };
    let header = || live("{.spec.rules[0].filters[0].requestHeaderModifier.set[0].name}");
    let edit = stage.push_objects(SHOP, &objects("2", &edited)).await;
    let after = knows(&stage, &edit).await;
    assert_eq!(place(&after), place(&before));
    assert_eq!((weights(&stage), header()), (split.clone(), String::new()));
    let at_once = annotated(edited, "driftless.dev/hold", "never");
    let commit = stage.push_objects(SHOP, &objects("2", &at_once)).await;
    stage
        .until(SHOP, "the edit is there", |_| header() == "x-shop")
        .await;
    let after = knows(&stage, &commit).await;
    assert_eq!(place(&after), place(&before));
    assert_eq!(weights(&stage), split);
    assert_eq!(live("{.spec.rules[1].matches[0].path.value}"), "/old");
    assert_eq!(live("{.metadata.annotations.example\\.com/team}"), "shop");

    shop::say(&stage, "promote").await;
    shop::over(&stage, &commit).await;
    assert_eq!(weights(&stage), json!({"api": 1}), "as Git has it");
    assert_eq!(header(), "x-shop");
    let samples = load.end().await;
    table::none_failed(&table::of_this_test(), &samples, |_| false);
    assert!(samples.last().is_some_and(|sample| sample.is_of("2")));
}
