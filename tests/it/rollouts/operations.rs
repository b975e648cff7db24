//! What people and controllers do to a workload in the middle of its rollout: restart it, scale it to nothing, drain its
//! nodes; and who selects its pods by their labels.

use driftless::api::RolloutPhase as Phase;
use serde_json::{Value, json};

use super::shop::{self, SHOP, Shop};
use crate::main_job::{
    manifests::network_policy,
    stage::{PATIENCE, Stage},
};
use crate::need_node;
use crate::support::wait::wait_until;

/// The definition of Prometheus' ServiceMonitors, as far as it matters here.
fn monitors(stage: &Stage) {
    stage.node.apply(
        &json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "servicemonitors.monitoring.coreos.com"},
            "spec": {
                "group": "monitoring.coreos.com", "scope": "Namespaced",
                "names": {"kind": "ServiceMonitor", "plural": "servicemonitors", "singular": "servicemonitor"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                }}}],
            },
        })
        .to_string(),
    );
    stage.node.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd/servicemonitors.monitoring.coreos.com",
    ]);
}

fn objects(image: &str, version: &str, policy: &Value) -> Vec<Value> {
    let mut service = shop::service();
    service["metadata"]["labels"] = json!({"app": "api"});
    let mut policies = network_policy("api");
    // Both ways to say it.
    policies["spec"]["podSelector"] = json!({
        "matchLabels": {"app": "api"},
        "matchExpressions": [{"key": "app", "operator": "In", "values": ["api", "web"]}],
    });
    vec![
        shop::api(image, 3, version, &[]),
        service,
        policy.clone(),
        policies,
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "api"},
            "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "api"}}},
        }),
        json!({
            "apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "api"},
            "spec": {"selector": {"matchLabels": {"app": "api"}}, "endpoints": [{"targetPort": 8080}]},
        }),
    ]
}

/// A label selector as `kubectl -l` takes it.
fn selector(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object();
    let labels = labels.into_iter().flatten();
    let mut parts: Vec<String> = labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for expression in selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let values: Vec<&str> = expression["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let key = expression["key"].as_str().unwrap_or_default();
        let operator = expression["operator"].as_str().unwrap_or_default();
        parts.push(format!(
            "{key} {} ({})",
            operator.to_lowercase(),
            values.join(",")
        ));
    }
    parts.join(",")
}

/// The names of what a selector selects.
fn selected(stage: &Stage, kind: &str, by: &str) -> Vec<String> {
    let names = stage
        .namespace
        .kubectl(&["get", kind, "-l", by, "-o", "name"]);
    names.lines().map(str::to_owned).collect()
}

fn by(stage: &Stage, kind: &str, pointer: &str) -> String {
    let text = stage.namespace.kubectl(&["get", kind, "api", "-o", "json"]);
    let object: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
    selector(object.pointer(pointer).unwrap_or(&Value::Null))
}

