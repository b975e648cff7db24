//! rollout: which changes are held back, what the records ask for, and what was observed of them. The decisions are
//! [`crate::rollout`]'s; here they meet the cluster. Must not write: what is staged is applied by the
//! line. Only pods that a `StatefulSet` would wait for forever are deleted here ([`set`]).

mod begin;
mod course;
mod foreign;
mod observe;
mod set;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;

use super::{Memory, Pass, Running};
use crate::api::{
    GROUP, NextRevision, ObjectFailure, RevisionStatus, RolloutPhase as Phase, RolloutStatus,
};
use crate::desired::Desired;
use crate::object::Id;
use crate::plan::{Departed, LiveState};
use crate::rollout::machine::{self, Observed};
use crate::rollout::order::{self, record_of};
use crate::rollout::policy::{Policy, policies};
use crate::rollout::stage::{self, Rollout, Staged};
use crate::rollout::{PINNED_ANNOTATION, ROLLOUT_LABEL, TRACK_LABEL};
use crate::status::{Problem, TakenBack};

pub(super) use course::is_under_way;

use course::Course;
use observe::{command, live, number, observe};

/// What is remembered of an environment's rollouts.
#[derive(Default)]
pub(super) struct Rollouts {
    /// The revision whose changes are held back.
    next: Option<Arc<Running>>,
    /// Workloads, and whether their live template refers to copies.
    pinned: BTreeMap<Id, bool>,
    /// What Git wants was compared with what the stable sides run, since the agent started.
    looked: bool,
    /// When the rollouts were first looked at.
    since: Option<Timestamp>,
}

/// A revision as it is to be applied now, with what its rollouts ask for.
pub(super) struct Rolling {
    pub running: Arc<Running>,
    /// The revision as Git says it.
    taken: Arc<Running>,
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
    course: Course,
}

impl Rolling {
    /// Whether an object exists only for a rollout, or runs both versions: its health is evidence.
    pub fn is_part(&self, id: &Id) -> bool {
        self.staged.parts.contains(id) || self.staged.mixed.contains(id)
    }

    /// Whether an object decides who gets the traffic: it is written whatever else is not well.
    pub fn is_traffic(&self, id: &Id) -> bool {
        self.staged.traffic.contains(id)
    }

    /// Whether an object scales a workload that is rolled out.
    pub fn is_scaler(&self, id: &Id) -> bool {
        self.staged.scalers.contains(id)
    }

    /// Whether the whole environment is kept, and not only what its rollouts made or changed.
    pub fn is_whole(&self) -> bool {
        self.course == Course::On
    }

