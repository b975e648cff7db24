//! Twenty changes that are not drift: what others may write stays written.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{is_long, table};
use crate::{
    main_job::{
        manifests::{
            annotated, autoscaler, config_map, custom, daemon_set, definition, deployment, ingress,
            secret, service, stateful_set,
        },
        sight::Sight,
        stage::{PATIENCE, Stage},
    },
    need_node,
};

/// One change, and where it is to be seen while it is there.
struct Other {
    what: &'static str,
    kind: &'static str,
    name: String,
    pointer: &'static str,
    /// `None`: any value but none.
    value: Option<Value>,
    change: Change,
}

enum Change {
    Merge(&'static str, Value),
    Patch(&'static str, Value),
    Apply(&'static str, Value),
    Status(&'static str, Value),
    /// The scale subresource, as the autoscaler's controller writes it.
    Scale(u32),
    /// An autoscaler's lower bound, which its controller then scales to.
    Bound(u32),
    /// `kubectl rollout restart`.
    Restart,
}

const RESTARTED: &str = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
const KINDS: [&str; 12] = [
    "ConfigMap",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Service",
    "Secret",
    "Ingress",
    "Widget",
    "Realm",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "CustomResourceDefinition",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_others_may_write_stays() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let cluster = &stage.cluster;
    for (kind, name) in [
        ("Deployment", "bound"),
        ("Deployment", "scaled"),
        ("StatefulSet", "scaled-set"),
    ] {
        cluster.create(autoscaler(kind, name, 1)).await;
    }
    let commit = stage.push_objects("shop", &desired(&stage)).await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &commit).await;

    let mut others = others(&stage);
    if !is_long() {
        let short = [
            "scaling by its bound",
            "scale subresource of a Deployment",
            "a Deployment restarted",
            "caBundle of a validating",
        ];
        let more = [
            "an annotation of another controller's on a Deployment",
            "the status of a namespaced",
        ];
        others.retain(|other| {
            short
                .iter()
                .chain(&more)
                .any(|wanted| other.what.contains(wanted))
        });
        assert_eq!(others.len(), 6);
    }
    let sight = Sight::of(cluster, &KINDS).await;
    let mut since = BTreeMap::new();
    for other in &others {
        let mark = sight.mark();
        make(&stage, other).await;
        let seen = sight.first(mark, PATIENCE, |sighting| {
            sighting.is(other.kind, &other.name) && shows(other, sighting.at(other.pointer))
        });
        let (place, _) = seen
            .await
            .unwrap_or_else(|| panic!("never seen: {}", other.what));
        since.insert(other.what, place);
    }
    let rest = if is_long() {
        Duration::from_secs(60)
    } else {
        Duration::from_secs(10)
    };
    let started = Instant::now();
    tokio::time::sleep(rest).await;

    let mut lost = Vec::new();
    for other in &others {
        let now = cluster.at(other.kind, &other.name, other.pointer).await;
        let undone = sight.since(since[other.what]).into_iter().any(|sighting| {
            sighting.is(other.kind, &other.name) && !shows(other, sighting.at(other.pointer))
        });
        if undone || !shows(other, &now) {
            lost.push(format!("{}: now {now}", other.what));
        }
    }
    clean(&stage).await;
    table::judge(
        &format!(
            "{} changes that are not drift, after {} s",
            others.len(),
            started.elapsed().as_secs()
        ),
        &format!("{} still there", others.len() - lost.len()),
        "all",
        lost.is_empty(),
    );
    assert!(
        lost.is_empty(),
        "{lost:#?}\n{}",
        serde_json::to_string_pretty(&stage.status("shop").await).unwrap_or_default()
    );
}

fn shows(other: &Other, value: &Value) -> bool {
    match &other.value {
        Some(wanted) => value == wanted,
        None => !value.is_null(),
    }
}

async fn make(stage: &Stage, other: &Other) {
    let (cluster, kind, name) = (&stage.cluster, other.kind, other.name.as_str());
    match &other.change {
        Change::Merge(manager, patch) => cluster.merge(manager, kind, name, patch.clone()).await,
        Change::Patch(manager, patch) => {
            cluster.json_patch(manager, kind, name, patch.clone()).await
        }
        Change::Apply(manager, fields) => {
            cluster
                .force_apply(manager, kind, name, fields.clone())
                .await
        }
        Change::Status(manager, status) => {
            cluster
                .merge_status(manager, kind, name, status.clone())
                .await
        }
        Change::Scale(replicas) => {
            cluster
                .scale("kube-controller-manager", kind, name, *replicas)
                .await
        }
        Change::Bound(replicas) => {
            let patch = json!({"spec": {"minReplicas": replicas}});
            cluster
                .merge("kubectl-edit", "HorizontalPodAutoscaler", name, patch)
                .await;
        }
        Change::Restart => {
            let target = format!("{kind}/{name}");
            tokio::task::block_in_place(|| {
                stage.namespace.kubectl(&["rollout", "restart", &target])
            });
        }
    }
}

/// Finalizers that nobody else removes, and configurations of the whole cluster.
async fn clean(stage: &Stage) {
    let cluster = &stage.cluster;
    stage.respec("shop", json!({"suspend": true})).await;
    stage
        .until("shop", "suspended", |status| {
            crate::main_job::stage::condition(status, "Suspended").0 == "True"
        })
        .await;
    cluster
        .merge(
            "other-controller",
            "ConfigMap",
            "settings",
            json!({"metadata": {"finalizers": null}}),
        )
        .await;
    for kind in [
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
    ] {
        cluster.delete(kind, &stage.namespace.name).await;
    }
}

fn desired(stage: &Stage) -> Vec<Value> {
    let group = stage.cluster.group();
    let mut with_webhook = definition(&group, "Widget");
    with_webhook["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": "converter", "namespace": stage.namespace.name, "path": "/", "port": 443}},
    }});
    // Nothing has the label: the webhooks are never called.
    let webhook = |kind: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": stage.namespace.name},
            "webhooks": [{
                "name": "check.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore",
                "clientConfig": {"service": {"name": "checker", "namespace": stage.namespace.name, "path": "/", "port": 443}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
                "objectSelector": {"matchLabels": {"never": stage.namespace.name}},
            }],
        })
    };
    vec![
        with_webhook,
        definition(&group, "Realm"),
        webhook("ValidatingWebhookConfiguration"),
        webhook("MutatingWebhookConfiguration"),
        deployment("bound"),
        deployment("scaled"),
        stateful_set("scaled-set"),
        deployment("restarted"),
        stateful_set("restarted-set"),
        daemon_set("restarted-everywhere"),
        deployment("noted"),
        deployment("injected"),
        service("web"),
        annotated(
            config_map("settings", json!({"a": "1", "tuned": "1"})),
            "driftless.dev/ignore",
            "/data/tuned",
        ),
        secret("login", json!({"user": "shop"})),
        ingress("web"),
        custom(&group, "Widget", "one"),
        custom(&group, "Realm", "one"),
    ]
}

