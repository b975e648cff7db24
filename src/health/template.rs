//! Which pods come from the newest template of a workload: only those may condemn it. Must not judge them.

use super::read::{count, flag, int, list, str_of, text};
use crate::object::Object;

/// Whether `owner` owns the object, as a controller does.
pub(super) fn owned_by(object: &Object, owner: &Object) -> bool {
    let Some(uid) = owner.uid().filter(|uid| !uid.is_empty()) else {
        return false;
    };
    list(object.at("/metadata/ownerReferences")).any(|reference| str_of(reference, "uid") == uid)
}

/// The `ReplicaSet` of a Deployment's newest template. None while the Deployment's controller has not seen the newest
/// generation, or is paused: the revision it names is that of an older template then.
pub(super) fn newest_replica_set<'a>(
    deployment: &Object,
    replica_sets: &'a [Object],
) -> Option<&'a Object> {
    const REVISION: &str = "deployment.kubernetes.io/revision";
    if flag(deployment, "/spec/paused") || !observed(deployment) {
        return None;
    }
    let revision = deployment.annotation(REVISION)?;
    replica_sets
        .iter()
        .filter(|set| owned_by(set, deployment) && set.annotation(REVISION) == Some(revision))
        .max_by_key(|set| text(set, "/metadata/creationTimestamp"))
}

/// The pods of the newest template that are not being deleted.
pub(super) fn newest_pods<'a>(
    workload: &Object,
    pods: &'a [Object],
    replica_sets: &[Object],
) -> Vec<&'a Object> {
    let owned = |owner: &Object| -> Vec<&'a Object> {
        pods.iter()
            .filter(|pod| is_living(pod))
            .filter(|pod| owned_by(pod, owner))
            .collect()
    };
    match (workload.group(), workload.kind()) {
        ("apps", "Deployment") => newest_replica_set(workload, replica_sets)
            .map(owned)
            .unwrap_or_default(),
        ("apps", "StatefulSet") => {
            let revision = text(workload, "/status/updateRevision");
            if revision.is_empty() || !observed(workload) {
                return Vec::new();
            }
            let mut owned = owned(workload);
            owned.retain(|pod| pod.label(REVISION_HASH) == Some(revision));
            owned
        }
        ("apps", "DaemonSet") if observed(workload) => {
            newest_of_daemon_set(workload, owned(workload))
        }
        ("apps", "ReplicaSet") | ("batch", "Job") | ("", "ReplicationController") => {
            owned(workload)
        }
        _ => Vec::new(),
    }
}

/// The pods of a `StatefulSet` that are of an older template and in the way of the newest one: it replaces its pods one by
/// one, and waits for each that is not ready, even where the newest template would mend it.
pub(super) fn older_pods<'a>(workload: &Object, pods: &'a [Object]) -> Vec<&'a Object> {
    let revision = text(workload, "/status/updateRevision");
    let waits = (workload.group(), workload.kind()) == ("apps", "StatefulSet")
        && text(workload, "/spec/podManagementPolicy") != "Parallel"
        && text(workload, "/spec/updateStrategy/type") != "OnDelete"
        && !revision.is_empty()
        && observed(workload);
    pods.iter()
        .filter(|pod| waits && is_living(pod) && owned_by(pod, workload))
        .filter(|pod| pod.label(REVISION_HASH) != Some(revision))
        .collect()
}

fn is_living(pod: &Object) -> bool {
    pod.at("/metadata/deletionTimestamp")
        .is_none_or(serde_json::Value::is_null)
}

const REVISION_HASH: &str = "controller-revision-hash";

/// A `DaemonSet` counts its templates. A pod that a return to an older template kept carries that one's count, but the
/// revision of the pods made since. Where pods carry no count, the newest pod's revision decides.
fn newest_of_daemon_set<'a>(workload: &Object, mut owned: Vec<&'a Object>) -> Vec<&'a Object> {
    const COUNT: &str = "pod-template-generation";
    let current = workload.annotation("deprecated.daemonset.template.generation");
    let made_now = |pod: &&&Object| match (pod.label(COUNT), current) {
        (Some(count), Some(current)) => count == current,
        _ => false,
    };
    let counted = owned.iter().any(|pod| pod.label(COUNT).is_some()) && current.is_some();
    let reference = if counted {
        owned.iter().find(made_now).copied()
    } else {
        owned
            .iter()
            .max_by_key(|pod| text(pod, "/metadata/creationTimestamp"))
            .copied()
    };
    let Some(hash) = reference.map(|pod| pod.label(REVISION_HASH)) else {
        return Vec::new();
    };
    owned.retain(|pod| pod.label(REVISION_HASH) == hash);
    owned
}

/// Whether the controller has seen the newest generation.
fn observed(workload: &Object) -> bool {
    int(workload, "/metadata/generation")
        .is_none_or(|generation| generation <= count(workload, "/status/observedGeneration"))
}
