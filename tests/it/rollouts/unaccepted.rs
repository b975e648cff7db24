//! A gateway that does not accept a weight: nothing rises, the status says why; what lowers a weight is written all the same.

use driftless::api::{EnvironmentStatus, RolloutPhase as Phase};
use serde_json::{Value, json};

use super::load;
use super::router;
use super::shop::{self, SHOP};
use crate::main_job::stage::Stage;

/// What the rollout waits for.
fn message(status: &EnvironmentStatus) -> &str {
    status
        .rollouts
        .first()
        .map_or("", |rollout| &rollout.message)
}

/// The weights of the live route's first rule, by Service.
pub fn weights(stage: &Stage) -> Value {
    let rules =
        stage
            .namespace
            .kubectl(&["get", "httproute", "api", "-o", "jsonpath={.spec.rules}"]);
    let rules: Value = serde_json::from_str(&rules).expect("kubectl prints JSON");
    let backends = rules[0]["backendRefs"].as_array().into_iter().flatten();
    backends
        .map(|backend| {
            (
                backend["name"].as_str().unwrap_or_default().to_owned(),
                backend["weight"].clone(),
            )
        })
        .collect::<serde_json::Map<String, Value>>()
        .into()
}

/// Has the gateway's listener serve this host only.
fn listen_for(stage: &Stage, host: &str) {
    let patch = json!([{"op": "add", "path": "/spec/listeners/0/hostname", "value": host}]);
    let patch = patch.to_string();
    stage
        .namespace
        .kubectl(&["patch", "gateway", "web", "--type=json", "-p", &patch]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weight_that_no_gateway_accepts_is_held() {
    const TEST: &str = "a_weight_that_no_gateway_accepts_is_held";
    let Some((stage, mut router)) = router::open(TEST).await else {
        return;
    };
    let host = router.host().to_owned();
    let image = shop::image();
    let steps =
        json!([{"weight": 10}, {"pause": true}, {"weight": 40}, {"pause": true}, {"weight": 60}]);
    let traffic = json!({"httpRoute": {"name": "api"}});
    let policy = shop::policy(steps, json!({"traffic": traffic, "checks": []}));
    let route = router.http_route();
    let objects = |version: &str| {
        [
            shop::api(&image, 2, version, &[]),
            shop::service(),
            route.clone(),
            policy.clone(),
        ]
    };
    let first = stage.push_objects(SHOP, &objects("1")).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;
    load::answers_as(&router.address(), &host).await;
    stage.push_objects(SHOP, &objects("2")).await;
    stage
        .until(SHOP, "it is paused at 10 %", |status| {
            shop::phase(status) == Some(Phase::Paused)
        })
        .await;

    // The gateway says no.
    listen_for(&stage, "elsewhere.example.com");
    shop::say(&stage, "promote").await;
    let held = stage
        .until(SHOP, "the gateway's refusal holds it", |status| {
            message(status).contains("Accepted=False")
        })
        .await;
    assert_eq!(held.rollouts[0].weight, 40);
    assert_eq!(held.rollouts[0].in_effect_since, None);
    assert!(
        message(&held).starts_with("the router has not accepted the weight: the gateway web says"),
        "{}",
        message(&held)
    );
    listen_for(&stage, &host);
    stage
        .until(SHOP, "it is paused at 40 %", |status| {
            let rollout = &status.rollouts[0];
            rollout.phase == Phase::Paused && rollout.step == 3
        })
        .await;

    // The gateway says nothing: it is down.
    router.stop();
    shop::say(&stage, "promote").await;
    let held = stage
        .until(SHOP, "the gateway's silence holds it", |status| {
            message(status).contains("has not looked at this generation")
        })
        .await;
    assert_eq!(held.rollouts[0].weight, 60);
    assert_eq!(held.rollouts[0].in_effect_since, None);
    assert_eq!(weights(&stage), json!({"api": 40, "api-canary": 60}));

    // Back, whoever looks.
    shop::say(&stage, "abort").await;
    stage
        .until(SHOP, "weight 0 is written", |_| {
            weights(&stage) == json!({"api": 1})
        })
        .await;
    stage
        .until(SHOP, "it is taken back", |status| {
            shop::phase(status) == Some(Phase::Failed)
        })
        .await;
    assert_eq!(weights(&stage), json!({"api": 1}), "as Git has it");
    assert_eq!(shop::leftovers(&stage), "");
    router.start_again(&stage);
    load::answered_by(&router.address(), &host, ("x", "y"), "1").await;
}
