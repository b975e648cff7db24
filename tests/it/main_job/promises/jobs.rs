//! Jobs run once per content.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::{
    main_job::{
        sight::Sight,
        stage::{PATIENCE, Stage},
    },
    need_node,
    support::node::push_image,
};

fn job(image: &str, name: &str, note: &str, ttl: Option<u32>) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {
            "ttlSecondsAfterFinished": ttl, "backoffLimit": 0,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{
                "name": "main", "image": image, "env": [{"name": "NOTE", "value": note}],
            }]}},
        },
    })
}

/// How many Jobs of this name were ever seen.
fn runs(sight: &Sight, name: &str) -> usize {
    let seen = sight
        .since(0)
        .into_iter()
        .filter(|sighting| sighting.is("Job", name) && sighting.object.is_some());
    let uids: std::collections::BTreeSet<String> = seen
        .map(|sighting| sighting.at("/metadata/uid").to_string())
        .collect();
    uids.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_once_for_each_content() {
    let Some(node) = need_node!() else { return };
    let image = push_image("true:1", Path::new("/bin/true"));
    let stage = Stage::new(node).await;
    let sight = Sight::of(&stage.cluster, &["Job"]).await;
    let objects = |note: &str| {
        [
            job(&image, "passing", note, Some(5)),
            job(&image, "kept", note, None),
        ]
    };
    let commit = stage.push_objects("shop", &objects("one")).await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &commit).await;
    let gone = |sighting: &crate::main_job::sight::Sighting| {
        sighting.is("Job", "passing") && sighting.object.is_none()
    };
    sight
        .expect(0, PATIENCE, "its TTL removes the Job", gone)
        .await;

    // Neither what was removed nor what was deleted by hand runs again: by drift, by a pass that is asked for, by a restart.
    stage.cluster.delete("Job", "kept").await;
    stage.sync("shop").await;
    stage.ready("shop", &commit).await;
    let mut stage = stage;
    stage.agent.replica().stop();
    stage.agent.restart();
    stage.leader(PATIENCE, None).await;
    stage.sync("shop").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.ready("shop", &commit).await;
    assert_eq!((runs(&sight, "passing"), runs(&sight, "kept")), (1, 1));

    let commit = stage.push_objects("shop", &objects("two")).await;
    stage.ready("shop", &commit).await;
    assert_eq!((runs(&sight, "passing"), runs(&sight, "kept")), (2, 2));

    // One that is still there makes room for its successor.
    assert_ne!(stage.cluster.get("Job", "kept").await, None);
    let commit = stage.push_objects("shop", &objects("three")).await;
    stage.ready("shop", &commit).await;
    assert_eq!((runs(&sight, "passing"), runs(&sight, "kept")), (3, 3));
    let note = stage
        .cluster
        .at(
            "Job",
            "kept",
            "/spec/template/spec/containers/0/env/0/value",
        )
        .await;
    assert_eq!(note, "three");
}
