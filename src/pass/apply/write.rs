//! One action of the plan: its writes, what a refused one means, and what follows from that.

use serde_json::Value;

use super::super::{Pass, dry_run};
use super::replace::{self, NotReplaced};
use crate::api::ObjectFailure;
use crate::cluster::{ClusterError, DryRun};
use crate::desired::Kinds;
use crate::object::{FIELD_MANAGER, Object};
use crate::plan::{Action, LiveState, Verdict, after_dry_run};

/// Holds the values of fields that Git no longer decides, until whoever does writes them.
const HANDOVER_MANAGER: &str = "driftless-handover";

/// How one action ended.
pub(super) enum Ended {
    Applied(Object),
    /// The object makes room for its replacement.
    Removed,
    /// The object is no longer what was seen: the next pass looks again, and nobody needs to know.
    Outdated,
    Failed(ObjectFailure, Trouble),
}

/// What helps against a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Another try, soon.
    Retry,
    /// What will be seen by a watch.
    Wait,
    /// A change of Git or of the cluster.
    Refused,
    /// A person's word.
    Held,
}

pub(super) async fn one(
    pass: &Pass<'_>,
    kinds: &Kinds,
    live: &LiveState,
    action: &Action,
) -> Ended {
    match write(pass, kinds, live, action, action.force).await {
        Ok(object) => Ended::Applied(object),
        Err(NotWritten::NotLeading) => not_leading(action),
        Err(NotWritten::Refused(error)) => refused(pass, kinds, live, action, error).await,
    }
}

/// Why an object was not written.
enum NotWritten {
    NotLeading,
    Refused(ClusterError),
}

impl From<ClusterError> for NotWritten {
    fn from(error: ClusterError) -> Self {
        Self::Refused(error)
    }
}

fn not_leading(action: &Action) -> Ended {
    let message = "this replica may no longer lead; nothing more is written".to_owned();
    failed(action, "NotLeading", message, Trouble::Retry)
}

async fn write(
    pass: &Pass<'_>,
    kinds: &Kinds,
    live: &LiveState,
    action: &Action,
    force: bool,
) -> Result<Object, NotWritten> {
    let cluster = &pass.context.cluster;
    // Before each request: one may take longer than the lease does.
    let leading = || {
        let leads = pass.context.leadership.is_valid();
        leads.then_some(()).ok_or(NotWritten::NotLeading)
    };
    if let Some(fields) = &action.hand_over {
        leading()?;
        cluster
            .apply(
                kinds,
                &pass.identity,
                fields,
                HANDOVER_MANAGER,
                true,
                DryRun::No,
            )
            .await?;
    }
    if let (Some(managed_fields), LiveState::Present(object)) = (&action.take_over, live) {
        let version = object
            .at("/metadata/resourceVersion")
            .and_then(Value::as_str)
            .unwrap_or_default();
        leading()?;
        cluster
            .set_managed_fields(
                kinds,
                &pass.identity,
                &action.id,
                action.body.version(),
                version,
                managed_fields,
            )
            .await?;
    }
    leading()?;
    let applied = cluster
        .apply(
            kinds,
            &pass.identity,
            &action.body,
            FIELD_MANAGER,
            force,
            DryRun::No,
        )
        .await;
    Ok(applied?)
}

/// What a refused write means, and what follows from it.
async fn refused(
    pass: &Pass<'_>,
    kinds: &Kinds,
    live: &LiveState,
    action: &Action,
    error: ClusterError,
) -> Ended {
    if error.code == 0 || error.code == 429 || error.code >= 500 {
        return failed(action, "ApplyFailed", error.to_string(), Trouble::Retry);
    }
    if error.is_conflict() && action.take_over.is_some() {
        return Ended::Outdated;
    }
    let outcome = dry_run::outcome(&error, &pass.identity);
    match after_dry_run(action, &outcome, live) {
        Verdict::Go => failed(action, "ApplyFailed", error.to_string(), Trouble::Retry),
        Verdict::GoForced => match write(pass, kinds, live, action, true).await {
            Ok(object) => Ended::Applied(object),
            Err(NotWritten::NotLeading) => not_leading(action),
            Err(NotWritten::Refused(error)) => {
                failed(action, "ApplyFailed", error.to_string(), Trouble::Retry)
            }
        },
        Verdict::WaitForJob => {
            let message =
                "its content changed while it runs; it is replaced when it has finished".to_owned();
            failed(action, "JobRunning", message, Trouble::Wait)
        }
        Verdict::Replace => match replace::replace(pass, kinds, action).await {
            Ok(()) => Ended::Removed,
            Err(NotReplaced::Held(message)) => {
                failed(action, "ReplaceHeld", message, Trouble::Held)
            }
            Err(NotReplaced::Failed(message)) => {
                failed(action, "ReplaceFailed", message, Trouble::Refused)
            }
        },
        Verdict::Refuse(refusal) => failed(
            action,
            refusal.reason.as_str(),
            refusal.message,
            Trouble::Refused,
        ),
    }
}

fn failed(action: &Action, reason: &str, message: String, trouble: Trouble) -> Ended {
    let failure = ObjectFailure {
        object: action.id.to_string(),
        container: None,
        reason: reason.to_owned(),
        message,
    };
    Ended::Failed(failure, trouble)
}
