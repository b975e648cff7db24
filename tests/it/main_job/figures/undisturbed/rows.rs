//! The twenty changes, and what Git says of the objects that they are made to.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Change, Other};
use crate::main_job::{
    manifests::{
        annotated, config_map, custom, daemon_set, definition, deployment, ingress, secret,
        service, stateful_set,
    },
    stage::Stage,
};

const RESTARTED: &str = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";

/// What it is, kind, name, where it shows, what shows there, the change.
type Row<'a> = (
    &'static str,
    &'static str,
    &'a str,
    &'static str,
    Option<Value>,
    Change,
);

/// What Git says.
pub(super) fn desired(stage: &Stage) -> Vec<Value> {
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

/// The twenty.
pub(super) fn others(stage: &Stage) -> Vec<Other> {
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
    let rows: Vec<Row> = vec![
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
    let row = |(what, kind, name, pointer, value, change): Row| Other {
        what,
        kind,
        name: name.to_owned(),
        pointer,
        value,
        change,
    };
    rows.into_iter().map(row).collect()
}
