//! What is written for routers that this node does not run, against the definitions that they publish: an API server that
//! refuses what they do not allow. One commit changes four workloads, each behind a route of another kind.

use std::time::{Duration, Instant};

use driftless::api::RolloutPhase as Phase;
use serde_json::{Value, json};

use super::router;
use super::shop::{self, SHOP};
use crate::main_job::stage::{PATIENCE, Stage, is_ready};
use crate::need_node;
use crate::support::node::Namespace;

/// Kind (as kubectl names it), name of the workload, Service and route, `spec.traffic`, and the route.
fn cases(namespace: &str) -> Vec<(&'static str, &'static str, Value, Value)> {
    let testers = json!({"header": {"name": "X-Canary"}, "cookie": {"name": "canary"}});
    let object = |api_version: &str, kind: &str, name: &str, spec: Value| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec});
    let mut alb = object(
        "networking.k8s.io/v1",
        "Ingress",
        "ada",
        json!({"ingressClassName": "alb", "rules": [{"http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "split", "port": {"name": "use-annotation"}}}},
        ]}}]}),
    );
    let action = json!({"type": "forward", "forwardConfig": {"targetGroups": [{"serviceName": "ada", "servicePort": "80"}]}});
    alb["metadata"]["annotations"] = json!({
        "alb.ingress.kubernetes.io/scheme": "internet-facing", "alb.ingress.kubernetes.io/actions.split": action.to_string(),
    });
    vec![
        (
            "grpcroutes.gateway.networking.k8s.io",
            "gus",
            json!({"grpcRoute": {"name": "gus"}, "match": testers}),
            object(
                "gateway.networking.k8s.io/v1",
                "GRPCRoute",
                "gus",
                json!({"parentRefs": [{"name": "web"}], "rules": [
                    {"matches": [{"method": {"service": "shop.Orders"}}],
                     "backendRefs": [{"name": "gus", "port": 80, "weight": 9}, {"name": "old", "port": 80, "weight": 1}]},
                    {"backendRefs": [{"name": "old", "port": 80}]},
                ]}),
            ),
        ),
        (
            "ingresses.networking.k8s.io",
            "ada",
            json!({"alb": {"name": "ada"}}),
            alb,
        ),
        (
            "virtualservices.networking.istio.io",
            "ivy",
            json!({"istio": {"name": "ivy"}, "match": testers}),
            object(
                "networking.istio.io/v1",
                "VirtualService",
                "ivy",
                json!({"hosts": ["shop.example.com"], "gateways": ["web"], "http": [
                    {"name": "orders", "match": [{"uri": {"prefix": "/orders"}}], "timeout": "3s",
                     "route": [{"destination": {"host": format!("ivy.{namespace}.svc.cluster.local"), "port": {"number": 80}}, "weight": 80},
                               {"destination": {"host": "old"}, "weight": 20}]},
                    {"name": "rest", "route": [{"destination": {"host": "ivy", "subset": "stable"}}]},
                ]}),
            ),
        ),
        (
            "traefikservices.traefik.io",
            "tim",
            json!({"traefik": {"name": "tim"}}),
            object(
                "traefik.io/v1alpha1",
                "TraefikService",
                "tim",
                json!({"weighted": {"services": [
                    {"name": "tim", "port": 80, "weight": 3}, {"name": "old", "port": 80, "weight": 1},
                ]}}),
            ),
        ),
    ]
}

/// Deployment, Service and policy under this name.
fn workload(image: &str, name: &str, version: &str, traffic: &Value) -> [Value; 3] {
    let steps = json!([{"weight": 25}, {"pause": true}]);
    let mut deployment = shop::api(image, 1, version, &[("DRAIN", "0s")]);
    deployment["spec"]["selector"]["matchLabels"] = json!({"app": name});
    deployment["spec"]["template"]["metadata"]["labels"] = json!({"app": name});
    let mut service = shop::service();
    service["spec"]["selector"] = json!({"app": name});
    let mut policy = shop::policy(steps, json!({"traffic": traffic, "checks": []}));
    policy["spec"]["workload"]["name"] = json!(name);
    [deployment, service, policy].map(|mut object| {
        object["metadata"]["name"] = json!(name);
        object
    })
}

