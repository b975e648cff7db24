//! What is seen of one rollout: both sides, the router, the evidence, and a person's word.

mod refused;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use serde_json::Value;

use super::super::{Memory, Pass, health};
use super::{Rolling, set};
use crate::analysis::{Actor, Target, Targets};
use crate::api::{RolloutPhase as Phase, RolloutStatus, RolloutStrategy};
use crate::desired::DesiredObject;
use crate::object::{Id, Object};
use crate::plan::LiveState;
use crate::rollout::machine::{self, Command, Observed, Side};
use crate::rollout::names::{Names, Runs, canary_of};
use crate::rollout::order;
use crate::rollout::policy::{Policy, Strategy, route};
use crate::rollout::stage;
use crate::rollout::{
    COMMAND_ANNOTATION, PINNED_ANNOTATION, ROLLOUT_LABEL, TRACK_LABEL, pods, traffic,
};
use refused::refused;

pub(super) async fn observe(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    rolling: &Rolling,
    policy: &Policy,
    record: &RolloutStatus,
) -> Observed {
    let workload = &policy.workload;
    let taken = stage::change(workload, &rolling.taken.desired).as_ref() == Some(&record.change);
    let is_unwritten = |object: &&DesiredObject| {
        let concerns = match object.object.label(ROLLOUT_LABEL) {
            // What another rollout cannot write does not keep this one.
            Some(id) if is_of_another(rolling, record, id) => {
                route(policy).as_ref() == Some(&object.id)
            }
            Some(_) => true,
            None => {
                object.id == *workload
                    || rolling.is_traffic(&object.id)
                    || rolling.is_scaler(&object.id)
                    || rolling.is_left(&object.id)
            }
        };
        let is_applied = || {
            let applied = memory.applied.get(&object.id);
            applied.is_some_and(|applied| applied.digest == object.digest)
        };
        concerns && !is_applied()
    };
    let desired = &rolling.running.desired.objects;
    let unwritten: Vec<&DesiredObject> = desired.iter().filter(is_unwritten).collect();
    let written = unwritten.is_empty();
    let refused = {
        let next = memory.rollouts.next.as_deref();
        let revisions = [Some(&*rolling.taken), next].into_iter().flatten();
        let copies: BTreeSet<Id> = revisions
            .flat_map(|it| stage::copies(workload, &it.desired))
            .collect();
        // What others stand behind too says nothing of this change.
        let is_own = |object: &&&DesiredObject| {
            object.id == *workload
                || object.object.label(ROLLOUT_LABEL) == Some(stage::id(record))
                || copies.contains(&object.id)
        };
        let own: Vec<&Id> = unwritten.iter().filter(is_own).map(|it| &it.id).collect();
        let failures = pass.report.failures.get(rolling.told_before..);
        refused(&own, failures.unwrap_or_default())
    };
    let Sides {
        stable,
        canary,
        canary_is_gone,
        pods,
        uid,
    } = if record.strategy == RolloutStrategy::Partition {
        set::sides(pass, memory, workload, record, written).await
    } else {
        let stable = stable(pass, memory, policy).await.unwrap_or_default();
        let (canary, pods, uid) = canary(pass, memory, policy).await;
        Sides {
            stable,
            canary_is_gone: canary.is_none() && pods.is_empty(),
            canary: canary.unwrap_or_default(),
            pods,
            uid,
        }
    };
    let mut router_waits = rolling
        .roles
        .problems
        .iter()
        .find(|(id, _)| id == workload)
        .map(|(_, problem)| problem.clone());
    // The route of another workload's rollout is that one's concern.
    let route = route(policy).filter(|route| rolling.roles.routes.contains(route));
    if let Some(route) = &route {
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
    let verdicts = evidence(pass, memory, policy, record, &pods, uid);
    Observed {
        change: if taken || !rolling.knows_changes() {
            Some(record.change.clone())
        } else {
            rolling.changes.get(workload).cloned()
        },
        written,
        refused,
        router_waits,
        canary_is_gone,
        canary,
        stable,
        verdicts,
        command: command(pass, record),
        may_switch: order::may_switch(&rolling.changes, &rolling.records),
        may_promote: order::may_promote(
            policy,
            &rolling.policies,
            &rolling.changes,
            &rolling.records,
            pass.now,
        ),
        taken,
        go_back: rolling
            .course
            .go_back()
            .or_else(|| order::taken_back(workload, &rolling.changes, &rolling.records)),
        looked_since: memory.rollouts.since,
        held: rolling.held(),
    }
}

/// Whether what is marked with this was made or changed for the rollout of another workload.
fn is_of_another(rolling: &Rolling, record: &RolloutStatus, id: &str) -> bool {
    id != stage::id(record)
        && rolling
            .records
            .iter()
            .any(|other| other.workload != record.workload && stage::id(other) == id)
}

/// Both sides, and the pods that run the change.
#[derive(Default)]
pub(super) struct Sides {
    pub stable: Side,
    pub canary: Side,
    /// Nothing runs the change any more.
    pub canary_is_gone: bool,
    pub pods: Vec<Object>,
    /// That of the Deployment that exists for the change only.
    pub uid: Option<String>,
}

/// The stable side; nothing where there is none.
///
/// # Errors
/// It could not be read: of what size it is, nobody knows.
pub(super) async fn stable(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    policy: &Policy,
) -> Result<Side, String> {
    let workload = &policy.workload;
    let Some(object) = live(pass, workload, "v1").await? else {
        return Ok(Side::default());
    };
    if policy.strategy == Strategy::Partition {
        return Ok(set::stable(&object));
    }
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
    // In the middle of a restart the pods have two hashes; before the newest generation was observed nothing is known.
    let observed = object.at("/metadata/generation") == object.at("/status/observedGeneration");
    side.restarting = observed
        && number(&object, "/status/updatedReplicas") != number(&object, "/status/replicas");
    if observed && !side.restarting {
        side.hash = template_hash(pass, workload, &object).await;
    }
    Ok(side)
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

/// The canary's side, its pods, and its UID; `None` where it does not exist.
async fn canary(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    policy: &Policy,
) -> (Option<Side>, Vec<Object>, Option<String>) {
    let id = canary_of(&policy.workload);
    let pods = pods_of(pass, memory, &id);
    let cluster = &pass.context.cluster;
    let kinds = cluster.kinds().await;
    let object = match cluster.observe(&kinds, &id, "v1", true).await {
        LiveState::Present(object) => object,
        // Its pods may serve on after it, and are not gone before they were listed.
        LiveState::Absent if let Some(pods) = pods => return (None, pods, None),
        // What cannot be read is not gone.
        _ => return (Some(Side::default()), Vec::new(), None),
    };
    let Some(pods) = pods else {
        return (Some(Side::default()), Vec::new(), None);
    };
    let mut side = Side {
        replicas: number(&object, "/spec/replicas"),
        ..Side::default()
    };
    match health::side(pass, memory, &id, &object).await {
        Ok(ready) => side.ready = ready,
        Err(failure) => side.failure = Some(failure),
    }
    side.failure = side.failure.or_else(|| pods::fault(&pods));
    (Some(side), pods, object.uid().map(str::to_owned))
}

/// The canary's pods, by the names of its ReplicaSets; `None` until they are known.
fn pods_of(pass: &Pass<'_>, memory: &mut Memory, canary: &Id) -> Option<Vec<Object>> {
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

/// Makes the checks that are due at this step, and takes the verdicts that fell.
fn evidence(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    policy: &Policy,
    record: &RolloutStatus,
    pods: &[Object],
    uid: Option<String>,
) -> Vec<machine::Verdict> {
    let Some(since) = record.in_effect_since.as_ref().filter(|_| {
        matches!(
            record.phase,
            Phase::Analysing | Phase::Paused | Phase::Proved | Phase::Switched
        )
    }) else {
        return Vec::new();
    };
    let workload = &policy.workload;
    let targets = Targets {
        names: Names {
            namespace: workload.namespace.clone().unwrap_or_default(),
            workload: workload.name.clone(),
            service: policy.service.as_ref().unwrap_or(&workload.name).clone(),
            stable_hash: record.stable_hash.clone(),
            runs: match &policy.strategy {
                Strategy::Canary => Runs::Beside,
                Strategy::BlueGreen { preview, .. } => Runs::Preview(preview.clone()),
                Strategy::Partition => {
                    let all = record.stable_replicas;
                    Runs::Ordinals(all.saturating_sub(record.canary_replicas), all)
                }
            },
        },
        pods: pods.iter().filter_map(target).collect(),
        change: stage::id(record).to_owned(),
        owner: uid.map(|uid| (canary_of(&policy.workload), uid)),
    };
    let actor = Actor {
        cluster: pass.context.cluster.clone(),
        leadership: pass.context.leadership.clone(),
        identity: pass.identity.clone(),
    };
    let next = memory
        .analysis
        .make(&actor, policy, &targets, since.0, pass.now);
    if let Some(next) = next {
        pass.due_at(next);
    }
    memory.analysis.take(workload, &targets.pods)
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

/// The newest word of a person: `TIME COMMAND [WORKLOAD]`.
pub(super) fn said<'p>(pass: &Pass<'p>) -> Option<&'p String> {
    pass.environment.annotations().get(COMMAND_ANNOTATION)
}

/// The newest word of a person that this rollout has not served.
pub(super) fn command(pass: &Pass<'_>, record: &RolloutStatus) -> Option<(String, Command)> {
    let text = said(pass)?;
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

/// Whether the live template of a workload refers to copies of its configuration.
pub(super) async fn is_pinned(pass: &Pass<'_>, workload: &Id) -> Result<bool, String> {
    let live = live(pass, workload, "v1").await?;
    Ok(live.is_some_and(|object| object.annotation(PINNED_ANNOTATION) == Some("true")))
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
