//! What the status of an Environment says.

use driftless::api::EnvironmentStatus;

/// Whether `commit` is applied and healthy, whatever is held.
pub fn is_ready(status: &EnvironmentStatus, commit: &str) -> bool {
    status
        .revision
        .as_ref()
        .is_some_and(|revision| revision.commit == commit)
        && condition(status, "Ready").0 == "True"
}

/// Status, reason and message of a condition; empty where it is not there.
pub fn condition<'a>(status: &'a EnvironmentStatus, kind: &str) -> (&'a str, &'a str, &'a str) {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)
        .map_or(("", "", ""), |condition| {
            (&condition.status, &condition.reason, &condition.message)
        })
}
