//! plan and dry run of a revision that is new: nothing of it is written before everything that can be tried was tried.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::prepare::{self, Known, Prepared};
use super::rollout::NotHeld;
use super::wanted::Wanted;
use super::{Memory, Pass, Running, account, approval, dry_run, observe, rollout};
use crate::api::{HeldObject, NextRevision, ObjectFailure};
use crate::desired::Kinds;
use crate::object::Id;
use crate::plan::{Action, RefusalReason};
use crate::sources::Snapshot;
use crate::status::Problem;

/// A revision that was refused: what was said, and when it is tried again.
pub(super) struct Refused {
    hash: String,
    failures: Vec<ObjectFailure>,
    times: u32,
    again: Instant,
}

/// What is to be kept now: the wanted revision if it may be taken, else the one before it.
pub(super) async fn admit(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    prepared: Prepared,
) -> Option<Arc<Running>> {
    match prepared {
        Prepared::Same => rollout::nothing_is_held(memory),
        Prepared::Before(snapshot) => {
            rollout::still_held(pass);
            keep(pass, memory, snapshot.as_ref()).await;
            rollout::recall(pass, memory, snapshot.as_ref()).await;
        }
        Prepared::Wanted(prepared) => {
            let (candidate, wanted) = *prepared;
            let before = pass.report.revision.as_ref();
            if before.is_none_or(|before| before.commit != candidate.revision.commit) {
                memory.approved_by = None;
            }
            let hash = Some(&candidate.desired.hash);
            let known = [&memory.admitted, &memory.admitted_before]
                .iter()
                .any(|admitted| admitted.as_ref() == hash);
            if known || may_be_taken(pass, memory, &candidate, &wanted).await {
                memory.admitted = Some(candidate.desired.hash.clone());
                memory.refused = None;
                take(pass, memory, candidate, wanted.snapshot).await;
            } else {
                keep(pass, memory, Some(&wanted.snapshot)).await;
                rollout::recall(pass, memory, Some(&wanted.snapshot)).await;
            }
        }
    }
    rollout::take_proved(pass, memory);
    told(pass, memory)
}

/// The revision that was taken, whatever Git wants by now.
pub(super) async fn running(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    snapshot: Option<&Snapshot>,
) -> Option<Arc<Running>> {
    keep(pass, memory, snapshot).await;
    rollout::recall(pass, memory, snapshot).await;
    told(pass, memory)
}

/// What is kept, told in the report.
fn told(pass: &mut Pass<'_>, memory: &Memory) -> Option<Arc<Running>> {
    let running = memory.running.clone()?;
    pass.report.revision = Some(running.revision.clone());
    pass.report.hash = Some(running.desired.hash.clone());
    pass.report.settings = Some(running.settings.clone());
    let approver = || {
        let diverged = running.revision.diverged;
        diverged.then(|| approval::approver(pass, &running.revision.commit))?
    };
    pass.report.approved_by = memory.approved_by.clone().or_else(approver);
    Some(running)
}

/// Takes the candidate, or holds it back until its rollouts have proved it.
async fn take(pass: &mut Pass<'_>, memory: &mut Memory, candidate: Running, snapshot: Snapshot) {
    if !rollout::concerns(pass, &candidate) {
        rollout::nothing_is_held(memory);
        memory.generation = pass.environment.metadata.generation;
        memory.running = Some(Arc::new(candidate));
        return;
    }
    keep(pass, memory, Some(&snapshot)).await;
    if memory.running.is_none() && rollout::compares(pass, &candidate) {
        let before = prepare::before(pass, memory, &snapshot, Known::ByItsCommit).await;
        memory.running = before.map(Arc::new);
    }
    let running = memory.running.clone();
    match rollout::holds(pass, memory, running.as_deref(), &candidate).await {
        Ok(false) => {
            rollout::nothing_is_held(memory);
            memory.generation = pass.environment.metadata.generation;
            memory.running = Some(Arc::new(candidate));
        }
        Ok(true) => rollout::hold(pass, memory, candidate),
        Err(not_held) => {
            match not_held {
                NotHeld::Refused(failures) => refuse(pass, &candidate, failures),
                NotHeld::Unread(message) => {
                    rollout::still_held(pass);
                    pass.stop("RolloutUnknown", message);
                }
            }
            rollout::recall(pass, memory, Some(&snapshot)).await;
        }
    }
}

async fn keep(pass: &mut Pass<'_>, memory: &mut Memory, snapshot: Option<&Snapshot>) {
    if memory.running.is_none()
        && let Some(snapshot) = snapshot
    {
        let before = prepare::before(pass, memory, snapshot, Known::ByItsHash).await;
        memory.running = before.map(Arc::new);
    }
}

