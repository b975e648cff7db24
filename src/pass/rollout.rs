//! rollout: which changes are held back, what the records ask for, and what was observed of them. The decisions are
//! [`crate::rollout`]'s; here they meet the cluster. Must not write: what is staged is applied by the line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use serde_json::Value;

use super::{Memory, Pass, Running, health};
use crate::analysis::{Target, Targets};
use crate::api::{GROUP, NextRevision, ObjectFailure, RolloutPhase as Phase, RolloutStatus};
use crate::desired::Desired;
use crate::object::{Id, Object};
use crate::plan::{Departed, LiveState};
use crate::rollout::machine::{self, Command, Observed, Side};
use crate::rollout::policy::{Policy, policies};
use crate::rollout::stage::{self, Rollout, Staged, canary_name};
use crate::rollout::{COMMAND_ANNOTATION, PINNED_ANNOTATION, ROLLOUT_LABEL, TRACK_LABEL, traffic};
use crate::status::Problem;

/// What is remembered of an environment's rollouts.
#[derive(Default)]
pub(super) struct Rollouts {
    /// The revision whose changes are held back.
    next: Option<Arc<Running>>,
    /// Workloads, and whether their live template refers to copies.
    pinned: BTreeMap<Id, bool>,
    /// What Git wants was compared with what the stable sides run, since the agent started.
    looked: bool,
}

/// A revision as it is to be applied now, with what its rollouts ask for.
pub(super) struct Rolling {
    pub running: Arc<Running>,
    staged: Staged,
    policies: BTreeMap<Id, Policy>,
    /// The changes that Git wants and the stable sides do not run.
    changes: BTreeMap<Id, String>,
    /// The commit that brings them.
    commit: String,
    /// The records as they are acted on.
    records: Vec<RolloutStatus>,
    /// What exists for rollouts is left, though nobody asks for it now.
    keeps_parts: bool,
}

impl Rolling {
    /// Whether an object exists only for a rollout.
    pub fn is_part(&self, id: &Id) -> bool {
        self.staged.parts.contains(id)
    }

    /// Whether an object decides who gets the traffic: it is written whatever else is not well.
    pub fn is_traffic(&self, id: &Id) -> bool {
        self.staged.traffic.contains(id)
    }
}

/// Whether the candidate has policies, or a rollout is under way.
pub(super) fn concerns(pass: &Pass<'_>, candidate: &Running) -> bool {
    !pass.report.rollouts.is_empty()
        || candidate
            .desired
            .objects
            .iter()
            .any(|object| object.id.group == GROUP && object.id.kind == "RolloutPolicy")
}

/// Whether the candidate has to wait until its changes have proved themselves.
pub(super) async fn holds(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    running: Option<&Running>,
    candidate: &Running,
) -> Result<bool, Vec<ObjectFailure>> {
    memory.rollouts.next = None;
    memory.rollouts.looked = true;
    let policies = policies(&candidate.desired).map_err(told)?;
    let Some(running) = running else {
        let same = pass
            .report
            .revision
            .as_ref()
            .is_some_and(|known| known.commit == candidate.revision.commit);
        if pass.report.hash.is_none() || policies.is_empty() || same {
            return Ok(false);
        }
        // What the stable sides run is not known: nothing is held back from what cannot be compared.
        let commit = pass.report.revision.as_ref().map_or("", |it| &it.short);
        let message = format!(
            "{commit}, which is applied, cannot be rendered any more, so that a change to it cannot be rolled out; take the RolloutPolicy out of Git to apply it at once"
        );
        let workloads = policies.into_keys();
        return Err(told(workloads.map(|id| (id, message.clone())).collect()));
    };
    let changed = changes(&policies, &running.desired, &candidate.desired);
    // A rollout whose policy is gone ends before what Git wants now is applied.
    let mut held = pass.report.rollouts.iter().any(|record| {
        stage::is_before_promotion(record.phase)
            && record.phase != Phase::Failed
            && !policies
                .keys()
                .any(|workload| workload.to_string() == record.workload)
            && running
                .desired
                .objects
                .iter()
                .any(|object| object.id.to_string() == record.workload)
    });
    for (workload, change) in &changed {
        let record = pass
            .report
            .rollouts
            .iter()
            .find(|record| record.workload == workload.to_string());
        match record.map(|record| (record.phase, &record.change)) {
            Some((Phase::Promoting | Phase::Finishing, known)) if known == change => {}
            Some(_) => held = true,
            None => held |= has_pods(pass, workload).await,
        }
    }
    Ok(held)
}

