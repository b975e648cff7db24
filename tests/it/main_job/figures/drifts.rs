//! A hundred drifts, each timed by the test's own watch from the moment of the change until the desired value is back.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::future::join_all;
use serde_json::{Value, json};

use super::{
    drift::{Class, Drift, all, desired},
    is_long, percentile, spread, table,
};
use crate::{
    main_job::{
        cluster::Cluster,
        sight::{Sight, Sighting},
        stage::{PATIENCE, Stage},
    },
    need_node,
    support::agent::NAMESPACE,
};

const KINDS: [&str; 9] = [
    "ConfigMap",
    "Deployment",
    "StatefulSet",
    "Service",
    "Secret",
    "Ingress",
    "Role",
    "Widget",
    "Realm",
];

/// After this a drift counts as not undone.
const LIMIT: Duration = Duration::from_secs(20);

/// What is known of the objects before anything is done to them.
struct Scene {
    stage: Stage,
    sight: Sight,
    desired: BTreeMap<(String, String), Value>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_drifts_are_undone_within_a_second() {
    let Some(node) = need_node!() else { return };
    let burst = if is_long() { 20 } else { 5 };
    let scene = scene(Stage::new(node).await, burst).await;
    let mut took: Vec<(Drift, Option<Duration>)> = Vec::new();
    let (bursts, singles): (Vec<Drift>, Vec<Drift>) = chosen(burst)
        .into_iter()
        .partition(|drift| drift.class == Class::Burst);
    let (own, singles): (Vec<Drift>, Vec<Drift>) = singles
        .into_iter()
        .partition(|drift| drift.class == Class::OwnManager);
    for drift in singles {
        let time = scene.undone(&drift).await;
        took.push((drift, time));
    }
    let times = join_all(bursts.iter().map(|drift| scene.undone(drift))).await;
    took.extend(bursts.into_iter().zip(times));
    took.extend(scene.undone_by_the_next_leader(own).await);

    report(&took);
    let left: Vec<&Drift> = took
        .iter()
        .filter(|(_, time)| time.is_none())
        .map(|(drift, _)| drift)
        .collect();
    assert!(left.is_empty(), "not undone: {left:#?}");
}

/// All of them, or in the short form two of each class.
fn chosen(burst: usize) -> Vec<Drift> {
    let all = all(burst);
    if is_long() {
        return all;
    }
    let mut taken: BTreeMap<Class, usize> = BTreeMap::new();
    all.into_iter()
        .enumerate()
        .filter(|(place, drift)| {
            let taken = taken.entry(drift.class).or_default();
            // Another kind for each class.
            let wanted = drift.class == Class::Burst
                || (*taken < 2 && (place + drift.class as usize).is_multiple_of(3));
            *taken += usize::from(wanted);
            wanted
        })
        .map(|(_, drift)| drift)
        .collect()
}

async fn scene(stage: Stage, burst: usize) -> Scene {
    let objects = desired(&stage.cluster, burst);
    let commit = stage.push_objects("shop", &objects).await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &commit).await;
    let sight = Sight::of(&stage.cluster, &KINDS).await;
    let key = |object: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&object["kind"]), text(&object["metadata"]["name"]))
    };
    let desired = objects
        .into_iter()
        .map(|object| (key(&object), object))
        .collect();
    Scene {
        stage,
        sight,
        desired,
    }
}

impl Scene {
    /// Makes the drift; how long it lasted. `None` if it is still there.
    async fn undone(&self, drift: &Drift) -> Option<Duration> {
        let before = self.make(drift).await;
        let (mark, live) = before;
        let (place, changed) = self
            .sight
            .first(mark, LIMIT, |sighting| drifted(drift, &live, sighting))
            .await?;
        let (_, restored) = self
            .sight
            .first(place + 1, LIMIT, |sighting| {
                is_restored(drift, &live, sighting)
            })
            .await?;
        Some(restored.at.duration_since(changed.at))
    }

    /// Where the sightings of the drift begin, and the object before it.
    async fn make(&self, drift: &Drift) -> (usize, Value) {
        let cluster = &self.stage.cluster;
        let live = cluster
            .get(drift.kind, &drift.name)
            .await
            .expect("the object is there");
        let mark = self.sight.mark();
        let desired = &self.desired[&(drift.kind.to_owned(), drift.name.clone())];
        drift
            .make(cluster, &self.stage.namespace, desired, &live)
            .await;
        (mark, live)
    }