/// The live route, without what differs from run to run.
fn live(namespace: &Namespace, kind: &str, name: &str) -> Value {
    let text = namespace.kubectl(&["get", kind, name, "-o", "json"]);
    let text = text.replace(&format!(".{}.", namespace.name), ".NAMESPACE.");
    let object: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
    let annotations: serde_json::Map<String, Value> = object["metadata"]["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with("alb."))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    json!({"kind": object["kind"], "annotations": annotations, "spec": object["spec"]})
}

/// What a gateway says of the route as it is now.
async fn accept(namespace: &Namespace) {
    let generation = namespace.kubectl(&[
        "get",
        "grpcroute",
        "gus",
        "-o",
        "jsonpath={.metadata.generation}",
    ]);
    let generation: i64 = generation.parse().expect("a number");
    let condition = |type_: &str| {
        json!({
            "type": type_, "status": "True", "reason": type_, "message": "", "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let status = json!({"status": {"parents": [{
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web"},
        "controllerName": "example.com/gateway",
        "conditions": [condition("Accepted"), condition("ResolvedRefs")],
    }]}});
    namespace.kubectl(&[
        "patch",
        "grpcroute",
        "gus",
        "--subresource=status",
        "--type=merge",
        "-p",
        &status.to_string(),
    ]);
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_what_the_published_definitions_allow() {
    let Some(node) = need_node!() else { return };
    for definitions in ["gateway-api", "istio-crds", "traefik-crds"] {
        router::define(node, definitions);
    }
    let stage = Stage::new(node).await;
    let image = shop::image();
    let cases = cases(&stage.namespace.name);
    let objects = |version: &str| {
        let mut objects = Vec::new();
        for (_, name, traffic, route) in &cases {
            objects.extend(workload(&image, name, version, traffic));
            objects.push(route.clone());
        }
        objects
    };
    let first = stage.push_objects(SHOP, &objects("1")).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;
    let before: Vec<Value> = cases
        .iter()
        .map(|(kind, name, ..)| live(&stage.namespace, kind, name))
        .collect();

    let second = stage.push_objects(SHOP, &objects("2")).await;
    let of = |name: &str| format!("/{name}");
    let held = stage
        .until(
            SHOP,
            "three are paused, one waits for its gateway",
            |status| {
                let paused = |name: &str| {
                    status.rollouts.iter().any(|rollout| {
                        rollout.workload.ends_with(&of(name)) && rollout.phase == Phase::Paused
                    })
                };
                ["ada", "ivy", "tim"].into_iter().all(paused)
            },
        )
        .await;
    let waits = held
        .rollouts
        .iter()
        .find(|rollout| rollout.workload.ends_with("/gus"))
        .map_or("", |rollout| &rollout.message);
    assert!(
        waits.contains("no gateway has looked at the route"),
        "{waits}"
    );
    let (start, mut all_paused) = (Instant::now(), false);
    while !all_paused {
        assert!(start.elapsed() < PATIENCE, "{:?}", stage.status(SHOP).await);
        accept(&stage.namespace).await;
        let status = stage.status(SHOP).await;
        all_paused = status
            .rollouts
            .iter()
            .all(|rollout| rollout.phase == Phase::Paused);
    }
    for (kind, name, ..) in &cases {
        insta::assert_json_snapshot!(*name, live(&stage.namespace, kind, name));
    }

    // A hand that changes a weight is undone.
    let weights = || live(&stage.namespace, "traefikservices.traefik.io", "tim");
    let written = weights();
    let by_hand = json!({"spec": {"weighted": {"services": [
        {"name": "tim", "port": 80, "weight": 1}, {"name": "tim-canary", "port": 80, "weight": 99},
    ]}}});
    stage.namespace.kubectl(&[
        "patch",
        "traefikservices.traefik.io",
        "tim",
        "--type=merge",
        "-p",
        &by_hand.to_string(),
    ]);
    stage
        .until(SHOP, "the weights are the rollout's again", |_| {
            weights() == written
        })
        .await;

    shop::say(&stage, "promote").await;
    stage
        .until(SHOP, "all are promoted", |status| {
            status.rollouts.is_empty() && is_ready(status, &second)
        })
        .await;
    let after: Vec<Value> = cases
        .iter()
        .map(|(kind, name, ..)| live(&stage.namespace, kind, name))
        .collect();
    assert_eq!(after, before, "as Git has them");
}
