use serde_json::json;

use super::*;
use crate::object::ENVIRONMENT_LABEL;

fn refused(policy: Value, objects: Vec<Value>) -> Vec<String> {
    let mut all = objects;
    all.push(json!({
        "apiVersion": "driftless.dev/v1alpha1", "kind": "RolloutPolicy", "metadata": {"name": "api"}, "spec": policy,
    }));
    match policies(&Desired::of_manifests(all)) {
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

fn green() -> Value {
    json!({"workload": {"kind": "Deployment", "name": "api"}, "blueGreen": {"keep": "1m"}, "checks": []})
}

#[test]
fn blue_green_needs_something_to_switch() {
    let with = |policy: Value, objects: Vec<Value>| {
        let mut all = vec![deployment(json!({}))];
        all.extend(objects);
        refused(policy, all).join("; ")
    };
    assert_eq!(with(green(), vec![service(json!({}))]), "");
    assert!(with(green(), Vec::new()).contains("there is nothing to switch"));
    assert!(with(green(), vec![service(json!({"clusterIP": "None"}))]).contains("headless"));
    let sticky = service(json!({"sessionAffinity": "ClientIP"}));
    assert_eq!(with(green(), vec![sticky]), "", "all of it is switched");
    let named = |name: &str| {
        let mut policy = green();
        policy["blueGreen"]["previewService"] = json!(name);
        policy
    };
    let mut preview = service(json!({}));
    preview["metadata"]["name"] = json!("api-next");
    let both = || vec![service(json!({})), preview.clone()];
    assert_eq!(with(named("api-next"), both()), "");
    assert!(with(named("other"), both()).contains("previewService: Git has no Service other"));
    assert!(
        with(named("api-next"), vec![preview.clone()]).contains("there is nothing to switch"),
        "a preview alone has no traffic"
    );
    preview["metadata"]["name"] = json!("api-preview");
    let taken = with(green(), vec![service(json!({})), preview]);
    assert!(taken.contains("Git has Service api-preview"), "{taken}");
}

fn set(spec: Value, pod: Value) -> Value {
    let mut object = deployment(pod);
    object["kind"] = json!("StatefulSet");
    if let (Some(into), Value::Object(from)) = (object["spec"].as_object_mut(), spec) {
        into.extend(from);
    }
    object
}

#[test]
fn a_set_needs_nothing_twice_but_is_replaced_by_its_partition() {
    let one = |spec: Value, pod: Value| {
        let mut policy = self::spec();
        policy["workload"]["kind"] = json!("StatefulSet");
        let governing = service(json!({"clusterIP": "None"}));
        refused(policy, vec![set(spec, pod), governing]).join("; ")
    };
    assert_eq!(one(json!({}), json!({"hostNetwork": true})), "");
    let on_delete = json!({"updateStrategy": {"type": "OnDelete"}});
    assert!(one(on_delete, json!({})).contains("OnDelete"));
    let held = json!({"updateStrategy": {"rollingUpdate": {"partition": 2}}});
    assert!(one(held, json!({})).contains("take it out of Git"));
    let open = json!({"updateStrategy": {"rollingUpdate": {"partition": 0}}});
    assert_eq!(one(open, json!({})), "");
    let claim =
        json!({"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]});
    assert!(one(json!({}), claim).contains("both versions would write to the claim data"));
}

#[test]
fn shared_volumes_are_a_word_of_the_owner() {
    let pod = json!({"volumes": [
        {"name": "logs", "hostPath": {"path": "/var/log"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
    ]});
    assert_eq!(refused(spec(), vec![deployment(pod.clone())]).len(), 2);
    let mut shared = spec();
    shared["sharedVolumes"] = json!(true);
    assert_eq!(refused(shared, vec![deployment(pod)]), Vec::<String>::new());
}

#[test]
fn kinds_that_cannot_be_rolled_out_are_told_why() {
    let of = |kind: &str| {
        let mut policy = spec();
        policy["workload"]["kind"] = json!(kind);
        refused(policy, Vec::new()).join("; ")
    };
    assert!(of("DaemonSet").contains("it has one pod on each node"));
    assert!(of("CronJob").contains("CronJob cannot be rolled out"));
}

#[test]
fn services_of_others_that_take_the_pods_are_named() {
    let live = |name: &str, selector: Value, owner: Option<&str>| {
        let mut object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": selector}});
        if let Some(owner) = owner {
            object["metadata"]["labels"] = json!({ENVIRONMENT_LABEL: owner});
        }
        Object::from_value(object).unwrap()
    };
    let workload = Object::from_value(deployment(json!({}))).unwrap();
    let mut policy = Policy::new(&serde_json::from_value(spec()).unwrap(), None);
    let desired = Desired::new(vec![workload.into()], String::new());
    let all = [
        live("own", json!({"app": "api"}), Some("me")),
        live("theirs", json!({"app": "api"}), Some("them")),
        live("nobodys", json!({"app": "api"}), None),
        live("elsewhere", json!({"app": "web"}), None),
        live("narrow", json!({"app": "api", "tier": "back"}), None),
        live("without", json!({}), None),
    ];
    let named = |policy: &Policy| -> Vec<String> {
        let reasons = foreign(policy, &desired, &all, "me");
        let name = |reason: String| reason.split_whitespace().nth(1).unwrap().to_owned();
        reasons.into_iter().map(name).collect()
    };
    assert_eq!(named(&policy), ["shop/theirs", "shop/nobodys"]);
    policy.strategy = Strategy::Partition;
    assert!(
        named(&policy).is_empty(),
        "its pods have their traffic anyway"
    );
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

#[test]
fn a_window_that_is_longer_than_the_rollout_waits_is_refused() {
    let with = |steps: Value, max_hold: Value, window: &str| {
        let mut policy = spec();
        policy["canary"]["steps"] = steps;
        policy["maxHold"] = max_hold;
        policy["checks"] = json!([{"name": "rate", "prometheus": {
            "url": "http://p:9090", "max": 1, "query": "up", "window": window,
        }}]);
        refused(policy, vec![deployment(json!({}))]).join("; ")
    };
    let steps = json!([{"weight": 25}, {"weight": 50, "for": "10m"}]);
    let hour = json!({"for": "1h"});
    assert_eq!(with(steps.clone(), hour.clone(), "1h"), "");
    let told = with(steps.clone(), hour.clone(), "61m");
    assert!(
        told.contains(
            "check rate: prometheus.window: the first verdict at a weight comes after 1h1m"
        ),
        "{told}"
    );
    let longer = json!([{"weight": 25, "for": "10m"}, {"pause": true}]);
    assert_eq!(with(longer, hour, "61m"), "");
    assert_eq!(with(steps, json!({"for": "1h", "then": "stay"}), "61m"), "");
}

#[test]
fn names_whose_parts_would_not_fit_are_refused() {
    let with = |length: usize, strategy: Value, check: Value| {
        let name = "a".repeat(length);
        let mut policy = strategy;
        policy["workload"]["name"] = json!(name);
        policy["checks"] = check;
        let mut api = deployment(json!({}));
        api["metadata"]["name"] = json!(name);
        let mut web = service(json!({}));
        web["metadata"]["name"] = json!(name);
        refused(policy, vec![api, web]).join("; ")
    };
    assert_eq!(with(55, green(), json!([])), "");
    let told = with(56, green(), json!([]));
    assert!(
        told.contains("its name has 64 characters, of at most 63"),
        "{told}"
    );
    assert_eq!(
        with(60, spec(), json!([])),
        "",
        "without a route there is no other Service"
    );
    let by_name = json!([{"name": "up", "prometheus": {
        "url": "http://p:9090", "min": 1, "query": "sum(up{pod=~\"{{pods}}\"})",
    }}]);
    assert_eq!(with(50, spec(), by_name.clone()), "");
    let told = with(51, spec(), by_name);
    assert!(
        told.contains("check up: prometheus.query: of the name"),
        "{told}"
    );
}

#[test]
fn what_a_router_counts_is_not_asked_for_at_weight_0() {
    let with = |more: Value| {
        let mut policy = spec();
        policy["canary"]["steps"] = json!([{"weight": 0, "for": "1m"}, {"weight": 25}]);
        policy["traffic"] = json!({"httpRoute": {"name": "api"}});
        policy["checks"] = json!([{"name": "rate", "prometheus": {
            "url": "http://p:9090", "builtin": "successRate", "router": "Traefik", "min": 0.9,
        }}]);
        for (pointer, value) in more.as_object().unwrap() {
            *policy.pointer_mut(pointer).unwrap() = value.clone();
        }
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "api"},
            "spec": {"rules": [{"backendRefs": [{"name": "api", "port": 80}]}]},
        });
        refused(
            policy,
            vec![deployment(json!({})), service(json!({})), route],
        )
        .join("; ")
    };
    let told = with(json!({}));
    assert!(
        told.contains("prometheus.builtin: a step has weight 0"),
        "{told}"
    );
    for better in [
        json!({"/canary/steps/0/weight": 5}),
        json!({"/checks/0/prometheus/router": "Istio"}),
        json!({"/traffic": {"httpRoute": {"name": "api"}, "match": {"header": {"name": "x-canary", "value": "always"}}}}),
    ] {
        assert_eq!(with(better.clone()), "", "{better}");
    }
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
