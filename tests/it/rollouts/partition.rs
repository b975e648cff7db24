//! A StatefulSet: its own pods take the change, from the highest ordinal down.

use driftless::api::RolloutPhase as Phase;
use serde_json::{Value, json};

use super::load;
use super::shop::{self, SHOP, Shop};
use super::table;
use crate::main_job::stage::{Stage, condition, is_ready};
use crate::need_node;

fn set(image: &str, replicas: u32, version: &str, env: &[(&str, &str)]) -> Value {
    let mut set = shop::api(image, replicas, version, env);
    set["kind"] = json!("StatefulSet");
    set["spec"]["serviceName"] = json!("api");
    set
}

/// The same with pods that need not wait for each other.
fn parallel(image: &str, replicas: u32, version: &str, env: &[(&str, &str)]) -> Value {
    let mut set = set(image, replicas, version, env);
    set["spec"]["podManagementPolicy"] = json!("Parallel");
    set
}

fn policy() -> Value {
    shop::strategy(json!({
        "workload": {"kind": "StatefulSet", "name": "api"},
        "canary": {"steps": [{"weight": 34, "for": "1s"}, {"pause": true}, {"weight": 67, "for": "1s"}]},
    }))
}

/// UID and version of each pod, by ordinal.
fn pods(stage: &Stage) -> Vec<(String, String)> {
    let pods = stage
        .namespace
        .kubectl(&["get", "pods", "-l", "app=api", "-o", "json"]);
    let pods: Value = serde_json::from_str(&pods).expect("kubectl prints JSON");
    let mut pods: Vec<(String, String, String)> = pods["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|pod| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (
                text(&pod["metadata"]["name"]),
                text(&pod["metadata"]["uid"]),
                text(&pod["spec"]["containers"][0]["env"][0]["value"]),
            )
        })
        .collect();
    pods.sort();
    pods.into_iter()
        .map(|(_, uid, version)| (uid, version))
        .collect()
}

/// What the live StatefulSet says there.
fn of_set(stage: &Stage, path: &str) -> String {
    let jsonpath = format!("jsonpath={path}");
    stage
        .namespace
        .kubectl(&["get", "statefulset", "api", "-o", &jsonpath])
}

fn versions(pods: &[(String, String)]) -> Vec<&str> {
    pods.iter().map(|(_, version)| version.as_str()).collect()
}

async fn good_and_bad(stage: Stage, workload: shop::Workload, name: &str) {
    let health = json!({"health": {"grace": "5s", "timeout": "20s"}});
    let shop = Shop::open_as(stage, workload, policy(), health).await;
    let stage = &shop.stage;
    let old = pods(stage);

    // A good version: pod by pod, the first one on its own until a person says so.
    let second = shop.push("2", &[]).await;
    shop.at(Phase::Paused).await;
    let paused = stage.status(SHOP).await;
    assert_eq!(paused.rollouts[0].achieved_weight, Some(33));
    assert_eq!(paused.rollouts[0].canary_replicas, 1);
    assert_eq!(condition(&paused, "Ready").0, "True", "of the state before");
    let now = pods(stage);
    assert_eq!(versions(&now), ["1", "1", "2"]);
    assert_eq!(now[..2], old[..2], "the others were left alone");
    shop.say("promote").await;
    shop.over(&second).await;
    assert_eq!(versions(&pods(stage)), ["2", "2", "2"]);
    let partition = of_set(stage, "{.spec.updateStrategy.rollingUpdate.partition}");
    assert!(matches!(partition.as_str(), "" | "0"), "{partition}");

    // One that never becomes ready.
    let stable = pods(stage);
    shop.push("3", &[("NEVER_READY", "true")]).await;
    let failed = shop::taken_back(stage).await;
    let (_, _, message) = condition(&failed, "Ready");
    assert!(message.contains("the canary failed"), "{message}");
    whole_again(stage, &stable).await;

    // One that answers with errors.
    let stable = pods(stage);
    shop.push("4", &[("FAIL_RATE", "1")]).await;
    let failed = stage
        .until(SHOP, "it is taken back", |status| {
            shop::is_taken_back(status) && condition(status, "Ready").2.contains("answers")
        })
        .await;
    let (_, _, message) = condition(&failed, "Ready");
    assert!(
        message.contains("check answers failed 3 times"),
        "{message}"
    );
    whole_again(stage, &stable).await;

    let samples = shop.load.end().await;
    table::none_failed(name, &samples, |sample| sample.is_of("4"));
    assert!(!samples.iter().any(|sample| sample.is_of("3")));
}