fn told(problems: Vec<(Id, String)>) -> Vec<ObjectFailure> {
    problems
        .into_iter()
        .map(|(id, message)| ObjectFailure {
            object: id.to_string(),
            container: None,
            reason: "InvalidRolloutPolicy".to_owned(),
            message,
        })
        .collect()
}

/// The changes that a policy holds back, by workload.
fn changes(
    policies: &BTreeMap<Id, Policy>,
    before: &Desired,
    after: &Desired,
) -> BTreeMap<Id, String> {
    policies
        .keys()
        .filter_map(|workload| {
            let old = stage::change(workload, before)?;
            let new = stage::change(workload, after)?;
            (old != new).then(|| (workload.clone(), new))
        })
        .collect()
}

/// Whether a stable side serves: where there is none, or not a ready pod of it, nothing is lost by applying at once, and
/// what would repair it must not wait.
async fn has_pods(pass: &Pass<'_>, workload: &Id) -> bool {
    match live(pass, workload, "v1").await {
        Ok(Some(object)) => number(&object, "/status/readyReplicas") > 0,
        Ok(None) => false,
        // What cannot be read is not absent.
        Err(_) => true,
    }
}

async fn live(pass: &Pass<'_>, id: &Id, version: &str) -> Result<Option<Object>, String> {
    let cluster = &pass.context.cluster;
    let kinds = cluster.kinds().await;
    match cluster.observe(&kinds, id, version, true).await {
        LiveState::Present(object) => Ok(Some(object)),
        LiveState::Absent => Ok(None),
        LiveState::AsApplied => Err(format!("{id} was not read")),
        LiveState::Unknown(message) => Err(message),
    }
}

fn number(object: &Object, pointer: &str) -> u32 {
    let number = object.at(pointer).and_then(Value::as_u64);
    number
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or_default()
}

/// What is wanted is what the stable sides run.
pub(super) fn nothing_is_held(memory: &mut Memory) {
    memory.rollouts.next = None;
    memory.rollouts.looked = true;
}

/// Takes what is held, where its promotion is recorded: also when Git wants something by now that cannot be had.
pub(super) fn take_proved(pass: &Pass<'_>, memory: &mut Memory) {
    let (Some(next), Some(running)) = (&memory.rollouts.next, &memory.running) else {
        return;
    };
    let policies = policies(&next.desired).unwrap_or_default();
    let changes = changes(&policies, &running.desired, &next.desired);
    let is_promoted = |(workload, change): (&Id, &String)| {
        pass.report.rollouts.iter().any(|record| {
            record.workload == workload.to_string()
                && record.change == *change
                && !stage::is_before_promotion(record.phase)
        })
    };
    if !changes.is_empty() && changes.iter().all(is_promoted) {
        memory.running = memory.rollouts.next.take();
        memory.generation = pass.environment.metadata.generation;
    }
}

/// Tells that the candidate waits, and keeps it for its canaries.
pub(super) fn hold(pass: &mut Pass<'_>, memory: &mut Memory, candidate: Running) {
    let records = &pass.report.rollouts;
    let waiting_for = records
        .iter()
        .map(|record| format!("the rollout of {}: {}", record.workload, record.message))
        .collect();
    pass.report.next = Some(NextRevision {
        revision: candidate.revision.clone(),
        waiting_for,
    });
    let failed = records.iter().find(|record| record.taken_back);
    if let Some(failed) = failed {
        let name = pass.environment.name_any();
        let message = format!(
            "the rollout of {} in {} was taken back: {}; a new commit, or `driftless retry {name}`, tries again",
            failed.workload, candidate.revision.short, failed.message
        );
        pass.problem(Problem {
            reason: "RolloutFailed",
            message,
            unknown: false,
            held: false,
        });
    }
    memory.rollouts.next = Some(Arc::new(candidate));
}

