use serde_json::json;

use super::*;
use crate::api::{RolloutPolicySpec, RolloutStatus};

fn desired(objects: Vec<Value>) -> Desired {
    let mut desired = Desired::of_manifests(objects.into_iter().map(|mut object| {
        object["metadata"]["namespace"] = json!("shop");
        object
    }));
    desired.objects.sort_by(|one, other| one.id.cmp(&other.id));
    Desired::new(desired.objects, desired.hash)
}

fn shop(version: &str, color: &str) -> Desired {
    desired(vec![
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"COLOR": color}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api"}, "spec": {
            "selector": {"app": "api"}, "ports": [{"port": 80, "nodePort": 30080}],
        }}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "other"}, "spec": {
            "selector": {"app": "other"}, "ports": [{"port": 80}],
        }}),
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "api"}, "spec": {"rules": [
            {"backendRefs": [{"name": "api", "port": 80}]},
            {"matches": [{"path": {"value": "/other"}}], "backendRefs": [{"name": "other", "port": 80}]},
        ]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}, "spec": {
            "replicas": 4, "selector": {"matchLabels": {"app": "api"}},
            "template": {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [{
                "name": "api", "image": format!("api:{version}"), "envFrom": [{"configMapRef": {"name": "settings"}}],
            }]}},
        }}),
    ])
}

fn workload() -> Id {
    Id {
        group: "apps".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some("shop".to_owned()),
        name: "api".to_owned(),
    }
}

fn policy(traffic: Option<Value>) -> Policy {
    let mut spec = json!({
        "workload": {"kind": "Deployment", "name": "api"},
        "canary": {"steps": [{"weight": 25}]}, "checks": [],
    });
    if let Some(traffic) = traffic {
        spec["traffic"] = traffic;
    }
    let spec: RolloutPolicySpec = serde_json::from_value(spec).unwrap();
    Policy::new(&spec, Some("shop".to_owned()))
}

/// The two sides of a rollout under this policy.
fn staged_by(policy: &Policy, record: &RolloutStatus, base: &Desired, next: &Desired) -> Staged {
    let rollout = Rollout { policy, record };
    stage(base, Some(next), &[rollout], &BTreeSet::new())
}

fn green(preview: Option<&str>) -> Policy {
    let mut spec = json!({
        "workload": {"kind": "Deployment", "name": "api"}, "blueGreen": {"keep": "1m"}, "checks": [],
    });
    if let Some(preview) = preview {
        spec["blueGreen"]["previewService"] = json!(preview);
    }
    let spec: RolloutPolicySpec = serde_json::from_value(spec).unwrap();
    Policy::new(&spec, Some("shop".to_owned()))
}

fn green_record(phase: Phase) -> RolloutStatus {
    RolloutStatus {
        strategy: RolloutStrategy::BlueGreen,
        canary_replicas: 4,
        ..record(phase, 0)
    }
}

#[test]
fn blue_green_switches_the_services_in_one_write_and_back() {
    let by = |phase| {
        let staged = staged_by(
            &green(None),
            &green_record(phase),
            &shop("1", "blue"),
            &shop("2", "blue"),
        );
        let image = at(
            &staged,
            "Deployment",
            "api",
            "/spec/template/spec/containers/0/image",
        );
        assert_eq!(image, "api:1", "{phase:?}: the old side is kept");
        let exists = |kind: &str, name: &str| get(&staged, kind, name).is_some();
        (
            at(&staged, "Service", "api", "/spec/selector"),
            exists("Deployment", "api-canary"),
            exists("Service", "api-preview"),
        )
    };
    let stable = json!({"app": "api", "pod-template-hash": "5d4f"});
    let canary = json!({"app": "api", TRACK_LABEL: "canary"});
    for (phase, selector, deployment, preview) in [
        (Phase::Narrowing, &stable, false, false),
        (Phase::Starting, &stable, true, true),
        (Phase::Analysing, &stable, true, true),
        (Phase::Paused, &stable, true, true),
        (Phase::Proved, &stable, true, true),
        (Phase::Switched, &canary, true, true),
        (Phase::Aborting, &stable, false, false),
        (Phase::Removing, &stable, false, false),
        (Phase::Failed, &json!({"app": "api"}), false, false),
    ] {
        assert_eq!(
            by(phase),
            (selector.clone(), deployment, preview),
            "{phase:?}"
        );
    }
}

