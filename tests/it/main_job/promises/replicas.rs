//! Two replicas of the agent: one leads, and the other takes over.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::edit;
use crate::{
    main_job::{
        cluster::Cluster,
        manifests::config_map,
        sight::Sight,
        stage::{PATIENCE, Stage},
    },
    need_node,
    support::agent::NAMESPACE,
};

async fn kept(node: &'static crate::support::node::Node) -> (Stage, Sight) {
    let stage = Stage::new(node).await;
    let commit = stage
        .push_objects("shop", &[config_map("settings", json!({"a": "git"}))])
        .await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &commit).await;
    let sight = Sight::of(&stage.cluster, &["ConfigMap"]).await;
    (stage, sight)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_replica_takes_over_within_20_seconds() {
    let Some(node) = need_node!() else { return };
    let (mut stage, sight) = kept(node).await;
    let leader = stage.leader(PATIENCE, None).await;
    let second = stage.agent.second(&[]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        stage.leader(PATIENCE, None).await,
        leader,
        "the second one waits"
    );

    stage.agent.kill();
    let killed = Instant::now();
    let mark = sight.mark();
    edit(&stage, "kubectl-edit", "a", "hand").await;
    stage.leader(Duration::from_secs(20), Some(&leader)).await;
    let took = killed.elapsed();
    let changed = sight
        .first(mark, PATIENCE, |sighting| *sighting.at("/data/a") == "hand")
        .await
        .expect("seen");
    sight
        .expect(changed.0, PATIENCE, "the drift is undone", |sighting| {
            *sighting.at("/data/a") == "git"
        })
        .await;
    drop(second);
    assert!(took <= Duration::from_secs(20), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_asked_to_end_gives_the_lease_back() {
    let Some(node) = need_node!() else { return };
    let (mut stage, _) = kept(node).await;
    let asked = Instant::now();
    stage.agent.replica().stop();
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
    let leases = Cluster {
        client: stage.cluster.client.clone(),
        namespace: NAMESPACE.to_owned(),
    };
    let holder = leases
        .at("Lease", "driftless", "/spec/holderIdentity")
        .await;
    assert!(holder == Value::Null || holder == "", "{holder}");

    // The next one starts from what is recorded.
    edit(&stage, "kubectl-edit", "a", "hand").await;
    stage.agent.restart();
    crate::support::wait::wait_until(PATIENCE, "the drift is undone", || async {
        (stage.cluster.at("ConfigMap", "settings", "/data/a").await == "git").then_some(())
    })
    .await;
}