/// What is to be applied now.
pub(super) async fn stage(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    running: Arc<Running>,
) -> Result<Rolling, String> {
    let next = memory.rollouts.next.clone();
    let wanted = next.as_ref().unwrap_or(&running);
    // A policy that cannot be followed was refused before; what it held back goes back to stable.
    let mut policies = policies(&wanted.desired).unwrap_or_default();
    let changes = next.as_ref().map_or_else(BTreeMap::new, |next| {
        changes(&policies, &running.desired, &next.desired)
    });
    let known_policies = self::policies(&running.desired).unwrap_or_default();
    let mut records = pass.report.rollouts.clone();
    if memory.rollouts.looked {
        for record in &mut records {
            let stable = running
                .desired
                .objects
                .iter()
                .find(|object| object.id.to_string() == record.workload)
                .and_then(|object| stage::change(&object.id, &running.desired));
            let wanted = changes
                .iter()
                .find(|(id, _)| id.to_string() == record.workload)
                .map(|(_, change)| change);
            let outdated = match record.phase {
                Phase::Starting | Phase::Analysing | Phase::Paused | Phase::Proved => {
                    wanted != Some(&record.change)
                }
                Phase::Promoting | Phase::Finishing => stable.as_ref() != Some(&record.change),
                _ => false,
            };
            if outdated {
                // Lowering is written at once; raising waits for its record.
                let what = machine::abandon(record, pass.now);
                pass.events.push((true, "RolloutAborted", "Rollout", what));
            }
        }
    }
    for record in &records {
        let Some(workload) = running
            .desired
            .objects
            .iter()
            .map(|object| &object.id)
            .find(|id| id.to_string() == record.workload)
        else {
            continue;
        };
        policies.entry(workload.clone()).or_insert_with(|| {
            let known = known_policies.get(workload);
            known.cloned().unwrap_or_else(|| Policy::gone(workload))
        });
    }
    for workload in policies.keys() {
        let promoted = records.iter().any(|record| {
            record.workload == workload.to_string()
                && matches!(record.phase, Phase::Promoting | Phase::Finishing)
        });
        if promoted {
            memory.rollouts.pinned.insert(workload.clone(), true);
        } else if !memory.rollouts.pinned.contains_key(workload) {
            let pinned = live(pass, workload, "v1")
                .await?
                .is_some_and(|object| object.annotation(PINNED_ANNOTATION) == Some("true"));
            memory.rollouts.pinned.insert(workload.clone(), pinned);
        }
    }
    memory
        .rollouts
        .pinned
        .retain(|workload, _| policies.contains_key(workload));
    let pinned: BTreeSet<Id> = memory
        .rollouts
        .pinned
        .iter()
        .filter(|(_, pinned)| **pinned)
        .map(|(workload, _)| workload.clone())
        .collect();
    let commit = wanted.revision.commit.clone();
    // Before what Git wants is known again, nothing of a rollout goes.
    let keeps_parts =
        stage::keeps_parts(&records) || !(records.is_empty() || memory.rollouts.looked);
    if policies.is_empty() {
        return Ok(Rolling {
            staged: Staged::plain(Desired::default()),
            running,
            policies,
            changes,
            commit,
            records,
            keeps_parts,
        });
    }
    let rollouts: Vec<Rollout> = records
        .iter()
        .filter_map(|record| {
            let policy = policies
                .values()
                .find(|policy| policy.workload.to_string() == record.workload)?;
            Some(Rollout { policy, record })
        })
        .collect();
    let staged = stage::stage(
        &running.desired,
        next.as_ref().map(|next| &next.desired),
        &rollouts,
        &pinned,
    );
    let running = Arc::new(Running {
        revision: running.revision.clone(),
        desired: staged.desired.clone(),
    });
    Ok(Rolling {
        running,
        staged,
        policies,
        changes,
        commit,
        records,
        keeps_parts,
    })
}

/// What of `departed` may go at once, and what is nobody's concern but the rollouts': the rest.
pub(super) fn sort_out(
    rolling: &Rolling,
    departed: Vec<Departed>,
    settled: bool,
) -> (Vec<Departed>, Vec<Departed>) {
    let is_part = |one: &Departed| match &one.live {
        LiveState::Present(object) => {
            one.owned
                && object.label(ROLLOUT_LABEL).is_some()
                && (object.label(TRACK_LABEL).is_some() || is_configuration(&one.id))
        }
        _ => false,
    };
    let (parts, rest): (Vec<_>, Vec<_>) = departed.into_iter().partition(is_part);
    if rolling.keeps_parts {
        return (Vec::new(), rest);
    }
    // Configuration may still be in use by pods of the state before, until all is well.
    let parts = parts
        .into_iter()
        .filter(|one| settled || !is_configuration(&one.id))
        .collect();
    (parts, rest)
}

