//! Two workloads of one revision: promoted together, or in the order that a policy names; and back together.

use driftless::api::{EnvironmentStatus, RolloutPhase as Phase, RolloutStatus};
use serde_json::{Value, json};

use super::denied::Denial;
use super::shop::{self, SHOP, Shop};
use crate::main_job::{
    sight::{Sight, Sighting},
    stage::{Stage, condition, is_ready},
};
use crate::need_node;

/// The objects of both: `api` has the Service that is under load.
fn objects(image: &str, api: (&str, &[(&str, &str)]), worker: &str, order: Value) -> Vec<Value> {
    let steps = || json!([{"weight": 25, "for": "1s"}]);
    let mut second = shop::api(image, 2, worker, &[("DRAIN", "1s")]);
    second["metadata"]["name"] = "worker".into();
    second["spec"]["selector"]["matchLabels"]["app"] = "worker".into();
    second["spec"]["template"]["metadata"]["labels"]["app"] = "worker".into();
    let mut policy = shop::policy(steps(), json!({}));
    policy["metadata"]["name"] = "worker".into();
    policy["spec"]["workload"]["name"] = "worker".into();
    vec![
        shop::api(image, 3, api.0, api.1),
        shop::service(),
        shop::policy(steps(), order),
        second,
        policy,
    ]
}

fn of<'a>(status: &'a EnvironmentStatus, name: &str) -> Option<&'a RolloutStatus> {
    let mut rollouts = status.rollouts.iter();
    rollouts.find(|rollout| rollout.workload.ends_with(&format!("/{name}")))
}

/// The version that a Deployment's template says.
fn version(sighting: &Sighting) -> &Value {
    sighting.at("/spec/template/spec/containers/0/env/0/value")
}

