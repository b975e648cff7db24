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
fn a_route_of_each_kind_is_checked_where_it_lies() {
    let object = |api_version: &str, kind: &str, spec: Value| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "api"}, "spec": spec});
    let path = |service: &str| json!({"rules": [{"http": {"paths": [{"path": "/", "backend": {"service": {"name": service, "port": {"number": 80}}}}]}}]});
    let backends = |name: &str| json!({"rules": [{"backendRefs": [{"name": name}]}]});
    let host = |host: &str| json!({"http": [{"route": [{"destination": {"host": host}}]}]});
    let gateway = "gateway.networking.k8s.io/v1";
    let ingress = "networking.k8s.io/v1";
    let mut alb = object(
        ingress,
        "Ingress",
        json!({"defaultBackend": {"service": {"name": "split", "port": {"name": "use-annotation"}}}}),
    );
    alb["metadata"]["annotations"] = json!({"alb.ingress.kubernetes.io/actions.split":
        r#"{"type": "forward", "forwardConfig": {"targetGroups": [{"serviceName": "api", "servicePort": 80}]}}"#});
    let mut other_alb = alb.clone();
    other_alb["metadata"]["annotations"] = json!({});
    let services = |name: &str| json!({"weighted": {"services": [{"name": name, "port": 80}]}});
    let cases = [
        (
            "httpRoute",
            object(gateway, "HTTPRoute", backends("api")),
            object(gateway, "HTTPRoute", backends("other")),
        ),
        (
            "grpcRoute",
            object(gateway, "GRPCRoute", backends("api")),
            object(gateway, "GRPCRoute", backends("other")),
        ),
        (
            "ingressNginx",
            object(ingress, "Ingress", path("api")),
            object(ingress, "Ingress", path("other")),
        ),
        ("alb", alb, other_alb),
        (
            "istio",
            object(
                "networking.istio.io/v1",
                "VirtualService",
                host("api.shop.svc.cluster.local"),
            ),
            object("networking.istio.io/v1", "VirtualService", host("other")),
        ),
        (
            "traefik",
            object("traefik.io/v1alpha1", "TraefikService", services("api")),
            object("traefik.io/v1alpha1", "TraefikService", services("other")),
        ),
    ];
    for (router, good, bad) in cases {
        let with = |route: Option<Value>| {
            let mut policy = spec();
            policy["traffic"] = json!({router: {"name": "api"}});
            let mut all = vec![deployment(json!({})), service(json!({}))];
            all.extend(route);
            refused(policy, all).join("; ")
        };
        assert_eq!(with(Some(good)), "", "{router}");
        assert!(with(Some(bad)).starts_with("spec.traffic: no"), "{router}");
        assert!(with(None).contains("Git has no"), "{router}");
    }
}

#[test]
fn a_service_that_two_workloads_share_cannot_be_narrowed_to_one() {
    let mut other = deployment(json!({}));
    other["metadata"]["name"] = json!("worker");
    let reasons = refused(
        spec(),
        vec![deployment(json!({})), other, service(json!({}))],
    );
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(
        reasons[0].contains("Service api selects the pods of Deployment.apps worker too"),
        "{reasons:?}"
    );
}

#[test]
fn what_git_has_in_place_of_a_part_is_refused() {
    let mut policy = spec();
    policy["traffic"] = json!({"ingressNginx": {"name": "api"}});
    let named = |mut object: Value, name: &str| {
        object["metadata"]["name"] = json!(name);
        object
    };
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "api"},
        "spec": {"defaultBackend": {"service": {"name": "api", "port": {"number": 80}}}},
    });
    let taken = refused(
        policy,
        vec![
            deployment(json!({})),
            service(json!({})),
            named(service(json!({"selector": {"app": "x"}})), "api-canary"),
            named(ingress.clone(), "api-canary"),
            ingress,
        ],
    );
    assert_eq!(taken.len(), 2, "{taken:?}");
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
