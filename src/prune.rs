//! The gate that every deletion passes. Must not delete anything: it only says what may go, what is held, and why.

use std::collections::BTreeSet;

use crate::api::PruneSpec;
use crate::desired::{Desired, stage};
use crate::inventory::{Inventory, deletions_hash};
use crate::object::{Id, WAVE_ANNOTATION};
use crate::plan::{Departed, LiveState};

/// So many objects may go in one revision whatever share of the inventory they are.
const ALWAYS: usize = 5;

/// Kinds whose deletion takes more with it than an object.
const PROTECTED: [(&str, &str); 10] = [
    ("", "Namespace"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("apps", "StatefulSet"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("storage.k8s.io", "StorageClass"),
    ("apiregistration.k8s.io", "APIService"),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
    ),
    ("driftless.dev", "Environment"),
];

/// What is known of the revision before anything of it may be deleted.
#[derive(Clone, Copy, Debug)]
pub struct Evidence {
    /// Everything of it was applied.
    pub applied: bool,
    /// And is healthy.
    pub healthy: bool,
    /// It does not contain the revision before it.
    pub rewritten: bool,
    /// The inventory was recorded, or has seen a healthy pass since it was rebuilt.
    pub inventory_trusted: bool,
}

/// What for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatePurpose {
    /// Git no longer has the objects.
    Prune,
    /// Their Environment is being deleted.
    DeleteEnvironment,
}

/// An object that is not deleted, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldDeletion {
    pub id: Id,
    pub reason: String,
}

/// What may go.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// In the order in which they are to be deleted.
    pub delete: Vec<Departed>,
    pub held: Vec<HeldDeletion>,
    /// The hash of what is held: an approval that names it opens the gate.
    pub deletions: Option<String>,
    /// What leaves the inventory without being deleted: it is gone, somebody else's, or says `driftless.dev/prune: never`.
    pub forget: Vec<Id>,
    /// The evidence is not there yet.
    pub wait: bool,
}

/// Decides on everything that departed. `approved` is the hash of the deletions that a valid approval names.
pub fn gate(
    departed: &[Departed],
    desired: &Desired,
    inventory: &Inventory,
    policy: &PruneSpec,
    evidence: Evidence,
    approved: Option<&str>,
    purpose: GatePurpose,
) -> Gate {
    let mut gate = Gate::default();
    let Evidence {
        applied,
        healthy,
        rewritten,
        inventory_trusted,
    } = evidence;
    if !(applied && healthy && inventory_trusted)
        || (!policy.enabled && purpose == GatePurpose::Prune)
    {
        gate.wait = true;
        return gate;
    }
    let mut candidates: Vec<&Departed> = Vec::new();
    for one in departed.iter().filter(|one| !desired.contains(&one.id)) {
        match &one.live {
            LiveState::Absent => gate.forget.push(one.id.clone()),
            LiveState::Present(_) if !one.owned || one.prune_never => {
                gate.forget.push(one.id.clone());
            }
            LiveState::Present(_) => candidates.push(one),
            // What could not be read is not known to be ours any more, nor to be gone.
            LiveState::Unknown(_) | LiveState::AsApplied => gate.wait = true,
        }
    }
    if gate.wait {
        // The limits are for the whole set: in parts it would pass them.
        return gate;
    }
    let whole = whole(&candidates, desired, inventory, policy, rewritten, purpose);
    let mut held: Vec<(&Departed, String)> = Vec::new();
    for one in &candidates {
        let reason = whole
            .clone()
            .or_else(|| alone(&one.id, &candidates, policy));
        match reason {
            Some(reason) => held.push((one, reason)),
            None => gate.delete.push((*one).clone()),
        }
    }
    if !held.is_empty() {
        let hash = deletions_hash(
            held.iter()
                .map(|(one, _)| (&one.id, one.uid.as_deref().unwrap_or_default())),
        );
        if approved == Some(hash.as_str()) {
            gate.delete
                .extend(held.into_iter().map(|(one, _)| one.clone()));
        } else {
            gate.held = held
                .into_iter()
                .map(|(one, reason)| HeldDeletion {
                    id: one.id.clone(),
                    reason,
                })
                .collect();
            gate.deletions = Some(hash);
        }
    }
    gate.delete
        .sort_by(|one, other| order(other).cmp(&order(one)));
    gate
}