#[test]
fn the_green_side_serves_alone_until_the_stable_pods_are_replaced() {
    let policy = green(None);
    let new = shop("2", "blue");
    let by = |phase| {
        let record = RolloutStatus {
            change: change(&policy.workload, &new).expect("it is there"),
            ..green_record(phase)
        };
        let rollout = Rollout {
            policy: &policy,
            record: &record,
        };
        stage(&new, None, &[rollout], &BTreeSet::new())
    };
    let promoting = by(Phase::Promoting);
    assert_eq!(
        at(&promoting, "Service", "api", "/spec/selector"),
        json!({"app": "api", TRACK_LABEL: "canary"})
    );
    for name in ["api", "api-canary"] {
        let image = "/spec/template/spec/containers/0/image";
        assert_eq!(at(&promoting, "Deployment", name, image), "api:2");
    }
    assert_eq!(
        at(
            &promoting,
            "Service",
            "api-preview",
            "/spec/selector/driftless.dev~1track"
        ),
        "canary"
    );
    let finishing = by(Phase::Finishing);
    assert_eq!(
        at(&finishing, "Service", "api", "/spec/selector"),
        json!({"app": "api"})
    );
    assert!(get(&finishing, "Deployment", "api-canary").is_some());
}

#[test]
fn a_preview_of_git_shows_the_green_side_and_has_no_traffic_of_the_stable_one() {
    let with_preview = |version: &str| {
        let mut objects = shop(version, "blue").objects;
        objects.extend(
            desired(vec![json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "api-next"},
                "spec": {"selector": {"app": "api"}, "ports": [{"port": 80}]},
            })])
            .objects,
        );
        Desired::new(objects, "hash".to_owned())
    };
    let (old, new) = (with_preview("1"), with_preview("2"));
    let by = |phase| staged_by(&green(Some("api-next")), &green_record(phase), &old, &new);
    let analysing = by(Phase::Analysing);
    assert_eq!(
        at(&analysing, "Service", "api-next", "/spec/selector"),
        json!({"app": "api", TRACK_LABEL: "canary"})
    );
    assert_eq!(
        at(
            &analysing,
            "Service",
            "api",
            "/spec/selector/pod-template-hash"
        ),
        "5d4f"
    );
    assert!(get(&analysing, "Service", "api-preview").is_none());
    assert!(get(&analysing, "Service", "api-next-preview").is_none());
    for phase in [Phase::Aborting, Phase::Failed] {
        assert_eq!(
            at(&by(phase), "Service", "api-next", "/spec/selector"),
            json!({"app": "api"}),
            "{phase:?}: as Git has it"
        );
    }
}

#[test]
fn what_was_taken_back_is_as_git_had_it() {
    let route = Some(json!({"httpRoute": {"name": "api"}}));
    for (policy, strategy) in [
        (policy(None), RolloutStrategy::Canary),
        (policy(route), RolloutStrategy::Canary),
        (green(None), RolloutStrategy::BlueGreen),
    ] {
        let record = RolloutStatus {
            strategy,
            ..record(Phase::Failed, 0)
        };
        let (old, new) = (shop("1", "blue"), shop("2", "green"));
        let staged = staged_by(&policy, &record, &old, &new);
        let plain = stage(&old, None, &[], &BTreeSet::new());
        let objects = |staged: &Staged| -> Vec<Object> {
            let objects = staged.desired.objects.iter();
            objects.map(|one| one.object.clone()).collect()
        };
        assert_eq!(objects(&staged), objects(&plain), "{strategy:?}");
    }
}

fn set(version: &str, color: &str) -> Desired {
    let objects = shop(version, color).objects.into_iter().map(|mut one| {
        if one.id.kind == "Deployment" {
            one.object.0["kind"] = json!("StatefulSet");
            one.object.0["spec"]["updateStrategy"] =
                json!({"rollingUpdate": {"maxUnavailable": 1}});
            one.id = one.object.id();
        }
        one
    });
    Desired::new(objects.collect(), "hash".to_owned())
}

