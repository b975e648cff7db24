//! What is seen of one rollout: both sides, the router, the evidence, and a person's word.

use std::time::{Duration, Instant};

use kube::ResourceExt;
use serde_json::Value;

use super::super::{Memory, Pass, health};
use super::Rolling;
use crate::analysis::{Target, Targets};
use crate::api::{RolloutPhase as Phase, RolloutStatus};
use crate::object::{Id, Object};
use crate::plan::LiveState;
use crate::rollout::machine::{self, Command, Observed, Side};
use crate::rollout::order;
use crate::rollout::policy::Policy;
use crate::rollout::stage::{self, canary_name};
use crate::rollout::{COMMAND_ANNOTATION, ROLLOUT_LABEL, TRACK_LABEL, traffic};

pub(super) async fn observe(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    rolling: &Rolling,
    policy: &Policy,
    record: &RolloutStatus,
) -> Observed {
    let workload = &policy.workload;
    let taken = stage::change(workload, &rolling.taken.desired).as_ref() == Some(&record.change);
    let stable = stable(pass, memory, policy).await;
    let (canary, pods) = canary(pass, memory, policy).await;
    let written = rolling.running.desired.objects.iter().all(|object| {
        let concerns = object.object.label(ROLLOUT_LABEL).is_some()
            || object.id == *workload
            || rolling.is_traffic(&object.id)
            || rolling.is_scaler(&object.id);
        !concerns
            || memory
                .applied
                .get(&object.id)
                .is_some_and(|applied| applied.digest == object.digest)
    });
    let mut router_waits = rolling
        .staged
        .problems
        .iter()
        .find(|(id, _)| id == workload)
        .map(|(_, problem)| problem.clone());
    for route in &rolling.staged.routes {
        let version = rolling
            .running
            .desired
            .get(route)
            .map_or("v1", |object| object.object.version());
        let accepted = match live(pass, route, version).await {
            Ok(Some(route)) => traffic::accepted(&route),
            Ok(None) => Err("the route is gone".to_owned()),
            Err(message) => Err(message),
        };
        if let Err(waits) = accepted {
            router_waits.get_or_insert(waits);
            pass.due(Instant::now() + Duration::from_secs(1));
        }
    }
    let verdicts = evidence(pass, memory, policy, record, &pods);
    Observed {
        change: if taken || !rolling.is_whole() {
            Some(record.change.clone())
        } else {
            rolling.changes.get(workload).cloned()
        },
        written,
        router_waits,
        canary_is_gone: canary.is_none() && pods.is_empty(),
        canary: canary.unwrap_or_default(),
        stable,
        verdicts,
        command: command(pass, record),
        may_promote: order::may_promote(policy, &rolling.changes, &rolling.records),
        taken,
        go_back: rolling
            .course
            .go_back()
            .or_else(|| order::taken_back(workload, &rolling.changes, &rolling.records)),
        looked_since: memory.rollouts.since,
        held: rolling.course.held(),
    }
}

/// The stable side.
pub(super) async fn stable(pass: &mut Pass<'_>, memory: &mut Memory, policy: &Policy) -> Side {
    let workload = &policy.workload;
    let Ok(Some(object)) = live(pass, workload, "v1").await else {
        return Side::default();
    };
    let replicas = number(&object, "/spec/replicas");
    let mut side = Side {
        replicas,
        stopped: replicas == 0,
        ..Side::default()
    };
    match health::side(pass, memory, workload, &object).await {
        Ok(ready) => side.ready = ready,
        Err(failure) => side.failure = Some(failure),
    }
    // In the middle of a restart the pods have two hashes.
    side.restarting = number(&object, "/status/updatedReplicas")
        != number(&object, "/status/replicas")
        || object.at("/metadata/generation") != object.at("/status/observedGeneration");
    if !side.restarting {
        side.hash = template_hash(pass, workload, &object).await;
    }
    side
}

/// The `pod-template-hash` of the newest ReplicaSet of a Deployment.
async fn template_hash(pass: &Pass<'_>, workload: &Id, deployment: &Object) -> Option<String> {
    const REVISION: &str = "deployment.kubernetes.io/revision";
    let namespace = workload.namespace.as_deref()?;
    let sets = pass.context.cluster.replica_sets(namespace).await.ok()?;
    let revision = deployment.annotation(REVISION);
    let set = sets.iter().find(|set| {
        set.at("/metadata/ownerReferences/0/uid")
            .and_then(Value::as_str)
            == deployment.uid()
            && set.annotation(REVISION) == revision
    })?;
    set.label("pod-template-hash").map(str::to_owned)
}

