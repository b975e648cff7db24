//! Blue/green: a second side of full size, the switch, and the way back.

use std::time::Instant;

use driftless::api::{EnvironmentStatus, RolloutPhase as Phase};
use serde_json::{Value, json};

use super::load::{self, Sample};
use super::shop::{self, SHOP, Shop};
use super::table;
use crate::main_job::stage::{PATIENCE, Stage, condition, is_ready};
use crate::need_node;
use crate::support::wait::wait_until;

fn selector(stage: &Stage, service: &str) -> String {
    stage
        .namespace
        .kubectl(&["get", "service", service, "-o", "jsonpath={.spec.selector}"])
}

/// Waits until the switch is in effect.
async fn switched(stage: &Stage) -> EnvironmentStatus {
    stage
        .until(SHOP, "the switch is in effect", |status| {
            shop::phase(status) == Some(Phase::Switched) && status.rollouts[0].kept_until.is_some()
        })
        .await
}

/// What is met on connections that are made from `from` until `to`.
fn met(samples: &[Sample], from: Instant, to: Instant, version: &str) -> (usize, usize) {
    let window = samples
        .iter()
        .filter(|sample| sample.new_connection && sample.at >= from && sample.at < to);
    let of = window.clone().filter(|sample| sample.is_of(version));
    (of.count(), window.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_switch_is_at_once_and_a_bad_version_never_gets_there() {
    let Some(node) = need_node!() else { return };
    let policy = shop::strategy(json!({"blueGreen": {"for": "3s", "keep": "6s"}}));
    let shop = Shop::open_as(Stage::new(node).await, shop::api, policy, json!({})).await;
    let stage = &shop.stage;
    let blue = shop::stable_pods(stage);

    // Somebody else's Service would meet the change without any switch.
    let spy = ["create", "service", "clusterip", "spy", "--tcp=80:8080"];
    stage.namespace.kubectl(&spy);
    stage
        .namespace
        .kubectl(&["set", "selector", "service", "spy", "app=api"]);
    let second = shop.push("2", &[]).await;
    let refused = stage
        .until(SHOP, "it is refused", |status| {
            condition(status, "Ready").1 == "Refused"
        })
        .await;
    let (_, _, message) = condition(&refused, "Ready");
    assert!(message.contains("/spy selects the pods of"), "{message}");
    assert!(refused.rollouts.is_empty() && shop::leftovers(stage).is_empty());
    stage.namespace.kubectl(&["delete", "service", "spy"]);

    // A good version: seen by its preview first, then by everybody.
    shop.at(Phase::Analysing).await;
    let analysing = Instant::now();
    let seen = load::ask_for_text(&shop::address(stage, "api-preview")).await;
    assert!(seen.starts_with("version 2"), "{seen}");
    let before = stage
        .until(SHOP, "the switch", |status| {
            shop::phase(status) != Some(Phase::Analysing)
        })
        .await;
    let about_to_switch = Instant::now();
    assert_eq!(before.rollouts[0].canary_replicas, 3);
    let switched = switched(stage).await;
    let in_effect = Instant::now();
    assert_eq!(switched.rollouts[0].weight, 100);
    assert!(selector(stage, "api").contains(r#""driftless.dev/track":"canary""#));
    assert_eq!(shop::stable_pods(stage), blue, "the old side is kept");
    stage
        .until(SHOP, "the old side was kept", |status| {
            shop::phase(status) != Some(Phase::Switched)
        })
        .await;
    let kept = Instant::now();
    shop.over(&second).await;
    assert_eq!(selector(stage, "api"), r#"{"app":"api"}"#);

    // A bad one: its checks take it back before anybody meets it.
    let stable = shop::stable_pods(stage);
    shop.push("3", &[("FAIL_RATE", "1")]).await;
    let failed = shop::taken_back(stage).await;
    let (_, _, message) = condition(&failed, "Ready");
    assert!(
        message.contains("check answers failed 3 times"),
        "{message}"
    );
    assert_eq!(shop::stable_pods(stage), stable);
    assert_eq!(shop::leftovers(stage), "");
    assert_eq!(selector(stage, "api"), r#"{"app":"api"}"#);

    let samples = shop.load.end().await;
    let moment = "1, 2 blue/green";
    table::none_failed(moment, &samples, |_| false);
    let (early, all) = met(&samples, analysing, about_to_switch, "2");
    assert_eq!(early, 0, "of {all} before the switch");
    let (after, all) = met(&samples, in_effect, kept, "2");
    assert!(
        after == all && all > 200,
        "{after} of {all} after the switch"
    );
    assert!(!samples.iter().any(|sample| sample.is_of("3")));
    let met = format!("{after} of {all}");
    table::must(
        moment,
        "new connections that met the change after the switch",
        &met,
        "all",
        after == all,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_after_the_switch_is_undone_at_once() {
    let Some(node) = need_node!() else { return };
    let blind = json!([{"name": "ready", "http": {"path": "/ready", "expect": 200}}]);
    let policy = shop::strategy(json!({"blueGreen": {"keep": "1h"}, "checks": blind}));
    let shop = Shop::open_as(Stage::new(node).await, shop::api, policy, json!({})).await;
    let stage = &shop.stage;
    let first = stage.status(SHOP).await.revision.expect("it is applied");
    let blue = shop::stable_pods(stage);

    // Its checks do not see that it answers every request with an error.
    shop.push("2", &[("FAIL_RATE", "1")]).await;
    let switched = switched(stage).await;
    assert!(is_ready(&switched, &first.commit), "the state before stays");
    wait_until(PATIENCE, "somebody meets it", || async {
        let samples = shop.load.so_far(0);
        let mut met = samples.iter().filter(|sample| sample.is_of("2"));
        met.any(|sample| sample.new_connection).then_some(())
    })
    .await;
    let said = Instant::now();
    shop.say("abort").await;
    shop.at(Phase::Failed).await;
    let back = Instant::now();
    assert_eq!(shop::stable_pods(stage), blue, "nothing had to be started");
    assert_eq!(shop::leftovers(stage), "");

    // One that crashes after a while goes back by itself.
    let crashes = Instant::now();
    shop.push("3", &[("CRASH_AFTER", "12s")]).await;
    shop.at(Phase::Switched).await;
    let failed = shop::taken_back(stage).await;
    let (_, _, message) = condition(&failed, "Ready");
    let crashed = Instant::now();
    assert!(message.contains("the canary failed"), "{message}");
    assert_eq!(shop::stable_pods(stage), blue);

    // A revert of one that has all of the traffic.
    let fourth = shop.push("4", &[]).await;
    stage
        .until(SHOP, "the switch", |status| {
            shop::phase(status) == Some(Phase::Switched) && status.rollouts[0].commit == fourth
        })
        .await;
    let reverted = shop.push("1", &[]).await;
    shop.over(&reverted).await;
    assert_eq!(shop::stable_pods(stage), blue);
    assert_eq!(selector(stage, "api"), r#"{"app":"api"}"#);

    let samples = shop.load.end().await;
    // Those of a process that ends in the middle of an answer are its own.
    let (own, failures): (Vec<&Sample>, Vec<&Sample>) = samples
        .iter()
        .filter(|sample| sample.failed() && !sample.is_of("2"))
        .partition(|sample| sample.answer.is_err() && sample.at > crashes && sample.at < crashed);
    assert!(failures.is_empty(), "{failures:?}");
    let (late, all) = met(&samples, back, Instant::now(), "2");
    assert_eq!(late, 0, "of {all} after it went back");
    let last = samples
        .iter()
        .filter(|sample| sample.new_connection && sample.is_of("2"))
        .map(|sample| sample.at)
        .max()
        .expect("somebody met it");
    let moment = "2, 5 blue/green, after the switch";
    let took = last.saturating_duration_since(said).as_secs_f64();
    table::note(
        moment,
        "driftless abort to the last new connection that met the bad version",
        &format!("{took:.2} s"),
    );
    let of_bad = samples.iter().filter(|sample| sample.is_of("2")).count();
    table::note(
        moment,
        "failed requests",
        &format!(
            "{of_bad} by the bad version, {} as the other one crashed, of {}",
            own.len(),
            samples.len()
        ),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_neither_the_switch_nor_the_way_back() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let policy = shop::strategy(json!({"blueGreen": {"keep": "4s"}}));
    let mut shop = Shop::open_as(Stage::new(node).await, shop::api, policy, json!({})).await;
    let second = shop.push("2", &[]).await;
    let good = shop
        .kill_until(&[Phase::Switched, Phase::Promoting], |status| {
            status.rollouts.is_empty() && is_ready(status, &second)
        })
        .await;
    let phases: Vec<Phase> = good.iter().map(|(phase, ..)| *phase).collect();
    assert!(phases.contains(&Phase::Switched), "{phases:?}");
    let way = |phase: &Phase| match phase {
        Phase::Narrowing => 0,
        Phase::Starting => 1,
        Phase::Analysing => 2,
        Phase::Proved => 3,
        Phase::Switched => 4,
        Phase::Promoting => 5,
        Phase::Finishing => 6,
        Phase::Removing => 7,
        _ => 100,
    };
    assert!(
        phases.is_sorted_by_key(way) && way(&phases[phases.len() - 1]) < 100,
        "{phases:?}"
    );
    shop.over(&second).await;

    // A commit that takes it back while it has all of the traffic.
    let stable = shop::stable_pods(&shop.stage);
    shop.push("3", &[]).await;
    shop.at(Phase::Switched).await;
    let back = shop.push("2", &[]).await;
    let undone = shop
        .kill_until(&[Phase::Aborting], |status| {
            status.rollouts.is_empty() && is_ready(status, &back)
        })
        .await;
    assert!(
        undone
            .iter()
            .all(|(phase, _, weight)| *phase == Phase::Switched || *weight == 0),
        "{undone:?}"
    );
    shop.over(&back).await;
    assert_eq!(shop::stable_pods(&shop.stage), stable);
    assert_eq!(selector(&shop.stage, "api"), r#"{"app":"api"}"#);
    let moment = "6 SIGKILL, blue/green";
    let transitions = (good.len() + undone.len()).to_string();
    table::note(moment, "transitions that were recorded", &transitions);
    table::none_failed(moment, &shop.load.end().await, |_| false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_of_the_same_commit_waits_until_the_old_side_was_kept() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let image = shop::image();
    let web = |mut object: Value| {
        object["metadata"]["name"] = json!("web");
        object
    };
    let objects = |version: &str| {
        let mut deployment = web(shop::api(&image, 2, version, &[]));
        deployment["spec"]["selector"]["matchLabels"]["app"] = json!("web");
        deployment["spec"]["template"]["metadata"]["labels"]["app"] = json!("web");
        let mut service = web(shop::service());
        service["spec"]["selector"]["app"] = json!("web");
        let mut green = web(shop::strategy(json!({"blueGreen": {"keep": "5s"}})));
        green["spec"]["workload"]["name"] = json!("web");
        [
            shop::api(&image, 2, version, &[]),
            shop::service(),
            shop::policy(json!([{"weight": 50}]), json!({})),
            deployment,
            service,
            green,
        ]
    };
    let first = stage.push_objects(SHOP, &objects("1")).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;
    let second = stage.push_objects(SHOP, &objects("2")).await;
    let phases = |status: &EnvironmentStatus| -> Vec<Phase> {
        let mut rollouts = status.rollouts.clone();
        rollouts.sort_by(|one, other| one.workload.cmp(&other.workload));
        rollouts.iter().map(|rollout| rollout.phase).collect()
    };
    let kept = stage
        .until(SHOP, "the switch is in effect", |status| {
            phases(status).get(1) == Some(&Phase::Switched)
                && status
                    .rollouts
                    .iter()
                    .any(|rollout| rollout.kept_until.is_some())
        })
        .await;
    assert_eq!(phases(&kept)[0], Phase::Proved, "it waits for the other");
    assert_eq!(kept.revision.expect("it is applied").commit, first);
    let promoted = stage
        .until(SHOP, "the revision is applied", |status| {
            status
                .revision
                .as_ref()
                .is_some_and(|now| now.commit == second)
        })
        .await;
    let passed = |phase: &Phase| matches!(phase, Phase::Promoting | Phase::Finishing);
    assert!(phases(&promoted).iter().all(passed), "{promoted:?}");
    stage.ready(SHOP, &second).await;
    stage
        .until(
            SHOP,
            "both are over, and nothing of them is left",
            |status| status.rollouts.is_empty() && shop::leftovers(&stage).is_empty(),
        )
        .await;
    assert_eq!(selector(&stage, "web"), r#"{"app":"web"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_stable_side_starts_the_green_side_anew() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let policy = shop::strategy(json!({"blueGreen": {"pause": true, "keep": "1s"}}));
    let shop = Shop::open_as(Stage::new(node).await, shop::api, policy, json!({})).await;
    let second = shop.push("2", &[]).await;
    shop.at(Phase::Paused).await;
    let restart = ["rollout", "restart", "deployment/api"];
    shop.stage.namespace.kubectl(&restart);
    shop.stage
        .until(SHOP, "it begins anew", |status| {
            shop::phase(status) != Some(Phase::Paused)
        })
        .await;
    shop.at(Phase::Paused).await;
    let paused = Instant::now();
    assert!(selector(&shop.stage, "api").contains("pod-template-hash"));
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let about_to_switch = Instant::now();
    shop.say("promote").await;
    shop.over(&second).await;
    let samples = shop.load.end().await;
    let moment = "8 restart of the stable side, blue/green";
    table::none_failed(moment, &samples, |_| false);
    let (early, all) = met(&samples, paused, about_to_switch, "2");
    assert_eq!(early, 0, "of {all} before the switch");
    let begin = samples.first().expect("there is load").at;
    let (early, all) = met(&samples, begin, about_to_switch, "2");
    table::must(
        moment,
        "new connections that met the change before the switch",
        &format!("{early} of {all}"),
        "under 1 %",
        early * 100 < all,
    );
}