#[test]
fn a_set_has_the_new_template_above_the_partition_and_all_else_as_before() {
    let spec = json!({
        "workload": {"kind": "StatefulSet", "name": "api"},
        "canary": {"steps": [{"weight": 25}]}, "checks": [],
    });
    let policy = Policy::new(
        &serde_json::from_value(spec).unwrap(),
        Some("shop".to_owned()),
    );
    let (old, new) = (set("1", "blue"), set("2", "green"));
    let by = |phase| {
        let record = RolloutStatus {
            strategy: RolloutStrategy::Partition,
            ..record(phase, 25)
        };
        staged_by(&policy, &record, &old, &new)
    };
    let image = "/spec/template/spec/containers/0/image";
    let settings = "/spec/template/spec/containers/0/envFrom/0/configMapRef/name";
    let analysing = by(Phase::Analysing);
    assert_eq!(at(&analysing, "StatefulSet", "api", image), "api:2");
    assert_eq!(
        at(&analysing, "StatefulSet", "api", "/spec/updateStrategy"),
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "partition": 3}})
    );
    let copy = at(&analysing, "StatefulSet", "api", settings);
    let copy = copy.as_str().unwrap();
    assert_eq!(at(&analysing, "ConfigMap", copy, "/data/COLOR"), "green");
    assert_eq!(
        at(&analysing, "ConfigMap", "settings", "/data/COLOR"),
        "blue"
    );
    assert!(analysing.roles.mixed.contains(&policy.workload));
    assert_eq!(
        at(&analysing, "Service", "api", "/spec/selector"),
        json!({"app": "api"})
    );
    assert_eq!(
        at(&analysing, "StatefulSet", "api", "/metadata/annotations"),
        Value::Null,
        "the pods below the partition do not refer to copies"
    );
    for phase in [
        Phase::Narrowing,
        Phase::Aborting,
        Phase::Removing,
        Phase::Failed,
    ] {
        let back = by(phase);
        assert_eq!(at(&back, "StatefulSet", "api", image), "api:1");
        assert_eq!(at(&back, "StatefulSet", "api", settings), "settings");
        assert_eq!(
            at(&back, "StatefulSet", "api", "/spec/updateStrategy"),
            json!({"rollingUpdate": {"maxUnavailable": 1}}),
            "{phase:?}"
        );
    }
}

fn record(phase: Phase, weight: u32) -> RolloutStatus {
    RolloutStatus {
        workload: workload().to_string(),
        change: "0123456789abcdef".to_owned(),
        phase,
        weight,
        stable_replicas: 4,
        canary_replicas: 1,
        stable_hash: Some("5d4f".to_owned()),
        ..RolloutStatus::default()
    }
}

fn staged(traffic: Option<Value>, record: &RolloutStatus) -> Staged {
    staged_by(
        &policy(traffic),
        record,
        &shop("1", "blue"),
        &shop("2", "green"),
    )
}

fn get<'a>(staged: &'a Staged, kind: &str, name: &str) -> Option<&'a Object> {
    staged
        .desired
        .objects
        .iter()
        .find(|object| object.id.kind == kind && object.id.name == name)
        .map(|object| &object.object)
}

fn at(staged: &Staged, kind: &str, name: &str, pointer: &str) -> Value {
    get(staged, kind, name)
        .and_then(|object| object.at(pointer))
        .cloned()
        .unwrap_or_default()
}

#[test]
fn a_canary_stands_beside_the_stable_side_and_its_weight_is_in_the_route() {
    let route = Some(json!({"httpRoute": {"name": "api"}}));
    let staged = staged(route, &record(Phase::Analysing, 25));
    assert!(staged.roles.problems.is_empty());
    assert_eq!(
        at(
            &staged,
            "Deployment",
            "api",
            "/spec/template/spec/containers/0/image"
        ),
        "api:1"
    );
    assert_eq!(
        at(
            &staged,
            "Deployment",
            "api-canary",
            "/spec/template/spec/containers/0/image"
        ),
        "api:2"
    );
    assert_eq!(
        at(
            &staged,
            "Deployment",
            "api-canary",
            "/spec/template/metadata/labels"
        ),
        json!({"app": "api", TRACK_LABEL: "canary"})
    );
    assert_eq!(at(&staged, "Deployment", "api-canary", "/spec/replicas"), 1);
    assert_eq!(
        at(&staged, "Service", "api", "/spec/selector"),
        json!({"app": "api", "pod-template-hash": "5d4f"})
    );
    assert_eq!(
        at(&staged, "Service", "api-canary", "/spec"),
        json!({"selector": {"app": "api", TRACK_LABEL: "canary"}, "ports": [{"port": 80}]})
    );
    assert_eq!(
        at(&staged, "HTTPRoute", "api", "/spec/rules"),
        json!([
            {"backendRefs": [{"name": "api", "port": 80, "weight": 75}, {"name": "api-canary", "port": 80, "weight": 25}]},
            {"matches": [{"path": {"value": "/other"}}], "backendRefs": [{"name": "other", "port": 80}]},
        ])
    );
    assert_eq!(
        at(&staged, "Service", "other", "/spec/selector"),
        json!({"app": "other"})
    );
}

