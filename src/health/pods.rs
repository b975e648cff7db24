//! What is wrong with a workload's pods, by name and within seconds. Must look only at pods of the newest template, and
//! must never take over what a container printed.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Reason;
use super::read::{Condition, condition, cut, list, str_of, text, time};
use super::template::{newest_pods, newest_replica_set, older_pods};
use crate::object::Object;

mod container;

/// One thing that is wrong with a pod, or with the making of pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The pod's name; empty where no pod could be made.
    pub pod: String,
    /// The container, where one is at fault.
    pub container: Option<String>,
    pub reason: Reason,
    pub message: String,
    pub gravity: Gravity,
    /// Since when, as far as the pod tells.
    pub since: Option<Timestamp>,
}

/// What a finding means for the revision. The greater is the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// It is only named.
    Named,
    /// It can heal by itself: somebody else may push the image, add a node, make the Secret.
    Waiting,
    /// It cannot heal without a change of the workload.
    Verdict,
}

/// How long a start may take before it is named as slow.
pub(super) const SLOW: SignedDuration = SignedDuration::from_secs(15);
/// How long a container has to run after a crash before the crash is history.
pub(super) const STEADY: SignedDuration = SignedDuration::from_secs(30);

/// What is wrong with the pods of the workload's newest template, the worst first. A Pod is its own workload.
/// `replica_sets` is needed for Deployments only; more pods and sets than the workload's own do no harm.
pub fn findings(
    workload: &Object,
    pods: &[Object],
    replica_sets: &[Object],
    now: Timestamp,
) -> Vec<Finding> {
    let is_job = workload.kind() == "Job";
    let mut found: Vec<Finding> = refused_creation(workload, replica_sets)
        .into_iter()
        .collect();
    if workload.group().is_empty() && workload.kind() == "Pod" {
        of_pod(workload, is_job, now, &mut found);
    }
    for pod in newest_pods(workload, pods, replica_sets) {
        of_pod(pod, is_job, now, &mut found);
    }
    for pod in older_pods(workload, pods) {
        found.extend(blocks(pod, now));
    }
    found.sort_by(|a, b| (b.gravity, &a.pod, &a.container).cmp(&(a.gravity, &b.pod, &b.container)));
    found
}

/// Why a pod ended for good.
pub(super) fn why_failed(pod: &Object) -> (Reason, String) {
    let reason = match text(pod, "/status/reason") {
        "Evicted" => Reason::Evicted,
        "DeadlineExceeded" => Reason::DeadlineExceeded,
        _ => Reason::PodFailed,
    };
    let words = [text(pod, "/status/message"), text(pod, "/status/reason")]
        .into_iter()
        .find(|words| !words.is_empty());
    let message = words.map_or_else(
        || container::exits(pod).unwrap_or_else(|| "it ended".to_owned()),
        cut,
    );
    (reason, message)
}

/// A pod of an older template that will not become ready, so that it is never replaced. The newest template is not at
/// fault, and no other one would help.
fn blocks(pod: &Object, now: Timestamp) -> Option<Finding> {
    let mut trouble = Vec::new();
    of_pod(pod, false, now, &mut trouble);
    let first = trouble.into_iter().next()?;
    Some(Finding {
        message: cut(&format!(
            "it is of an older template and not ready ({}), and is not replaced until it is; delete it",
            first.reason
        )),
        reason: Reason::RolloutBlocked,
        gravity: Gravity::Named,
        ..first
    })
}

fn of_pod(pod: &Object, is_job: bool, now: Timestamp, found: &mut Vec<Finding>) {
    let name = pod.name();
    let mut of_whole_pod = |reason, message, gravity, since| {
        found.push(Finding {
            pod: name.to_owned(),
            container: None,
            reason,
            message,
            gravity,
            since,
        });
    };
    match text(pod, "/status/phase") {
        "Succeeded" => return,
        // Its controller has put another in its place, or counts it (a Job).
        "Failed" if !is_job || !text(pod, "/status/reason").is_empty() => {
            let (reason, message) = why_failed(pod);
            of_whole_pod(reason, message, Gravity::Named, None);
            return;
        }
        _ => {}
    }
    if let Some(scheduled) = condition(pod, "PodScheduled")
        && scheduled.is_false()
    {
        let reason = match scheduled.reason {
            "SchedulingGated" => Reason::SchedulingGated,
            _ => Reason::Unschedulable,
        };
        of_whole_pod(reason, scheduled.words(), Gravity::Waiting, scheduled.since);
        return;
    }
    let before = found.len();
    for (group, specs) in [
        ("/status/initContainerStatuses", "/spec/initContainers"),
        ("/status/containerStatuses", "/spec/containers"),
    ] {
        for status in list(pod.at(group)) {
            let name = str_of(status, "name");
            let spec = list(pod.at(specs)).find(|spec| str_of(spec, "name") == name);
            let container = container::Container {
                pod,
                status,
                spec,
                is_job,
                is_init: group.contains("init"),
            };
            found.extend(container.finding(now));
        }
    }
    if found.len() == before {
        found.extend(slow_start(pod, now));
    }
}

