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
fn checks_that_can_never_give_a_verdict_are_refused() {
    let one = |check: Value, traffic: Option<Value>| {
        let mut policy = spec();
        policy["checks"] = json!([check]);
        let mut objects = vec![deployment(json!({})), service(json!({}))];
        if let Some(traffic) = traffic {
            policy["traffic"] = traffic;
            objects.push(json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "api"},
                "spec": {"rules": [{"backendRefs": [{"name": "api", "port": 80}]}]},
            }));
        }
        refused(policy, objects).join("; ")
    };
    let route = || Some(json!({"httpRoute": {"name": "api"}}));
    let prometheus = |more: Value| {
        let mut check = json!({"name": "rate", "prometheus": {"url": "http://p:9090", "max": 1}});
        if let (Some(into), Value::Object(from)) = (check["prometheus"].as_object_mut(), more) {
            into.extend(from);
        }
        check
    };
    let json_check = |condition: &str| json!({"name": "stats", "json": {"url": "http://{{service}}/", "condition": condition}});
    let job = |labels: Value, image: Value| {
        let containers = json!([{"name": "smoke", "image": image}]);
        let template = json!({"metadata": {"labels": labels}, "spec": {"containers": containers}});
        json!({"name": "smoke", "job": {"template": {"spec": {"template": template}}}})
    };
    for (check, traffic) in [
        (
            prometheus(json!({"query": "up{pod=~\"{{pods}}\"}", "compare": {"maxRatio": 2}})),
            None,
        ),
        (
            prometheus(json!({"builtin": "latency", "router": "Traefik"})),
            route(),
        ),
        (
            prometheus(json!({"builtin": "successRate", "router": "Istio"})),
            None,
        ),
        (json_check("self.errors < 3"), None),
        (job(json!({"app": "smoke"}), json!("smoke:1")), None),
    ] {
        assert_eq!(one(check.clone(), traffic), "", "{check}");
    }
    for (check, traffic, reason) in [
        (
            prometheus(json!({"query": "up{pod=\"{{pod}}\"}"})),
            None,
            "nothing stands for {{pod}}",
        ),
        (
            prometheus(json!({"query": "up", "compare": {"maxRatio": 2}})),
            None,
            "the same for both sides",
        ),
        (
            prometheus(json!({"builtin": "latency"})),
            route(),
            "does not say whose metrics",
        ),
        (
            prometheus(json!({"builtin": "latency", "router": "Traefik"})),
            None,
            "by Service",
        ),
        (
            json_check("self.errors <"),
            None,
            "json.condition is not a CEL expression",
        ),
        (
            json!({"name": "a", "http": {"path": "/", "body": "("}}),
            None,
            "check a: http.body",
        ),
        (
            json!({"name": "a", "job": {"cronJob": "smoke"}}),
            None,
            "Git has no CronJob.batch smoke",
        ),
        (
            job(json!({"app": "api"}), json!("smoke:1")),
            None,
            "would get its requests",
        ),
        (job(json!({}), json!(1)), None, "JobTemplateSpec"),
    ] {
        let told = one(check.clone(), traffic);
        assert!(told.contains(reason), "{check}: {told}");
    }
}