fn others(stage: &Stage) -> Vec<Other> {
    // Any certificate authority: the API server wants to be able to read it.
    let bundle = STANDARD.encode(stage.server.ca());
    let injected = |pointer: &str| {
        Change::Patch(
            "cert-manager-cainjector",
            json!([{"op": "add", "path": pointer, "value": bundle}]),
        )
    };
    let note = |manager| {
        Change::Merge(
            manager,
            json!({"metadata": {"annotations": {"example.com/note": "1"}}}),
        )
    };
    let noted = "/metadata/annotations/example.com~1note";
    let webhook = "/webhooks/0/clientConfig/caBundle";
    let conversion = "/spec/conversion/webhook/clientConfig/caBundle";
    let own = &stage.namespace.name;
    let widgets = format!("widgets.{}", stage.cluster.group());
    let address = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    let rows: Vec<(
        &'static str,
        &'static str,
        &str,
        &'static str,
        Option<Value>,
        Change,
    )> = vec![
        (
            "an autoscaler's scaling by its bound",
            "Deployment",
            "bound",
            "/spec/replicas",
            Some(json!(3)),
            Change::Bound(3),
        ),
        (
            "the scale subresource of a Deployment",
            "Deployment",
            "scaled",
            "/spec/replicas",
            Some(json!(2)),
            Change::Scale(2),
        ),
        (
            "the scale subresource of a StatefulSet",
            "StatefulSet",
            "scaled-set",
            "/spec/replicas",
            Some(json!(2)),
            Change::Scale(2),
        ),
        (
            "a Deployment restarted",
            "Deployment",
            "restarted",
            RESTARTED,
            None,
            Change::Restart,
        ),
        (
            "a StatefulSet restarted",
            "StatefulSet",
            "restarted-set",
            RESTARTED,
            None,
            Change::Restart,
        ),
        (
            "a DaemonSet restarted",
            "DaemonSet",
            "restarted-everywhere",
            RESTARTED,
            None,
            Change::Restart,
        ),
        (
            "the caBundle of a validating webhook",
            "ValidatingWebhookConfiguration",
            own,
            webhook,
            Some(json!(bundle)),
            injected(webhook),
        ),
        (
            "the caBundle of a mutating webhook",
            "MutatingWebhookConfiguration",
            own,
            webhook,
            Some(json!(bundle)),
            injected(webhook),
        ),
        (
            "the caBundle of a conversion",
            "CustomResourceDefinition",
            &widgets,
            conversion,
            Some(json!(bundle)),
            injected(conversion),
        ),
        (
            "an annotation of another controller's on a Deployment",
            "Deployment",
            "noted",
            noted,
            Some(json!("1")),
            note("other-controller"),
        ),
        (
            "an annotation of another controller's on a Service",
            "Service",
            "web",
            noted,
            Some(json!("1")),
            note("other-controller"),
        ),
        (
            "an annotation of another controller's on an Ingress",
            "Ingress",
            "web",
            noted,
            Some(json!("1")),
            note("ingress-controller"),
        ),
        (
            "a label applied by another manager",
            "ConfigMap",
            "settings",
            "/metadata/labels/example.com~1seen",
            Some(json!("yes")),
            Change::Apply(
                "other-manager",
                json!({"metadata": {"labels": {"example.com/seen": "yes"}}}),
            ),
        ),
        (
            "an annotation injected into a pod template",
            "Deployment",
            "injected",
            "/spec/template/metadata/annotations/example.com~1mesh",
            Some(json!("on")),
            Change::Merge(
                "mesh-injector",
                json!({"spec": {"template": {"metadata": {"annotations": {"example.com/mesh": "on"}}}}}),
            ),
        ),
        (
            "a Secret's key of another manager",
            "Secret",
            "login",
            "/data/session",
            Some(json!("MQ==")),
            Change::Apply("session-keeper", json!({"data": {"session": "MQ=="}})),
        ),
        (
            "a finalizer of another controller",
            "ConfigMap",
            "settings",
            "/metadata/finalizers/0",
            Some(json!("example.com/in-use")),
            Change::Merge(
                "other-controller",
                json!({"metadata": {"finalizers": ["example.com/in-use"]}}),
            ),
        ),
        (
            "the status of a namespaced custom kind",
            "Widget",
            "one",
            "/status/phase",
            Some(json!("Done")),
            Change::Status("widget-controller", json!({"phase": "Done"})),
        ),
        (
            "the status of a cluster-scoped custom kind",
            "Realm",
            "one",
            "/status/phase",
            Some(json!("Done")),
            Change::Status("realm-controller", json!({"phase": "Done"})),
        ),
        (
            "the status of an Ingress",
            "Ingress",
            "web",
            "/status/loadBalancer/ingress/0/ip",
            Some(json!("192.0.2.1")),
            Change::Status("ingress-controller", address),
        ),
        (
            "a field that Git leaves to others",
            "ConfigMap",
            "settings",
            "/data/tuned",
            Some(json!("2")),
            Change::Merge("kubectl-edit", json!({"data": {"tuned": "2"}})),
        ),
    ];
    assert_eq!(rows.len(), 20);
    let row = |(what, kind, name, pointer, value, change): (_, _, &str, _, _, _)| Other {
        what,
        kind,
        name: name.to_owned(),
        pointer,
        value,
        change,
    };
    rows.into_iter().map(row).collect()
}
