//! What a rollout makes beside what Git has: its names, and whether they are free.

use super::{Policy, Strategy, stable_services};
use crate::desired::Desired;
use crate::object::Id;
use crate::rollout::names::{canary_of, preview_name};
use crate::rollout::traffic::Router;

/// What of Git's own stands where the rollout's parts would.
pub(super) fn collisions(policy: &Policy, desired: &Desired) -> Vec<String> {
    parts(policy, desired)
        .into_iter()
        .filter(|id| desired.contains(id))
        .map(|id| format!("Git has {id}, which is the name of a part of the rollout"))
        .collect()
}

/// What of them has a name that the API server refuses.
pub(super) fn too_long(policy: &Policy, desired: &Desired) -> Vec<String> {
    parts(policy, desired)
        .into_iter()
        .filter_map(|id| {
            let most = if id.kind == "Service" { 63 } else { 253 };
            let length = id.name.len();
            (length > most).then(|| {
                format!("{id} would be a part of the rollout; its name has {length} characters, of at most {most}")
            })
        })
        .collect()
}

/// What the rollout makes beside what Git has, configuration apart.
pub fn parts(policy: &Policy, desired: &Desired) -> Vec<Id> {
    let services = || stable_services(policy, desired).map(|service| service.id.clone());
    let mut parts = Vec::new();
    if policy.strategy != Strategy::Partition {
        parts.push(canary_of(&policy.workload));
    }
    if let Strategy::BlueGreen { preview: None, .. } = policy.strategy {
        parts.extend(services().map(|id| Id {
            name: preview_name(&id.name),
            ..id
        }));
    }
    if let Some(traffic) = &policy.traffic {
        parts.extend(services().map(|id| canary_of(&id)));
        parts.extend(Router::of(traffic).and_then(|router| router.beside(&policy.workload)));
    }
    parts
}
