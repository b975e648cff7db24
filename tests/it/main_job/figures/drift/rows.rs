//! The hundred changes, and what Git says of the objects that they are made to.

use serde_json::{Value, json};

use super::{Change, Class, Drift};
use crate::main_job::{
    cluster::Cluster,
    manifests::{
        annotated, config_map, custom, definition, deployment, ingress, labelled, role, secret,
        service, stateful_set,
    },
};

const LABEL: &str = "/metadata/labels/driftless.dev~1environment";
const ANNOTATION: &str = "/metadata/annotations/driftless.dev~1environment";

/// The nine kinds, and the name of the object of each.
const KINDS: [(&str, &str); 9] = [
    ("ConfigMap", "settings"),
    ("Deployment", "web"),
    ("StatefulSet", "store"),
    ("Service", "web"),
    ("Secret", "login"),
    ("Ingress", "web"),
    ("Role", "reader"),
    ("Widget", "one"),
    ("Realm", "one"),
];

/// What Git says: one object of each kind, and `burst` ConfigMaps.
pub fn desired(cluster: &Cluster, burst: usize) -> Vec<Value> {
    let group = cluster.group();
    let mut objects = vec![
        definition(&group, "Widget"),
        definition(&group, "Realm"),
        config_map("settings", json!({"a": "1", "b": "2", "c": "3"})),
        deployment("web"),
        stateful_set("store"),
        service("web"),
        secret(
            "login",
            json!({"user": "shop", "password": "secret", "token": "t"}),
        ),
        ingress("web"),
        role("reader"),
        custom(&group, "Widget", "one"),
        custom(&group, "Realm", "one"),
    ];
    objects
        .extend((0..burst).map(|n| config_map(&format!("burst-{n}"), json!({"value": "desired"}))));
    objects
        .into_iter()
        .map(|object| {
            labelled(
                annotated(object, "example.com/owner", "shop"),
                "tier",
                "front",
            )
        })
        .collect()
}

/// A hundred drifts with a burst of 20: all classes over all kinds, no field twice within a minute.
pub fn all(burst: usize) -> Vec<Drift> {
    let mut all = edited();
    all.extend(list_items());
    all.extend(everywhere(Class::Deleted, "/metadata/uid", |_, _| {
        Change::Delete
    }));
    all.extend(everywhere(Class::LabelRemoved, LABEL, |kind, name| {
        kubectl(&["label", kind, name, "driftless.dev/environment-"])
    }));
    all.extend(everywhere(
        Class::AnnotationRemoved,
        ANNOTATION,
        |kind, name| kubectl(&["annotate", kind, name, "driftless.dev/environment-"]),
    ));
    all.extend(scaled());
    all.extend(taken_over());
    all.extend(added());
    all.extend(secret_data());
    all.extend(finalizers_and_labels());
    all.extend((0..burst).map(|n| {
        let change = Change::Merge(json!({"data": {"value": "burst"}}));
        drift(
            Class::Burst,
            "ConfigMap",
            &format!("burst-{n}"),
            "/data/value",
            change,
        )
    }));
    all.extend(own_name());
    all
}

fn drift(class: Class, kind: &'static str, name: &str, pointer: &str, change: Change) -> Drift {
    Drift {
        class,
        kind,
        name: name.to_owned(),
        pointer: pointer.to_owned(),
        change,
    }
}

fn everywhere(class: Class, pointer: &str, change: impl Fn(&str, &str) -> Change) -> Vec<Drift> {
    KINDS
        .iter()
        .map(|(kind, name)| drift(class, kind, name, pointer, change(kind, name)))
        .collect()
}

