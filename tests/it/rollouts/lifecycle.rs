//! What surrounds a rollout: a policy comes and goes, its Environment is suspended or deleted, the agent starts with another
//! spec than it ended with.

use driftless::api::RolloutPhase as Phase;
use serde_json::{Value, json};

use super::shop::{self, SHOP, Shop};
use super::table;
use crate::main_job::{
    manifests::{annotated, config_map},
    stage::{PATIENCE, Stage, condition},
};
use crate::need_node;
use crate::support::wait::wait_until;

/// Everything but the policy.
fn objects(image: &str, version: &str, env: &[(&str, &str)]) -> Vec<Value> {
    vec![shop::api(image, 3, version, env), shop::service()]
}

fn with(mut objects: Vec<Value>, further: &Value) -> Vec<Value> {
    objects.push(further.clone());
    objects
}

fn paused() -> Value {
    shop::policy(
        json!([{"weight": 50, "for": "1s"}, {"pause": true}]),
        json!({}),
    )
}

fn selector(stage: &Stage) -> String {
    stage
        .namespace
        .kubectl(&["get", "service", "api", "-o", "jsonpath={.spec.selector}"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_comes_without_a_restart_and_goes_with_its_rollout() {
    let Some(node) = need_node!() else { return };
    let image = shop::image();
    let plain = objects(&image, "1", &[]);
    let shop = Shop::of(Stage::new(node).await, &plain, Value::Null, json!({})).await;
    let stage = &shop.stage;
    let pods = shop::stable_pods(stage);

    let commit = stage.push_objects(SHOP, &with(plain, &paused())).await;
    let adopted = stage.ready(SHOP, &commit).await;
    assert!(adopted.rollouts.is_empty());
    assert_eq!(
        shop::stable_pods(stage),
        pods,
        "adopting a policy restarts nothing"
    );

    // What asks for it is applied at once, though its revision waits.
    let never = annotated(
        config_map("never", json!({"a": "1"})),
        "driftless.dev/hold",
        "never",
    );
    let waits = config_map("waits", json!({"a": "1"}));
    let second = with(
        with(with(objects(&image, "2", &[]), &paused()), &never),
        &waits,
    );
    stage.push_objects(SHOP, &second).await;
    shop.at(Phase::Paused).await;
    assert_eq!(stage.cluster.at("ConfigMap", "never", "/data/a").await, "1");
    assert_eq!(stage.cluster.get("ConfigMap", "waits").await, None);
    assert_eq!(shop::stable_pods(stage), pods);

    // Without the policy the rollout ends; then the change comes as any other.
    let commit = stage.push_objects(SHOP, &objects(&image, "2", &[])).await;
    stage
        .until(SHOP, "it goes back first", |status| {
            matches!(shop::phase(status), Some(Phase::Aborting | Phase::Removing))
        })
        .await;
    assert_eq!(shop::stable_pods(stage), pods);
    shop.over(&commit).await;
    assert_eq!(selector(stage), r#"{"app":"api"}"#);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_a_rollout_holds_its_weight_and_a_bad_one_goes_back() {
    let Some(node) = need_node!() else { return };
    let image = shop::image();
    let steps = json!([{"weight": 25, "for": "1s"}, {"weight": 50, "for": "4s"}]);
    let policy = shop::policy(steps, json!({"failureLimit": 10}));
    let stage = Stage::new(node).await;
    let first = with(objects(&image, "1", &[]), &policy);
    let shop = Shop::of(stage, &first, Value::Null, json!({})).await;
    let stage = &shop.stage;
    let pods = shop::stable_pods(stage);
    let suspend = |is: bool| stage.respec(SHOP, json!({"suspend": is}));
    let is_suspended = |what: &'static str, check: fn(&driftless::api::RolloutStatus) -> bool| {
        stage.until(SHOP, what, move |status| {
            condition(status, "Suspended").0 == "True" && status.rollouts.first().is_some_and(check)
        })
    };

    let good = with(objects(&image, "2", &[]), &policy);
    let commit = stage.push_objects(SHOP, &good).await;
    shop.at(Phase::Analysing).await;
    suspend(true).await;
    let held = is_suspended("it holds, and says so", |rollout| {
        rollout.message.contains("suspended")
    })
    .await;
    // Longer than both steps take.
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    let still = stage.status(SHOP).await;
    let place = |status: &driftless::api::EnvironmentStatus| {
        let rollout = &status.rollouts[0];
        (rollout.phase, rollout.step, rollout.weight)
    };
    assert_eq!(place(&still), place(&held));
    assert_eq!(shop::stable_pods(stage), pods);
    suspend(false).await;
    shop.over(&commit).await;
    let pods = shop::stable_pods(stage);

    // It turns bad while nobody may go on.
    let bad = with(objects(&image, "3", &[("FAIL_RATE", "1")]), &policy);
    stage.push_objects(SHOP, &bad).await;
    stage
        .until(SHOP, "its weight is in effect", |status| {
            let rollout = status.rollouts.first();
            rollout.is_some_and(|rollout| rollout.in_effect_since.is_some())
        })
        .await;
    suspend(true).await;
    is_suspended("it is taken back all the same", |rollout| {
        rollout.phase == Phase::Failed
    })
    .await;
    shop::nothing_left(stage).await;
    assert_eq!(selector(stage), r#"{"app":"api"}"#);
    assert_eq!(shop::stable_pods(stage), pods);
    shop.close_but_for(|sample| sample.is_of("3")).await;
}

/// A shop in the middle of a rollout, and its stable pods.
async fn in_the_middle(deletion: &str) -> Option<(Shop, Vec<String>)> {
    let node = need_node!()?;
    let image = shop::image();
    let stage = Stage::new(node).await;
    let first = with(objects(&image, "1", &[]), &paused());
    let spec = json!({"deletion": deletion});
    let shop = Shop::of(stage, &first, Value::Null, spec).await;
    let pods = shop::stable_pods(&shop.stage);
    let second = with(objects(&image, "2", &[]), &paused());
    shop.stage.push_objects(SHOP, &second).await;
    shop.at(Phase::Paused).await;
    Some((shop, pods))
}

/// Deletes the Environment in the middle, with the agent killed once on the way.
async fn deleted(deletion: &str, kill: bool) {
    let Some((mut shop, pods)) = in_the_middle(deletion).await else {
        return;
    };
    shop.stage.cluster.delete("Environment", SHOP).await;
    if kill {
        shop.stage.agent.kill();
        shop.stage.agent.restart();
    }
    let stage = &shop.stage;
    if deletion == "prune" {
        // More than half of its objects would go: that waits for a person, and the canary does not.
        stage
            .until(SHOP, "its rollout has ended", |status| {
                status.rollouts.is_empty() && !status.held.is_empty()
            })
            .await;
        assert!(shop::leftovers(stage).is_empty());
        stage.respec(SHOP, json!({"deletion": "orphan"})).await;
    }
    left_to_stable(shop, &pods).await;
}

/// Waits until the Environment is gone, and its canary with it.
async fn left_to_stable(shop: Shop, pods: &[String]) {
    let stage = &shop.stage;
    stage.gone(SHOP, PATIENCE).await;
    assert_eq!(selector(stage), r#"{"app":"api"}"#, "as Git has it");
    wait_until(PATIENCE, "no canary is left", || async {
        shop::leftovers(stage).is_empty().then_some(())
    })
    .await;
    assert_eq!(shop::stable_pods(stage), pods, "the stable side serves");
    let labels = stage.cluster.at("Service", "api", "/metadata/labels").await;
    assert!(labels.get("driftless.dev/rollout").is_none(), "{labels}");
    shop.answers("1").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_environment_leaves_stable_serving() {
    deleted("orphan", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_suspended_environment_needs_no_commit_that_renders() {
    if table::is_left_out() {
        return;
    }
    let Some((mut shop, pods)) = in_the_middle("orphan").await else {
        return;
    };
    let stage = &shop.stage;
    stage.push(&[(&format!("{SHOP}/broken.yaml"), "{")]).await;
    stage
        .until(SHOP, "it does not render", |status| {
            condition(status, "Ready").1 == "RenderFailed"
        })
        .await;
    stage.respec(SHOP, json!({"suspend": true})).await;
    stage
        .until(SHOP, "it is suspended, with its rollout", |status| {
            condition(status, "Suspended").0 == "True" && shop::phase(status) == Some(Phase::Paused)
        })
        .await;

    // The next agent has what is recorded, and nothing else.
    shop.stage.agent.kill();
    shop.stage.cluster.delete("Environment", SHOP).await;
    shop.stage.agent.restart();
    left_to_stable(shop, &pods).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_environment_survives_a_kill() {
    if table::is_left_out() {
        return;
    }
    deleted("orphan", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_the_environment_takes_the_canary_along() {
    if table::is_left_out() {
        return;
    }
    deleted("prune", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_that_changed_while_the_agent_was_away_is_rolled_out_too() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let image = shop::image();
    let first = with(objects(&image, "1", &[]), &paused());
    let mut shop = Shop::of(Stage::new(node).await, &first, Value::Null, json!({})).await;
    let pods = shop::stable_pods(&shop.stage);
    let commit = shop
        .stage
        .status(SHOP)
        .await
        .revision
        .expect("it is applied")
        .commit;

    // Another path of the same commit, and a commit on top: both are a change, and neither is known to the next agent.
    shop.stage.agent.kill();
    let other = with(objects(&image, "2", &[]), &paused());
    let yaml = crate::main_job::manifests::yaml(&other);
    shop.stage
        .server
        .repo(SHOP)
        .commit(&[("elsewhere/objects.yaml", &yaml)]);
    shop.stage.respec(SHOP, json!({"path": "elsewhere"})).await;
    shop.stage.agent.restart();
    shop.stage.hook().await;
    shop.at(Phase::Paused).await;
    let held = shop.stage.status(SHOP).await;
    assert_eq!(held.revision.expect("it is applied").commit, commit);
    assert_eq!(
        shop::stable_pods(&shop.stage),
        pods,
        "nothing is applied that was not analysed"
    );

    // What Git has by then cannot be rendered: the next agent holds what the record names, and hears a person.
    shop.stage.agent.kill();
    let broken = [("elsewhere/broken.yaml", "{")];
    shop.stage.server.repo(SHOP).commit(&broken);
    shop.stage.agent.restart();
    shop.stage.hook().await;
    shop.say("abort").await;
    shop.at(Phase::Failed).await;
    shop.answers("1").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_was_approved_is_known_again_by_the_next_agent() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let image = shop::image();
    let stage = Stage::new(node).await;
    stage.namespace.kubectl(&[
        "create",
        "rolebinding",
        "approvers",
        "--clusterrole=driftless-approve",
        "--user=alice",
    ]);
    let before = stage.server.repo(SHOP).tip("main").expect("the README");
    let first = with(objects(&image, "1", &[]), &paused());
    let mut shop = Shop::of(stage, &first, Value::Null, json!({})).await;
    let pods = shop::stable_pods(&shop.stage);

    // History is rewritten: what is there now does not contain what was applied.
    let repository = shop.stage.server.repo(SHOP);
    repository.set("main", &before.to_string());
    let second = with(objects(&image, "2", &[]), &paused());
    let rewritten = shop.stage.push_objects(SHOP, &second).await;
    let held = |status: &driftless::api::EnvironmentStatus| condition(status, "Held").0 == "True";
    shop.stage.until(SHOP, "it waits for approval", held).await;
    let uid = shop.stage.cluster.at("Environment", SHOP, "/metadata/uid");
    let expires = jiff::Timestamp::now() + std::time::Duration::from_hours(1);
    let approval = json!({
        "apiVersion": "driftless.dev/v1alpha1", "kind": "Approval",
        "metadata": {"name": "rewritten", "namespace": shop.stage.namespace.name},
        "spec": {
            "environment": SHOP, "environmentUID": uid.await, "commit": rewritten, "by": "alice",
            "expires": expires.to_string(),
        },
    });
    let create = ["create", "--as=alice", "-f", "-"];
    let created = node.try_kubectl(&create, &approval.to_string());
    created.expect("alice may approve");
    shop.at(Phase::Paused).await;

    // The approval is used up; the rollout that it admitted goes on. (What the rewritten history no longer has is only in the
    // agent's mirror.)
    shop.stage.agent.kill();
    shop.stage.agent.resume();
    shop.say("promote").await;
    shop.over(&rewritten).await;
    let status = shop.stage.status(SHOP).await;
    assert_eq!(status.history[0].approved_by.as_deref(), Some("alice"));
    assert_ne!(shop::stable_pods(&shop.stage), pods);
    shop.close().await;
}
