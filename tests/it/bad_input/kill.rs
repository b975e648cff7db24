//! SIGKILL in the middle of applying a hundred objects, and in the middle of deleting them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{
    agents::Lone,
    apiserver::{Mood, Proxy},
    place::{NAME, OBJECTS, Place, telling},
    world::{FLAGS, World, patiently},
};
use crate::{need_node, support::agent::NAMESPACE};

/// What stays, so that a hundred are less than half.
const KEPT: usize = 100;
const CROWD: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_loses_nothing_and_leaves_nothing_behind() {
    let Some(node) = need_node!() else { return };
    let mut world = World::new(node).await;
    world.stop();
    let proxy = Proxy::start(node).await;
    let mut agent = Lone::at(node, &proxy.url(), &FLAGS);
    let place = Place::new(&world, false)
        .await
        .expect("a place for the case");
    let outcome = course(&world, &proxy, &mut agent, &place).await;
    place.leave().await;
    if let Err(error) = outcome {
        panic!("{error}\n{}", agent.last_words());
    }
}

async fn course(
    world: &World,
    proxy: &Proxy,
    agent: &mut Lone,
    place: &Place,
) -> Result<(), String> {
    place.respec(json!({"prune": {"limit": "50%"}})).await?;
    let kept = maps("kept", KEPT);
    let crowd = maps("crowd", CROWD);
    let resources = |names: &str| format!("resources:\n- maps.yaml\n- rest.yaml\n{names}");
    let first = place.repo().commit(&[
        ("base/kept.yaml", &kept),
        ("base/kustomization.yaml", &resources("- kept.yaml\n")),
    ]);
    place.look().await?;
    place.ready(NAME, &first).await?;
    let before = place.objects().await?;
    expect(before.len(), OBJECTS + KEPT, "objects before")?;

    // In the middle of applying.
    proxy.set(Mood::Stuck(30));
    let second = place.repo().commit(&[
        ("base/crowd.yaml", &crowd),
        (
            "base/kustomization.yaml",
            &resources("- kept.yaml\n- crowd.yaml\n"),
        ),
    ]);
    place.look().await?;
    stuck(proxy).await?;
    agent.kill();
    let there = place.objects().await?;
    between(
        there.len(),
        before.len(),
        before.len() + CROWD,
        "objects after the kill",
    )?;
    recorded(place, &there, "applied, and not recorded before").await?;
    again(world, proxy, agent);
    place.ready(NAME, &second).await?;
    let full = place.objects().await?;
    expect(
        full.len(),
        OBJECTS + KEPT + CROWD,
        "objects after the restart",
    )?;
    exact(place).await?;

    // In the middle of deleting.
    proxy.set(Mood::Stuck(40));
    let third = place.repo().revert("main");
    place.look().await?;
    stuck(proxy).await?;
    agent.kill();
    let there = place.objects().await?;
    between(
        there.len(),
        before.len(),
        full.len(),
        "objects after the second kill",
    )?;
    recorded(place, &there, "there, and not recorded any more").await?;
    again(world, proxy, agent);
    place.ready(NAME, &third).await?;
    patiently(
        "everything that was reverted is gone, and nothing else",
        || async {
            let now = place.objects().await?;
            if now == before {
                Ok(())
            } else {
                Err(format!(
                    "{} objects, not {}; {}",
                    now.len(),
                    before.len(),
                    telling(&place.status(NAME).await?)
                ))
            }
        },
    )
    .await?;
    exact(place).await
}

/// The agent starts again, and need not wait for the Lease of the one that was killed.
fn again(world: &World, proxy: &Proxy, agent: &mut Lone) {
    proxy.set(Mood::Well);
    world.node.kubectl(&[
        "delete",
        "lease",
        "driftless",
        "--namespace",
        NAMESPACE,
        "--ignore-not-found",
    ]);
    agent.restart();
}

async fn stuck(proxy: &Proxy) -> Result<(), String> {
    patiently("the agent is in the middle", || async {
        if proxy.is_stuck() {
            Ok(())
        } else {
            Err("it is not".to_owned())
        }
    })
    .await
}

/// The inventory of the status as `Kind name`.
async fn inventory(place: &Place) -> Result<BTreeSet<String>, String> {
    let status = place.status(NAME).await?;
    let names = status.inventory.entries.iter().map(|entry| {
        let parts: Vec<&str> = entry.id.split('/').collect();
        format!("{} {}", parts[2], parts[4])
    });
    Ok(names.collect())
}

/// That the inventory has all that there is; else what is wrong with the rest.
async fn recorded(
    place: &Place,
    there: &BTreeMap<String, String>,
    wrong: &str,
) -> Result<(), String> {
    let recorded = inventory(place).await?;
    let unknown: Vec<_> = there
        .keys()
        .filter(|object| !recorded.contains(*object))
        .collect();
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(format!("{wrong}: {unknown:?}"))
    }
}

/// Waits until the inventory is what there is.
async fn exact(place: &Place) -> Result<(), String> {
    patiently("the inventory is what there is", || async {
        let (recorded, there) = (
            inventory(place).await?,
            place.objects().await?.into_keys().collect::<BTreeSet<_>>(),
        );
        let (more, less): (Vec<_>, Vec<_>) = (
            recorded.difference(&there).collect(),
            there.difference(&recorded).collect(),
        );
        if more.is_empty() && less.is_empty() {
            Ok(())
        } else {
            Err(format!("recorded only {more:?}, there only {less:?}"))
        }
    })
    .await
}

fn maps(name: &str, count: usize) -> String {
    let maps: Vec<String> = (0..count)
        .map(|number| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}-{number}}}\ndata: {{key: '{number}'}}\n"))
        .collect();
    maps.join("---\n")
}

fn expect(found: usize, wanted: usize, what: &str) -> Result<(), String> {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("{found} {what}, not {wanted}"))
    }
}

fn between(found: usize, low: usize, high: usize, what: &str) -> Result<(), String> {
    if low < found && found < high {
        Ok(())
    } else {
        Err(format!("{found} {what}, not between {low} and {high}"))
    }
}
