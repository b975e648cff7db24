//! status: writes what a pass found, where that changed, and tells of it.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, PostParams};

use super::{Memory, Next, Pass};
use crate::api::{Environment, EnvironmentStatus};
use crate::status::{Problem, Progress, find_condition, status};

pub(super) async fn write(mut pass: Pass<'_>, memory: &mut Memory) -> Next {
    if pass.report.revision.is_some()
        && pass
            .report
            .problem
            .as_ref()
            .is_some_and(Problem::is_only_early)
    {
        // An agent that has just started knows less than the status says.
        return pass.next;
    }
    if let Some(inventory) = &memory.inventory {
        pass.report.inventory = inventory.clone();
    }
    if pass.report.progress == Progress::None {
        pass.report.progress = kept_progress(&pass);
    }
    let written = pass.written.take();
    let current = written.as_ref().unwrap_or(pass.environment);
    // What the last full status said: the one written ahead is part of this pass.
    let before = pass.environment.status.clone().unwrap_or_default();
    let mut after = status(&before, &pass.report, Timestamp::now());
    let (context, owner) = (pass.context, memory.owner.id.clone());
    if memory.inventory.is_none() {
        // What could not be read stays as it is recorded.
        after.inventory = before.inventory.clone();
    } else if !context.leadership.is_valid() {
        pass.next.retry = true;
        return pass.next;
    } else {
        let stored = context
            .cluster
            .store_inventory(&context.namespace, &owner, after.inventory.clone())
            .await;
        match stored {
            Ok(inventory) => after.inventory = inventory,
            Err(error) => {
                tracing::warn!(environment = memory.owner.name, %error, "cannot record the inventory");
                pass.next.retry = true;
                return pass.next;
            }
        }
    }
    pass.context.metrics.environment(&memory.owner.name, &after);
    if !pass.context.leadership.is_valid() {
        pass.next.retry = true;
        return pass.next;
    }
    if current.status.as_ref() == Some(&after) {
        memory.latest = written.map(Arc::new).or(memory.latest.take());
    } else {
        match replace(&pass, current, &after).await {
            Ok(newest) => {
                memory.latest = newest.map(Arc::new);
                // The old ones go when nothing names them any more.
                if !before.inventory.secrets.is_empty()
                    && before.inventory.secrets != after.inventory.secrets
                {
                    let keep = &after.inventory.secrets;
                    if let Err(error) = context
                        .cluster
                        .clean_inventories(&context.namespace, &owner, keep)
                        .await
                    {
                        tracing::warn!(environment = memory.owner.name, %error, "an old inventory stays");
                    }
                }
            }
            Err(error) => {
                tracing::warn!(environment = memory.owner.name, %error, "cannot write the status");
                memory.latest = written.map(Arc::new).or(memory.latest.take());
                pass.next.retry = true;
                // What was done is not done again. The rest the next pass finds again, and tells when it is recorded.
                pass.events.retain(|(.., action, _)| *action != "Rollout");
                tell_done(&pass, memory).await;
                return pass.next;
            }
        }
    }
    tell(&pass, memory, &before, &after).await;
    pass.next
}

/// A pass that came not as far as its objects leaves their health as it was told last.
fn kept_progress(pass: &Pass<'_>) -> Progress {
    let conditions = pass
        .environment
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice());
    let healthy = conditions.and_then(|conditions| find_condition(conditions, "Healthy"));
    match healthy.map(|condition| (condition.status.as_str(), condition.reason.as_str())) {
        Some(("True", _)) => Progress::Healthy,
        Some((_, "Failed")) => Progress::Failed,
        Some((_, "Progressing")) => Progress::Progressing,
        _ => Progress::None,
    }
}

/// Why the status could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Asked(#[from] kube::Error),
    #[error("another agent wrote the status of the Environment meanwhile")]
    Overtaken,
}

/// Takes what else was changed of an Environment whose status is to be written, for another try; `read` is the status that
/// this pass began with. One that changed was written by another leader: what it recorded is acted on already.
pub(super) fn follow(
    object: &mut Environment,
    newer: Environment,
    read: Option<&EnvironmentStatus>,
) -> Result<(), WriteError> {
    if newer.status.as_ref() != read {
        return Err(WriteError::Overtaken);
    }
    object.metadata = newer.metadata;
    object.metadata.managed_fields = None;
    object.spec = newer.spec;
    Ok(())
}

