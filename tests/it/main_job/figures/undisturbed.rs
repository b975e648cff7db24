//! Twenty changes that are not drift: what others may write stays written.

mod rows;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use self::rows::{desired, others};
use super::{is_long, table};
use crate::{
    main_job::{
        manifests::autoscaler,
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
        Duration::from_mins(1)
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
            cluster.json_patch(manager, kind, name, patch.clone()).await;
        }
        Change::Apply(manager, fields) => {
            cluster
                .force_apply(manager, kind, name, fields.clone())
                .await;
        }
        Change::Status(manager, status) => {
            cluster
                .merge_status(manager, kind, name, status.clone())
                .await;
        }
        Change::Scale(replicas) => {
            cluster
                .scale("kube-controller-manager", kind, name, *replicas)
                .await;
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
