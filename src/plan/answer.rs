//! What the API server's refusals mean. "Invalid" is not "immutable": an invalid manifest never deletes anything.

use super::{Action, LiveState, Reason, Refusal, RefusalReason};
use crate::object::{Object, REPLACE_ANNOTATION};

/// How a dry run, or an apply, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRunOutcome {
    Ok,
    /// Other managers own fields that the object sets.
    Conflict {
        message: String,
    },
    /// A field changed that can never change.
    Immutable {
        message: String,
    },
    Invalid {
        message: String,
    },
    /// Admission refused it.
    Denied {
        message: String,
    },
    /// The identity may not.
    Forbidden {
        message: String,
    },
    /// The agent may not write as the identity.
    NotGranted {
        message: String,
    },
    NotFound {
        message: String,
    },
    /// Its namespace is being deleted.
    Terminating {
        message: String,
    },
    Other {
        message: String,
    },
}

/// What follows for the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Go,
    /// Fields of others are taken.
    GoForced,
    /// It is deleted and created again.
    Replace,
    /// It is replaced when it has finished.
    WaitForJob,
    Refuse(Refusal),
}

/// What an answer means, by its code and machine-readable parts first, by its words where those do not tell. A cause is
/// field, reason and message.
pub fn classify(
    code: u16,
    reason: &str,
    message: &str,
    causes: &[(String, String, String)],
) -> DryRunOutcome {
    let caused_by = |wanted: &str| causes.iter().any(|(_, reason, _)| reason == wanted);
    let words = message.to_lowercase();
    let message = message.to_owned();
    match (code, reason) {
        (409, "Conflict") if caused_by("FieldManagerConflict") => {
            DryRunOutcome::Conflict { message }
        }
        (409, _) => DryRunOutcome::Other { message },
        (403, _) if caused_by("NamespaceTerminating") => DryRunOutcome::Terminating { message },
        // Validating admission policies answer 422 with their own text, webhooks with any code.
        _ if words.contains("admission webhook") || words.contains("validatingadmissionpolicy") => {
            DryRunOutcome::Denied { message }
        }
        (422, _) if !causes.is_empty() && causes.iter().all(is_immutable) => {
            DryRunOutcome::Immutable { message }
        }
        // What a failed `test` of a JSON patch is answered with: the object changed meanwhile.
        (422, _) if causes.is_empty() && words.starts_with("the server rejected our request") => {
            DryRunOutcome::Other { message }
        }
        (403, _) if words.contains("exceeded quota") || words.contains("violates podsecurity") => {
            DryRunOutcome::Denied { message }
        }
        (401 | 403, _) => DryRunOutcome::Forbidden { message },
        (404, _) => DryRunOutcome::NotFound { message },
        (400 | 413 | 422, _) => DryRunOutcome::Invalid { message },
        // Server-side apply answers what does not fit the schema as if it were the server's own fault.
        (500, "") if is_malformed(&words) => DryRunOutcome::Invalid { message },
        _ => DryRunOutcome::Other { message },
    }
}

fn is_malformed(words: &str) -> bool {
    [
        "failed to create typed patch object",
        "failed to convert new object",
    ]
    .iter()
    .any(|known| words.starts_with(known))
}

/// Whether a cause is that a field can never change, and not that its value is wrong. The words count only where no
/// value of the object can stand: an invalid value comes before them, a forbidden change has them first.
fn is_immutable((_, reason, message): &(String, String, String)) -> bool {
    let words = message.to_lowercase();
    match reason.as_str() {
        "FieldValueInvalid" => [
            "is immutable",
            "may not change once set",
            "cannot change roleref",
        ]
        .iter()
        .any(|known| words.ends_with(known)),
        "FieldValueForbidden" => {
            let words = words.lines().next().unwrap_or_default();
            let words = words.trim_start_matches("forbidden: ");
            [
                "field is immutable",
                "updates to statefulset spec for fields other than",
                "spec is immutable after creation",
                "spec.persistentvolumesource is immutable after creation",
                "pod updates may not",
                "may not be changed in an update",
                "updates to provisioner are forbidden",
                "updates to parameters are forbidden",
            ]
            .iter()
            .any(|known| words.starts_with(known))
        }
        _ => false,
    }
}

/// What follows from the outcome of a dry run, or of a write.
pub fn after_dry_run(action: &Action, outcome: &DryRunOutcome, live: &LiveState) -> Verdict {
    let refuse = |reason: RefusalReason, message: &String| {
        Verdict::Refuse(Refusal::new(&action.id, reason, message.clone()))
    };
    match outcome {
        DryRunOutcome::Ok => Verdict::Go,
        DryRunOutcome::Conflict { .. } if action.force => Verdict::GoForced,
        DryRunOutcome::Conflict { message } => {
            debug_assert!(
                action.reason == Reason::Adopt,
                "every other apply is forced"
            );
            let hint = "annotate it in Git with driftless.dev/adopt: \"true\" to take these fields";
            Verdict::Refuse(Refusal::new(
                &action.id,
                RefusalReason::Conflict,
                format!("{message}; {hint}"),
            ))
        }
        DryRunOutcome::Immutable { message } => immutable(action, message, live),
        DryRunOutcome::Invalid { message } => refuse(RefusalReason::Invalid, message),
        DryRunOutcome::Denied { message } => refuse(RefusalReason::Denied, message),
        DryRunOutcome::Forbidden { message } => refuse(RefusalReason::Forbidden, message),
        DryRunOutcome::NotGranted { message } => refuse(RefusalReason::NotGranted, message),
        DryRunOutcome::NotFound { message } => refuse(RefusalReason::NotFound, message),
        DryRunOutcome::Terminating { message } => refuse(RefusalReason::Terminating, message),
        DryRunOutcome::Other { message } => refuse(RefusalReason::Failed, message),
    }
}

fn immutable(action: &Action, message: &str, live: &LiveState) -> Verdict {
    let replace = action.body.annotation(REPLACE_ANNOTATION) == Some("true");
    if action.id.group == "batch" && action.id.kind == "Job" {
        // A Job runs once for each content: one that has finished makes room for the next.
        return match live {
            LiveState::Present(job) if has_finished(job) || replace => Verdict::Replace,
            _ => Verdict::WaitForJob,
        };
    }
    if replace {
        return Verdict::Replace;
    }
    let hint = format!(
        "annotate it in Git with {REPLACE_ANNOTATION}: \"true\" to delete and create it again"
    );
    Verdict::Refuse(Refusal::new(
        &action.id,
        RefusalReason::Immutable,
        format!("{message}; {hint}"),
    ))
}

/// Whether a Job has run to its end, well or not.
pub fn has_finished(job: &Object) -> bool {
    job.list("/status/conditions").any(|condition| {
        matches!(condition["type"].as_str(), Some("Complete" | "Failed"))
            && condition["status"] == "True"
    })
}

#[cfg(test)]
mod tests;