async fn may_be_taken(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    candidate: &Running,
    wanted: &Wanted,
) -> bool {
    let rule = usize::try_from(candidate.revision.rule).ok();
    let diverge = rule
        .and_then(|rule| pass.environment.spec.follow.get(rule))
        .is_some_and(|rule| rule.diverge);
    if wanted.diverged
        && !diverge
        && pass.report.revision.is_some()
        && !approved(pass, memory, candidate).await
    {
        return false;
    }
    if let Some(refused) = &memory.refused
        && refused.hash == candidate.desired.hash
        && Instant::now() < refused.again
    {
        let (failures, again) = (refused.failures.clone(), refused.again);
        pass.due(again);
        refuse(pass, candidate, failures);
        return false;
    }
    let failures = tried(pass, memory, candidate).await;
    if failures.is_empty() {
        return true;
    }
    let times = memory
        .refused
        .take()
        .filter(|refused| refused.hash == candidate.desired.hash)
        .map_or(0, |refused| refused.times + 1);
    let again = Instant::now() + Duration::from_secs(2 << times.min(7));
    pass.due(again);
    memory.refused = Some(Refused {
        hash: candidate.desired.hash.clone(),
        failures: failures.clone(),
        times,
        again,
    });
    refuse(pass, candidate, failures);
    false
}

/// Whether a person admitted the revision that diverged; holds it otherwise.
async fn approved(pass: &mut Pass<'_>, memory: &mut Memory, candidate: &Running) -> bool {
    let hash = &candidate.desired.hash;
    match approval::approval(pass, &candidate.revision.commit, |spec| {
        spec.deletions.is_empty() && (spec.hash.is_empty() || spec.hash == *hash)
    }) {
        Some(approval) => match approval::use_approval(pass, &approval, "revision").await {
            Ok(()) => {
                memory.approved_by = Some(approval.spec.by.clone());
                return true;
            }
            Err(message) => pass.stop("ApprovalFailed", message),
        },
        None => {
            let from = pass
                .report
                .revision
                .as_ref()
                .map_or_else(String::new, |revision| revision.short.clone());
            let message = format!(
                "{} neither contains {from}, which is applied, nor carries a higher version: history was rewritten, or a rule points elsewhere. `driftless approve {}` admits it",
                candidate.revision.short,
                pass.environment
                    .metadata
                    .name
                    .as_deref()
                    .unwrap_or_default(),
            );
            pass.report.next = Some(NextRevision {
                revision: candidate.revision.clone(),
                waiting_for: vec!["approval".to_owned()],
                hash: None,
            });
            pass.report.held.push(HeldObject {
                object: String::new(),
                action: "apply".to_owned(),
                reason: format!("Diverged: {message}"),
            });
            pass.problem(Problem {
                reason: "Diverged",
                message,
                unknown: false,
                held: true,
            });
        }
    }
    false
}

fn refuse(pass: &mut Pass<'_>, candidate: &Running, failures: Vec<ObjectFailure>) {
    let first = failures
        .first()
        .map(|failure| format!("{}: {}", failure.object, failure.message))
        .unwrap_or_default();
    let more = match failures.len() {
        0 | 1 => String::new(),
        several => format!(" (and {} more)", several - 1),
    };
    pass.problem(Problem {
        reason: "Refused",
        message: format!(
            "{} was refused before anything was written: {first}{more}",
            candidate.revision.short
        ),
        unknown: false,
        held: false,
    });
    pass.report.next = Some(NextRevision {
        revision: candidate.revision.clone(),
        waiting_for: vec!["a change of what was refused".to_owned()],
        hash: None,
    });
    pass.report.failures.extend(failures);
}

/// Plans the candidate and tries every write that can be tried now; everything that is refused.
async fn tried(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    candidate: &Running,
) -> Vec<ObjectFailure> {
    let live = observe::observe(pass, memory, candidate).await;
    let plan = pass.plan(memory, candidate, &live);
    // What is only on its way out is waited for when its turn comes.
    let refusals = plan
        .refusals
        .iter()
        .filter(|refusal| refusal.reason != RefusalReason::Terminating);
    let mut failures: Vec<ObjectFailure> = refusals
        .map(|refusal| dry_run::failure(refusal, &candidate.desired))
        .collect();
    // What it no longer wants is not written; and it is not deleted as long as it is not known.
    let unknown = live
        .unknown()
        .filter(|(id, _)| candidate.desired.contains(id));
    failures.extend(unknown.map(|(_, failure)| failure));
    let kinds = pass.context.cluster.kinds().await;
    let (actions, later): (Vec<&Action>, Vec<&Action>) = plan
        .waves
        .iter()
        .flat_map(|wave| &wave.actions)
        .partition(|action| can_be_tried(&kinds, &live, &action.id));
    memory.untried = later.into_iter().map(|action| action.id.clone()).collect();
    let tried = dry_run::try_all(pass, &kinds, &live, actions).await;
    let tried = account::told_once(pass, &kinds, tried).await;
    failures.extend(
        tried
            .iter()
            .map(|refusal| dry_run::failure(refusal, &candidate.desired)),
    );
    failures
}

/// Whether the kind, and the namespace, are there already.
fn can_be_tried(kinds: &Kinds, live: &observe::Observed, id: &Id) -> bool {
    kinds.get(&id.group, &id.kind).is_some()
        && id
            .namespace
            .as_ref()
            .is_none_or(|namespace| !live.is_absent_namespace(namespace))
}
