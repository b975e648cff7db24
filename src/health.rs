//! The health of objects that exist: what their status says ([`assess`]), what their pods say ([`findings`]), and when
//! that is a verdict ([`settle`]). Must not talk to the cluster, look at a clock, or write a log.

mod builtin;
mod checks;
mod condition;
mod custom;
mod pods;
mod read;
mod reason;
mod settle;
mod template;
mod workloads;

pub use checks::{CheckError, Checks};
pub use condition::Condition;
pub use pods::{Finding, Gravity, findings};
pub use reason::{Explanation, Reason};
pub use settle::{Progress, Settled, settle};

use crate::object::Object;

/// What an object's own status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is what its spec asks for.
    Current,
    /// It is not yet.
    InProgress { reason: Reason, message: String },
    /// Its controller says that it will not be.
    Failed { reason: Reason, message: String },
    /// It is being deleted.
    Terminating,
}

/// The health of a live object: the rules of kstatus for all built-in kinds, those of `checks` for the kinds that they
/// name, and the usual conditions for every other.
pub fn assess(object: &Object, checks: &Checks) -> Health {
    if object
        .at("/metadata/deletionTimestamp")
        .is_some_and(|time| !time.is_null())
    {
        return Health::Terminating;
    }
    if let Some(health) = custom::conventions(object) {
        return health;
    }
    if let Some(health) = checks.assess(object) {
        return health;
    }
    match builtin::rule(object.group(), object.kind()) {
        Some(rule) => rule(object),
        None if builtin::existence_is_health(object.group(), object.kind()) => Health::Current,
        None => custom::by_ready(object),
    }
}

/// Whether the health of this kind is in the object. Where it is not (`ConfigMap`s, Secrets, Roles, Ingresses…), existence
/// is health, and nobody needs to read the content.
pub fn needs_object(group: &str, kind: &str, checks: &Checks) -> bool {
    checks.concern(group, kind) || !builtin::existence_is_health(group, kind)
}

/// Whether pods say why an object of this kind is not healthy: those that it runs, or it itself. (A `CronJob` runs none: its
/// Jobs do.)
pub fn has_pods(group: &str, kind: &str) -> bool {
    matches!(
        (group, kind),
        (
            "apps",
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet"
        ) | ("batch", "Job")
            | ("", "Pod" | "ReplicationController")
    )
}

#[cfg(test)]
mod tests;
