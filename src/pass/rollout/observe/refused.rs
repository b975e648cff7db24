//! What the cluster refuses of what a rollout asks for.

use crate::api::ObjectFailure;
use crate::object::Id;
use crate::plan::RefusalReason;

/// What the cluster refuses of what is to be written, and will refuse again: neither time nor another try helps.
pub(super) fn refused(unwritten: &[&Id], failures: &[ObjectFailure]) -> Option<String> {
    const FOR_GOOD: [RefusalReason; 8] = [
        RefusalReason::OwnedElsewhere,
        RefusalReason::ForeignOwner,
        RefusalReason::Conflict,
        RefusalReason::Immutable,
        RefusalReason::Invalid,
        RefusalReason::Denied,
        RefusalReason::Forbidden,
        RefusalReason::NotGranted,
    ];
    let is_for_good = |failure: &&ObjectFailure| {
        FOR_GOOD
            .iter()
            .any(|reason| reason.as_str() == failure.reason)
            && unwritten.iter().any(|id| id.to_string() == failure.object)
    };
    failures.iter().find(is_for_good).map(
        |ObjectFailure {
             object,
             reason,
             message,
             ..
         }| format!("{object}: {reason}: {message}"),
    )
}

#[cfg(test)]
mod tests;