/// `rows`: kind, where it shows, and the change of this kind's object.
fn of(class: Class, rows: Vec<(&'static str, &str, Change)>) -> Vec<Drift> {
    let name = |kind: &str| {
        KINDS
            .iter()
            .find(|(known, _)| *known == kind)
            .map_or("", |(_, name)| name)
    };
    rows.into_iter()
        .map(|(kind, pointer, change)| drift(class, kind, name(kind), pointer, change))
        .collect()
}

fn edited() -> Vec<Drift> {
    let replace = |pointer: &str, value: Value| {
        Change::Patch(json!([{"op": "replace", "path": pointer, "value": value}]))
    };
    let env = "/spec/template/spec/containers/0/env/0/value";
    let rows = [
        ("ConfigMap", "/data/a", json!("edited")),
        ("Deployment", env, json!("edited")),
        ("StatefulSet", env, json!("edited")),
        ("Service", "/spec/ports/0/targetPort", json!(9090)),
        ("Secret", "/data/user", json!("ZWRpdGVk")),
        (
            "Ingress",
            "/spec/rules/0/http/paths/0/path",
            json!("/edited"),
        ),
        ("Role", "/rules/0/resources/0", json!("secrets")),
        ("Widget", "/spec/size", json!(2)),
        ("Realm", "/spec/size", json!(2)),
    ];
    let rows = rows
        .into_iter()
        .map(|(kind, pointer, value)| (kind, pointer, replace(pointer, value)));
    of(Class::ValueEdited, rows.collect())
}

fn list_items() -> Vec<Drift> {
    let env = "/spec/template/spec/containers/0/env/1";
    let rows = [
        ("Deployment", env),
        ("StatefulSet", env),
        ("Service", "/spec/ports/1"),
        ("Ingress", "/spec/rules/1"),
        ("Role", "/rules/0/verbs/2"),
        ("Widget", "/spec/colors/1"),
        ("Realm", "/spec/colors/1"),
    ];
    let remove = |pointer: &str| Change::Patch(json!([{"op": "remove", "path": pointer}]));
    of(
        Class::ListItemRemoved,
        rows.into_iter()
            .map(|(kind, pointer)| (kind, pointer, remove(pointer)))
            .collect(),
    )
}

fn scaled() -> Vec<Drift> {
    let rows = [
        ("Deployment", "2"),
        ("StatefulSet", "2"),
        ("Deployment", "0"),
        ("StatefulSet", "3"),
    ];
    let row = |(kind, replicas): (&'static str, &str)| {
        let name = if kind == "Deployment" { "web" } else { "store" };
        (
            kind,
            "/spec/replicas",
            kubectl(&["scale", kind, name, "--replicas", replicas]),
        )
    };
    of(Class::Scaled, rows.into_iter().map(row).collect())
}

fn taken_over() -> Vec<Drift> {
    let history = json!({"spec": {"revisionHistoryLimit": 7}});
    let rules = json!({"rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]});
    let rows = vec![
        ("ConfigMap", "/data/c", json!({"data": {"c": "taken"}})),
        ("Deployment", "/spec/revisionHistoryLimit", history.clone()),
        ("StatefulSet", "/spec/revisionHistoryLimit", history),
        (
            "Service",
            "/spec/sessionAffinity",
            json!({"spec": {"sessionAffinity": "ClientIP"}}),
        ),
        (
            "Secret",
            "/data/password",
            json!({"data": {"password": "dGFrZW4="}}),
        ),
        (
            "Ingress",
            "/spec/ingressClassName",
            json!({"spec": {"ingressClassName": "taken"}}),
        ),
        ("Role", "/rules/0/resources/0", rules),
        ("Widget", "/spec/size", json!({"spec": {"size": 3}})),
        ("Realm", "/spec/size", json!({"spec": {"size": 3}})),
    ];
    let rows = rows
        .into_iter()
        .map(|(kind, pointer, fields)| (kind, pointer, Change::Apply(fields)));
    of(Class::TakenOver, rows.collect())
}

fn added() -> Vec<Drift> {
    let merge = |kind: &str, name: &str, patch: &str| {
        kubectl(&["patch", kind, name, "--type=merge", "--patch", patch])
    };
    let rows = vec![
        (
            "ConfigMap",
            "/data/added",
            merge("ConfigMap", "settings", r#"{"data":{"added":"1"}}"#),
        ),
        (
            "Deployment",
            "/spec/template/spec/containers/0/env",
            kubectl(&["set", "env", "deployment/web", "ADDED=1"]),
        ),
        (
            "StatefulSet",
            "/spec/minReadySeconds",
            merge("StatefulSet", "store", r#"{"spec":{"minReadySeconds":1}}"#),
        ),
        (
            "Service",
            "/spec/ports",
            kubectl(&[
                "patch",
                "Service",
                "web",
                "--patch",
                r#"{"spec":{"ports":[{"name":"added","port":99}]}}"#,
            ]),
        ),
        (
            "Secret",
            "/data/added",
            merge("Secret", "login", r#"{"data":{"added":"MQ=="}}"#),
        ),
        (
            "Ingress",
            "/metadata/annotations/example.com~1added",
            kubectl(&["annotate", "Ingress", "web", "example.com/added=1"]),
        ),
        (
            "Role",
            "/metadata/annotations/example.com~1added",
            kubectl(&["annotate", "Role", "reader", "example.com/added=1"]),
        ),
        (
            "Widget",
            "/spec/note",
            merge("Widget", "one", r#"{"spec":{"note":"added"}}"#),
        ),
        (
            "Realm",
            "/spec/note",
            merge("Realm", "one", r#"{"spec":{"note":"added"}}"#),
        ),
    ];
    of(Class::FieldAdded, rows)
}

fn secret_data() -> Vec<Drift> {
    let rows = ["user", "password", "token"];
    let row = |key: &str| {
        let change = Change::Merge(json!({"data": {key: "Y2hhbmdlZA=="}}));
        drift(
            Class::SecretData,
            "Secret",
            "login",
            &format!("/data/{key}"),
            change,
        )
    };
    rows.into_iter().map(row).collect()
}

fn finalizers_and_labels() -> Vec<Drift> {
    let kinds = KINDS.iter().enumerate().map(|(n, (kind, name))| {
        if n % 2 == 0 {
            let patch = r#"{"metadata":{"finalizers":["example.com/hold"]}}"#;
            let change = kubectl(&["patch", kind, name, "--type=merge", "--patch", patch]);
            drift(
                Class::FinalizerOrLabelAdded,
                kind,
                name,
                "/metadata/finalizers",
                change,
            )
        } else {
            let change = kubectl(&["label", kind, name, "example.com/added=1"]);
            drift(
                Class::FinalizerOrLabelAdded,
                kind,
                name,
                "/metadata/labels/example.com~1added",
                change,
            )
        }
    });
    kinds.collect()
}

fn own_name() -> Vec<Drift> {
    let rows = vec![
        (
            "ConfigMap",
            "/data/b",
            Change::Own(json!({"data": {"b": "stale"}})),
        ),
        (
            "Deployment",
            "/spec/revisionHistoryLimit",
            Change::Own(json!({"spec": {"revisionHistoryLimit": 9}})),
        ),
        (
            "Realm",
            "/spec/size",
            Change::Own(json!({"spec": {"size": 9}})),
        ),
    ];
    of(Class::OwnManager, rows)
}

fn kubectl(arguments: &[&str]) -> Change {
    Change::Kubectl(
        arguments
            .iter()
            .map(|argument| (*argument).to_owned())
            .collect(),
    )
}

#[test]
fn there_are_a_hundred_and_no_field_is_changed_more_than_three_times() {
    let all = all(20);
    assert_eq!(all.len(), 100);
    for (class, what) in Class::ALL {
        assert!(all.iter().any(|drift| drift.class == class), "{what}");
    }
    for (kind, _) in KINDS {
        assert!(
            all.iter().filter(|drift| drift.kind == kind).count() >= 7,
            "{kind}"
        );
    }
    for drift in &all {
        let same = all.iter().filter(|other| {
            other.kind == drift.kind && other.name == drift.name && other.pointer == drift.pointer
        });
        assert!(same.count() <= 3, "{drift:?}");
    }
}
