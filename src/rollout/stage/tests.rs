use serde_json::json;

use super::*;
use crate::api::{RolloutPolicySpec, RolloutStatus};
use crate::desired::Wave;

fn desired(objects: Vec<Value>) -> Desired {
    let objects = objects.into_iter().map(|value| {
        let mut object = Object::from_value(value).unwrap();
        object.0["metadata"]["namespace"] = json!("shop");
        DesiredObject {
            id: object.id(),
            digest: String::new(),
            object,
            wave: Wave::default(),
            origin: String::new(),
        }
    });
    let mut objects: Vec<DesiredObject> = objects.collect();
    objects.sort_by(|one, other| one.id.cmp(&other.id));
    Desired::new(objects, "hash".to_owned())
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
    let policy = policy(traffic);
    let rollout = Rollout {
        policy: &policy,
        record,
    };
    stage(
        &shop("1", "blue"),
        Some(&shop("2", "green")),
        &[rollout],
        &BTreeSet::new(),
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
    assert!(staged.problems.is_empty());
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
        json!([{"name": "api", "port": 80, "weight": 100}, {"name": "api-canary", "port": 80, "weight": 0}])
    );
    assert!(keeps_parts(std::slice::from_ref(&aborting)));
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
    assert!(failed.parts.is_empty());
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
    let record = record(Phase::Analysing, 25);
    let rollout = Rollout {
        policy: &policy,
        record: &record,
    };
    let staged = stage(
        &base,
        Some(&shop("2", "blue")),
        &[rollout],
        &BTreeSet::new(),
    );
    assert!(staged.problems.is_empty(), "{:?}", staged.problems);
    let canary = get(&staged, "Ingress", "api-canary").unwrap();
    insta::assert_json_snapshot!(canary.0);
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
        let rollout = Rollout {
            policy: &policy,
            record: &record,
        };
        let staged = stage(
            &shop("1", "blue"),
            Some(&shop("3", "red")),
            &[rollout],
            &BTreeSet::new(),
        );
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
        assert!(over.parts.is_empty());
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
        let rollout = Rollout {
            policy: &policy,
            record,
        };
        let staged = stage(
            &base,
            Some(&shop("2", "green")),
            &[rollout],
            &BTreeSet::new(),
        );
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
    let policy = policy(route);
    let record = record(Phase::Analysing, 25);
    let rollout = Rollout {
        policy: &policy,
        record: &record,
    };
    let staged = stage(
        &base,
        Some(&shop("2", "blue")),
        &[rollout],
        &BTreeSet::new(),
    );
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