#[test]
fn the_canary_has_the_new_configuration_and_the_stable_side_keeps_its_own() {
    let staged = staged(None, &record(Phase::Analysing, 25));
    let name = at(
        &staged,
        "Deployment",
        "api-canary",
        "/spec/template/spec/containers/0/envFrom/0/configMapRef/name",
    );
    let name = name.as_str().unwrap();
    assert!(name.starts_with("settings-") && name != "settings");
    assert_eq!(at(&staged, "ConfigMap", name, "/data/COLOR"), "green");
    assert_eq!(at(&staged, "ConfigMap", "settings", "/data/COLOR"), "blue");
    assert_eq!(
        at(
            &staged,
            "Deployment",
            "api",
            "/spec/template/spec/containers/0/envFrom/0/configMapRef/name"
        ),
        "settings",
        "adopting a policy restarts nothing"
    );
}

#[test]
fn configuration_that_is_filled_in_the_cluster_is_not_copied() {
    let by = |more: Value| {
        let mut next = shop("2", "green");
        for object in &mut next.objects {
            if object.id.kind == "ConfigMap" {
                object.object.0.remove("data");
                object.object.0.extend(more.as_object().unwrap().clone());
            }
        }
        let staged = staged_by(
            &policy(None),
            &record(Phase::Analysing, 25),
            &shop("1", "blue"),
            &next,
        );
        let name = "/spec/template/spec/containers/0/envFrom/0/configMapRef/name";
        at(&staged, "Deployment", "api-canary", name)
    };
    let ignored = |what: &str| json!({"data": {"COLOR": ""}, "metadata": {"name": "settings", "namespace": "shop", "annotations": {IGNORE_ANNOTATION: what}}});
    assert_eq!(by(json!({})), "settings");
    assert_eq!(by(ignored("/data")), "settings");
    assert_eq!(by(ignored("/metadata/labels, /data/COLOR")), "settings");
    assert_eq!(by(json!({"data": {}})), "settings");
    assert_ne!(by(ignored("/metadata/labels")), "settings");
    // A key beside those of Git leaves them Git's.
    assert_ne!(by(ignored("/data/ca.crt")), "settings");
    assert_ne!(by(json!({"binaryData": {"KEY": "AA=="}})), "settings");
}

#[test]
fn a_change_of_configuration_alone_is_a_change() {
    let digest = |version: &str, color: &str| change(&workload(), &shop(version, color)).unwrap();
    assert_eq!(digest("1", "blue"), digest("1", "blue"));
    assert_ne!(digest("1", "blue"), digest("1", "green"));
    assert_ne!(digest("1", "blue"), digest("2", "blue"));
}

#[test]
fn what_is_taken_back_leaves_no_way_to_the_canary_before_it_goes() {
    let route = || Some(json!({"httpRoute": {"name": "api"}}));
    let aborting = record(Phase::Aborting, 0);
    let drained = staged(route(), &aborting);
    assert_eq!(
        at(&drained, "HTTPRoute", "api", "/spec/rules/0/backendRefs"),
        json!([{"name": "api", "port": 80}])
    );
    assert!(keeps_parts(&aborting));
    let restarting = RolloutStatus {
        stable_hash: None,
        ..aborting.clone()
    };
    assert!(keeps_parts(&restarting), "the route leads to it no more");
    let by_pods = RolloutStatus {
        achieved_weight: Some(0),
        ..restarting
    };
    assert!(!keeps_parts(&by_pods), "its pods are selected");
    assert!(get(&drained, "Service", "api-canary").is_some());
    let removing = staged(route(), &record(Phase::Removing, 0));
    assert_eq!(
        at(&removing, "HTTPRoute", "api", "/spec/rules/0/backendRefs"),
        json!([{"name": "api", "port": 80}])
    );
    assert!(get(&removing, "Deployment", "api-canary").is_none());
    assert_eq!(
        at(
            &removing,
            "Service",
            "api",
            "/spec/selector/pod-template-hash"
        ),
        "5d4f",
        "its last pods get nothing"
    );
    let failed = staged(route(), &record(Phase::Failed, 0));
    assert_eq!(
        at(&failed, "Service", "api", "/spec/selector"),
        json!({"app": "api"})
    );
    assert!(failed.roles.parts.is_empty());
}

#[test]
fn a_canary_that_would_get_too_much_gets_nothing() {
    let mut small = record(Phase::Analysing, 5);
    small.achieved_weight = Some(0);
    let narrowed = staged(None, &small);
    assert_eq!(
        at(
            &narrowed,
            "Service",
            "api",
            "/spec/selector/pod-template-hash"
        ),
        "5d4f"
    );
    small.achieved_weight = Some(20);
    let shared = staged(None, &small);
    assert_eq!(
        at(&shared, "Service", "api", "/spec/selector"),
        json!({"app": "api"})
    );
}

