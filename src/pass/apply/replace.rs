//! The replacement of an object whose immutable fields changed.

use super::super::Pass;
use crate::desired::Kinds;
use crate::plan::{Action, LiveState};
use crate::prune::is_protected;

/// Why an object could not be replaced.
pub(super) enum NotReplaced {
    Held(String),
    Failed(String),
}

/// Deletes an object whose immutable fields changed, once its replacement has passed admission; the next pass creates it.
pub(super) async fn replace(
    pass: &Pass<'_>,
    kinds: &Kinds,
    action: &Action,
) -> Result<(), NotReplaced> {
    let failed = |error: crate::cluster::ClusterError| NotReplaced::Failed(error.to_string());
    let cluster = &pass.context.cluster;
    cluster
        .try_create(kinds, &pass.identity, &action.body)
        .await
        .map_err(failed)?;
    let object = match cluster
        .observe(kinds, &action.id, action.body.version(), false)
        .await
    {
        LiveState::Present(object) => object,
        LiveState::Absent => return Ok(()),
        LiveState::Unknown(message) => return Err(NotReplaced::Failed(message)),
        LiveState::AsApplied => return Err(NotReplaced::Failed("it was not read".to_owned())),
    };
    if is_protected(&action.id, &pass.environment.spec.prune.protect)
        && action.id.kind != "StatefulSet"
    {
        return Err(NotReplaced::Held(format!(
            "an immutable field changed, and a {} is not deleted without a person's word",
            action.id.kind
        )));
    }
    // The pods, and with them the volumes, of a StatefulSet stay; its successor takes them over.
    let propagation = if action.id.kind == "StatefulSet" {
        "Orphan"
    } else {
        "Background"
    };
    cluster
        .delete(
            kinds,
            &pass.identity,
            &action.id,
            action.body.version(),
            object.uid().unwrap_or_default(),
            None,
            propagation,
        )
        .await
        .map_err(failed)
}
