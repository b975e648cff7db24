//! A third version in the middle, at every phase: the newest wins, and nobody meets what was never analysed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use driftless::api::RolloutPhase as Phase;
use serde_json::{Value, json};

use super::timeline::Timeline;
use crate::main_job::stage::Stage;
use crate::need_node;
use crate::rollouts::shop::{self, SHOP, Shop};
use crate::rollouts::table;

const MOMENT: &str = "4 third version in the middle, by pods";

/// In which phase of a version the next one is pushed. Those from `Promoting` on are promoted by hand first.
const PUSHES: [(&str, Phase); 6] = [
    ("2", Phase::Narrowing),
    ("3", Phase::Starting),
    ("4", Phase::Analysing),
    ("5", Phase::Paused),
    ("6", Phase::Promoting),
    ("7", Phase::Finishing),
];
const NEWEST: &str = "8";

/// How long the pods of a version take to be ready: the phases before are to last.
const SLOW_START: &[(&str, &str)] = &[("READY_AFTER", "3s")];

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_wins_and_nobody_meets_what_was_not_analysed() {
    let Some(node) = need_node!() else { return };
    let steps = json!([{"weight": 25, "for": "3s"}, {"pause": true}]);
    let shop = Shop::open(Stage::new(node).await, steps).await;
    let timeline = Timeline::of(&shop.stage).await;

    let mut commits = BTreeMap::new();
    let mut met = Vec::new();
    for (version, phase) in PUSHES {
        let mark = timeline.mark();
        let env = match phase {
            Phase::Starting => SLOW_START,
            _ => &[],
        };
        let commit = shop.push(version, env).await;
        met.extend(timeline.last_phase());
        commits.insert(version, commit.clone());
        if matches!(phase, Phase::Promoting | Phase::Finishing) {
            paused(&shop, &timeline, mark, &commit).await;
            shop.say("promote").await;
        }
        timeline
            .until(mark, &format!("{version} is {phase:?}"), |record| {
                // The first record of a version tells of its Narrowing, which may be over with the next.
                record.commit == commit && record.phase == phase
            })
            .await;
    }
    let mark = timeline.mark();
    let newest = shop.push(NEWEST, &[]).await;
    met.extend(timeline.last_phase());
    commits.insert(NEWEST, newest.clone());
    paused(&shop, &timeline, mark, &newest).await;

    let unrelated = untouched_by_an_unrelated_commit(&shop).await;
    shop.say("promote").await;
    shop.over(&unrelated).await;
    let version = "jsonpath={.spec.template.spec.containers[0].env[0].value}";
    let runs = shop
        .stage
        .namespace
        .kubectl(&["get", "deployment", "api", "-o", version]);
    assert_eq!(runs, NEWEST, "the newest wins");

    let samples = shop.load.end().await;
    let met: Vec<String> = met.iter().map(|phase| format!("{phase:?}")).collect();
    table::note(MOMENT, "what the pushes met", &met.join(", "));
    never_before_its_time(&timeline, &commits, &samples);
    table::none_failed(MOMENT, &samples, |_| false);
}

async fn paused(shop: &Shop, timeline: &Timeline, mark: usize, commit: &str) {
    timeline
        .until(mark, "it is at its pause", |record| {
            record.commit == commit && record.phase == Phase::Paused
        })
        .await;
    // What is said to one is not to be heard by the one before.
    shop.stage
        .until(SHOP, "it is the only one", |status| {
            status.rollouts.len() == 1 && status.rollouts[0].commit == commit
        })
        .await;
}

/// A commit that does not touch the workload does not restart its rollout.
async fn untouched_by_an_unrelated_commit(shop: &Shop) -> String {
    let stage = &shop.stage;
    // Pods of the canary before may still be draining.
    let canary = async || {
        let mut pods = stage.cluster.list("Pod").await;
        pods.retain(|pod| {
            pod["metadata"]["labels"]["driftless.dev/track"] == "canary"
                && pod["metadata"]["deletionTimestamp"].is_null()
        });
        let uids = pods.iter().map(|pod| pod["metadata"]["uid"].to_string());
        uids.collect::<BTreeSet<String>>()
    };
    let before = stage.status(SHOP).await.rollouts.remove(0);
    let pods = canary().await;
    assert!(!pods.is_empty());
    let notes = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "notes"}, "data": {"a": "1"}});
    let objects: [Value; 4] = [
        shop::api(&shop.image, 3, NEWEST, &[]),
        shop::service(),
        shop.policy.clone(),
        notes,
    ];
    let commit = stage.push_objects(SHOP, &objects).await;
    stage
        .until(SHOP, "the commit is known", |status| {
            status
                .next
                .as_ref()
                .is_some_and(|next| next.revision.commit == commit)
        })
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let now = stage.status(SHOP).await.rollouts.remove(0);
    let is_same = (now.phase, now.step, &now.since, &now.change)
        == (before.phase, before.step, &before.since, &before.change)
        && canary().await == pods;
    table::must(
        MOMENT,
        "a commit that does not touch the workload",
        if is_same {
            "its rollout goes on, with the same pods"
        } else {
            "its rollout began anew"
        },
        "goes on",
        is_same,
    );
    commit
}

/// No answer of a version before its own canary had a weight, and no stable pod of it before it was proved.
fn never_before_its_time(
    timeline: &Timeline,
    commits: &BTreeMap<&str, String>,
    samples: &[crate::rollouts::load::Sample],
) {
    let stable = timeline.stable_versions();
    let (mut answers, mut pods) = (0, 0);
    for (version, commit) in commits {
        let analysed = timeline.first(0, |record| {
            record.commit == *commit && record.phase == Phase::Analysing && record.weight > 0
        });
        let promoted = timeline.first(0, |record| {
            record.commit == *commit && record.phase == Phase::Promoting
        });
        answers += samples
            .iter()
            .filter(|sample| sample.is_of(version) && analysed.is_none_or(|at| sample.at < at))
            .count();
        pods += stable
            .iter()
            .filter(|(known, at)| known == version && promoted.is_none_or(|begin| *at < begin))
            .count();
    }
    // The sixth was proved too, and given up in the middle of its promotion.
    let versions = stable.iter().map(|(version, _)| version.as_str());
    let mut ran: Vec<&str> = versions.filter(|version| *version != "6").collect();
    ran.dedup();
    assert_eq!(ran, ["1", "7", NEWEST], "who was proved was promoted");
    table::must(
        MOMENT,
        "answers of a version before its own canary step",
        &format!("{answers} of {}", samples.len()),
        "0",
        answers == 0,
    );
    table::must(
        MOMENT,
        "versions that ran on the stable side before they were proved",
        &format!("{pods} of {}", commits.len()),
        "0",
        pods == 0,
    );
}