#[test]
fn ingress_nginx_gets_a_second_ingress() {
    let mut base = shop("1", "blue").objects;
    base.extend(
        desired(vec![json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "api", "annotations": {
                "nginx.ingress.kubernetes.io/auth-url": "https://auth", "nginx.ingress.kubernetes.io/proxy-body-size": "1m",
            }},
            "spec": {"ingressClassName": "nginx", "rules": [{"host": "shop", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "api", "port": {"number": 80}}}},
                {"path": "/other", "pathType": "Prefix", "backend": {"service": {"name": "other", "port": {"number": 80}}}},
            ]}}]},
        })])
        .objects,
    );
    let base = Desired::new(base, "hash".to_owned());
    let policy = policy(Some(json!({"ingressNginx": {"name": "api"}})));
    let analysing = record(Phase::Analysing, 25);
    let staged = staged_by(&policy, &analysing, &base, &shop("2", "blue"));
    assert!(
        staged.roles.problems.is_empty(),
        "{:?}",
        staged.roles.problems
    );
    let canary = get(&staged, "Ingress", "api-canary").unwrap();
    insta::assert_json_snapshot!(canary.0);
    for phase in [Phase::Finishing, Phase::Aborting] {
        let record = record(phase, 0);
        let rollout = Rollout {
            policy: &policy,
            record: &record,
        };
        let drained = stage(&base, None, &[rollout], &BTreeSet::new());
        let weight = at(
            &drained,
            "Ingress",
            "api-canary",
            "/metadata/annotations/nginx.ingress.kubernetes.io~1canary-weight",
        );
        assert_eq!(weight, "0", "{phase:?}");
    }
}

#[test]
fn what_only_goes_down_makes_nothing_that_never_was() {
    let parts = |phase, made: &[&str]| {
        let record = record(phase, 0);
        let staged = staged(Some(json!({"httpRoute": {"name": "api"}})), &record);
        let staged = staged.without_unmade(&[record], |id| made.contains(&id.name.as_str()));
        assert!(get(&staged, "Service", "api").is_some(), "it is Git's");
        let is_desired = get(&staged, "Service", "api-canary").is_some();
        let names = staged.roles.parts.iter().map(|id| id.name.clone());
        let names: Vec<String> = names.filter(|name| name == "api-canary").collect();
        assert_eq!(is_desired, !names.is_empty());
        is_desired
    };
    assert!(!parts(Phase::Aborting, &[]));
    assert!(parts(Phase::Aborting, &["api-canary"]));
    assert!(parts(Phase::Narrowing, &[]));
    assert!(parts(Phase::Analysing, &[]));
}

#[test]
fn routes_lead_to_a_canary_that_is_ready_and_no_other() {
    let rules = |phase: Phase| {
        let route =
            json!({"httpRoute": {"name": "api"}, "match": {"header": {"name": "x-canary"}}});
        let staged = staged(Some(route), &record(phase, 0));
        assert!(
            staged.roles.problems.is_empty(),
            "{:?}",
            staged.roles.problems
        );
        at(&staged, "HTTPRoute", "api", "/spec/rules")
    };
    for phase in [Phase::Analysing, Phase::Paused, Phase::Proved] {
        assert_eq!(
            rules(phase)[0],
            json!({
                "matches": [{"headers": [{"type": "Exact", "name": "x-canary", "value": "always"}]}],
                "backendRefs": [{"name": "api-canary", "port": 80}],
            }),
            "{phase:?}"
        );
    }
    for phase in [
        Phase::Narrowing,
        Phase::Starting,
        Phase::Finishing,
        Phase::Aborting,
        Phase::Removing,
        Phase::Failed,
    ] {
        let as_git_has_it = json!({"backendRefs": [{"name": "api", "port": 80}]});
        assert_eq!(rules(phase)[0], as_git_has_it, "{phase:?}");
        let route = Some(json!({"httpRoute": {"name": "api"}}));
        let service = staged(route, &record(phase, 0));
        assert_eq!(
            get(&service, "Service", "api-canary").is_some(),
            !matches!(phase, Phase::Removing | Phase::Failed),
            "{phase:?}: it is there before a route leads to it, and after"
        );
    }
}

