//! Why a workload cannot be rolled out: what its own manifest says. Must not look at anything beside it.

use serde_json::Value;

use super::{Policy, Strategy};
use crate::object::Object;

/// Why a policy that names a workload of this kind cannot be followed; `None` where the kind is not at fault.
pub(super) fn kind(policy: &Object) -> Option<String> {
    let kind = policy.at("/spec/workload/kind").and_then(Value::as_str)?;
    match kind {
        "Deployment" | "StatefulSet" => None,
        "DaemonSet" => Some(
            "spec.workload.kind: a DaemonSet cannot be rolled out: it has one pod on each node, so that neither a second set of pods nor a partition of them is possible; Deployment and StatefulSet can".to_owned(),
        ),
        other => Some(format!(
            "spec.workload.kind: {other} cannot be rolled out; Deployment and StatefulSet can"
        )),
    }
}

/// Why two versions of this workload's pods cannot run side by side.
pub(super) fn unsuitable(policy: &Policy, workload: &Object) -> Vec<String> {
    let mut reasons = match policy.strategy {
        Strategy::Canary | Strategy::BlueGreen { .. } => of_deployment(workload),
        Strategy::Partition => of_stateful_set(workload),
    };
    if !policy.shared_volumes {
        reasons.extend(of_volumes(workload));
    }
    reasons
}

/// A second set of pods needs what only one set can have.
fn of_deployment(workload: &Object) -> Vec<String> {
    let mut reasons = Vec::new();
    if workload.at("/spec/strategy/type").and_then(Value::as_str) == Some("Recreate") {
        reasons.push("spec.strategy Recreate says that two versions must not run at once; a rollout runs two".to_owned());
    }
    if workload
        .at("/spec/template/spec/hostNetwork")
        .and_then(Value::as_bool)
        == Some(true)
    {
        reasons.push("hostNetwork: two pods of one node would want the same ports".to_owned());
    }
    for containers in ["containers", "initContainers"] {
        for container in workload.list(&format!("/spec/template/spec/{containers}")) {
            for port in container["ports"].as_array().into_iter().flatten() {
                if port["hostPort"].as_u64().is_some_and(|port| port != 0) {
                    reasons.push(format!(
                        "container {}: hostPort {}: two pods of one node would want it",
                        container["name"].as_str().unwrap_or_default(),
                        port["hostPort"]
                    ));
                }
            }
        }
    }
    reasons
}

/// Its pods are replaced where they are: they need nothing twice. But Kubernetes must do it, by the rollout's partition.
fn of_stateful_set(workload: &Object) -> Vec<String> {
    let strategy = |field: &str| workload.at(&format!("/spec/updateStrategy/{field}"));
    let mut reasons = Vec::new();
    if strategy("type").and_then(Value::as_str) == Some("OnDelete") {
        reasons.push("spec.updateStrategy OnDelete: nothing replaces its pods, so that no step would be reached; RollingUpdate does".to_owned());
    }
    if strategy("rollingUpdate/partition")
        .and_then(Value::as_u64)
        .is_some_and(|partition| partition > 0)
    {
        reasons.push("spec.updateStrategy.rollingUpdate.partition is what the rollout writes; take it out of Git".to_owned());
    }
    reasons
}

fn of_volumes(workload: &Object) -> Vec<String> {
    const LIFTED: &str = "spec.sharedVolumes: true says that it is made for that";
    let mut reasons = Vec::new();
    for volume in workload.list("/spec/template/spec/volumes") {
        let name = volume["name"].as_str().unwrap_or_default();
        if !volume["hostPath"].is_null() {
            reasons.push(format!(
                "volume {name}: a hostPath would be shared by both versions; {LIFTED}"
            ));
        }
        let claim = &volume["persistentVolumeClaim"];
        if !claim.is_null() && claim["readOnly"].as_bool() != Some(true) {
            reasons.push(format!(
                "volume {name}: both versions would write to the claim {}; {LIFTED}",
                claim["claimName"].as_str().unwrap_or_default()
            ));
        }
    }
    reasons
}
