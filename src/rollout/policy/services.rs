//! The Services that select a workload's pods: which of them a rollout turns, and which would take its pods all the same.
//! Must not know routes.

use serde_json::Value;

use super::{Policy, Strategy, matches, services};
use crate::desired::{Desired, DesiredObject};
use crate::object::{ENVIRONMENT_LABEL, Object};

/// The Services that give the workload its traffic: all that select its pods, but the one that shows a preview.
pub(in crate::rollout) fn stable_services<'a>(
    policy: &'a Policy,
    desired: &'a Desired,
) -> impl Iterator<Item = &'a DesiredObject> {
    let preview = match &policy.strategy {
        Strategy::BlueGreen { preview, .. } => preview.as_ref(),
        Strategy::Canary | Strategy::Partition => None,
    };
    services(&policy.workload, desired).filter(move |service| Some(&service.id.name) != preview)
}

/// The live Services of the workload's namespace that are not of this environment (`owner`) and select its pods: no weight
/// and no switch would hold for who asks them.
pub fn foreign(policy: &Policy, desired: &Desired, live: &[Object], owner: &str) -> Vec<String> {
    if policy.strategy == Strategy::Partition {
        return Vec::new();
    }
    let labels = desired
        .get(&policy.workload)
        .and_then(|object| object.object.at("/spec/template/metadata/labels"))
        .and_then(Value::as_object);
    let Some(labels) = labels else {
        return Vec::new();
    };
    live.iter()
        .filter(|service| service.label(ENVIRONMENT_LABEL) != Some(owner))
        .filter(|service| {
            // One that this environment is about to adopt is its own.
            let id = service.id();
            !desired.contains(&id)
        })
        .filter(|service| {
            let selector = service.at("/spec/selector").and_then(Value::as_object);
            selector.is_some_and(|selector| matches(selector, labels))
        })
        .map(|service| {
            format!(
                "Service {}/{} selects the pods of {} and is not of this environment: who asks it would meet the change at any weight; bring it to Git beside the workload, narrow its selector, or delete it",
                service.namespace().unwrap_or_default(),
                service.name(),
                policy.workload
            )
        })
        .collect()
}

/// Why the traffic of blue/green cannot be switched.
pub(super) fn unswitchable(policy: &Policy, desired: &Desired) -> Vec<String> {
    let Strategy::BlueGreen { preview, .. } = &policy.strategy else {
        return Vec::new();
    };
    let mut reasons = Vec::new();
    if stable_services(policy, desired).next().is_none() {
        reasons.push(format!(
            "spec.blueGreen: no Service of this environment selects the pods of {}: there is nothing to switch",
            policy.workload
        ));
    }
    if let Some(preview) = preview
        && !services(&policy.workload, desired).any(|service| service.id.name == *preview)
    {
        reasons.push(format!(
            "spec.blueGreen.previewService: Git has no Service {preview} in this environment that selects the pods of {}",
            policy.workload
        ));
    }
    reasons
}