#[test]
fn a_load_balancer_outside_the_cluster_reaches_the_canary_as_it_does_the_stable_side() {
    let mut base = shop("1", "blue");
    for object in &mut base.objects {
        if object.id.kind == "Service" {
            object.object.0["spec"]["type"] = json!("NodePort");
        }
    }
    base.objects.extend(
        desired(vec![json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "api", "annotations": {
                "alb.ingress.kubernetes.io/actions.split":
                    r#"{"type": "forward", "forwardConfig": {"targetGroups": [{"serviceName": "api", "servicePort": 80}]}}"#,
            }},
            "spec": {"defaultBackend": {"service": {"name": "split", "port": {"name": "use-annotation"}}}},
        })])
        .objects,
    );
    let base = Desired::new(base.objects, "hash".to_owned());
    let policy = policy(Some(json!({"alb": {"name": "api"}})));
    let record = record(Phase::Analysing, 25);
    let staged = staged_by(&policy, &record, &base, &shop("2", "blue"));
    assert!(
        staged.roles.problems.is_empty(),
        "{:?}",
        staged.roles.problems
    );
    assert_eq!(
        at(&staged, "Service", "api-canary", "/spec"),
        json!({"type": "NodePort", "selector": {"app": "api", TRACK_LABEL: "canary"}, "ports": [{"port": 80}]})
    );
    assert!(staged.roles.routes.is_empty(), "it reports nothing");
    assert_eq!(
        at(
            &staged,
            "Ingress",
            "api",
            "/metadata/labels/driftless.dev~1rollout"
        ),
        "0123456789"
    );
}

#[test]
fn the_canary_is_spoken_to_as_the_stable_side_is() {
    let mut base = shop("1", "blue");
    for object in &mut base.objects {
        if object.id.kind == "Service" {
            object.object.0["metadata"]["annotations"] = json!({
                "alb.ingress.kubernetes.io/healthcheck-path": "/live",
                "traefik.ingress.kubernetes.io/service.serversscheme": "https",
                "external-dns.alpha.kubernetes.io/hostname": "api.example.org",
            });
            object.object.0["spec"]["ipFamilyPolicy"] = json!("RequireDualStack");
            object.object.0["spec"]["clusterIP"] = json!("10.0.0.7");
        }
    }
    let by = |traffic: Value| {
        let (policy, record) = (policy(Some(traffic)), record(Phase::Analysing, 25));
        let staged = staged_by(&policy, &record, &base, &shop("2", "green"));
        let of = |pointer: &str| at(&staged, "Service", "api-canary", pointer);
        assert_eq!(of("/spec/ipFamilyPolicy"), "RequireDualStack");
        assert_eq!(
            of("/spec/clusterIP"),
            json!(null),
            "no two have one address"
        );
        of("/metadata/annotations")
    };
    assert_eq!(
        by(json!({"alb": {"name": "api"}})),
        json!({"alb.ingress.kubernetes.io/healthcheck-path": "/live"})
    );
    assert_eq!(
        by(json!({"httpRoute": {"name": "api"}})),
        json!({"traefik.ingress.kubernetes.io/service.serversscheme": "https"})
    );
    assert_eq!(by(json!({"ingressNginx": {"name": "api"}})), json!(null));
}

#[test]
fn two_workloads_behind_one_route_have_a_weight_each() {
    let web = |value: Value| {
        let text = value.to_string().replace("\"api\"", "\"web\"");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let both = |version: &str| {
        let mut objects = shop(version, "blue").objects;
        let find = |kind: &str| {
            let found = objects
                .iter()
                .find(|one| one.id.kind == kind && one.id.name == "api");
            web(Value::Object(found.unwrap().object.0.clone()))
        };
        let more = vec![find("Service"), find("Deployment")];
        objects.extend(desired(more).objects);
        for object in objects.iter_mut().filter(|one| one.id.kind == "HTTPRoute") {
            object.object.0["spec"]["rules"][1]["backendRefs"][0]["name"] = json!("web");
        }
        Desired::new(objects, "hash".to_owned())
    };
    let traffic =
        || Some(json!({"httpRoute": {"name": "api"}, "match": {"header": {"name": "x-canary"}}}));
    let (mut policies, mut records) = (
        [policy(traffic()), policy(traffic())],
        [record(Phase::Analysing, 25), record(Phase::Analysing, 60)],
    );
    policies[1].workload.name = "web".to_owned();
    records[1].workload = policies[1].workload.to_string();
    let rollouts: Vec<Rollout> = policies
        .iter()
        .zip(&records)
        .map(|(policy, record)| Rollout { policy, record })
        .collect();
    let staged = stage(&both("1"), Some(&both("2")), &rollouts, &BTreeSet::new());
    assert!(
        staged.roles.problems.is_empty(),
        "{:?}",
        staged.roles.problems
    );
    let rules = at(&staged, "HTTPRoute", "api", "/spec/rules");
    let weights: Vec<Vec<(&str, Option<u64>)>> = rules
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| {
            let backends = rule["backendRefs"].as_array().unwrap().iter();
            backends
                .map(|one| (one["name"].as_str().unwrap(), one["weight"].as_u64()))
                .collect()
        })
        .collect();
    assert_eq!(
        weights,
        [
            vec![("api-canary", None)],
            vec![("api", Some(75)), ("api-canary", Some(25))],
            vec![("web-canary", None)],
            vec![("web", Some(40)), ("web-canary", Some(60))],
        ]
    );
}

