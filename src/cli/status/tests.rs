use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::live::State;
use super::*;
use crate::inventory::Inventory;

fn environment(name: &str, spec: &Value, status: &Value) -> Environment {
    let mut all = json!({"repository": "shop", "follow": [{"branches": ["main"]}], "path": "overlays/production", "serviceAccount": "deployer"});
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    serde_json::from_value(json!({
        "apiVersion": "driftless.dev/v1alpha1", "kind": "Environment",
        "metadata": {"name": name, "namespace": "shop", "generation": 2, "creationTimestamp": "2026-11-01T12:00:00Z"},
        "spec": all, "status": status,
    }))
    .unwrap()
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-02T11:00:00Z"})
}

fn now() -> Timestamp {
    "2026-11-02T12:00:00Z".parse().unwrap()
}

fn healthy() -> Environment {
    environment(
        "dev",
        &json!({"namespace": "shop"}),
        &json!({
            "observedGeneration": 2,
            "conditions": [
                condition("Ready", "True", "Applied", "3f2c1ab is applied and healthy"),
                condition("Healthy", "True", "Healthy", "every object is healthy"),
            ],
            "revision": {"rule": 0, "ref": "refs/heads/main", "commit": "3f2c1ab000000000000000000000000000000000", "short": "3f2c1ab"},
            "inventory": {"count": 2, "entries": [{"id": "apps/v1/Deployment/shop/api", "uid": "u"}, {"id": "/v1/Namespace//shop", "uid": "n"}]},
            "history": [
                {"revision": {"ref": "refs/heads/main", "short": "3f2c1ab"}, "outcome": "Healthy", "appliedAt": "2026-11-02T11:00:00Z", "healthyAt": "2026-11-02T11:00:07Z"},
                {"revision": {"ref": "refs/heads/main", "short": "0a0b0c0"}, "outcome": "Failed", "appliedAt": "2026-11-01T12:00:00Z", "message": "Deployment.apps shop/api, container api: ImagePullBackOff: not found"},
            ],
        }),
    )
}

fn broken() -> Environment {
    environment(
        "production",
        &json!({"suspend": true}),
        &json!({
            "observedGeneration": 1,
            "conditions": [
                condition("Ready", "False", "Failed", "Deployment.apps shop/api, container api: CrashLoopBackOff: exited with 1"),
                condition("Healthy", "False", "Failed", "Deployment.apps shop/api, container api: CrashLoopBackOff: exited with 1"),
            ],
            "revision": {"rule": 0, "ref": "refs/tags/v1.2.0", "commit": "9b1dcab000000000000000000000000000000000", "short": "9b1dcab"},
            "next": {"revision": {"ref": "refs/tags/v1.1.0", "short": "77aacab"}, "waitingFor": ["approval"]},
            "failures": [{"object": "Deployment.apps shop/api", "container": "api", "reason": "CrashLoopBackOff", "message": "exited with 1"}],
            "held": [
                {"object": "StatefulSet.apps shop/db", "action": "delete", "reason": "the kind is protected"},
                {"object": "", "action": "apply", "reason": "Diverged: history was rewritten"},
            ],
            "inventory": {"count": 3, "entries": [
                {"id": "apps/v1/Deployment/shop/api", "uid": "u"}, {"id": "apps/v1/StatefulSet/shop/db", "uid": "d"}, {"id": "/v1/ConfigMap/shop/api", "uid": "c"},
            ]},
        }),
    )
}

/// States for the objects in their order.
fn states(environment: &Environment, states: &[State]) -> BTreeMap<crate::object::Id, State> {
    let inventory = Inventory::from_status(&environment.status.clone().unwrap().inventory).unwrap();
    inventory
        .entries
        .into_keys()
        .zip(states.iter().cloned())
        .collect()
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn environments_as_a_table() {
    let fresh = environment("staging", &json!({}), &Value::Null);
    let all = [healthy(), broken(), fresh];
    insta::assert_snapshot!("table", plain(&table::text(&all, false, now())));
    insta::assert_snapshot!(
        "table_of_all_namespaces",
        plain(&table::text(&all[..1], true, now()))
    );
}

#[test]
fn one_that_is_healthy() {
    let environment = healthy();
    let objects = states(&environment, &[State::Healthy, State::Healthy]);
    insta::assert_snapshot!(plain(&detail::text(&environment, &objects, now())));
}

#[test]
fn one_that_fails_is_held_and_suspended() {
    let environment = broken();
    let objects = states(
        &environment,
        &[
            State::Missing,
            State::Failed("exited with 1".to_owned()),
            State::Waits("1 of 2 ready".to_owned()),
        ],
    );
    insta::assert_snapshot!(plain(&detail::text(&environment, &objects, now())));
}

#[test]
fn one_that_nobody_looked_at_yet() {
    let environment = environment("staging", &json!({}), &Value::Null);
    insta::assert_snapshot!(plain(&detail::text(&environment, &BTreeMap::new(), now())));
    assert_eq!(outcome(&[environment]), Outcome::Not);
    assert_eq!(outcome(&[healthy()]), Outcome::Done);
    assert_eq!(outcome(&[]), Outcome::Done);
}

#[test]
fn ages_have_one_unit() {
    let ages = [
        "2026-11-02T11:59:15Z",
        "2026-11-02T11:50:00Z",
        "2026-11-02T02:00:00Z",
        "2026-10-02T12:00:00Z",
        "2026-11-02T12:00:05Z",
    ]
    .map(|time| table::ago(time.parse().unwrap(), now()));
    assert_eq!(ages, ["45s", "10m", "10h", "31d", "0s"]);
}

#[test]
fn rollouts_have_a_bar_whatever_splits_the_traffic() {
    let rollout = |name: &str, more: Value| {
        let mut all = json!({
            "workload": name, "commit": "3f2c1ab000000000000000000000000000000000", "steps": 2, "step": 1,
            "stableReplicas": 4, "since": "2026-11-02T11:59:00Z",
        });
        for (key, value) in more.as_object().unwrap() {
            all[key] = value.clone();
        }
        all
    };
    let rollouts = json!([
        rollout(
            "Deployment.apps shop/api",
            json!({
                "phase": "Analysing", "weight": 30, "achievedWeight": 20, "canaryReplicas": 1, "message": "collects evidence",
                "until": "2026-11-02T12:04:00Z",
                "checks": [{"name": "answers", "verdict": "Pass", "value": "2 of 2 pods answer", "passed": 3, "failed": 0}],
            })
        ),
        rollout(
            "Deployment.apps shop/web",
            json!({
                "strategy": "BlueGreen", "phase": "Switched", "weight": 100, "canaryReplicas": 4, "step": 1, "steps": 1,
                "keptUntil": "2026-11-02T12:08:30Z", "message": "all traffic goes to the green side",
            })
        ),
        rollout(
            "StatefulSet.apps shop/db",
            json!({
                "strategy": "Partition", "phase": "Paused", "weight": 50, "achievedWeight": 50, "canaryReplicas": 2,
                "message": "paused; driftless promote goes on",
            })
        ),
    ]);
    let one = environment("dev", &json!({}), &json!({"rollouts": rollouts}));
    insta::assert_snapshot!(plain(&detail::text(&one, &BTreeMap::new(), now())));
}