/// `kubectl rollout restart`, to its end.
fn restart(stage: &Stage) {
    let before = shop::stable_pods(stage);
    stage
        .namespace
        .kubectl(&["rollout", "restart", "deployment/api"]);
    stage
        .namespace
        .kubectl(&["rollout", "status", "deployment/api", "--timeout=60s"]);
    let after = shop::stable_pods(stage);
    assert!(after.iter().all(|pod| !before.contains(pod)), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_fails_no_request_and_everybody_still_selects_the_canary() {
    let Some(node) = need_node!() else { return };
    let image = shop::image();
    let stage = Stage::new(node).await;
    monitors(&stage);
    // At 5 % the one pod of the canary would be too much: the Service is narrowed to the stable pods.
    let steps = json!([{"weight": 5, "for": "1s"}, {"pause": true}, {"weight": 50, "for": "1s"}, {"pause": true}]);
    let policy = shop::policy(steps, json!({}));
    let shop = Shop::of(
        stage,
        &objects(&image, "1", &policy),
        Value::Null,
        json!({}),
    )
    .await;
    let stage = &shop.stage;
    let commit = stage
        .push_objects(SHOP, &objects(&image, "2", &policy))
        .await;
    shop.at(Phase::Paused).await;
    let narrowed = |stage: &Stage| {
        stage.namespace.kubectl(&[
            "get",
            "service",
            "api",
            "-o",
            "jsonpath={.spec.selector.pod-template-hash}",
        ])
    };
    let before = narrowed(stage);
    assert!(!before.is_empty());

    restart(stage);
    let newest = wait_until(PATIENCE, "it is narrowed to the new pods", || async {
        let hash = narrowed(stage);
        (!hash.is_empty() && hash != before).then_some(hash)
    })
    .await;
    let pods = selected(
        stage,
        "pods",
        &format!("app=api,pod-template-hash={newest}"),
    );
    assert_eq!(
        pods.len(),
        3,
        "all of the stable side, and nobody else: {pods:?}"
    );

    // At 50 % everybody shares; a restart changes nothing of that.
    shop.say("promote").await;
    stage
        .until(SHOP, "it is at the second pause", |status| {
            status
                .rollouts
                .first()
                .is_some_and(|rollout| rollout.phase == Phase::Paused && rollout.step == 3)
        })
        .await;
    restart(stage);

    // Who selects by the workload's labels selects the canary, too.
    let canaries = selected(stage, "pods", "driftless.dev/track=canary");
    assert_eq!(canaries.len(), 3);
    let among = |found: &[String]| canaries.iter().all(|pod| found.contains(pod));
    let policy_pods = selected(
        stage,
        "pods",
        &by(stage, "networkpolicy", "/spec/podSelector"),
    );
    assert!(among(&policy_pods), "{policy_pods:?}");
    let budget_pods = selected(stage, "pods", &by(stage, "pdb", "/spec/selector"));
    assert!(among(&budget_pods), "{budget_pods:?}");
    let monitored = selected(
        stage,
        "services",
        &by(
            stage,
            "servicemonitors.monitoring.coreos.com",
            "/spec/selector",
        ),
    );
    let mut scraped = Vec::new();
    for service in &monitored {
        let text = stage.namespace.kubectl(&["get", service, "-o", "json"]);
        let service: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
        let labels = json!({"matchLabels": service["spec"]["selector"]});
        scraped.extend(selected(stage, "pods", &selector(&labels)));
    }
    assert!(among(&scraped), "{monitored:?} {scraped:?}");

    // The budget counts the canary's pods, and keeps the stable ones from nothing of the rollout.
    wait_until(PATIENCE, "the budget expects all six", || async {
        let expected = "/status/expectedPods";
        let budget = stage.cluster.at("PodDisruptionBudget", "api", expected);
        (budget.await == 6).then_some(())
    })
    .await;
    shop.say("promote").await;
    shop.over(&commit).await;
    let samples = shop.close_but_for(|_| false).await;
    assert!(samples.iter().any(|sample| sample.is_of("2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_that_is_scaled_to_none_is_not_rolled_out() {
    let Some(node) = need_node!() else { return };
    let image = shop::image();
    let policy = shop::policy(
        json!([{"weight": 50, "for": "1s"}, {"pause": true}]),
        json!({}),
    );
    // Git does not say how many: people do.
    let objects = |version: &str| {
        let mut api = shop::api(&image, 3, version, &[]);
        api["spec"]
            .as_object_mut()
            .expect("a map")
            .remove("replicas");
        vec![api, shop::service(), policy.clone()]
    };
    let stage = Stage::new(node).await;
    let first = stage.push_objects(SHOP, &objects("1")).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;
    let scale = |replicas: u32| {
        stage
            .namespace
            .kubectl(&["scale", "deployment/api", &format!("--replicas={replicas}")]);
    };
    scale(0);
    wait_until(PATIENCE, "no pod is left", || async {
        shop::stable_pods(&stage).is_empty().then_some(())
    })
    .await;

    // Nothing serves: the change is applied at once.
    let second = stage.push_objects(SHOP, &objects("2")).await;
    let ready = stage.ready(SHOP, &second).await;
    assert!(ready.rollouts.is_empty());
    assert!(shop::leftovers(&stage).is_empty());

    // In the middle: the canary does not serve alone what a person has turned off.
    scale(2);
    stage
        .namespace
        .kubectl(&["rollout", "status", "deployment/api", "--timeout=60s"]);
    let third = stage.push_objects(SHOP, &objects("3")).await;
    stage
        .until(SHOP, "it is at its pause", |status| {
            shop::phase(status) == Some(Phase::Paused)
        })
        .await;
    scale(0);
    stage
        .until(SHOP, "the change is applied, and nothing runs", |status| {
            crate::main_job::stage::is_ready(status, &third) && status.rollouts.is_empty()
        })
        .await;
    wait_until(PATIENCE, "no pod is left", || async {
        let pods = stage
            .namespace
            .kubectl(&["get", "pods", "-l", "app=api", "-o", "name"]);
        pods.is_empty().then_some(())
    })
    .await;
    let replicas = stage
        .cluster
        .at("Deployment", "api", "/spec/replicas")
        .await;
    assert_eq!(replicas, 0, "as the person left it");
}
