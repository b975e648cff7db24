//! The rule of kinds that Kubernetes does not define: their conditions. Must not know any of them by name but our own.

use super::read::{condition, conditions, int};
use super::{Health, Reason};
use crate::api;
use crate::object::Object;

/// What every controller that follows the conventions says, whatever the kind: a status about an older generation, a
/// reconciliation under way, or one given up. `None` where it says none of these.
pub(super) fn conventions(object: &Object) -> Option<Health> {
    let generation = int(object, "/metadata/generation");
    let observed = int(object, "/status/observedGeneration");
    if let (Some(generation), Some(observed)) = (generation, observed)
        && generation != observed
    {
        return Some(Health::InProgress {
            reason: Reason::NotObserved,
            message: format!(
                "its controller has seen generation {observed}, and the object is at {generation}"
            ),
        });
    }
    for condition in conditions(object) {
        match condition.kind {
            "Stalled" if condition.is_true() => {
                return Some(Health::Failed {
                    reason: Reason::Stalled,
                    message: condition.words(),
                });
            }
            "Reconciling" if condition.is_true() => {
                return Some(Health::InProgress {
                    reason: Reason::Reconciling,
                    message: condition.words(),
                });
            }
            _ => {}
        }
    }
    None
}

/// The condition `Ready`, where the kind has it. A kind without one, or without a status, is healthy by existing: many
/// have no controller at all. Our own kinds always have one.
pub(super) fn by_ready(object: &Object) -> Health {
    let Some(ready) = condition(object, "Ready") else {
        if object.group() == api::GROUP && object.kind() != "Approval" {
            return Health::InProgress {
                reason: Reason::NotObserved,
                message: "the agent has not looked at it yet".to_owned(),
            };
        }
        return Health::Current;
    };
    if let (Some(generation), Some(observed)) = (
        int(object, "/metadata/generation"),
        ready.observed_generation,
    ) && observed < generation
    {
        return Health::InProgress {
            reason: Reason::NotObserved,
            message: format!(
                "its condition Ready is about generation {observed}, and the object is at {generation}"
            ),
        };
    }
    if ready.is_true() {
        return Health::Current;
    }
    Health::InProgress {
        reason: Reason::NotReady,
        message: if ready.reason.is_empty() || ready.message.is_empty() {
            ready.words()
        } else {
            format!("{}: {}", super::read::cut(ready.reason), ready.words())
        },
    }
}