/// The record of the change that `next` brings.
fn of_the_change(phase: Phase, weight: u32) -> RolloutStatus {
    RolloutStatus {
        change: change(&workload(), &shop("2", "green")).unwrap(),
        ..record(phase, weight)
    }
}

fn stable_image(staged: &Staged) -> Value {
    let image = "/spec/template/spec/containers/0/image";
    at(staged, "Deployment", "api", image)
}

fn selector(staged: &Staged) -> Value {
    at(staged, "Service", "api", "/spec/selector")
}

#[test]
fn the_change_that_is_rolled_out_is_known_by_what_runs_and_by_nothing_else() {
    // Another digest here would roll out every workload of everybody who upgrades the agent.
    assert_eq!(
        change(&workload(), &shop("1", "blue")).unwrap(),
        "ff6ac1ef1dbe95a34673b4827931e142e4843e218325de1e570c25fcf7e68a90"
    );
    let mut labelled = shop("1", "blue");
    for object in &mut labelled.objects {
        object
            .object
            .set_metadata_entry("labels", ENVIRONMENT_LABEL, "0011223344556677");
        object
            .object
            .set_metadata_entry("annotations", "team", "shop");
    }
    assert_eq!(
        change(&workload(), &labelled),
        change(&workload(), &shop("1", "blue")),
        "only the template and its configuration run"
    );
}

#[test]
fn the_stable_side_takes_the_change_when_all_pods_are_selected_again() {
    let narrow = Some(json!({"httpRoute": {"name": "api"}}));
    let mut promoting = of_the_change(Phase::Promoting, 50);
    let released = staged(narrow.clone(), &promoting);
    assert_eq!(stable_image(&released), "api:1");
    assert_eq!(selector(&released), json!({"app": "api"}));
    promoting.in_effect_since = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        jiff::Timestamp::UNIX_EPOCH,
    ));
    let promoted = staged(narrow.clone(), &promoting);
    assert_eq!(stable_image(&promoted), "api:2");
    let name = at(
        &promoted,
        "Deployment",
        "api",
        "/spec/template/spec/containers/0/envFrom/0/configMapRef/name",
    );
    assert_eq!(
        at(
            &promoted,
            "ConfigMap",
            name.as_str().unwrap(),
            "/data/COLOR"
        ),
        "green"
    );
    assert_eq!(
        at(&promoted, "ConfigMap", "settings", "/data/COLOR"),
        "blue",
        "the rest of the revision is still held"
    );
    assert!(get(&promoted, "Deployment", "api-canary").is_some());

    let restoring = staged(narrow, &of_the_change(Phase::Restoring, 50));
    assert_eq!(stable_image(&restoring), "api:1");
    assert_eq!(selector(&restoring), json!({"app": "api"}));
    assert!(get(&restoring, "Deployment", "api-canary").is_some());
    assert_eq!(
        at(
            &restoring,
            "HTTPRoute",
            "api",
            "/spec/rules/0/backendRefs/1/weight"
        ),
        50,
        "the canary serves"
    );
}

#[test]
fn a_change_that_was_never_analysed_reaches_neither_side() {
    let policy = policy(None);
    for phase in [Phase::Promoting, Phase::Finishing, Phase::Restoring] {
        let record = RolloutStatus {
            in_effect_since: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                jiff::Timestamp::UNIX_EPOCH,
            )),
            ..of_the_change(phase, 50)
        };
        let staged = staged_by(&policy, &record, &shop("1", "blue"), &shop("3", "red"));
        assert_eq!(stable_image(&staged), "api:1", "{phase:?}");
        if phase == Phase::Restoring {
            assert!(get(&staged, "Deployment", "api-canary").is_none());
        }
    }
}

