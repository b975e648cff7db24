//! What stands in the way of a rollout that is to begin: it is refused by name, and nothing of it is written.

use driftless::api::{EnvironmentStatus, RolloutPhase as Phase};
use serde_json::{Value, json};

use super::shop::{self, SHOP};
use super::table;
use crate::main_job::stage::{Stage, condition};
use crate::need_node;

/// Whether the revision is refused for this reason.
fn is_refused(status: &EnvironmentStatus, why: &str) -> bool {
    let (_, reason, message) = condition(status, "Ready");
    reason == "Refused" && message.contains(why)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_does_not_begin_where_somebody_else_stands() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let image = shop::image();
    let traffic = json!({"ingressNginx": {"name": "api"}});
    let policy = shop::policy(
        json!([{"pause": true}]),
        json!({"traffic": traffic, "checks": []}),
    );
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "api"},
        "spec": {"defaultBackend": {"service": {"name": "api", "port": {"number": 80}}}},
    });
    let objects = |version: &str| {
        [
            shop::api(&image, 1, version, &[]),
            shop::service(),
            ingress.clone(),
            policy.clone(),
        ]
    };
    let without_route = [shop::api(&image, 1, "0", &[]), shop::service()];
    let before = stage.push_objects(SHOP, &without_route).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &before).await;

    // The route comes with the change.
    stage.push_objects(SHOP, &objects("1")).await;
    stage
        .until(SHOP, "the route is too late", |status| {
            is_refused(status, "push the route first, then the change")
        })
        .await;
    let first = stage.push_objects(SHOP, &objects("0")).await;
    stage.ready(SHOP, &first).await;

    // Another tool left its own, and a controller holds the route.
    let kubectl = |arguments: &[&str]| stage.namespace.kubectl(arguments);
    kubectl(&["create", "service", "clusterip", "api-canary", "--tcp=80"]);
    kubectl(&["create", "configmap", "other"]);
    let uid = kubectl(&[
        "get",
        "configmap",
        "other",
        "-o",
        "jsonpath={.metadata.uid}",
    ]);
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": uid, "controller": true});
    let owned_by = async |owners: Value| {
        let patch = json!({"metadata": {"ownerReferences": owners}});
        let cluster = &stage.cluster;
        cluster
            .merge("another-controller", "Ingress", "api", patch)
            .await;
    };
    owned_by(json!([owner])).await;

    stage.push_objects(SHOP, &objects("2")).await;
    let refused = stage
        .until(SHOP, "the route is another's", |status| {
            is_refused(status, "ConfigMap other of v1 controls it")
        })
        .await;
    let told: Vec<&str> = refused
        .failures
        .iter()
        .map(|failure| failure.message.as_str())
        .collect();
    assert!(
        told.iter()
            .any(|told| told.contains("it stands where a part of the rollout of")),
        "{told:?}"
    );
    assert_eq!(shop::phase(&refused), None);
    assert_eq!(shop::leftovers(&stage), "");
    let version = "jsonpath={.spec.template.spec.containers[0].env[0].value}";
    assert_eq!(kubectl(&["get", "deployment", "api", "-o", version]), "0");

    owned_by(json!(null)).await;
    stage
        .until(SHOP, "a Service stands in the way", |status| {
            is_refused(status, "it stands where a part of the rollout of")
        })
        .await;
    assert_eq!(
        kubectl(&[
            "get",
            "service",
            "api-canary",
            "-o",
            "jsonpath={.metadata.labels}"
        ]),
        r#"{"app":"api-canary"}"#,
        "it is left as it is"
    );
    kubectl(&["delete", "service", "api-canary"]);
    stage
        .until(SHOP, "nothing is in the way any more", |status| {
            shop::phase(status).is_some()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_rollout_cannot_write_does_not_keep_another() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let image = shop::image();
    let named = |name: &str, object: Value| {
        let text = object
            .to_string()
            .replace("\"api\"", &format!("\"{name}\""));
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let names = ["ann", "bob"];
    let objects = |version: &str| {
        let policy = shop::policy(json!([{"pause": true}]), json!({"checks": []}));
        let all = [shop::api(&image, 1, version, &[]), shop::service(), policy];
        names
            .map(|name| all.clone().map(|object| named(name, object)))
            .concat()
    };
    let first = stage.push_objects(SHOP, &objects("1")).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;

    // There is room for one canary.
    stage
        .namespace
        .kubectl(&["create", "quota", "few", "--hard=count/deployments.apps=3"]);
    stage.push_objects(SHOP, &objects("2")).await;
    let phases = |status: &EnvironmentStatus| -> Vec<Phase> {
        status
            .rollouts
            .iter()
            .map(|rollout| rollout.phase)
            .collect()
    };
    stage
        .until(SHOP, "one is paused, the other starts", |status| {
            let phases = phases(status);
            phases.contains(&Phase::Paused) && phases.contains(&Phase::Starting)
        })
        .await;
    shop::say(&stage, "abort").await;
    stage
        .until(SHOP, "both are taken back", |status| {
            phases(status) == [Phase::Failed, Phase::Failed]
        })
        .await;
    assert_eq!(shop::leftovers(&stage), "");
}