/// When a Deployment got this version as its own, and when all its pods ran it.
fn took(sight: &Sight, mark: usize, name: &str, wanted: &str) -> (usize, usize) {
    let all = sight.since(mark);
    let is = |sighting: &Sighting| sighting.is("Deployment", name) && version(sighting) == wanted;
    let begun = all.iter().position(is).expect("it took the change");
    let whole = all.iter().position(|sighting| {
        is(sighting)
            && sighting.at("/status/observedGeneration") == sighting.at("/metadata/generation")
            && sighting.at("/status/updatedReplicas") == sighting.at("/spec/replicas")
            && sighting.at("/status/availableReplicas") == sighting.at("/spec/replicas")
            && sighting.at("/status/replicas") == sighting.at("/spec/replicas")
    });
    (begun, whole.expect("it was whole again"))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workloads_of_a_revision_go_together_or_in_order_and_back_together() {
    let Some(node) = need_node!() else { return };
    let image = shop::image();
    let first = objects(&image, ("1", &[]), "1", json!({}));
    let shop = Shop::of(Stage::new(node).await, &first, Value::Null, json!({})).await;
    let stage = &shop.stage;
    let sight = Sight::of(&stage.cluster, &["Deployment"]).await;

    // Both at the same time.
    let both = objects(&image, ("2", &[]), "2", json!({}));
    let commit = stage.push_objects(SHOP, &both).await;
    stage
        .until(SHOP, "both are rolled out", |status| {
            status.rollouts.len() == 2
        })
        .await;
    shop.over(&commit).await;

    // The worker first: the other's stable side is not touched before the worker's is whole.
    let order = json!({"dependsOn": [{"kind": "Deployment", "name": "worker"}]});
    let mark = sight.mark();
    let ordered = objects(&image, ("3", &[]), "3", order.clone());
    let commit = stage.push_objects(SHOP, &ordered).await;
    shop.over(&commit).await;
    let (begun, _) = took(&sight, mark, "api", "3");
    let (_, whole) = took(&sight, mark, "worker", "3");
    assert!(
        whole < begun,
        "the worker was whole at {whole}, the other began at {begun}"
    );

    // One fails: both go back, and neither stable side was touched.
    let stable = shop::stable_pods(stage);
    let mark = sight.mark();
    let bad = objects(&image, ("4", &[("FAIL_RATE", "1")]), "4", order.clone());
    stage.push_objects(SHOP, &bad).await;
    let failed = stage
        .until(SHOP, "one is taken back, and so is the other", |status| {
            of(status, "api").is_some_and(|rollout| rollout.phase == Phase::Failed)
                && of(status, "worker").is_none()
        })
        .await;
    assert!(
        condition(&failed, "Ready")
            .2
            .contains("check answers failed 3 times")
    );
    stage
        .until(SHOP, "nothing of either is left", |_| {
            shop::leftovers(stage).is_empty()
        })
        .await;
    // The one that was not at fault does not begin alone.
    stage.sync(SHOP).await;
    assert!(of(&stage.status(SHOP).await, "worker").is_none());
    assert_eq!(shop::stable_pods(stage), stable);
    let touched = sight.since(mark);
    let touched = touched.iter().find(|sighting| {
        sighting.kind == "Deployment"
            && !sighting.name.ends_with("-canary")
            && version(sighting) == "4"
    });
    assert!(touched.is_none(), "{touched:?}");

    // A mended commit takes both.
    let mended = objects(&image, ("5", &[]), "4", order);
    let commit = stage.push_objects(SHOP, &mended).await;
    shop.over(&commit).await;
    shop.close_but_for(|sample| sample.is_of("4")).await;
}

/// Admission lets no pod of this version in but canaries': their Deployment cannot take it.
async fn no_stable_pod(stage: &Stage, version: &str) -> Denial {
    let mut probe = shop::api("none", 1, version, &[])["spec"]["template"].take();
    probe["apiVersion"] = json!("v1");
    probe["kind"] = json!("Pod");
    probe["metadata"]["name"] = json!("probe");
    let unless = format!(
        "object.metadata.?labels['driftless.dev/track'].orValue('') == 'canary' || !object.spec.containers[0].?env.orValue([]).exists(one, one.name == 'VERSION' && one.?value.orValue('') == '{version}')"
    );
    Denial::of(stage, "pods", &unless, probe).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_fails_goes_back_while_the_canary_serves() {
    let Some(node) = need_node!() else { return };
    let image = shop::image();
    let policy = shop::policy(json!([{"weight": 50, "for": "1s"}]), json!({}));
    let objects = |version: &str| {
        // Two of three stable pods may go before their successors are there.
        let mut api = shop::api(&image, 3, version, &[]);
        api["spec"]["strategy"] = json!({"rollingUpdate": {"maxUnavailable": 2, "maxSurge": 1}});
        vec![api, shop::service(), policy.clone()]
    };
    let grace = json!({"health": {"grace": "5s", "timeout": "30s"}});
    let shop = Shop::of(Stage::new(node).await, &objects("1"), Value::Null, grace).await;
    let stage = &shop.stage;
    let before = stage.status(SHOP).await.revision.expect("it is applied");
    let denial = no_stable_pod(stage, "2").await;

    stage.push_objects(SHOP, &objects("2")).await;
    stage
        .until(SHOP, "the stable side goes back", |status| {
            shop::phase(status) == Some(Phase::Restoring)
        })
        .await;
    let failed = stage
        .until(SHOP, "it is taken back", |status| {
            shop::phase(status) == Some(Phase::Failed)
        })
        .await;
    assert_eq!(failed.revision.as_ref(), Some(&before));
    assert!(
        failed.rollouts[0]
            .message
            .contains("the stable side cannot take the change"),
        "{}",
        failed.rollouts[0].message
    );
    shop::nothing_left(stage).await;
    shop.answers("1").await;
    let pods = shop::stable_pods(stage);
    assert_eq!(pods.len(), 3);

    // What kept it away is gone: it is tried again, and reaches everybody.
    denial.lift();
    shop.say("retry").await;
    stage
        .until(SHOP, "it is promoted", |status| {
            status.rollouts.is_empty() && status.revision.as_ref() != Some(&before)
        })
        .await;
    let tip = stage
        .status(SHOP)
        .await
        .revision
        .expect("it is applied")
        .commit;
    stage
        .until(SHOP, "it is healthy", |status| is_ready(status, &tip))
        .await;
    shop.over(&tip).await;
    shop.close().await;
}
