//! The gate before deletions, and the people who may open it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    main_job::{
        manifests::config_map,
        stage::{Stage, condition},
    },
    need_node,
};

fn maps(count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| config_map(&format!("map-{n}"), json!({"n": n.to_string()})))
        .collect()
}

async fn count(stage: &Stage) -> usize {
    let all = stage.cluster.list("ConfigMap").await;
    all.iter()
        .filter(|map| {
            map["metadata"]["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("map-"))
        })
        .count()
}

/// Lets `user` approve in the stage's namespace.
fn may_approve(stage: &Stage, user: &str) {
    let user = format!("--user={user}");
    stage.namespace.kubectl(&[
        "create",
        "rolebinding",
        "approvers",
        "--clusterrole=driftless-approve",
        &user,
    ]);
}

/// Lets `user` create Approvals, but not approve.
fn may_create(stage: &Stage, user: &str) {
    stage.namespace.kubectl(&[
        "create",
        "role",
        "scribe",
        "--verb=create",
        "--resource=approvals.driftless.dev",
    ]);
    let user = format!("--user={user}");
    stage
        .namespace
        .kubectl(&["create", "rolebinding", "scribes", "--role=scribe", &user]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_deletions_need_no_word_and_many_need_one_person_once() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    stage.push_objects("shop", &maps(20)).await;
    stage.environment("shop", "shop", json!({})).await;
    stage
        .until("shop", "20 objects are Ready", |status| {
            status.inventory.count == 20 && condition(status, "Ready").0 == "True"
        })
        .await;

    stage.push_objects("shop", &maps(18)).await;
    stage
        .until("shop", "two are pruned", |status| {
            status.inventory.count == 18
        })
        .await;
    assert_eq!(count(&stage).await, 18);

    let commit = stage.push_objects("shop", &maps(8)).await;
    let held = stage
        .until("shop", "ten are held", |status| status.held.len() == 10)
        .await;
    assert_eq!(condition(&held, "Held").0, "True");
    assert!(
        held.deletions.is_some()
            && held
                .held
                .iter()
                .all(|held| held.action == "delete" && !held.reason.is_empty()),
        "{held:#?}"
    );
    assert_eq!(count(&stage).await, 18);

    // Neither a stranger, nor somebody who may create Approvals, nor another's name.
    assert!(stage.approve("mallory", "shop", &commit).await.is_err());
    may_create(&stage, "mallory");
    let refused = stage
        .approve("mallory", "shop", &commit)
        .await
        .expect_err("the verb approve is missing");
    assert!(refused.contains("may not approve"), "{refused}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(count(&stage).await, 18);

    may_approve(&stage, "alice");
    stage
        .approve("alice", "shop", &commit)
        .await
        .expect("alice may approve");
    let done = stage
        .until("shop", "they are pruned", |status| {
            status.inventory.count == 8 && status.held.is_empty()
        })
        .await;
    assert_eq!(done.deletions, None);
    assert_eq!(count(&stage).await, 8);
    let approvals = stage.cluster.list("Approval").await;
    assert_eq!(approvals.len(), 1);
    assert_eq!(
        approvals[0]["status"]["admitted"],
        approvals[0]["spec"]["deletions"]
    );
    assert_ne!(approvals[0]["status"]["usedAt"], Value::Null);

    // The same objects, deleted by the same commit again, are other objects: the Approval was for once.
    stage.push_objects("shop", &maps(18)).await;
    stage
        .until("shop", "18 again", |status| {
            status.inventory.count == 18 && condition(status, "Ready").0 == "True"
        })
        .await;
    stage.push_objects("shop", &maps(8)).await;
    stage
        .until("shop", "ten are held again", |status| {
            status.held.len() == 10
        })
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(count(&stage).await, 18);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_path_deletes_nothing() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let commit = stage.push_objects("shop", &maps(3)).await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &commit).await;
    let commit = stage
        .push(&[
            ("shop/kustomization.yaml", "resources: []\n"),
            ("shop/objects.yaml", ""),
        ])
        .await;
    let held = stage
        .until("shop", "it is held or refused", |status| {
            !status.held.is_empty()
                || (condition(status, "Ready").0 != "True"
                    && !condition(status, "Ready").2.is_empty())
        })
        .await;
    assert_eq!(held.inventory.count, 3, "{commit}: {held:#?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(count(&stage).await, 3);
}
