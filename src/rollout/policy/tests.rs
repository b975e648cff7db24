use serde_json::json;

use super::*;
use crate::desired::Wave;

fn refused(policy: Value, objects: Vec<Value>) -> Vec<String> {
    let mut all = objects;
    all.push(json!({
        "apiVersion": "driftless.dev/v1alpha1", "kind": "RolloutPolicy", "metadata": {"name": "api"}, "spec": policy,
    }));
    let objects = all.into_iter().map(|value| {
        let object = Object::from_value(value).unwrap();
        DesiredObject {
            id: object.id(),
            digest: String::new(),
            object,
            wave: Wave::default(),
            origin: String::new(),
        }
    });
    let desired = Desired::new(objects.collect(), String::new());
    match policies(&desired) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.into_iter().map(|(_, message)| message).collect(),
    }
}

fn spec() -> Value {
    json!({"workload": {"kind": "Deployment", "name": "api"}, "canary": {"steps": [{"weight": 25}]}, "checks": []})
}

fn deployment(pod: Value) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"},
        "spec": {"template": {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [{"name": "api"}]}}},
    });
    let spec = object["spec"]["template"]["spec"].as_object_mut().unwrap();
    if let Value::Object(pod) = pod {
        spec.extend(pod);
    }
    object
}

fn service(spec: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api"}, "spec": {"selector": {"app": "api"}}});
    if let (Some(into), Value::Object(from)) = (object["spec"].as_object_mut(), spec) {
        into.extend(from);
    }
    object
}

#[test]
fn what_cannot_run_in_two_versions_is_refused_by_name() {
    let one = |pod: Value| refused(spec(), vec![deployment(pod)]).join("; ");
    assert_eq!(one(json!({})), "");
    assert!(one(json!({"hostNetwork": true})).contains("hostNetwork"));
    let port =
        json!({"containers": [{"name": "api", "ports": [{"containerPort": 80, "hostPort": 80}]}]});
    assert!(one(port).contains("container api: hostPort 80"));
    let path = json!({"volumes": [{"name": "logs", "hostPath": {"path": "/var/log"}}]});
    assert!(one(path).contains("volume logs: a hostPath"));
    let claim = |read_only: bool| json!({"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": read_only}}]});
    assert!(one(claim(false)).contains("both versions would write to the claim data"));
    assert_eq!(one(claim(true)), "");
    let mut recreate = deployment(json!({}));
    recreate["spec"]["strategy"] = json!({"type": "Recreate"});
    assert!(refused(spec(), vec![recreate])[0].contains("Recreate"));
}

#[test]
fn traffic_that_cannot_be_split_is_refused_by_name() {
    let with = |policy: Value, objects: Vec<Value>| {
        let mut all = vec![deployment(json!({}))];
        all.extend(objects);
        refused(policy, all).join("; ")
    };
    assert!(with(spec(), vec![service(json!({"clusterIP": "None"}))]).contains("headless"));
    let sticky = service(json!({"sessionAffinity": "ClientIP"}));
    assert!(with(spec(), vec![sticky.clone()]).contains("session affinity"));
    let mut routed = spec();
    routed["traffic"] = json!({"httpRoute": {"name": "api"}});
    let missing = with(routed.clone(), vec![sticky.clone()]);
    assert_eq!(
        missing,
        "spec.traffic: Git has no HTTPRoute.gateway.networking.k8s.io api in this environment"
    );
    let elsewhere = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "api"},
        "spec": {"rules": [{"backendRefs": [{"name": "other"}]}]},
    });
    assert!(with(routed, vec![sticky, elsewhere]).contains("no rule of"));
}

#[test]
fn a_workload_has_one_policy_and_is_there() {
    assert!(refused(spec(), Vec::new())[0].contains("Git has no Deployment.apps api"));
}

#[test]
fn weights_by_steps_or_evenly() {
    let policy = |canary: Value| {
        let mut spec = spec();
        spec["canary"] = canary;
        Policy::new(&serde_json::from_value(spec).unwrap(), None).steps
    };
    let minute = Duration::from_mins(1);
    assert_eq!(
        policy(json!({"stepWeight": 20, "maxWeight": 50})),
        [
            Step::Weight(20, minute),
            Step::Weight(40, minute),
            Step::Weight(50, minute)
        ]
    );
    assert_eq!(
        policy(json!({"steps": [{"weight": 5, "for": "30s"}, {"pause": true}]})),
        [Step::Weight(5, Duration::from_secs(30)), Step::Pause]
    );
}

#[test]
fn an_order_that_cannot_be_kept_is_refused_by_name() {
    let mut policy = spec();
    policy["dependsOn"] = json!([{"kind": "Deployment", "name": "worker"}]);
    let reasons = refused(policy, vec![deployment(json!({}))]).join("; ");
    assert!(
        reasons.contains("spec.dependsOn: Deployment.apps worker has no RolloutPolicy"),
        "{reasons}"
    );
    let mut policy = spec();
    policy["dependsOn"] = json!([{"kind": "Deployment", "name": "api"}]);
    let reasons = refused(policy, vec![deployment(json!({}))]).join("; ");
    assert!(reasons.contains("would wait for itself"), "{reasons}");
}
