//! health: reads what may have changed, and asks the rules.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::observe::Observed;
use super::rollout::Rolling;
use super::{Memory, Pass, Running};
use crate::api::ObjectFailure;
use crate::health::{self, Health, Progress, Settled, settle};
use crate::object::{Id, Object};
use crate::plan::{LiveState, PlannedWave};
use crate::status::newest_applied;

/// How a wave is.
pub(super) struct Wave {
    pub healthy: bool,
    pub failed: bool,
}

pub(super) async fn wave(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    rolling: &Rolling,
    observed: &Observed,
    wave: &PlannedWave,
) -> Wave {
    let running = &*rolling.running;
    let mut result = Wave {
        healthy: true,
        failed: false,
    };
    let mut replica_sets: BTreeMap<String, Vec<Object>> = BTreeMap::new();
    // What exists only for a rollout is evidence for it; the environment is well without it.
    for id in wave.objects.iter().filter(|id| !rolling.is_part(id)) {
        if !memory.applied.contains_key(id) {
            result.healthy &= memory.is_finished(id);
            continue;
        }
        let Some(object) = current(pass, memory, running, observed, id).await else {
            continue;
        };
        let health = match object {
            Ok(object) => object,
            Err(failure) => {
                result.healthy = false;
                pass.next.retry = true;
                pass.report.failures.push(failure);
                continue;
            }
        };
        let (object, health) = health;
        let settled = judge(pass, memory, id, &object, health, &mut replica_sets).await;
        match settled {
            Settled::Healthy => {
                memory.unhealthy_since.remove(id);
                memory.steady.insert(id.clone());
                memory.finish_job(id, &object);
            }
            Settled::Progressing {
                failures,
                recheck_at,
            } => {
                result.healthy = false;
                memory.steady.remove(id);
                pass.report.failures.extend(failures);
                if let Some(at) = recheck_at {
                    pass.due_at(at);
                }
            }
            Settled::Failed { failures } => {
                result.healthy = false;
                result.failed = true;
                memory.steady.remove(id);
                memory.finish_job(id, &object);
                pass.report.failures.extend(failures);
            }
        }
    }
    result
}

/// The object and its health where it has to be looked at: not where it was healthy and nothing has happened since.
async fn current(
    pass: &Pass<'_>,
    memory: &mut Memory,
    running: &Running,
    observed: &Observed,
    id: &Id,
) -> Option<Result<(Object, Health), ObjectFailure>> {
    let needs_object = health::needs_object(&id.group, &id.kind, &memory.checks);
    if let Some(object) = memory.fresh.remove(id) {
        let health = memory.health.get(id).cloned().unwrap_or(Health::Current);
        return Some(Ok((object, health)));
    }
    if !needs_object {
        return None;
    }
    let known = memory.health.get(id);
    if matches!(known, Some(Health::Current))
        && memory.steady.contains(id)
        && !observed.touched.contains(id)
    {
        return None;
    }
    let kinds = pass.context.cluster.kinds().await;
    let version = running
        .desired
        .get(id)
        .map_or("", |object| object.object.version());
    match pass
        .context
        .cluster
        .observe(&kinds, id, version, true)
        .await
    {
        LiveState::Present(object) => {
            let health = health::assess(&object, &memory.checks);
            memory.health.insert(id.clone(), health.clone());
            Some(Ok((object, health)))
        }
        // A Job that has run may go: by its TTL, or by hand.
        LiveState::Absent if memory.is_finished(id) => {
            memory.applied.remove(id);
            None
        }
        // The watch tells of it, and the next pass makes it again.
        LiveState::Absent | LiveState::AsApplied => {
            Some(Err(not_known(id, "it is gone".to_owned())))
        }
        LiveState::Unknown(message) => Some(Err(not_known(id, message))),
    }
}

fn not_known(id: &Id, message: String) -> ObjectFailure {
    ObjectFailure {
        object: id.to_string(),
        container: None,
        reason: "Unknown".to_owned(),
        message,
    }
}

/// Whether the pods of one side of a rollout are all ready.
///
/// # Errors
/// They will not be: why.
pub(super) async fn side(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    id: &Id,
    object: &Object,
) -> Result<bool, String> {
    let health = health::assess(object, &memory.checks);
    // Its time begins now, however long the environment has not been healthy.
    memory.unhealthy_since.entry(id.clone()).or_insert(pass.now);
    match judge(pass, memory, id, object, health, &mut BTreeMap::new()).await {
        Settled::Healthy => {
            memory.unhealthy_since.remove(id);
            Ok(true)
        }
        Settled::Progressing { recheck_at, .. } => {
            if let Some(at) = recheck_at {
                pass.due_at(at);
            }
            Ok(false)
        }
        Settled::Failed { failures } => Err(failures.first().map_or_else(
            || "it will not become healthy".to_owned(),
            |failure| {
                let container = failure
                    .container
                    .as_ref()
                    .map_or(String::new(), |name| format!("container {name}: "));
                format!("{container}{}: {}", failure.reason, failure.message)
            },
        )),
    }
}

async fn judge(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    id: &Id,
    object: &Object,
    health: Health,
    replica_sets: &mut BTreeMap<String, Vec<Object>>,
) -> Settled {
    let current = matches!(health, Health::Current);
    let with_pods = health::has_pods(&id.group, &id.kind);
    // What was steady before stays so as long as its own status is well: its pods are not watched.
    if current && (!with_pods || memory.steady.contains(id)) {
        return Settled::Healthy;
    }
    let started = since(memory, pass, id);
    let mut findings = Vec::new();
    if with_pods && let Some(namespace) = &id.namespace {
        let watch = memory
            .pods
            .entry(namespace.clone())
            .or_insert_with(|| pass.context.pods.watch(namespace, &memory.wake));
        let Some(pods) = watch.pods() else {
            // The watch wakes the next pass when its list is in.
            return Settled::Progressing {
                failures: Vec::new(),
                recheck_at: None,
            };
        };
        if id.kind == "Deployment" && !replica_sets.contains_key(namespace) {
            match pass.context.cluster.replica_sets(namespace).await {
                Ok(found) => {
                    replica_sets.insert(namespace.clone(), found);
                }
                Err(error) => pass.stop("HealthUnknown", error.to_string()),
            }
        }
        let sets = replica_sets.get(namespace).map_or(&[][..], Vec::as_slice);
        findings = health::findings(object, &pods, sets, pass.now);
    }
    let spec = &pass.environment.spec.health;
    let progress = Progress {
        started,
        now: pass.now,
        timeout: spec.timeout.0,
        grace: spec.grace.0,
    };
    settle(object, health, &findings, progress)
}

/// Since when the object is not healthy; for a revision that never was, since it was applied.
fn since(memory: &mut Memory, pass: &Pass<'_>, id: &Id) -> Timestamp {
    *memory.unhealthy_since.entry(id.clone()).or_insert_with(|| {
        let history = pass
            .environment
            .status
            .as_ref()
            .and_then(|status| newest_applied(&status.history));
        history
            .filter(|newest| {
                Some(&newest.hash) == pass.report.hash.as_ref() && newest.healthy_at.is_none()
            })
            .and_then(|newest| newest.applied_at.as_ref())
            .map_or(pass.now, |applied| applied.0)
    })
}
