//! prune: what Git no longer has, behind the gate; and the approvals that open it.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};

use super::apply::Done;
use super::rollout::Rolling;
use super::{Memory, Pass, rollout};
use crate::api::{Approval, ApprovalSpec, ApprovalStatus, HeldObject};
use crate::desired::{Desired, Kinds};
use crate::object::Id;
use crate::plan::{Action, Departed, LiveState, Plan};
use crate::prune::{Evidence, Gate, GatePurpose, gate, is_protected};

/// The name of the ValidatingAdmissionPolicy that pins who approves, and of its binding.
const POLICY: &str = "driftless-approvals";

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

/// A valid, unused Approval of this commit that fits.
pub(super) fn approval(
    pass: &Pass<'_>,
    commit: &str,
    fits: impl Fn(&ApprovalSpec) -> bool,
) -> Option<Arc<Approval>> {
    let uid = pass.environment.metadata.uid.as_deref();
    let name = pass.environment.name_any();
    pass.context.approvals.state().into_iter().find(|approval| {
        let spec = &approval.spec;
        approval.namespace().as_deref() == Some(pass.namespace())
            && spec.environment == name
            && Some(spec.environment_uid.as_str()) == uid
            && spec.commit == commit
            && spec.expires.0 > pass.now
            && approval.metadata.deletion_timestamp.is_none()
            && approval
                .status
                .as_ref()
                .is_none_or(|status| status.used_at.is_none())
            && fits(spec)
    })
}

/// Who admitted this revision: its approval was used when its rollouts began.
pub(super) fn approver(pass: &Pass<'_>, commit: &str) -> Option<String> {
    let uid = pass.environment.metadata.uid.as_deref();
    let approvals = pass.context.approvals.state();
    let used = approvals.iter().find(|approval| {
        let admitted = approval.status.as_ref();
        approval.namespace().as_deref() == Some(pass.namespace())
            && Some(approval.spec.environment_uid.as_str()) == uid
            && approval.spec.commit == commit
            && admitted.is_some_and(|status| status.admitted.as_deref() == Some("revision"))
    })?;
    Some(used.spec.by.clone())
}

/// Writes the use of an approval before what it admits is done. Without the policy that pins who approves, none counts.
pub(super) async fn use_approval(
    pass: &mut Pass<'_>,
    approval: &Approval,
    admitted: &str,
) -> Result<(), String> {
    let client = pass.context.cluster.client();
    policy_is_there(&client).await?;
    let mut used = approval.clone();
    used.metadata.managed_fields = None;
    used.status = Some(ApprovalStatus {
        used_at: Some(Time(Timestamp::now())),
        admitted: Some(admitted.to_owned()),
    });
    let api: Api<Approval> = Api::namespaced(client, pass.namespace());
    api.replace_status(&approval.name_any(), &PostParams::default(), &used)
        .await
        .map_err(|error| format!("cannot use the Approval {}: {error}", approval.name_any()))?;
    let what = format!(
        "{} by {} admits {admitted} of {}",
        approval.name_any(),
        approval.spec.by,
        approval.spec.commit
    );
    pass.events.push((false, "Approved", "Approve", what));
    Ok(())
}

async fn policy_is_there(client: &Client) -> Result<(), String> {
    let missing = |what: &str, error: kube::Error| {
        format!(
            "no Approval is accepted while the {what} {POLICY} is not there, which pins who approves: {error}"
        )
    };
    Api::<ValidatingAdmissionPolicy>::all(client.clone())
        .get(POLICY)
        .await
        .map_err(|error| missing("ValidatingAdmissionPolicy", error))?;
    Api::<ValidatingAdmissionPolicyBinding>::all(client.clone())
        .get(POLICY)
        .await
        .map_err(|error| missing("ValidatingAdmissionPolicyBinding", error))?;
    Ok(())
}

/// Why an object could not be replaced.
pub(super) enum NotReplaced {
    Held(String),
    Failed(String),
}

/// Deletes an object whose immutable fields changed, once its replacement has passed admission; the next pass creates it.
pub(super) async fn replace(
    pass: &Pass<'_>,
    kinds: &Kinds,
    action: &Action,
) -> Result<(), NotReplaced> {
    let failed = |error: crate::cluster::ClusterError| NotReplaced::Failed(error.to_string());
    let cluster = &pass.context.cluster;
    cluster
        .try_create(kinds, &pass.identity, &action.body)
        .await
        .map_err(failed)?;
    let object = match cluster
        .observe(kinds, &action.id, action.body.version(), false)
        .await
    {
        LiveState::Present(object) => object,
        LiveState::Absent => return Ok(()),
        LiveState::Unknown(message) => return Err(NotReplaced::Failed(message)),
        LiveState::AsApplied => return Err(NotReplaced::Failed("it was not read".to_owned())),
    };
    if is_protected(&action.id, &pass.environment.spec.prune.protect)
        && action.id.kind != "StatefulSet"
    {
        return Err(NotReplaced::Held(format!(
            "an immutable field changed, and a {} is not deleted without a person's word",
            action.id.kind
        )));
    }
    // The pods, and with them the volumes, of a StatefulSet stay; its successor takes them over.
    let propagation = if action.id.kind == "StatefulSet" {
        "Orphan"
    } else {
        "Background"
    };
    cluster
        .delete(
            kinds,
            &pass.identity,
            &action.id,
            action.body.version(),
            object.uid().unwrap_or_default(),
            None,
            propagation,
        )
        .await
        .map_err(failed)
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