    /// Whether this object may be written now.
    pub fn may_write(&self, id: &Id) -> bool {
        let marked = || {
            let object = self.running.desired.get(id);
            object.is_some_and(|object| object.object.label(ROLLOUT_LABEL).is_some())
        };
        let concerns = || {
            self.is_traffic(id)
                || self.is_scaler(id)
                || record_of(&self.records, id).is_some()
                || marked()
        };
        self.is_whole() || self.course.writes(&self.records) && concerns()
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

/// Whether the candidate's changes are those against another commit, which was applied.
pub(super) fn compares(pass: &Pass<'_>, candidate: &Running) -> bool {
    let known = pass.report.revision.as_ref();
    pass.report.hash.is_some()
        && known.is_some_and(|known| known.commit != candidate.revision.commit)
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
        if policies.is_empty() || !compares(pass, candidate) {
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
        record.phase != Phase::Failed
            && !policies
                .keys()
                .any(|workload| workload.to_string() == record.workload)
            && running
                .desired
                .objects
                .iter()
                .any(|object| object.id.to_string() == record.workload)
    });
    let mut in_the_way = Vec::new();
    for (workload, change) in &changed {
        let record = pass
            .report
            .rollouts
            .iter()
            .find(|record| record.workload == workload.to_string());
        match record.map(|record| (record.phase, &record.change)) {
            Some((Phase::Finishing, known)) if known == change => {}
            Some(_) => held = true,
            None => {
                if !has_pods(pass, workload).await {
                    continue;
                }
                held = true;
                if let Some(policy) = policies.get(workload) {
                    let (before, after) = (&running.desired, &candidate.desired);
                    in_the_way.extend(foreign::foreign(pass, memory, policy, before, after).await);
                }
            }
        }
    }
    if !in_the_way.is_empty() {
        // Nobody watches what is not of the environment.
        pass.due(Instant::now() + Duration::from_secs(10));
        return Err(told(in_the_way));
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

/// What is wanted is what the stable sides run.
pub(super) fn nothing_is_held(memory: &mut Memory) {
    memory.rollouts.next = None;
    memory.rollouts.looked = true;
}

/// What was held back when it was last looked at is so still, where nobody looks now: it stays admitted.
pub(super) fn still_held(pass: &mut Pass<'_>) {
    let status = pass.environment.status.as_ref();
    let next = status.and_then(|status| status.next.clone());
    if is_under_way(&pass.report.rollouts) {
        pass.report.next = next.filter(|next| next.hash.is_some());
    }
}

/// Takes what is held, where all stable sides run it: also when Git wants something by now that cannot be had.
pub(super) fn take_proved(pass: &Pass<'_>, memory: &mut Memory) {
    let (Some(next), Some(running)) = (&memory.rollouts.next, &memory.running) else {
        return;
    };
    let policies = policies(&next.desired).unwrap_or_default();
    let changes = changes(&policies, &running.desired, &next.desired);
    if order::all_promoted(&changes, &pass.report.rollouts) {
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
        hash: Some(candidate.desired.hash.clone()),
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
    let mut changes = next.as_ref().map_or_else(BTreeMap::new, |next| {
        changes(&policies, &running.desired, &next.desired)
    });
    let known_policies = self::policies(&running.desired).unwrap_or_default();
    let course = Course::of(pass);
    let mut records = pass.report.rollouts.clone();
    for policy in policies.values() {
        if record_of(&records, &policy.workload).is_none() {
            records.extend(course::recovered(pass, memory, policy).await?);
        }
    }
    // Where nothing serves, nothing is rolled out: it is applied with the rest of the revision.
    for workload in changes.keys().cloned().collect::<Vec<_>>() {
        if record_of(&records, &workload).is_none() && !has_pods(pass, &workload).await {
            changes.remove(&workload);
        }
    }
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
        if course != Course::On {
            continue;
        }
        if !memory.rollouts.looked {
            if stage::is_promoted(record) && stable.as_ref() != Some(&record.change) {
                return Err(format!(
                    "{} runs a change of {}, which was not read yet; nothing is written before it is",
                    record.workload, record.commit
                ));
            }
            continue;
        }
        if let Some(what) = machine::give_up(record, wanted, stable.as_ref(), pass.now) {
            // Lowering is written at once; raising waits for its record.
            pass.events.push((true, "RolloutAborted", "Rollout", what));
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
        let pinned = match record_of(&records, workload) {
            Some(record)
                if stage::change(workload, &running.desired).as_ref() == Some(&record.change) =>
            {
                Some(true)
            }
            Some(record) => record.stable_pinned,
            None => None,
        };
        if let Some(pinned) = pinned {
            memory.rollouts.pinned.insert(workload.clone(), pinned);
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
        stage::keeps_parts(&records) || course.keeps_parts(&records, memory.rollouts.looked);
    if policies.is_empty() {
        return Ok(Rolling {
            staged: Staged::plain(Desired::default()),
            taken: running.clone(),
            running,
            policies,
            changes,
            commit,
            records,
            keeps_parts,
            course,
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
    let taken = running;
    let running = Arc::new(Running {
        revision: taken.revision.clone(),
        desired: staged.desired.clone(),
        settings: taken.settings.clone(),
    });
    Ok(Rolling {
        running,
        taken,
        staged,
        policies,
        changes,
        commit,
        records,
        keeps_parts,
        course,
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
    let nothing = rolling.records.is_empty() && rolling.changes.is_empty();
    if nothing || rolling.is_whole() && !memory.rollouts.looked {
        return;
    }
    memory.rollouts.since.get_or_insert(pass.now);
    let recorded = std::mem::take(&mut pass.report.rollouts);
    let mut after = Vec::new();
    for record in &rolling.records {
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
            observe(pass, memory, rolling, policy, record).await
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
            let metrics = &pass.context.metrics;
            metrics.rollout_went_on(&memory.owner.name, reason);
            pass.events.push((warning, reason, "Rollout", what));
        }
        after.extend(decision.record.inspect(|after| {
            if after.taken_back && !record.taken_back {
                let taken = taken_back(memory, after);
                pass.report.taken_back.push(taken);
            }
        }));
    }
    begin::begin(pass, memory, rolling, &mut after).await;
    if after != recorded {
        // What is recorded now is acted on by the next pass.
        pass.due(Instant::now());
    }
    pass.report.rollouts = after;
}

/// What the history says of it.
fn taken_back(memory: &Memory, record: &RolloutStatus) -> TakenBack {
    let RolloutStatus {
        workload,
        commit,
        message,
        ..
    } = record;
    let held = memory.rollouts.next.as_ref();
    let held = held.filter(|held| held.revision.commit == *commit);
    TakenBack {
        // The commit that brought the change may not be the newest that is held.
        revision: held.map_or_else(
            || RevisionStatus {
                commit: commit.clone(),
                short: commit.get(..7).unwrap_or(commit).to_owned(),
                ..RevisionStatus::default()
            },
            |held| held.revision.clone(),
        ),
        hash: held.map_or_else(String::new, |held| held.desired.hash.clone()),
        message: format!("{workload}: {message}"),
    }
}
