//! The status of a Repository, written where it changed.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use super::{Memory, Sources};
use crate::api::{Repository, RepositoryStatus};
use crate::status::{condition, set_condition};

/// Writes the status where it changed.
pub(super) async fn write(sources: &Sources, reference: &ObjectRef<Repository>, memory: &Memory) {
    let Some((repository, renders)) = sources
        .state()
        .get(reference)
        .map(|source| (source.repository.clone(), source.renders.clone()))
    else {
        return;
    };
    let before = repository.status.clone().unwrap_or_default();
    let generation = repository.metadata.generation;
    let ready = match &memory.problem {
        Some(problem) => condition("Ready", "False", "FetchFailed", problem, generation),
        None if memory.snapshot.is_some() => condition(
            "Ready",
            "True",
            "Fetched",
            "the refs are known and fetched",
            generation,
        ),
        None => condition(
            "Ready",
            "Unknown",
            "Pending",
            "the server was not asked yet",
            generation,
        ),
    };
    let mut conditions = before.conditions.clone();
    set_condition(&mut conditions, ready, Timestamp::now());
    let after = RepositoryStatus {
        observed_generation: generation,
        conditions,
        refs: memory
            .seen
            .as_ref()
            .map(|seen| i64::try_from(seen.len()).unwrap_or(i64::MAX))
            .or(before.refs),
        fetched_at: memory
            .fetched_at
            .map(Time)
            .or_else(|| before.fetched_at.clone()),
        renders: if renders.serial == 0 {
            before.renders.clone()
        } else {
            Some(renders.count)
        },
    };
    if after == before {
        return;
    }
    let api: Api<Repository> = Api::namespaced(
        sources.cluster.client(),
        &repository.namespace().unwrap_or_default(),
    );
    let mut object = (*repository).clone();
    object.metadata.managed_fields = None;
    object.status = Some(after);
    match api
        .replace_status(&repository.name_any(), &PostParams::default(), &object)
        .await
    {
        Ok(written) => {
            if let Some(source) = sources.state().get_mut(reference) {
                source.repository = Arc::new(written);
            }
        }
        // The watch brings the newer one; then it is tried again.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            if let Some(source) = sources.state().get(reference) {
                source.signals.counted.notify_one();
            }
        }
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => tracing::warn!(repository = %reference, %error, "cannot write the status"),
    }
}