fn is_configuration(id: &Id) -> bool {
    id.group.is_empty() && matches!(id.kind.as_str(), "ConfigMap" | "Secret")
}

/// Observes every rollout, and records what follows; begins those that are due.
pub(super) async fn advance(pass: &mut Pass<'_>, memory: &mut Memory, rolling: &Rolling) {
    if pass.report.rollouts.is_empty() && rolling.changes.is_empty() || !memory.rollouts.looked {
        return;
    }
    let recorded = std::mem::take(&mut pass.report.rollouts);
    let records = rolling.records.clone();
    let proved = |record: &RolloutStatus| {
        matches!(
            record.phase,
            Phase::Proved | Phase::Promoting | Phase::Finishing
        )
    };
    let may_promote = rolling.changes.keys().all(|workload| {
        records
            .iter()
            .any(|record| record.workload == workload.to_string() && proved(record))
    });
    let mut after = Vec::new();
    for record in &records {
        let policy = rolling
            .policies
            .values()
            .find(|policy| policy.workload.to_string() == record.workload);
        let Some(policy) = policy else {
            // Git has no such workload any more, and with it went all of this.
            continue;
        };
        let observed = if record.phase == Phase::Failed {
            // It waits for Git, or for a word: nothing of it is in the cluster.
            Observed {
                change: rolling.changes.get(&policy.workload).cloned(),
                command: command(pass, record),
                ..Observed::default()
            }
        } else {
            observe(pass, memory, rolling, policy, record, may_promote).await
        };
        let decision = machine::step(policy, record, &observed, pass.now);
        if let Some(due) = decision.due {
            pass.due_at(due);
        }
        if let Some((warning, reason, what)) = decision.told {
            tracing::info!(
                environment = memory.owner.name,
                workload = record.workload,
                reason,
                what,
                "rollout"
            );
            pass.events.push((warning, reason, "Rollout", what));
        }
        after.extend(decision.record);
    }
    for (workload, change) in &rolling.changes {
        let known = after
            .iter()
            .any(|record| record.workload == workload.to_string());
        let Some(policy) = rolling.policies.get(workload).filter(|_| !known) else {
            continue;
        };
        let stable = stable(pass, memory, policy).await;
        let mut record = machine::begin(policy, &rolling.commit, change, &stable, pass.now);
        record.last_command = pass
            .environment
            .annotations()
            .get(COMMAND_ANNOTATION)
            .cloned();
        after.push(record);
    }
    if after != recorded {
        // What is recorded now is acted on by the next pass.
        pass.due(Instant::now());
    }
    pass.report.rollouts = after;
}

async fn observe(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    rolling: &Rolling,
    policy: &Policy,
    record: &RolloutStatus,
    may_promote: bool,
) -> Observed {
    let workload = &policy.workload;
    let stable = stable(pass, memory, policy).await;
    let (canary, pods) = canary(pass, memory, policy).await;
    let written = rolling.running.desired.objects.iter().all(|object| {
        let concerns = object.object.label(ROLLOUT_LABEL).is_some()
            || object.id == *workload
            || rolling.is_traffic(&object.id);
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
        change: rolling.changes.get(workload).cloned().or_else(|| {
            // What is being promoted is what the stable side wants now.
            (!stage::is_before_promotion(record.phase)).then(|| record.change.clone())
        }),
        written,
        router_waits,
        canary_is_gone: canary.is_none() && pods.is_empty(),
        canary: canary.unwrap_or_default(),
        stable,
        verdicts,
        command: command(pass, record),
        may_promote,
    }
}

/// The stable side.
async fn stable(pass: &mut Pass<'_>, memory: &mut Memory, policy: &Policy) -> Side {
    let workload = &policy.workload;
    let Ok(Some(object)) = live(pass, workload, "v1").await else {
        return Side::default();
    };
    let mut side = Side {
        replicas: number(&object, "/spec/replicas"),
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
fn command(pass: &Pass<'_>, record: &RolloutStatus) -> Option<(String, Command)> {
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
