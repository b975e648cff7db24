//! Writes that are only tried, and what the API server's answers mean for the status. Nothing is changed here.

use super::observe::Observed;
use super::{Pass, account, together};
use crate::api::ObjectFailure;
use crate::cluster::{ClusterError, DryRun, Identity};
use crate::desired::{Desired, Kinds};
use crate::object::{FIELD_MANAGER, Id};
use crate::plan::{Action, DryRunOutcome, LiveState, Refusal, Verdict, after_dry_run, classify};

/// Dry-runs all of these; what is refused.
pub(super) async fn try_all(
    pass: &Pass<'_>,
    kinds: &Kinds,
    live: &Observed,
    actions: Vec<&Action>,
) -> Vec<Refusal> {
    let tries: Vec<_> = actions
        .into_iter()
        .map(|action| try_one(pass, kinds, action, live.of(&action.id)))
        .collect();
    let tried: Vec<Option<Refusal>> = together(pass.context.parallel, tries).await;
    tried.into_iter().flatten().collect()
}

async fn try_one(
    pass: &Pass<'_>,
    kinds: &Kinds,
    action: &Action,
    live: &LiveState,
) -> Option<Refusal> {
    let cluster = &pass.context.cluster;
    let force = action.force;
    let result = cluster
        .apply(
            kinds,
            &pass.identity,
            &action.body,
            FIELD_MANAGER,
            force,
            DryRun::Yes,
        )
        .await;
    let outcome = match result {
        Ok(_) => return None,
        Err(error) => outcome(&error, &pass.identity),
    };
    match after_dry_run(action, &outcome, live) {
        Verdict::Go | Verdict::GoForced | Verdict::WaitForJob => None,
        Verdict::Replace => match cluster
            .try_create(kinds, &pass.identity, &action.body)
            .await
        {
            Ok(()) => None,
            Err(error) => Some(Refusal::invalid(&action.id, error.to_string())),
        },
        Verdict::Refuse(refusal) => Some(refusal),
    }
}

/// What an answer of the API server means.
pub(super) fn outcome(error: &ClusterError, identity: &Identity) -> DryRunOutcome {
    if error.is_impersonation() {
        return DryRunOutcome::NotGranted {
            message: account::not_granted(identity),
        };
    }
    let causes: Vec<(String, String, String)> = error
        .causes
        .iter()
        .map(|cause| {
            (
                cause.field.clone(),
                cause.reason.clone(),
                cause.message.clone(),
            )
        })
        .collect();
    classify(error.code, &error.reason, &error.message, &causes)
}

/// A refusal as the status tells it, with the object's place in Git.
pub(super) fn failure(refusal: &Refusal, desired: &Desired) -> ObjectFailure {
    ObjectFailure {
        object: refusal.id.to_string(),
        container: None,
        reason: refusal.reason.as_str().to_owned(),
        message: placed(&refusal.id, &refusal.message, desired),
    }
}

/// `file:line: message`, as far as the place is known.
pub(super) fn placed(id: &Id, message: &str, desired: &Desired) -> String {
    match desired.get(id).map(|object| object.origin.as_str()) {
        None | Some("") => message.to_owned(),
        Some(origin) => format!("{origin}: {message}"),
    }
}