#[test]
fn a_rollout_that_is_over_leaves_everything_as_git_has_it() {
    let route = || Some(json!({"httpRoute": {"name": "api"}}));
    let untouched = stage(&shop("1", "blue"), None, &[], &BTreeSet::new());
    let objects = |staged: &Staged| -> Vec<(Id, Value)> {
        let objects = staged.desired.objects.iter();
        objects
            .map(|object| (object.id.clone(), Value::Object(object.object.0.clone())))
            .collect()
    };
    // The last thing that is written before the record ends, and what a failed one leaves.
    for phase in [Phase::Removing, Phase::Failed] {
        let record = RolloutStatus {
            canary_replicas: 0,
            ..of_the_change(phase, 0)
        };
        let over = staged(route(), &record);
        assert_eq!(objects(&over), objects(&untouched), "{phase:?}");
        assert!(over.roles.parts.is_empty());
    }
}

fn with_scaler(base: Desired, scaler: Value) -> Desired {
    let mut objects = base.objects;
    objects.extend(desired(vec![scaler]).objects);
    Desired::new(objects, "hash".to_owned())
}

#[test]
fn an_autoscaler_does_not_take_the_stable_side_below_its_size() {
    let scaler = |target: &str| {
        json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": target},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}, "minReplicas": 2, "maxReplicas": 9},
        })
    };
    let base = with_scaler(
        with_scaler(shop("1", "blue"), scaler("api")),
        scaler("other"),
    );
    let policy = policy(None);
    let least = |record: &RolloutStatus, name: &str| {
        let staged = staged_by(&policy, record, &base, &shop("2", "green"));
        at(
            &staged,
            "HorizontalPodAutoscaler",
            name,
            "/spec/minReplicas",
        )
    };
    for phase in [
        Phase::Narrowing,
        Phase::Analysing,
        Phase::Promoting,
        Phase::Restoring,
        Phase::Finishing,
        Phase::Aborting,
        Phase::Removing,
    ] {
        assert_eq!(least(&record(phase, 25), "api"), 4, "{phase:?}");
        assert_eq!(least(&record(phase, 25), "other"), 2, "{phase:?}");
    }
    let gone = RolloutStatus {
        canary_replicas: 0,
        ..record(Phase::Removing, 0)
    };
    assert_eq!(least(&gone, "api"), 2);
    assert_eq!(least(&record(Phase::Failed, 0), "api"), 2);
}

#[test]
fn what_is_never_held_comes_at_once_and_a_workload_under_a_policy_does_not() {
    let never = |mut desired: Desired| {
        for object in &mut desired.objects {
            object
                .object
                .set_metadata_entry("annotations", HOLD_ANNOTATION, "never");
        }
        desired
    };
    let policy_object = json!({
        "apiVersion": "driftless.dev/v1alpha1", "kind": "RolloutPolicy", "metadata": {"name": "api"},
        "spec": {"workload": {"kind": "Deployment", "name": "api"}, "canary": {"steps": [{"weight": 25}]}, "checks": []},
    });
    let next = never(with_scaler(shop("2", "green"), policy_object));
    let staged = stage(&shop("1", "blue"), Some(&next), &[], &BTreeSet::new());
    assert_eq!(at(&staged, "ConfigMap", "settings", "/data/COLOR"), "green");
    assert_eq!(stable_image(&staged), "api:1");
}

#[test]
fn a_stable_side_that_restarts_gets_less_than_the_weight_through_the_route() {
    let route = Some(json!({"httpRoute": {"name": "api"}}));
    let restarting = RolloutStatus {
        stable_hash: None,
        canary_replicas: 2,
        ..record(Phase::Analysing, 50)
    };
    let staged = staged(route, &restarting);
    assert_eq!(selector(&staged), json!({"app": "api"}));
    assert_eq!(
        at(
            &staged,
            "HTTPRoute",
            "api",
            "/spec/rules/0/backendRefs/1/weight"
        ),
        25
    );
}

#[test]
fn selectors_by_the_workloads_labels_match_the_canary_too() {
    let route = Some(json!({"httpRoute": {"name": "api"}}));
    let mut base = shop("1", "blue");
    for object in &mut base.objects {
        if object.id.kind == "Service" {
            object
                .object
                .set_metadata_entry("labels", "monitored", "yes");
        }
    }
    let record = record(Phase::Analysing, 25);
    let staged = staged_by(&policy(route), &record, &base, &shop("2", "blue"));
    // A NetworkPolicy, a PodMonitor, a PodDisruptionBudget.
    let pods = at(
        &staged,
        "Deployment",
        "api-canary",
        "/spec/template/metadata/labels",
    );
    assert_eq!(pods["app"], "api");
    // A ServiceMonitor: by the Service's labels, and by the names of its ports.
    let labels = at(&staged, "Service", "api-canary", "/metadata/labels");
    assert_eq!(labels["monitored"], "yes");
    assert_eq!(
        at(&staged, "Service", "api-canary", "/spec/selector/app"),
        "api"
    );
}