/// All pods run what they ran before; those below the partition are the same pods.
async fn whole_again(stage: &Stage, stable: &[(String, String)]) {
    stage
        .until(SHOP, "the set is whole again", |_| {
            of_set(stage, "{.status.readyReplicas}") == "3"
                && versions(&pods(stage)) == versions(stable)
        })
        .await;
    let now = pods(stage);
    assert_eq!(now[..2], stable[..2], "the others were never touched");
    assert_ne!(now[2], stable[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ordered_pods_take_a_good_change_and_give_a_bad_one_back() {
    let Some(node) = need_node!() else { return };
    good_and_bad(Stage::new(node).await, set, "StatefulSet, OrderedReady").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_pods_take_a_good_change_and_give_a_bad_one_back() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    good_and_bad(Stage::new(node).await, parallel, "StatefulSet, Parallel").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_below_the_partition_keep_their_configuration() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let image = shop::image();
    let objects = |color: &str| {
        let mut set = set(&image, 2, "1", &[]);
        set["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
            json!([{"configMapRef": {"name": "settings"}}]);
        let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"COLOR": color}});
        let policy = shop::strategy(json!({
            "workload": {"kind": "StatefulSet", "name": "api"},
            "canary": {"steps": [{"weight": 50, "for": "1s"}, {"pause": true}]},
        }));
        [set, shop::service(), settings, policy]
    };
    let first = stage.push_objects(SHOP, &objects("blue")).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;
    let old = pods(&stage);
    let color = |pod: &'static str| {
        let address =
            stage
                .namespace
                .kubectl(&["get", "pod", pod, "-o", "jsonpath={.status.podIP}"]);
        async move { load::ask_for_text(&format!("{address}:8080")).await }
    };

    // Nothing but the configuration changes.
    let second = stage.push_objects(SHOP, &objects("green")).await;
    stage
        .until(SHOP, "it is at its pause", |status| {
            shop::phase(status) == Some(Phase::Paused)
        })
        .await;
    assert_eq!(pods(&stage)[0], old[0], "the lower one was left alone");
    assert!(color("api-1").await.contains("green"));
    // One that starts now still sees the old configuration.
    stage
        .namespace
        .kubectl(&["delete", "pod", "api-0", "--wait=true"]);
    stage
        .until(SHOP, "the pod is there again", |_| {
            of_set(&stage, "{.status.readyReplicas}") == "2"
        })
        .await;
    assert!(color("api-0").await.contains("blue"));
    shop::say(&stage, "promote").await;
    stage.ready(SHOP, &second).await;
    assert!(color("api-0").await.contains("green"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_no_pod_of_a_bad_template() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let policy = shop::strategy(json!({
        "workload": {"kind": "StatefulSet", "name": "api"},
        "canary": {"steps": [{"weight": 34, "for": "1s"}, {"weight": 67, "for": "1s"}]},
    }));
    let health = json!({"health": {"grace": "5s", "timeout": "20s"}});
    let mut shop = Shop::open_as(stage, set, policy, health).await;
    let second = shop.push("2", &[]).await;
    let good = shop
        .kill_until(&[Phase::Proved], |status| {
            status.rollouts.is_empty() && is_ready(status, &second)
        })
        .await;
    let weights: Vec<u32> = good.iter().map(|(_, _, weight)| *weight).collect();
    assert!(weights.contains(&34) && weights.contains(&67), "{good:?}");
    shop.over(&second).await;
    assert_eq!(versions(&pods(&shop.stage)), ["2", "2", "2"]);

    let stable = pods(&shop.stage);
    shop.push("3", &[("NEVER_READY", "true")]).await;
    let bad = shop
        .kill_until(&[Phase::Starting, Phase::Aborting], shop::is_taken_back)
        .await;
    assert!(bad.iter().all(|(_, _, weight)| *weight == 0), "{bad:?}");
    whole_again(&shop.stage, &stable).await;
    let moment = "6 SIGKILL, StatefulSet";
    let transitions = (good.len() + bad.len()).to_string();
    table::note(moment, "transitions that were recorded", &transitions);
    table::none_failed(moment, &shop.load.end().await, |_| false);
}