/// As it was applied: by stage, wave and identity.
fn order(departed: &Departed) -> (i32, i32, &Id) {
    let wave = match &departed.live {
        LiveState::Present(object) => object
            .annotation(WAVE_ANNOTATION)
            .and_then(|wave| wave.parse().ok()),
        _ => None,
    };
    let id = &departed.id;
    (stage(&id.group, &id.kind), wave.unwrap_or_default(), id)
}

/// Why nothing of the set may go.
fn whole(
    candidates: &[&Departed],
    desired: &Desired,
    inventory: &Inventory,
    policy: &PruneSpec,
    rewritten: bool,
    purpose: GatePurpose,
) -> Option<String> {
    if candidates.is_empty() {
        return None;
    }
    if purpose == GatePurpose::Prune && desired.is_empty() {
        return Some(
            "nothing is desired any more: an empty render deletes nothing without approval"
                .to_owned(),
        );
    }
    if rewritten {
        return Some("the revision does not contain the one before it: after a history rewrite nothing is deleted without approval".to_owned());
    }
    let all = inventory.before.unwrap_or(inventory.entries.len());
    let successors = successors(desired);
    let count = candidates
        .iter()
        .filter(|one| rotating(&one.id).is_none_or(|base| !successors.contains(&base)))
        .count();
    if count * 2 > all {
        return Some(format!("{count} of {all} objects would go, more than half"));
    }
    let percent: usize = policy.limit.trim_end_matches('%').parse().unwrap_or(0);
    let limit = (all * percent.min(100) / 100).max(ALWAYS);
    (count > limit).then(|| {
        format!(
            "{count} of {all} objects would go, more than {limit} (spec.prune.limit: {}, or {ALWAYS})",
            policy.limit
        )
    })
}

/// Kind, namespace and base name of a ConfigMap or Secret whose name ends in a hash of its content, as kustomize makes
/// them: with the next content comes the next name, and the one before is not lost but replaced.
fn rotating(id: &Id) -> Option<(&str, Option<&str>, &str)> {
    let (base, hash) = id.name.rsplit_once('-')?;
    let is_hash = hash.len() == 10 && hash.chars().all(|c| "2456789bcdfghkmt".contains(c));
    let is_generated = id.group.is_empty() && matches!(id.kind.as_str(), "ConfigMap" | "Secret");
    (is_hash && is_generated).then_some((&id.kind, id.namespace.as_deref(), base))
}

fn successors(desired: &Desired) -> BTreeSet<(&str, Option<&str>, &str)> {
    desired
        .objects
        .iter()
        .filter_map(|object| rotating(&object.id))
        .collect()
}

/// Why this one may not go.
fn alone(id: &Id, candidates: &[&Departed], policy: &PruneSpec) -> Option<String> {
    if is_protected(id, &policy.protect) {
        return Some(format!("a {} is not deleted without approval", id.kind));
    }
    let definition = candidates.iter().find(|other| {
        other.id.kind == "CustomResourceDefinition"
            && other
                .id
                .name
                .split_once('.')
                .is_some_and(|(_, group)| group == id.group)
    });
    definition.map(|definition| format!("its definition {} would go too", definition.id.name))
}

/// Whether objects of this kind are deleted only on approval; `protect` lists `Kind` or `Kind.group`.
pub fn is_protected(id: &Id, protect: &[String]) -> bool {
    PROTECTED.contains(&(id.group.as_str(), id.kind.as_str()))
        || protect.iter().any(|listed| match listed.split_once('.') {
            Some((kind, group)) => kind == id.kind && group == id.group,
            None => *listed == id.kind,
        })
}

#[cfg(test)]
mod tests;
