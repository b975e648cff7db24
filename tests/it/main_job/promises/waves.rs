//! What comes before what.

use serde_json::json;

use crate::{
    main_job::{
        manifests::{annotated, config_map, custom, definition},
        stage::{Stage, condition},
    },
    need_node,
};

#[tokio::test(flavor = "multi_thread")]
async fn definitions_and_their_resources_come_in_one_commit() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let group = stage.cluster.group();
    let commit = stage
        .push_objects(
            "shop",
            &[
                custom(&group, "Widget", "one"),
                custom(&group, "Realm", "one"),
                definition(&group, "Realm"),
                definition(&group, "Widget"),
            ],
        )
        .await;
    stage.environment("shop", "shop", json!({})).await;
    let status = stage.ready("shop", &commit).await;
    assert_eq!(status.inventory.count, 4);
    assert_eq!(stage.cluster.at("Widget", "one", "/spec/size").await, 1);
    assert_eq!(
        stage.cluster.at("Realm", "one", "/spec/colors/1").await,
        "green"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wave_waits_for_the_health_of_the_one_before() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let group = stage.cluster.group();
    let later = annotated(
        config_map("later", json!({"a": "1"})),
        "driftless.dev/wave",
        "1",
    );
    let commit = stage
        .push_objects(
            "shop",
            &[
                definition(&group, "Widget"),
                custom(&group, "Widget", "one"),
                later,
            ],
        )
        .await;
    let check = json!({"apiVersion": format!("{group}/v1"), "kind": "Widget", "current": "has(self.status) && self.status.phase == 'Done'"});
    stage
        .environment("shop", "shop", json!({"health": {"checks": [check]}}))
        .await;

    let waiting = stage
        .until("shop", "the Widget is named", |status| {
            status
                .failures
                .iter()
                .any(|failure| failure.object.contains("Widget"))
        })
        .await;
    assert_eq!(condition(&waiting, "Progressing").0, "True", "{waiting:#?}");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(stage.cluster.get("ConfigMap", "later").await, None);

    stage
        .cluster
        .merge_status(
            "widget-controller",
            "Widget",
            "one",
            json!({"phase": "Done"}),
        )
        .await;
    stage.ready("shop", &commit).await;
    assert_eq!(stage.cluster.at("ConfigMap", "later", "/data/a").await, "1");
}
