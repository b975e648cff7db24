use serde_json::json;

use super::*;
use crate::rollout::policy::policies;

/// What is said of a Deployment with a check of port 8080, called `http`, under policies with these specs.
fn told(policies_: &[Value], check: Value) -> Vec<String> {
    let mut objects = vec![
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api", "namespace": "shop"},
            "spec": {"template": {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [
                {"name": "api", "ports": [{"name": "http", "containerPort": 8080}, {"name": "admin", "containerPort": 9000}]},
            ]}}},
        }),
        json!({
            "apiVersion": "driftless.dev/v1alpha1", "kind": "RolloutPolicy", "metadata": {"name": "api", "namespace": "shop"},
            "spec": {"workload": {"kind": "Deployment", "name": "api"}, "canary": {"steps": [{"weight": 25}]},
                "checks": [{"name": "answers", "http": check}]},
        }),
    ];
    for (index, spec) in policies_.iter().enumerate() {
        objects.push(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": format!("n{index}"), "namespace": "shop"}, "spec": spec,
        }));
    }
    let desired = Desired::of_manifests(objects);
    let policies = policies(&desired).unwrap();
    let policy = policies.values().next().unwrap();
    blocked(policy, &desired, "driftless-system")
        .into_iter()
        .map(|(id, message)| format!("{id} {message}"))
        .collect()
}

fn passes(specs: &[Value]) -> bool {
    told(specs, json!({"path": "/"})).is_empty()
}

#[test]
fn who_selects_the_pods_and_does_not_name_the_agent_blocks() {
    let deny = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
    assert!(passes(&[]));
    assert!(!passes(std::slice::from_ref(&deny)));
    for other in [
        json!({"podSelector": {"matchLabels": {"app": "web"}}}),
        json!({"podSelector": {}, "policyTypes": ["Egress"]}),
        json!({"podSelector": {"matchExpressions": [{"key": "driftless.dev/track", "operator": "DoesNotExist"}]}}),
        json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["api"]}]}}),
    ] {
        assert!(passes(std::slice::from_ref(&other)), "{other}");
    }
    for selector in [
        json!({"matchLabels": {"app": "api"}}),
        json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}),
        json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
    ] {
        assert!(!passes(&[json!({"podSelector": selector})]), "{selector}");
    }
    // What one lets through is let through, whatever others say.
    assert!(passes(&[deny, json!({"podSelector": {}, "ingress": [{}]})]));
}

#[test]
fn rules_by_source() {
    let from = |peers: Value| passes(&[json!({"podSelector": {}, "ingress": [{"from": peers}]})]);
    let namespace = |name: &str| json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
    let agent = json!({"matchLabels": {"app.kubernetes.io/name": "driftless"}});
    assert!(from(json!([])));
    assert!(from(json!([{"namespaceSelector": {}}])));
    assert!(from(
        json!([{"namespaceSelector": namespace("driftless-system")}])
    ));
    assert!(from(
        json!([{"namespaceSelector": namespace("driftless-system"), "podSelector": agent}])
    ));
    assert!(from(
        json!([{"namespaceSelector": namespace("web")}, {"namespaceSelector": {}, "podSelector": agent}])
    ));
    assert!(from(json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}])));
    assert!(!from(json!([{"namespaceSelector": namespace("web")}])));
    assert!(!from(
        json!([{"namespaceSelector": {"matchLabels": {"team": "web"}}}])
    ));
    assert!(!from(
        json!([{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}])
    ));
    // Pods of the policy's own namespace.
    assert!(!from(json!([{"podSelector": {}}])));
}

#[test]
fn rules_by_port() {
    let to = |ports: Value| passes(&[json!({"podSelector": {}, "ingress": [{"ports": ports}]})]);
    for (ports, expected) in [
        (json!([{"port": 8080}]), true),
        (json!([{"port": 9000}, {"port": "http"}]), true),
        (json!([{"port": 8000, "endPort": 8100}]), true),
        (json!([{"protocol": "TCP"}]), true),
        (json!([{"port": 80}]), false),
        (json!([{"port": "admin"}]), false),
        (json!([{"port": "none"}]), false),
        (json!([{"port": 8080, "protocol": "UDP"}]), false),
        (json!([{"port": 8000, "endPort": 8079}]), false),
    ] {
        assert_eq!(to(ports.clone()), expected, "{ports}");
    }
    let admin = [json!({"podSelector": {}, "ingress": [{"ports": [{"port": "admin"}]}]})];
    assert_eq!(
        told(&admin, json!({"path": "/", "port": 9000})),
        Vec::<String>::new()
    );
}

#[test]
fn it_says_what_to_add() {
    let specs = [json!({"podSelector": {}}), json!({"podSelector": {}})];
    insta::assert_snapshot!(told(&specs, json!({"path": "/"})).join("\n"));
}
