//! Drift: what is told of it, when it is only told, and when it is left.

use std::time::Duration;

use serde_json::{Value, json};

use super::edit;
use crate::{
    main_job::{
        manifests::config_map,
        sight::Sight,
        stage::{PATIENCE, Stage},
    },
    need_node,
    support::wait::wait_until,
};

async fn stage_with_map(node: &'static crate::support::node::Node, spec: Value) -> (Stage, Sight) {
    let stage = Stage::new(node).await;
    let beside = config_map("beside", json!({"b": "git"}));
    let commit = stage
        .push_objects(
            "shop",
            &[
                config_map("settings", json!({"a": "git", "b": "git"})),
                beside,
            ],
        )
        .await;
    stage.environment("shop", "shop", spec).await;
    stage.ready("shop", &commit).await;
    let sight = Sight::of(&stage.cluster, &["ConfigMap"]).await;
    (stage, sight)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_says_who_changed_which_field() {
    let Some(node) = need_node!() else { return };
    let (stage, sight) = stage_with_map(node, json!({})).await;
    let mark = sight.mark();
    edit(&stage, "kubectl-edit", "a", "hand").await;
    let changed = sight
        .first(mark, PATIENCE, |sighting| *sighting.at("/data/a") == "hand")
        .await
        .expect("the change is seen");
    sight
        .expect(changed.0, PATIENCE, "it is undone", |sighting| {
            *sighting.at("/data/a") == "git"
        })
        .await;
    wait_until(
        PATIENCE,
        "an Event names the object, the field and the manager",
        || async {
            let events = stage.cluster.list("Event").await;
            let told = events.iter().any(|event| {
                let note = event["note"].as_str().unwrap_or_default();
                event["regarding"]["name"] == "shop"
                    && ["settings", "data.a", "kubectl-edit"]
                        .iter()
                        .all(|part| note.contains(part))
                    && !note.contains("data.b")
            });
            told.then_some(())
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_fought_over_is_left_after_three_repairs() {
    let Some(node) = need_node!() else { return };
    let (stage, sight) = stage_with_map(node, json!({})).await;
    for round in 1..=3 {
        let mark = sight.mark();
        let value = format!("rival-{round}");
        edit(&stage, "rival-controller", "a", &value).await;
        let changed = sight
            .first(mark, PATIENCE, |sighting| {
                *sighting.at("/data/a") == value.as_str()
            })
            .await
            .expect("seen");
        sight
            .expect(
                changed.0,
                PATIENCE,
                &format!("repair {round}"),
                |sighting| *sighting.at("/data/a") == "git",
            )
            .await;
    }
    let mark = sight.mark();
    edit(&stage, "rival-controller", "a", "rival-4").await;
    let contested = stage
        .until("shop", "it is contested", |status| {
            status
                .failures
                .iter()
                .any(|failure| failure.reason == "Contested")
        })
        .await;
    let failure = contested
        .failures
        .iter()
        .find(|failure| failure.reason == "Contested")
        .expect("it is there");
    assert!(failure.object.contains("settings"), "{failure:?}");
    for part in ["data.a", "rival-controller"] {
        assert!(failure.message.contains(part), "{part}: {failure:?}");
    }

    // Another object is not: that is repaired as ever, and the contested one stays left.
    stage
        .cluster
        .merge(
            "kubectl-edit",
            "ConfigMap",
            "beside",
            json!({"data": {"b": "hand"}}),
        )
        .await;
    let changed = sight
        .first(mark, PATIENCE, |sighting| *sighting.at("/data/b") == "hand")
        .await
        .expect("seen");
    let repaired = |sighting: &crate::main_job::sight::Sighting| {
        sighting.name == "beside" && *sighting.at("/data/b") == "git"
    };
    sight
        .expect(
            changed.0,
            PATIENCE,
            "the object beside it is repaired",
            repaired,
        )
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let left = stage.cluster.at("ConfigMap", "settings", "/data/a").await;
    assert_eq!(
        left, "rival-4",
        "the contested field is left for five minutes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_that_is_only_reported_is_left() {
    let Some(node) = need_node!() else { return };
    let (stage, sight) = stage_with_map(node, json!({"drift": "report"})).await;
    let mark = sight.mark();
    edit(&stage, "kubectl-edit", "a", "hand").await;
    let told = stage
        .until("shop", "it is told", |status| {
            status.held.iter().any(|held| held.reason.contains("Drift"))
        })
        .await;
    let held = &told.held[0];
    assert!(held.object.contains("settings"), "{held:?}");
    for part in ["data.a", "kubectl-edit"] {
        assert!(held.reason.contains(part), "{part}: {held:?}");
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        stage.cluster.at("ConfigMap", "settings", "/data/a").await,
        "hand"
    );

    // Git's own changes are applied all the same.
    let commit = stage
        .push_objects(
            "shop",
            &[config_map("settings", json!({"a": "newer", "b": "git"}))],
        )
        .await;
    stage.ready("shop", &commit).await;
    sight
        .expect(mark, PATIENCE, "the new revision", |sighting| {
            *sighting.at("/data/a") == "newer"
        })
        .await;
}