/// A pod that has waited long, and no condition says for what: for a node whose driver makes its volume, or on its node
/// for what it mounts, or for its network. Only Events say which, so the candidates are named.
fn slow_start(pod: &Object, now: Timestamp) -> Option<Finding> {
    if text(pod, "/status/phase") != "Pending" {
        return None;
    }
    let has_node = !text(pod, "/spec/nodeName").is_empty();
    let sandbox = condition(pod, "PodReadyToStartContainers");
    let since = match sandbox {
        Some(sandbox) if sandbox.is_true() => return None,
        Some(sandbox) => sandbox.since.or_else(|| started(pod)),
        None => started(pod),
    }?;
    if now.duration_since(since) < SLOW {
        return None;
    }
    let waits = if has_node {
        "its volumes or its network are not ready"
    } else {
        "no node was chosen yet"
    };
    let mounts = mounts(pod);
    Some(Finding {
        pod: pod.name().to_owned(),
        container: None,
        reason: if has_node {
            Reason::ContainerCreating
        } else {
            Reason::Unschedulable
        },
        message: cut(&if mounts.is_empty() {
            waits.to_owned()
        } else {
            format!("{waits}; it mounts {}", mounts.join(", "))
        }),
        gravity: Gravity::Waiting,
        since: Some(since),
    })
}

/// The config maps, secrets and claims that a pod cannot start without.
fn mounts(pod: &Object) -> Vec<String> {
    let mut named = Vec::new();
    for volume in list(pod.at("/spec/volumes")) {
        let projected = volume.get("projected").and_then(|it| it.get("sources"));
        for source in std::iter::once(volume).chain(list(projected)) {
            for (key, field, kind) in [
                ("configMap", "name", "ConfigMap"),
                ("secret", "secretName", "Secret"),
                ("secret", "name", "Secret"),
                (
                    "persistentVolumeClaim",
                    "claimName",
                    "PersistentVolumeClaim",
                ),
            ] {
                let Some(source) = source.get(key) else {
                    continue;
                };
                let optional = source.get("optional").and_then(Value::as_bool) == Some(true);
                let name = str_of(source, field);
                // Every pod mounts this one, and every namespace has it.
                if !optional && !name.is_empty() && name != "kube-root-ca.crt" {
                    named.push(format!("{kind} {name}"));
                }
            }
        }
    }
    named
}

/// The API server refuses the pods: only replica sets report it in a condition, and Deployments copy it, from an old set
/// too. So the newest set's word counts where there is one.
fn refused_creation(workload: &Object, replica_sets: &[Object]) -> Option<Finding> {
    let newest = match workload.kind() {
        "Deployment" => newest_replica_set(workload, replica_sets),
        _ => None,
    };
    let failure =
        condition(newest.unwrap_or(workload), "ReplicaFailure").filter(Condition::is_true)?;
    let forbidden = failure.message;
    let reason = if forbidden.contains("exceeded quota") || forbidden.contains("failed quota") {
        Reason::ExceededQuota
    } else {
        Reason::FailedCreate
    };
    // What the template says against the namespace's level or the schema changes only with the template.
    let cannot_heal = (newest.is_some() || workload.kind() != "Deployment")
        && (forbidden.contains("violates PodSecurity") || forbidden.contains(" is invalid: "));
    Some(Finding {
        pod: String::new(),
        container: None,
        reason,
        message: failure.words(),
        gravity: if cannot_heal {
            Gravity::Verdict
        } else {
            Gravity::Waiting
        },
        since: failure.since,
    })
}

/// When the kubelet took the pod, else when it was made.
fn started(pod: &Object) -> Option<Timestamp> {
    time(pod.at("/status/startTime")).or_else(|| time(pod.at("/metadata/creationTimestamp")))
}