    /// Makes these drifts, then ends the leader. What was not undone before counts from the moment the next one leads.
    async fn undone_by_the_next_leader(
        mut self,
        drifts: Vec<Drift>,
    ) -> Vec<(Drift, Option<Duration>)> {
        let stage = &mut self.stage;
        let leader = stage.leader(PATIENCE, None).await;
        let second = stage.agent.second(&[]);
        crate::support::wait::wait_until(PATIENCE, "the second replica is ready", || async {
            (crate::main_job::http::get(&second.url(), "/readyz").0 == 200).then_some(())
        })
        .await;
        let leases = Cluster {
            client: self.stage.cluster.client.clone(),
            namespace: NAMESPACE.to_owned(),
        };
        let lease = Sight::of(&leases, &["Lease"]).await;
        let mut made = Vec::new();
        for drift in &drifts {
            made.push(self.make(drift).await);
        }
        let mark = lease.mark();
        self.stage.agent.replica().stop();
        let led = lease
            .expect(mark, PATIENCE, "the second replica leads", |sighting| {
                let holder = sighting
                    .at("/spec/holderIdentity")
                    .as_str()
                    .unwrap_or_default();
                sighting.name == "driftless" && !holder.is_empty() && holder != leader
            })
            .await
            .at;
        let mut took = Vec::new();
        for (drift, (mark, live)) in drifts.into_iter().zip(made) {
            took.push((drift.clone(), self.since(&drift, mark, &live, led).await));
        }
        drop(second);
        took
    }

    async fn since(
        &self,
        drift: &Drift,
        mark: usize,
        live: &Value,
        led: Instant,
    ) -> Option<Duration> {
        let (place, changed) = self
            .sight
            .first(mark, LIMIT, |sighting| drifted(drift, live, sighting))
            .await?;
        let (_, restored) = self
            .sight
            .first(place + 1, LIMIT, |sighting| {
                is_restored(drift, live, sighting)
            })
            .await?;
        let from = if restored.at < led { changed.at } else { led };
        Some(restored.at.duration_since(from))
    }
}

fn drifted(drift: &Drift, live: &Value, sighting: &Sighting) -> bool {
    sighting.is(drift.kind, &drift.name)
        && (sighting.object.is_none() || !is_as_before(drift, live, sighting))
}

fn is_restored(drift: &Drift, live: &Value, sighting: &Sighting) -> bool {
    if !sighting.is(drift.kind, &drift.name) || sighting.object.is_none() {
        return false;
    }
    // Another object in its place, with everything that Git says of it.
    if drift.class == Class::Deleted {
        let owner = "/metadata/labels/driftless.dev~1environment";
        return !is_as_before(drift, live, sighting)
            && Some(sighting.at(owner)) == live.pointer(owner);
    }
    is_as_before(drift, live, sighting)
}

fn is_as_before(drift: &Drift, live: &Value, sighting: &Sighting) -> bool {
    sighting.at(&drift.pointer) == live.pointer(&drift.pointer).unwrap_or(&Value::Null)
}

fn report(took: &[(Drift, Option<Duration>)]) {
    for (class, what) in Class::ALL {
        let of: Vec<_> = took
            .iter()
            .filter(|(drift, _)| drift.class == class)
            .collect();
        let times: Vec<Duration> = of.iter().filter_map(|(_, time)| *time).collect();
        let left = of.len() - times.len();
        let left = if left == 0 {
            String::new()
        } else {
            format!(", {left} NOT UNDONE")
        };
        table::note(
            &format!("drift ({}): {what}", class as usize + 1),
            &format!("{} undone, {}{left}", times.len(), spread(&times)),
        );
    }
    let times: Vec<Duration> = took.iter().filter_map(|(_, time)| *time).collect();
    let quick = times
        .iter()
        .filter(|time| **time <= Duration::from_secs(1))
        .count();
    let worst = percentile(&times, 99).as_millis();
    let all = took.len();
    table::judge(
        &format!("{all} drifts, from the change until Git's value is back"),
        &format!(
            "{} undone, {quick} within 1 s; {}, p99 {worst} ms",
            times.len(),
            spread(&times)
        ),
        "all undone, 99 % within 1 s",
        times.len() == all && quick * 100 >= all * 99,
    );
}
