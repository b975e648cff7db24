//! prune: what Git no longer has, behind the gate.

use super::apply::Done;
use super::approval::{approval, use_approval};
use super::rollout::Rolling;
use super::{Memory, Pass, rollout};
use crate::api::HeldObject;
use crate::desired::Desired;
use crate::object::Id;
use crate::plan::{Departed, LiveState, Plan};
use crate::prune::{Evidence, Gate, GatePurpose, gate};

pub(super) async fn prune(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    rolling: &Rolling,
    plan: Plan,
    done: Done,
) {
    let running = &*rolling.running;
    if done.healthy && done.applied {
        memory.inventory_trusted = true;
    }
    // What comes back to Git later is not what was applied before.
    let wanted = |id: &Id| running.desired.contains(id);
    memory.applied.retain(|id, _| wanted(id));
    memory.health.retain(|id, _| wanted(id));
    memory.steady.retain(wanted);
    // What was made for a rollout that is over goes without ceremony: Git never had it.
    let settled = done.healthy && done.applied;
    let (parts, departed_ones) = rollout::sort_out(rolling, plan.departed, settled);
    delete_all(pass, memory, &parts, "its rollout is over").await;
    if departed_ones.is_empty() || !rolling.is_whole() {
        return;
    }
    let evidence = Evidence {
        applied: done.applied,
        healthy: done.healthy,
        rewritten: running.revision.diverged,
        inventory_trusted: memory.inventory_trusted,
    };
    departed(
        pass,
        memory,
        &running.desired,
        &departed_ones,
        evidence,
        GatePurpose::Prune,
        &running.revision.commit,
    )
    .await;
}

/// Deletes of `departed` what the gate lets through; whether everything is gone.
pub(super) async fn departed(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    desired: &Desired,
    departed: &[Departed],
    evidence: Evidence,
    purpose: GatePurpose,
    commit: &str,
) -> bool {
    let inventory = memory.inventory.clone().unwrap_or_default();
    let policy = pass.environment.spec.prune.clone();
    let decide = |approved: Option<&str>| {
        gate(
            departed, desired, &inventory, &policy, evidence, approved, purpose,
        )
    };
    let mut decided = decide(None);
    if let Some(deletions) = decided.deletions.clone() {
        let hash = desired.hash.clone();
        let all_approved = departed.iter().all(|one| {
            one.uid
                .as_ref()
                .is_none_or(|uid| memory.approved.contains(&(one.id.clone(), uid.clone())))
        });
        if all_approved {
            decided = decide(Some(&deletions));
        } else if let Some(approval) = approval(pass, commit, |spec| {
            spec.deletions == deletions && spec.hash == hash
        }) {
            match use_approval(pass, &approval, &deletions).await {
                Ok(()) => {
                    memory.approved_by = Some(approval.spec.by.clone());
                    pass.report.approved_by.clone_from(&memory.approved_by);
                    memory.approved = departed
                        .iter()
                        .filter_map(|one| Some((one.id.clone(), one.uid.clone()?)))
                        .collect();
                    decided = decide(Some(&deletions));
                }
                Err(message) => pass.stop("ApprovalFailed", message),
            }
        }
    }
    let Gate {
        delete,
        held,
        deletions,
        forget,
        ..
    } = decided;
    pass.report.deletions = deletions;
    pass.report
        .held
        .extend(held.into_iter().map(|held| HeldObject {
            object: held.id.to_string(),
            action: "delete".to_owned(),
            reason: held.reason,
        }));
    if let Some(inventory) = &mut memory.inventory {
        for id in &forget {
            inventory.entries.remove(id);
        }
    }
    delete_all(pass, memory, &delete, "Git no longer has it").await;
    memory.inventory.as_ref().is_none_or(|inventory| {
        departed
            .iter()
            .all(|one| !inventory.entries.contains_key(&one.id))
    })
}

async fn delete_all(pass: &mut Pass<'_>, memory: &mut Memory, delete: &[Departed], why: &str) {
    let kinds = pass.context.cluster.kinds().await;
    for one in delete {
        if !pass.context.leadership.is_valid() {
            pass.stop(
                "NotLeading",
                "this replica may no longer lead; nothing more is deleted",
            );
            return;
        }
        let (LiveState::Present(object), Some(uid)) = (&one.live, &one.uid) else {
            continue;
        };
        if object.at("/metadata/deletionTimestamp").is_some() {
            // Asked for already; its finalizers are at work.
            pass.due(std::time::Instant::now() + std::time::Duration::from_secs(5));
            continue;
        }
        let resource_version = object
            .at("/metadata/resourceVersion")
            .and_then(serde_json::Value::as_str);
        let deleted = pass
            .context
            .cluster
            .delete(
                &kinds,
                &pass.identity,
                &one.id,
                &one.version,
                uid,
                resource_version,
                "Background",
            )
            .await;
        if let Err(error) = deleted {
            // One unexpected answer stops the rest: the next pass looks again.
            pass.stop("PruneFailed", error.to_string());
            return;
        }
        tracing::info!(environment = memory.owner.name, object = %one.id, why, "deleted");
        pass.context.metrics.deleted(&memory.owner.name);
        pass.events.push((
            false,
            "Pruned",
            "Delete",
            format!("{} was deleted: {why}", one.id),
        ));
        match pass
            .context
            .cluster
            .observe(&kinds, &one.id, &one.version, false)
            .await
        {
            LiveState::Absent => {
                if let Some(inventory) = &mut memory.inventory {
                    inventory.entries.remove(&one.id);
                }
                memory.approved.remove(&(one.id.clone(), uid.clone()));
            }
            // It shrinks only after a confirmed delete.
            _ => pass.due(std::time::Instant::now() + std::time::Duration::from_secs(2)),
        }
    }
}

/// What of an inventory is no longer desired, read anew.
pub(super) async fn everything(pass: &Pass<'_>, memory: &Memory) -> Vec<Departed> {
    let kinds = pass.context.cluster.kinds().await;
    let mut all = Vec::new();
    for (id, entry) in memory
        .inventory
        .iter()
        .flat_map(|inventory| &inventory.entries)
    {
        let live = pass
            .context
            .cluster
            .observe(&kinds, id, &entry.version, false)
            .await;
        all.push(Departed::new(id, entry, live, &memory.owner));
    }
    all
}