/// Writes the status, whatever else was changed of the object meanwhile; `None` if it is gone.
async fn replace(
    pass: &Pass<'_>,
    current: &Environment,
    after: &EnvironmentStatus,
) -> Result<Option<Environment>, WriteError> {
    let api: Api<Environment> = Api::namespaced(pass.context.cluster.client(), pass.namespace());
    let mut object = current.clone();
    object.metadata.managed_fields = None;
    object.status = Some(after.clone());
    let mut attempts = 0;
    loop {
        match api
            .replace_status(&object.name_any(), &PostParams::default(), &object)
            .await
        {
            Ok(written) => return Ok(Some(written)),
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            Err(kube::Error::Api(status)) if status.code == 409 && attempts < 3 => {
                attempts += 1;
                let Some(newer) = api.get_opt(&object.name_any()).await? else {
                    return Ok(None);
                };
                if newer.metadata.uid != object.metadata.uid {
                    return Ok(None);
                }
                follow(&mut object, newer, current.status.as_ref())?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Events: of what this pass did. How rollouts went on is logged and counted as well.
async fn tell_done(pass: &Pass<'_>, memory: &Memory) {
    let events = &pass.context.events;
    for (warning, reason, action, note) in &pass.events {
        if *action == "Rollout" {
            let environment = &memory.owner.name;
            tracing::info!(environment, reason, what = note, "rollout");
            pass.context.metrics.rollout_went_on(environment, reason);
        }
        if *warning {
            events.warning(pass.environment, reason, action, note).await;
        } else {
            events.normal(pass.environment, reason, action, note).await;
        }
    }
}

/// Events: once for each change of what is told.
async fn tell(
    pass: &Pass<'_>,
    memory: &mut Memory,
    before: &EnvironmentStatus,
    after: &EnvironmentStatus,
) {
    tell_done(pass, memory).await;
    let events = &pass.context.events;
    let changed = |type_: &str| {
        let (old, new) = (
            find_condition(&before.conditions, type_),
            find_condition(&after.conditions, type_),
        );
        new.filter(|new| {
            old.is_none_or(|old| {
                (&old.status, &old.reason, &old.message) != (&new.status, &new.reason, &new.message)
            })
        })
    };
    if let Some(ready) = changed("Ready") {
        let (commit, status) = (
            after
                .revision
                .as_ref()
                .map_or("", |revision| &revision.short),
            &ready.status,
        );
        tracing::info!(
            environment = memory.owner.name,
            revision = commit,
            ready = status,
            reason = ready.reason,
            message = ready.message,
            "state"
        );
        match (ready.status.as_str(), ready.reason.as_str()) {
            ("True", _) => {
                events
                    .normal(pass.environment, &ready.reason, "Reconcile", &ready.message)
                    .await;
            }
            (_, "Progressing" | "RepositoryPending" | "Suspended") => {}
            _ => {
                events
                    .warning(pass.environment, &ready.reason, "Reconcile", &ready.message)
                    .await;
            }
        }
    }
    if let Some(held) = changed("Held")
        && held.status == "True"
    {
        events
            .warning(pass.environment, "Held", "Hold", &held.message)
            .await;
    }
    // What is named while it is waited for is told when it is first seen.
    for failure in &after.failures {
        let container = failure.container.as_deref().unwrap_or_default();
        let key = format!("{} {container} {}", failure.object, failure.reason);
        if !memory.told.contains(&key) {
            let note = match &failure.container {
                Some(container) => format!(
                    "{}, container {container}: {}",
                    failure.object, failure.message
                ),
                None => format!("{}: {}", failure.object, failure.message),
            };
            events
                .warning(pass.environment, &failure.reason, "Observe", &note)
                .await;
            memory.told.push_back(key);
        }
    }
    if after.failures.is_empty() {
        memory.told.clear();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(version: &str, status: serde_json::Value) -> Environment {
        serde_json::from_value(json!({
            "apiVersion": "driftless.dev/v1alpha1", "kind": "Environment",
            "metadata": {"name": "shop", "namespace": "shop", "resourceVersion": version},
            "spec": {"repository": "shop", "follow": [{"branch": "main"}], "path": "shop", "serviceAccount": "deployer"},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_status_that_another_leader_wrote_is_not_overwritten() {
        let read = environment("7", json!({"hash": "one"}));
        let mut object = environment("7", json!({"hash": "two"}));
        let annotated = environment("8", json!({"hash": "one"}));
        assert!(follow(&mut object, annotated, read.status.as_ref()).is_ok());
        assert_eq!(object.metadata.resource_version.as_deref(), Some("8"));
        assert_eq!(object.status.as_ref().unwrap().hash.as_deref(), Some("two"));
        let other = environment("9", json!({"hash": "three"}));
        let overtaken = follow(&mut object, other, read.status.as_ref());
        assert!(matches!(overtaken, Err(WriteError::Overtaken)));
        assert_eq!(object.metadata.resource_version.as_deref(), Some("8"));
    }
}