/// The canary's side, and its pods; `None` where it does not exist.
async fn canary(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    policy: &Policy,
) -> (Option<Side>, Vec<Object>) {
    let id = Id {
        name: canary_name(&policy.workload.name),
        ..policy.workload.clone()
    };
    let pods = pods(pass, memory, &id);
    let cluster = &pass.context.cluster;
    let kinds = cluster.kinds().await;
    let object = match cluster.observe(&kinds, &id, "v1", true).await {
        LiveState::Present(object) => object,
        LiveState::Absent => return (None, pods.unwrap_or_default()),
        // What cannot be read is not gone.
        _ => return (Some(Side::default()), Vec::new()),
    };
    let Some(pods) = pods else {
        return (Some(Side::default()), Vec::new());
    };
    let mut side = Side {
        replicas: number(&object, "/spec/replicas"),
        ..Side::default()
    };
    match health::side(pass, memory, &id, &object).await {
        Ok(ready) => side.ready = ready,
        Err(failure) => side.failure = Some(failure),
    }
    side.failure = side.failure.or_else(|| restarted(&pods));
    (Some(side), pods)
}

/// The canary's pods, by the names of its ReplicaSets; `None` until they are known.
fn pods(pass: &Pass<'_>, memory: &mut Memory, canary: &Id) -> Option<Vec<Object>> {
    let namespace = canary.namespace.as_ref()?;
    let watch = memory
        .pods
        .entry(namespace.clone())
        .or_insert_with(|| pass.context.pods.watch(namespace, &memory.wake));
    let prefix = format!("{}-", canary.name);
    let mut pods = watch.pods()?;
    pods.retain(|pod| {
        pod.label(TRACK_LABEL) == Some("canary")
            && pod
                .at("/metadata/ownerReferences/0/name")
                .and_then(Value::as_str)
                .and_then(|owner| owner.strip_prefix(&prefix))
                .is_some_and(|hash| !hash.contains('-'))
    });
    Some(pods)
}

fn restarted(pods: &[Object]) -> Option<String> {
    pods.iter().find_map(|pod| {
        let statuses = pod.at("/status/containerStatuses")?.as_array()?;
        let status = statuses
            .iter()
            .find(|status| status["restartCount"].as_u64().unwrap_or(0) > 0)?;
        let why = status["lastState"]["terminated"]["reason"]
            .as_str()
            .unwrap_or("it ended");
        Some(format!(
            "pod {}, container {}: restarted: {why}",
            pod.name(),
            status["name"].as_str().unwrap_or_default()
        ))
    })
}

/// Makes the checks that are due at this step, and takes the verdicts that fell.
fn evidence(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    policy: &Policy,
    record: &RolloutStatus,
    pods: &[Object],
) -> Vec<machine::Verdict> {
    let Some(since) = record.in_effect_since.as_ref().filter(|_| {
        matches!(
            record.phase,
            Phase::Analysing | Phase::Paused | Phase::Proved
        )
    }) else {
        return Vec::new();
    };
    let workload = &policy.workload;
    let name = |name: &str| name.to_owned();
    let targets = Targets {
        names: vec![
            ("namespace", workload.namespace.clone().unwrap_or_default()),
            ("workload", name(&workload.name)),
            ("canary", canary_name(&workload.name)),
            ("service", canary_name(&workload.name)),
        ],
        pods: pods.iter().filter_map(target).collect(),
    };
    let next = memory.analysis.make(policy, &targets, since.0, pass.now);
    if let Some(next) = next {
        pass.due_at(next);
    }
    memory.analysis.take(workload)
}

fn target(pod: &Object) -> Option<Target> {
    let ready = pod
        .at("/status/conditions")?
        .as_array()?
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    if !ready || pod.at("/metadata/deletionTimestamp").is_some() {
        return None;
    }
    Some(Target {
        name: pod.name().to_owned(),
        ip: pod.at("/status/podIP")?.as_str()?.to_owned(),
        port: pod
            .at("/spec/containers/0/ports/0/containerPort")
            .and_then(Value::as_u64)
            .and_then(|port| u16::try_from(port).ok()),
    })
}

/// The newest word of a person that this rollout has not served: `TIME COMMAND [WORKLOAD]`.
pub(super) fn command(pass: &Pass<'_>, record: &RolloutStatus) -> Option<(String, Command)> {
    let text = pass.environment.annotations().get(COMMAND_ANNOTATION)?;
    if record.last_command.as_ref() == Some(text) {
        return None;
    }
    let mut words = text.split_whitespace().skip(1);
    let command = match words.next()? {
        "promote" => Command::Promote,
        "abort" => Command::Abort,
        "retry" => Command::Retry,
        "pause" => Command::Pause,
        _ => return None,
    };
    let concerns = words
        .next()
        .is_none_or(|name| record.workload.rsplit('/').next() == Some(name));
    concerns.then(|| (text.clone(), command))
}

pub(super) async fn live(
    pass: &Pass<'_>,
    id: &Id,
    version: &str,
) -> Result<Option<Object>, String> {
    let cluster = &pass.context.cluster;
    let kinds = cluster.kinds().await;
    match cluster.observe(&kinds, id, version, true).await {
        LiveState::Present(object) => Ok(Some(object)),
        LiveState::Absent => Ok(None),
        LiveState::AsApplied => Err(format!("{id} was not read")),
        LiveState::Unknown(message) => Err(message),
    }
}

pub(super) fn number(object: &Object, pointer: &str) -> u32 {
    let number = object.at(pointer).and_then(Value::as_u64);
    number
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or_default()
}
