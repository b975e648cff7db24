//! Immutable fields, and `driftless.dev/replace`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    main_job::{
        manifests::{annotated, deployment, service, stateful_set},
        stage::Stage,
    },
    need_node,
};

const REPLACE: &str = "driftless.dev/replace";

fn selected(selector: &str) -> Value {
    let mut object = deployment("web");
    object["spec"]["selector"]["matchLabels"] = json!({"app": selector});
    object["spec"]["template"]["metadata"]["labels"] = json!({"app": selector});
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_field_is_refused_unless_replacing_is_asked_for() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let cluster = &stage.cluster;
    let headless = |object: Value, ip: &str| {
        let mut object = object;
        object["spec"]["clusterIP"] = ip.into();
        object
    };
    let commit = stage
        .push_objects("shop", &[selected("one"), headless(service("web"), "None")])
        .await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &commit).await;
    let uid = |kind: &'static str| cluster.at(kind, "web", "/metadata/uid");
    let before = (uid("Deployment").await, uid("Service").await);

    let mut normal = service("web");
    normal["spec"]["clusterIP"] = "10.96.77.7".into();
    stage
        .push_objects("shop", &[selected("two"), normal.clone()])
        .await;
    let refused = stage
        .until("shop", "both are refused", |status| {
            status.failures.len() >= 2
        })
        .await;
    let named: BTreeSet<&str> = refused
        .failures
        .iter()
        .map(|failure| failure.object.split(' ').next().unwrap_or_default())
        .collect();
    assert_eq!(
        named,
        BTreeSet::from(["Deployment.apps", "Service"]),
        "{refused:#?}"
    );
    for failure in &refused.failures {
        assert!(
            failure.message.contains(REPLACE),
            "it says what would help: {failure:?}"
        );
    }
    assert_eq!((uid("Deployment").await, uid("Service").await), before);

    let objects = [
        annotated(selected("two"), REPLACE, "true"),
        annotated(normal, REPLACE, "true"),
    ];
    let commit = stage.push_objects("shop", &objects).await;
    stage.ready("shop", &commit).await;
    let after = (uid("Deployment").await, uid("Service").await);
    assert!(
        after.0 != before.0 && after.1 != before.1,
        "both were made anew"
    );
    assert_eq!(
        cluster.at("Service", "web", "/spec/clusterIP").await,
        "10.96.77.7"
    );
    assert_eq!(
        cluster
            .at("Deployment", "web", "/spec/selector/matchLabels/app")
            .await,
        "two"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_is_replaced_around_its_pods() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let cluster = &stage.cluster;
    let store = |service: &str| {
        let mut object = annotated(stateful_set("store"), REPLACE, "true");
        object["spec"]["serviceName"] = service.into();
        object
    };
    let commit = stage.push_objects("shop", &[store("one")]).await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &commit).await;
    let (set, pod) = (
        cluster.at("StatefulSet", "store", "/metadata/uid").await,
        cluster.at("Pod", "store-0", "/metadata/uid").await,
    );

    let commit = stage.push_objects("shop", &[store("two")]).await;
    stage.ready("shop", &commit).await;
    assert_eq!(
        cluster
            .at("StatefulSet", "store", "/spec/serviceName")
            .await,
        "two"
    );
    assert_ne!(
        cluster.at("StatefulSet", "store", "/metadata/uid").await,
        set
    );
    assert_eq!(
        cluster.at("Pod", "store-0", "/metadata/uid").await,
        pod,
        "its pod is the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_replacement_deletes_nothing() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let commit = stage
        .push_objects("shop", &[annotated(selected("one"), REPLACE, "true")])
        .await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &commit).await;
    let uid = stage.cluster.at("Deployment", "web", "/metadata/uid").await;

    let mut invalid = annotated(selected("two"), REPLACE, "true");
    invalid["spec"]["template"]["spec"]["containers"][0]["name"] = "Not A Name".into();
    stage.push_objects("shop", &[invalid]).await;
    let refused = stage
        .until("shop", "it is refused", |status| {
            !status.failures.is_empty()
        })
        .await;
    assert!(
        refused.failures[0].object.starts_with("Deployment.apps"),
        "{refused:#?}"
    );
    assert_eq!(
        stage.cluster.at("Deployment", "web", "/metadata/uid").await,
        uid
    );
}
