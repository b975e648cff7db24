//! Replicas belong to the autoscaler, and ignored fields to whoever writes them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    main_job::{
        manifests::{annotated, autoscaler, config_map, deployment},
        sight::Sight,
        stage::{PATIENCE, Stage},
    },
    need_node,
};

fn sized(replicas: u32, note: &str) -> Value {
    let mut object = annotated(deployment("web"), "example.com/note", note);
    object["spec"]["replicas"] = replicas.into();
    object
}

/// The numbers of replicas that were seen, each once in a row.
fn sizes(sight: &Sight, mark: usize) -> Vec<i64> {
    let mut sizes: Vec<i64> = sight
        .since(mark)
        .iter()
        .filter(|sighting| sighting.is("Deployment", "web"))
        .map(|sighting| sighting.at("/spec/replicas").as_i64().unwrap_or(0))
        .collect();
    sizes.dedup();
    sizes
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_belong_to_the_autoscaler_while_there_is_one() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let cluster = &stage.cluster;
    let sight = Sight::of(cluster, &["Deployment"]).await;
    let commit = stage.push_objects("shop", &[sized(3, "one")]).await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &commit).await;

    // It comes, and scales; a new revision that still says 3 changes nothing of that.
    let mark = 0;
    let commit = stage
        .push_objects(
            "shop",
            &[sized(3, "one"), autoscaler("Deployment", "web", 4)],
        )
        .await;
    stage.ready("shop", &commit).await;
    let scaled = |replicas: i64| {
        move |sighting: &crate::main_job::sight::Sighting| {
            *sighting.at("/spec/replicas") == replicas
        }
    };
    sight
        .expect(mark, PATIENCE, "the autoscaler's 4", scaled(4))
        .await;
    let commit = stage
        .push_objects(
            "shop",
            &[sized(3, "two"), autoscaler("Deployment", "web", 4)],
        )
        .await;
    stage.ready("shop", &commit).await;
    assert_eq!(
        sizes(&sight, mark),
        [3, 4],
        "it never fell to the default, nor back to what Git says"
    );

    // Git says no number any more, then the autoscaler goes: the live value is nobody's drift and stays.
    let mut silent = sized(3, "three");
    silent["spec"]
        .as_object_mut()
        .expect("a map")
        .remove("replicas");
    let commit = stage
        .push_objects(
            "shop",
            &[silent.clone(), autoscaler("Deployment", "web", 4)],
        )
        .await;
    stage.ready("shop", &commit).await;
    let commit = stage.push_objects("shop", &[silent]).await;
    stage.ready("shop", &commit).await;
    stage
        .until("shop", "the autoscaler is gone", |status| {
            status.inventory.count == 1
        })
        .await;
    assert_eq!(cluster.get("HorizontalPodAutoscaler", "web").await, None);
    stage.sync("shop").await;
    assert_eq!(sizes(&sight, mark), [3, 4]);

    // Git says a number again, and nobody else does.
    let commit = stage.push_objects("shop", &[sized(2, "four")]).await;
    stage.ready("shop", &commit).await;
    assert_eq!(sizes(&sight, mark), [3, 4, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_field_is_left_and_its_neighbour_is_not() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let cluster = &stage.cluster;
    let map = |kept: &str| {
        let map = config_map("settings", json!({"tuned": "git", "kept": kept}));
        annotated(map, "driftless.dev/ignore", "/data/tuned")
    };
    let commit = stage.push_objects("shop", &[map("git")]).await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &commit).await;
    let sight = Sight::of(cluster, &["ConfigMap"]).await;
    let mark = sight.mark();
    cluster
        .merge(
            "kubectl-edit",
            "ConfigMap",
            "settings",
            json!({"data": {"tuned": "hand", "kept": "hand"}}),
        )
        .await;
    let back = sight
        .expect(mark, PATIENCE, "the neighbour is restored", |sighting| {
            sighting.is("ConfigMap", "settings")
                && *sighting.at("/data/kept") == "git"
                && sighting.at("/metadata/resourceVersion") != &Value::Null
                && *sighting.at("/data/tuned") == "hand"
        })
        .await;
    assert_eq!(*back.at("/data/tuned"), "hand");
    let commit = stage.push_objects("shop", &[map("newer")]).await;
    stage.ready("shop", &commit).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        cluster.at("ConfigMap", "settings", "/data/tuned").await,
        "hand"
    );
    assert_eq!(
        cluster.at("ConfigMap", "settings", "/data/kept").await,
        "newer"
    );
}
