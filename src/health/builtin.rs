//! The rules of Kubernetes' own kinds that run no pods, and the list of kinds whose existence alone is health.

use super::read::{condition, text};
use super::{Health, Reason};
use crate::object::Object;

/// The groups whose kinds are Kubernetes' own: without a rule here or in [`super::workloads`], existence is health.
const GROUPS: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
    "internal.apiserver.k8s.io",
];

/// Whether the kind is one of Kubernetes' own without a rule. Among them, on purpose: Ingress, whose address many
/// controllers never report; `PodDisruptionBudget`, which pods that are still starting violate for a moment; `CronJob`, whose
/// Jobs are not part of the revision.
pub(super) fn existence_is_health(group: &str, kind: &str) -> bool {
    // A policy is read, and has no status of its own.
    (group, kind) == ("driftless.dev", "RolloutPolicy")
        || GROUPS.contains(&group) && rule(group, kind).is_none()
}

type Rule = fn(&Object) -> Health;

/// The rule of one of Kubernetes' own kinds.
pub(super) fn rule(group: &str, kind: &str) -> Option<Rule> {
    use super::workloads::{daemon_set, deployment, job, pod, replica_set, stateful_set};
    let rule: Rule = match (group, kind) {
        ("apps", "Deployment") => deployment,
        ("apps", "StatefulSet") => stateful_set,
        ("apps", "DaemonSet") => daemon_set,
        ("apps", "ReplicaSet") | ("", "ReplicationController") => replica_set,
        ("batch", "Job") => job,
        ("", "Pod") => pod,
        ("", "PersistentVolumeClaim") => claim,
        ("", "PersistentVolume") => volume,
        ("", "Service") => service,
        ("", "Node") => node,
        ("", "Namespace") => namespace,
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition,
        ("apiregistration.k8s.io", "APIService") => api_service,
        _ => return None,
    };
    Some(rule)
}

fn waits(reason: Reason, message: impl Into<String>) -> Health {
    Health::InProgress {
        reason,
        message: message.into(),
    }
}

/// A pending claim is healthy until a node was chosen for its pod. Whether its class waits for the first consumer is not
/// in the claim, and a wave that waited for a claim whose consumer comes in the next one would wait forever. Nothing is
/// lost: a claim that somebody needs and nobody provides keeps its pods unschedulable, and those say so.
fn claim(object: &Object) -> Health {
    match text(object, "/status/phase") {
        "Lost" => Health::Failed {
            reason: Reason::VolumeLost,
            message: format!(
                "its volume {} no longer exists",
                text(object, "/spec/volumeName")
            ),
        },
        "Bound" => Health::Current,
        _ => match object.annotation("volume.kubernetes.io/selected-node") {
            Some(node) => waits(
                Reason::ProvisioningPending,
                format!("waits for its volume on node {node}"),
            ),
            None => Health::Current,
        },
    }
}

fn volume(object: &Object) -> Health {
    if text(object, "/status/phase") == "Failed" {
        return Health::Failed {
            reason: Reason::VolumeLost,
            message: super::read::cut(text(object, "/status/message")),
        };
    }
    Health::Current
}

fn service(object: &Object) -> Health {
    let has_address = super::read::list(object.at("/status/loadBalancer/ingress"))
        .next()
        .is_some();
    if text(object, "/spec/type") == "LoadBalancer" && !has_address {
        return waits(
            Reason::LoadBalancerPending,
            "no address was assigned to its load balancer yet",
        );
    }
    Health::Current
}

fn node(object: &Object) -> Health {
    match condition(object, "Ready") {
        Some(ready) if ready.is_true() => Health::Current,
        Some(ready) => waits(Reason::NotReady, ready.words()),
        None => waits(Reason::NotReady, "it has not registered yet"),
    }
}

fn namespace(object: &Object) -> Health {
    if text(object, "/status/phase") == "Terminating" {
        return Health::Terminating;
    }
    Health::Current
}

/// Only a missing target counts. An autoscaler without metrics keeps its workload within `minReplicas` and `maxReplicas`,
/// and clusters without a metrics server are common.
fn autoscaler(object: &Object) -> Health {
    match condition(object, "AbleToScale") {
        Some(able) if able.is_false() && able.reason == "FailedGetScale" => {
            waits(Reason::FailedGetScale, able.words())
        }
        _ => Health::Current,
    }
}

fn definition(object: &Object) -> Health {
    if let Some(names) = condition(object, "NamesAccepted")
        && names.is_false()
    {
        return Health::Failed {
            reason: Reason::NamesNotAccepted,
            message: names.words(),
        };
    }
    match condition(object, "Established") {
        Some(established) if established.is_true() => Health::Current,
        Some(established) => waits(Reason::NotEstablished, established.words()),
        None => waits(
            Reason::NotEstablished,
            "the API server has not looked at it yet",
        ),
    }
}

fn api_service(object: &Object) -> Health {
    match condition(object, "Available") {
        Some(available) if available.is_true() => Health::Current,
        Some(available) => waits(Reason::APIUnavailable, available.words()),
        None => waits(
            Reason::APIUnavailable,
            "the API server has not looked at it yet",
        ),
    }
}
