//! From the end of `git push` to the last of 20 objects, as the test's own watch sees it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{is_long, percentile, spread, table};
use crate::{
    main_job::{
        manifests::{annotated, config_map, ingress, network_policy, secret, service, yaml},
        sight::Sight,
        stage::{PATIENCE, Stage},
    },
    need_node,
};

/// The annotation that says which push an object is of.
const PUSH: &str = "example.com/push";

/// 20 objects of one wave, none of which makes pods.
fn objects(push: usize) -> Vec<Value> {
    let maps = (0..10).map(|n| config_map(&format!("map-{n}"), json!({"push": push.to_string()})));
    let services = (0..4).map(|n| service(&format!("service-{n}")));
    let secrets = (0..2).map(|n| secret(&format!("secret-{n}"), json!({"push": push.to_string()})));
    let ingresses = (0..2).map(|n| ingress(&format!("ingress-{n}")));
    let policies = (0..2).map(|n| network_policy(&format!("policy-{n}")));
    let all = maps
        .chain(services)
        .chain(secrets)
        .chain(ingresses)
        .chain(policies);
    all.map(|object| annotated(object, PUSH, &push.to_string()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_applied_within_two_seconds() {
    let Some(node) = need_node!() else { return };
    let pushes = if is_long() { 30 } else { 5 };
    let stage = Stage::new(node).await;
    let sight = Sight::of(
        &stage.cluster,
        &["ConfigMap", "Service", "Secret", "Ingress", "NetworkPolicy"],
    )
    .await;
    let first = stage.push_objects("shop", &objects(0)).await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &first).await;

    let (mut latencies, mut remotes) = (Vec::new(), Vec::new());
    for push in 1..=pushes {
        remotes.push(stage.ls_remote());
        let mark = sight.mark();
        let (commit, pushed) = stage.git_push(&[("shop/objects.yaml", &yaml(&objects(push)))]);
        stage.hook().await;
        let last = last_of(&sight, mark, push).await;
        latencies.push(last.duration_since(pushed));
        stage.ready("shop", &commit).await;
    }

    table::note("git ls-remote to the same server", &spread(&remotes));
    table::judge(
        &format!("{pushes} pushes of 20 objects: git push to the last one applied"),
        &spread(&latencies),
        "95 % under 2 s",
        percentile(&latencies, 95) < Duration::from_secs(2),
    );
}

/// When the last of the 20 objects was seen as this push wants it.
async fn last_of(sight: &Sight, mark: usize, push: usize) -> Instant {
    let wanted = push.to_string();
    let pointer = format!("/metadata/annotations/{}", PUSH.replace('/', "~1"));
    let mut seen: BTreeMap<(String, String), Instant> = BTreeMap::new();
    let mut next = mark;
    while seen.len() < 20 {
        let what = sight
            .first(next, PATIENCE, |sighting| {
                *sighting.at(&pointer) == wanted.as_str()
            })
            .await;
        let Some((place, sighting)) = what else {
            panic!(
                "only {} of 20 objects of push {push} were seen within {PATIENCE:?}",
                seen.len()
            );
        };
        seen.entry((sighting.kind, sighting.name))
            .or_insert(sighting.at);
        next = place + 1;
    }
    seen.into_values().max().expect("there are 20")
}
