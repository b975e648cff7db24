//! What is seen of the rollout of a `StatefulSet`, whose pods run both versions; and the pods of a change that was taken
//! back, which Kubernetes would wait for, are deleted.

use serde_json::Value;

use super::super::{Memory, Pass, health};
use super::observe::{Sides, live, number};
use crate::api::{RolloutPhase as Phase, RolloutStatus};
use crate::object::{Id, Object};
use crate::rollout::machine::Side;
use crate::rollout::pods;

/// What the controller calls the template of a pod.
const REVISION_LABEL: &str = "controller-revision-hash";

/// Both sides of one set; `written` says that it is what the record asks for.
pub(super) async fn sides(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    workload: &Id,
    record: &RolloutStatus,
    written: bool,
) -> Sides {
    let Ok(Some(set)) = live(pass, workload, "v1").await else {
        return Sides::default();
    };
    let mut sides = Sides {
        stable: stable(&set),
        ..Sides::default()
    };
    let health = health::side(pass, memory, workload, &set).await;
    let pods = pods_of(pass, memory, workload, &set);
    let (Some(pods), true) = (pods, is_observed(&set)) else {
        return sides;
    };
    let newest = set.at("/status/updateRevision").and_then(Value::as_str);
    let (updated, older): (Vec<Object>, Vec<Object>) = pods
        .into_iter()
        .partition(|pod| pod.label(REVISION_LABEL) == newest);
    match record.phase {
        Phase::Promoting | Phase::Restoring | Phase::Finishing => {
            match health {
                Ok(ready) => sides.stable.ready = ready,
                Err(failure) => sides.stable.failure = Some(failure),
            }
            if written && record.phase == Phase::Restoring {
                sides.stable.ready &= older.is_empty();
                unblock(pass, memory, &older).await;
            }
        }
        Phase::Narrowing | Phase::Aborting | Phase::Removing => {
            if written {
                sides.canary_is_gone = older.is_empty();
                // Before a change was made the older pods are not its own.
                if record.phase != Phase::Narrowing {
                    unblock(pass, memory, &older).await;
                }
            }
        }
        // Until the change is written, the newest template is the stable one.
        _ if !written || newest == record.stable_hash.as_deref() => {}
        _ => {
            sides.canary = Side {
                replicas: number(&set, "/status/updatedReplicas"),
                ..Side::default()
            };
            match health {
                Ok(ready) => sides.canary.ready = ready,
                Err(failure) => sides.canary.failure = Some(failure),
            }
            sides.canary.failure = sides.canary.failure.or_else(|| pods::fault(&updated));
            sides.pods = updated;
        }
    }
    sides
}

/// The set as a whole: its size, and its revision where all of its pods are of one.
pub(super) fn stable(set: &Object) -> Side {
    let is_one = is_observed(set)
        && number(set, "/status/updatedReplicas") == number(set, "/status/replicas");
    let revision = set.at("/status/updateRevision").and_then(Value::as_str);
    let replicas = number(set, "/spec/replicas");
    Side {
        replicas,
        stopped: replicas == 0,
        hash: revision.filter(|_| is_one).map(str::to_owned),
        ..Side::default()
    }
}

fn is_observed(set: &Object) -> bool {
    set.at("/metadata/generation") == set.at("/status/observedGeneration")
}

/// The set's pods; `None` until they are known.
fn pods_of(
    pass: &Pass<'_>,
    memory: &mut Memory,
    workload: &Id,
    set: &Object,
) -> Option<Vec<Object>> {
    let namespace = workload.namespace.as_ref()?;
    let watch = memory
        .pods
        .entry(namespace.clone())
        .or_insert_with(|| pass.context.pods.watch(namespace, &memory.wake));
    let mut pods = watch.pods()?;
    pods.retain(|pod| {
        pod.at("/metadata/ownerReferences/0/uid")
            .and_then(Value::as_str)
            .is_some_and(|uid| Some(uid) == set.uid())
    });
    Some(pods)
}

/// A set with ordered pods replaces none of them while one is not ready, even if that is the one to be replaced. Pods that are
/// ready are left to it: it replaces them one by one.
async fn unblock(pass: &mut Pass<'_>, memory: &Memory, older: &[Object]) {
    let kinds = pass.context.cluster.kinds().await;
    let waiting = older
        .iter()
        .filter(|pod| !is_ready(pod) && pod.at("/metadata/deletionTimestamp").is_none());
    for pod in waiting {
        if !pass.context.leadership.is_valid() {
            pass.stop(
                "NotLeading",
                "this replica may no longer lead; nothing more is deleted",
            );
            return;
        }
        let id = pod.id();
        let uid = pod.uid().unwrap_or_default();
        let deleted = pass
            .context
            .cluster
            .delete(&kinds, &pass.identity, &id, "v1", uid, None, "Background")
            .await;
        if let Err(error) = deleted {
            pass.stop("PodNotDeleted", error.to_string());
            return;
        }
        tracing::info!(environment = memory.owner.name, pod = %id, "a pod of a change that was taken back was deleted");
        pass.events.push((
            true,
            "PodDeleted",
            "Delete",
            format!("{id} was deleted: it is not ready, is not of the template that its set has now, and the set would wait for it forever"),
        ));
    }
}

fn is_ready(pod: &Object) -> bool {
    let conditions = pod.at("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
