//! The agent is killed, or loses its lead, at every transition that it records; or its record is lost. It goes on from what
//! is written, and leaves nothing behind.

use std::io::Write as _;
use std::time::{Duration, Instant};

use driftless::api::{EnvironmentStatus, RolloutPhase as Phase};
use serde_json::json;

use super::shop::{self, SHOP, Shop};
use super::table;
use crate::main_job::{
    cluster::Cluster,
    sight::Sight,
    stage::{PATIENCE, Stage, is_ready},
};
use crate::need_node;
use crate::support::agent::NAMESPACE;

/// What is recorded of the one rollout, as far as it decides what comes next.
type Record = (Phase, u32, u32, u32, bool);

fn record(status: &EnvironmentStatus) -> Option<Record> {
    let rollout = status.rollouts.first()?;
    Some((
        rollout.phase,
        rollout.step,
        rollout.weight,
        rollout.canary_replicas,
        rollout.in_effect_since.is_some(),
    ))
}

/// How a change ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Good,
    /// Its answers are failures.
    Bad,
    /// Reverted while it is analysed.
    Reverted,
}

/// Brings a version, calls `strike` at every transition that is recorded, and sees it to its end; what was recorded.
async fn through(
    shop: &mut Shop,
    flow: Flow,
    version: u32,
    mut strike: impl AsyncFnMut(&mut Shop),
) -> Vec<Record> {
    let bad: &[(&str, &str)] = match flow {
        Flow::Bad => &[("FAIL_RATE", "1")],
        Flow::Good | Flow::Reverted => &[],
    };
    let mut wanted = shop.push(&version.to_string(), bad).await;
    let mut reverted = false;
    let mut seen = Vec::new();
    let start = Instant::now();
    loop {
        let status = shop.stage.status(SHOP).await;
        let now = record(&status);
        if let Some(now) = now
            && seen.last() != Some(&now)
        {
            seen.push(now);
            strike(shop).await;
            if flow == Flow::Reverted && now.0 == Phase::Analysing && now.4 && !reverted {
                wanted = shop.stage.revert().await;
                reverted = true;
            }
        }
        let over = match flow {
            Flow::Bad => now.is_some_and(|now| now.0 == Phase::Failed),
            Flow::Good => now.is_none() && is_ready(&status, &wanted) && !seen.is_empty(),
            Flow::Reverted => now.is_none() && is_ready(&status, &wanted) && reverted,
        };
        if over {
            break;
        }
        assert!(
            start.elapsed() < PATIENCE * 6,
            "{flow:?} {seen:?} {status:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if flow == Flow::Bad {
        wanted = shop.stage.revert().await;
    }
    shop.over(&wanted).await;
    let selector =
        shop.stage
            .namespace
            .kubectl(&["get", "service", "api", "-o", "jsonpath={.spec.selector}"]);
    assert_eq!(selector, r#"{"app":"api"}"#);
    seen
}

/// SIGKILL, and the next agent. The dead one's lease is taken from it: that it runs out by itself is shown elsewhere, and takes
/// 15 seconds each time.
async fn kill(shop: &mut Shop) {
    shop.stage.agent.kill();
    let leases = Cluster {
        client: shop.stage.cluster.client.clone(),
        namespace: NAMESPACE.to_owned(),
    };
    let nobody = json!({"spec": {"holderIdentity": ""}});
    leases.merge("tests", "Lease", "driftless", nobody).await;
    shop.stage.agent.restart();
}

/// Every version of the record that the API server was given, in order.
fn versions(sight: &Sight, mark: usize) -> Vec<EnvironmentStatus> {
    sight
        .since(mark)
        .iter()
        .filter(|sighting| sighting.is("Environment", SHOP))
        .filter_map(|sighting| serde_json::from_value(sighting.at("/status").clone()).ok())
        .collect()
}

/// A weight rises only to that of its step, one step at a time; and never before the step before was in effect for as long
/// as it says.
fn assert_rises_are_earned(all: &[EnvironmentStatus]) {
    let rollouts = |status: &EnvironmentStatus| status.rollouts.first().cloned();
    let mut in_effect = None;
    for pair in all.windows(2) {
        let (before, after) = (rollouts(&pair[0]), rollouts(&pair[1]));
        let Some(after) = after else {
            in_effect = None;
            continue;
        };
        let Some(before) = before.filter(|before| before.change == after.change) else {
            assert_eq!(after.weight, 0, "{after:?}");
            continue;
        };
        assert!(after.step <= before.step + 1, "{before:?} {after:?}");
        if before.phase == Phase::Analysing && before.in_effect_since.is_some() {
            in_effect.clone_from(&before.in_effect_since);
        }
        if after.weight > before.weight {
            assert_eq!(after.phase, Phase::Analysing, "{before:?} {after:?}");
            if after.step > 0 {
                let since = in_effect.clone().expect("the step before was in effect");
                let entered = after.since.clone().expect("it says when");
                let held = entered.0.duration_since(since.0);
                assert!(held.as_secs() >= 1, "{held:?}: {before:?} {after:?}");
            }
        }
    }
}

fn steps() -> serde_json::Value {
    json!([{"weight": 25, "for": "1s"}, {"weight": 50, "for": "1s"}])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_every_transition_goes_on_from_the_record() {
    let Some(node) = need_node!() else { return };
    let mut shop = Shop::open(Stage::new(node).await, steps()).await;
    let sight = Sight::of(&shop.stage.cluster, &["Environment"]).await;
    let long = std::env::var_os("DRIFTLESS_LONG").is_some();
    let (mut kills, mut version) = (0, 1);
    let mut excused = Vec::new();
    let mut table = Vec::new();
    loop {
        let flows: &[Flow] = if long {
            &[Flow::Good, Flow::Bad, Flow::Reverted]
        } else {
            &[Flow::Good]
        };
        for flow in flows {
            version += 1;
            let mark = sight.mark();
            let mut here = 0;
            let seen = through(&mut shop, *flow, version, async |shop| {
                here += 1;
                kill(shop).await;
            })
            .await;
            assert_rises_are_earned(&versions(&sight, mark));
            let least = if *flow == Flow::Good { 8 } else { 5 };
            assert!(seen.len() >= least, "{flow:?}: {seen:?}");
            if *flow == Flow::Bad {
                excused.push(version.to_string());
            }
            kills += here;
            table.push(format!("{flow:?} {here}"));
        }
        if !long || kills >= 60 {
            break;
        }
    }
    let samples = shop
        .close_but_for(|sample| excused.iter().any(|version| sample.is_of(version)))
        .await;
    let _ = writeln!(
        std::io::stderr(),
        "a_kill_at_every_transition: {kills} kills ({}), {} requests, none failed but answers of the bad versions",
        table.join(", "),
        samples.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_leader_at_every_transition_goes_on_from_the_record() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let mut shop = Shop::open(Stage::new(node).await, steps()).await;
    let sight = Sight::of(&shop.stage.cluster, &["Environment"]).await;
    let mut second = shop.stage.agent.second(&[]);
    // The standby is warm before the first change.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut changes = 0;
    let mut leads = true;
    through(&mut shop, Flow::Good, 2, async |shop| {
        let leader = shop.stage.leader(PATIENCE, None).await;
        if leads {
            shop.stage.agent.replica().stop();
        } else {
            second.stop();
        }
        shop.stage.leader(PATIENCE, Some(&leader)).await;
        if leads {
            shop.stage.agent.restart();
        } else {
            second = shop.stage.agent.second(&[]);
        }
        leads = !leads;
        changes += 1;
    })
    .await;
    assert!(changes >= 8, "{changes}");
    assert_rises_are_earned(&versions(&sight, 0));
    // A push must be told to whoever is there: the load ends before the replicas do.
    let samples = shop.close_but_for(|_| false).await;
    drop(second);
    let _ = writeln!(
        std::io::stderr(),
        "another_leader_at_every_transition: {changes} changes, {} requests, none failed",
        samples.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_lost_leads_back_to_stable() {
    let Some(node) = need_node!() else { return };
    let steps = json!([{"weight": 50, "for": "1s"}, {"pause": true}]);
    let mut shop = Shop::open(Stage::new(node).await, steps).await;
    let pods = shop::stable_pods(&shop.stage);
    shop.push("2", &[]).await;
    shop.at(Phase::Paused).await;
    let sight = Sight::of(&shop.stage.cluster, &["Environment"]).await;

    shop.stage.agent.kill();
    shop.stage
        .cluster
        .merge_status("kubectl", "Environment", SHOP, json!({"rollouts": null}))
        .await;
    let mark = sight.mark();
    shop.stage.agent.restart();
    shop.at(Phase::Paused).await;
    let seen: Vec<(Phase, u32)> = versions(&sight, mark)
        .iter()
        .filter_map(|status| status.rollouts.first())
        .map(|rollout| (rollout.phase, rollout.weight))
        .collect();
    let back = seen.iter().position(|(phase, _)| *phase == Phase::Removing);
    let anew = seen.iter().position(|(phase, _)| *phase == Phase::Starting);
    assert!(
        seen.first() == Some(&(Phase::Aborting, 0)) && back.is_some() && back < anew,
        "first back to stable, then anew: {seen:?}"
    );
    assert_eq!(shop::stable_pods(&shop.stage), pods);

    // All of the status.
    shop.stage.agent.kill();
    shop.stage
        .cluster
        .merge_status(
            "kubectl",
            "Environment",
            SHOP,
            json!({"rollouts": null, "next": null, "inventory": null}),
        )
        .await;
    shop.stage.agent.restart();
    shop.at(Phase::Aborting).await;
    let reverted = shop.stage.revert().await;
    shop.over(&reverted).await;
    assert_eq!(shop::stable_pods(&shop.stage), pods);
    shop.answers("1").await;
    shop.close().await;
}
