//! What deleting, and suspending, an Environment does.

use std::time::Duration;

use serde_json::{Value, json};

use super::edit;
use crate::{
    main_job::{
        manifests::config_map,
        stage::{Stage, condition},
    },
    need_node,
};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn deleting_an_environment_leaves_its_objects_unless_told_otherwise() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let cluster = &stage.cluster;
    stage
        .push_objects("left", &[config_map("left", json!({"a": "1"}))])
        .await;
    let commit = stage
        .push_objects("taken", &[config_map("taken", json!({"a": "1"}))])
        .await;
    stage.environment("left", "left", json!({})).await;
    stage
        .environment("taken", "taken", json!({"deletion": "prune"}))
        .await;
    stage.ready("left", &commit).await;
    stage.ready("taken", &commit).await;
    assert_eq!(
        cluster
            .at("Environment", "left", "/metadata/finalizers")
            .await,
        Value::Null
    );
    assert_ne!(
        cluster
            .at("Environment", "taken", "/metadata/finalizers")
            .await,
        Value::Null
    );

    cluster.delete("Environment", "left").await;
    stage.gone("left", SOON).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.at("ConfigMap", "left", "/data/a").await, "1");

    // One object of one is everything: that waits for a person's word.
    cluster.delete("Environment", "taken").await;
    stage
        .until("taken", "the deletion is held", |status| {
            !status.held.is_empty()
        })
        .await;
    assert_eq!(cluster.at("ConfigMap", "taken", "/data/a").await, "1");
    stage.namespace.kubectl(&[
        "create",
        "rolebinding",
        "approvers",
        "--clusterrole=driftless-approve",
        "--user=alice",
    ]);
    stage
        .approve("alice", "taken", &commit)
        .await
        .expect("alice may approve");
    stage.gone("taken", SOON).await;
    assert_eq!(cluster.get("ConfigMap", "taken").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_environment_is_left_alone() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let cluster = &stage.cluster;
    let commit = stage
        .push_objects("shop", &[config_map("settings", json!({"a": "1"}))])
        .await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &commit).await;
    stage.respec("shop", json!({"suspend": true})).await;
    stage
        .until("shop", "it is suspended", |status| {
            condition(status, "Suspended").0 == "True"
        })
        .await;

    edit(&stage, "kubectl-edit", "a", "hand").await;
    let newer = stage
        .push_objects("shop", &[config_map("settings", json!({"a": "2"}))])
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(cluster.at("ConfigMap", "settings", "/data/a").await, "hand");

    stage.respec("shop", json!({"suspend": false})).await;
    stage.ready("shop", &newer).await;
    assert_eq!(cluster.at("ConfigMap", "settings", "/data/a").await, "2");
}
