//! What deleting an Environment does: its rollouts go back to stable; its objects stay, unless `spec.deletion` says
//! otherwise.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::{CustomResourceExt, ResourceExt};
use serde_json::json;

use super::{Memory, Next, Pass, only_rollouts, prune, report, rollout};
use crate::api::{Deletion, Environment};
use crate::desired::Desired;
use crate::prune::{Evidence, GatePurpose};

/// Keeps a deleted Environment until its rollouts have ended, and its objects are deleted too. Only there with
/// `deletion: prune`, or while a rollout is under way.
const FINALIZER: &str = "driftless.dev/prune";

/// For so long a deleted Environment waits for its rollouts to go back to stable.
const PATIENCE: Duration = Duration::from_mins(5);

/// Adds or removes the finalizer as `spec.deletion` and the rollouts want it.
pub(super) async fn guard(pass: &Pass<'_>) -> Result<(), kube::Error> {
    let wanted = pass.environment.spec.deletion == Deletion::Prune
        || rollout::is_under_way(&pass.report.rollouts);
    if wanted == has_finalizer(pass.environment) {
        return Ok(());
    }
    set_finalizer(pass, wanted).await
}

fn has_finalizer(environment: &Environment) -> bool {
    environment
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == FINALIZER)
}

async fn set_finalizer(pass: &Pass<'_>, wanted: bool) -> Result<(), kube::Error> {
    let mut finalizers = pass.environment.finalizers().to_vec();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    if wanted {
        finalizers.push(FINALIZER.to_owned());
    }
    let patch = json!({"metadata": {
        "finalizers": finalizers,
        "resourceVersion": pass.environment.metadata.resource_version,
    }});
    let api: Api<Environment> = Api::namespaced(pass.context.cluster.client(), pass.namespace());
    let result = api
        .patch(
            &pass.environment.name_any(),
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await;
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 && !wanted => Ok(()),
        Err(error) => Err(error),
    }
}

/// Deletes the objects behind the gate, then lets the Environment go.
pub(super) async fn run(mut pass: Pass<'_>, memory: &mut Memory) -> Next {
    if !has_finalizer(pass.environment) {
        return Next::default();
    }
    let orphan = pass.environment.spec.deletion == Deletion::Orphan;
    match all_is_going(&pass).await {
        Ok(true) => return let_go(pass).await,
        Ok(false) => {}
        Err(error) => {
            pass.stop("DeletionUnknown", error.to_string());
            return report::write(pass, memory).await;
        }
    }
    if rollout::is_under_way(&pass.report.rollouts) && !is_late(&pass) {
        pass.due(Instant::now() + Duration::from_secs(1));
        only_rollouts(&mut pass, memory).await;
        return report::write(pass, memory).await;
    }
    if orphan {
        tell_what_stays(&pass).await;
        return let_go(pass).await;
    }
    let departed = prune::everything(&pass, memory).await;
    let desired = Desired::new(Vec::new(), pass.report.hash.clone().unwrap_or_default());
    let commit = pass
        .report
        .revision
        .as_ref()
        .map(|revision| revision.commit.clone())
        .unwrap_or_default();
    let evidence = Evidence {
        applied: true,
        healthy: true,
        rewritten: false,
        inventory_trusted: memory.inventory_trusted,
    };
    let gone = prune::departed(
        &mut pass,
        memory,
        &desired,
        &departed,
        evidence,
        GatePurpose::DeleteEnvironment,
        &commit,
    )
    .await;
    if gone {
        return let_go(pass).await;
    }
    pass.next.retry = true;
    report::write(pass, memory).await
}

/// Whether the Environment has waited long enough for its rollouts.
fn is_late(pass: &Pass<'_>) -> bool {
    let deleted = pass.environment.metadata.deletion_timestamp.as_ref();
    deleted.is_some_and(|deleted| {
        let waited = Timestamp::now().duration_since(deleted.0);
        Duration::try_from(waited).is_ok_and(|waited| waited > PATIENCE)
    })
}

/// A rollout that could not be ended is left as it is; a person has to know.
async fn tell_what_stays(pass: &Pass<'_>) {
    for record in &pass.report.rollouts {
        if !rollout::is_under_way(std::slice::from_ref(record)) {
            continue;
        }
        let note = format!(
            "the rollout of {} could not be taken back to stable and stays as it is ({:?} at {} %); what it made carries the label {}",
            record.workload,
            record.phase,
            record.weight,
            crate::rollout::ROLLOUT_LABEL
        );
        let events = &pass.context.events;
        events
            .warning(pass.environment, "RolloutLeft", "Rollout", &note)
            .await;
    }
}

async fn let_go(pass: Pass<'_>) -> Next {
    match set_finalizer(&pass, false).await {
        Ok(()) => Next::default(),
        Err(error) => {
            tracing::warn!(environment = pass.environment.name_any(), %error, "cannot remove the finalizer");
            Next {
                retry: true,
                ..Next::default()
            }
        }
    }
}

/// Whether our own definitions, the agent's namespace or the environment's are being deleted: then nobody meant the
/// objects.
async fn all_is_going(pass: &Pass<'_>) -> Result<bool, kube::Error> {
    let client = pass.context.cluster.client();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = definitions
        .get_metadata_opt(Environment::crd_name())
        .await?;
    let namespaces: Api<Namespace> = Api::all(client);
    let mut going =
        definition.is_none_or(|definition| definition.metadata.deletion_timestamp.is_some());
    for name in [pass.namespace(), &pass.context.namespace] {
        let namespace = namespaces.get_metadata_opt(name).await?;
        going |= namespace.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some());
    }
    Ok(going)
}
