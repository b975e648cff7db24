//! apply: what the plan says, wave by wave; the next wave waits for the health of the one before.

mod drift;
mod replace;
mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::observe::Observed;
use super::rollout::Rolling;
use super::{Memory, Pass, Running, dry_run, health, together};
use crate::api::{HeldObject, RolloutPhase, RolloutStatus};
use crate::desired::Kinds;
use crate::fields::fingerprint;
use crate::health as rules;
use crate::object::Object;
use crate::plan::{Action, Applied, Plan, PlannedWave, Reason, RefusalReason};
use crate::status::Progress;

use write::{Ended, Trouble};

/// How far it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    /// Everything is applied, nothing was refused.
    pub applied: bool,
    /// Everything is healthy.
    pub healthy: bool,
}

pub(super) async fn apply(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    rolling: &Rolling,
    observed: &Observed,
    plan: &Plan,
) -> Done {
    let running = &*rolling.running;
    let mut done = Done {
        applied: true,
        healthy: true,
    };
    for refusal in &plan.refusals {
        done.applied = false;
        if refusal.reason == RefusalReason::Terminating {
            pass.due(Instant::now() + Duration::from_secs(5));
        }
        pass.report
            .failures
            .push(dry_run::failure(refusal, &running.desired));
    }
    for (_, failure) in observed.unknown() {
        done.applied = false;
        pass.next.retry = true;
        pass.report.failures.push(failure);
    }
    drift::tell(pass, plan);
    let mut failed = false;
    let mut blocked = false;
    for wave in &plan.waves {
        let kinds = kinds(pass, wave).await;
        if !blocked {
            blocked |= !tried(pass, memory, running, &kinds, observed, wave, &mut done).await;
        }
        // What drifted is put back whatever else is not well; what is new waits for the wave before.
        let actions = wave.actions.iter().filter(|action| {
            let may_go = !blocked
                || action.reason.is_upkeep()
                || rolling.is_urgent(&action.id)
                || !rolling.is_whole();
            may_go && rolling.may_write(&action.id)
        });
        let ended = run(pass, &kinds, observed, actions).await;
        blocked |= record(pass, memory, running, ended, &mut done);
        let settled = health::wave(pass, memory, rolling, observed, wave).await;
        done.healthy &= settled.healthy;
        failed |= settled.failed;
        blocked |= !settled.healthy || !all_applied(memory, wave);
    }
    if plan.waves.iter().any(|wave| !all_applied(memory, wave)) {
        done.applied = false;
    }
    if done.applied && memory.reapply {
        memory.reapply = false;
        memory.reapplied_at = Instant::now();
    }
    let rolling_out = |rollout: &RolloutStatus| rollout.phase != RolloutPhase::Failed;
    if done.healthy && !pass.report.rollouts.iter().any(rolling_out) {
        memory.pods.clear();
    }
    if !rolling.is_whole() {
        // What is left alone is as it was told last.
        return done;
    }
    pass.report.progress = match done {
        Done {
            applied: true,
            healthy: true,
        } => Progress::Healthy,
        _ if failed
            || plan
                .refusals
                .iter()
                .any(|refusal| refusal.reason != RefusalReason::Terminating) =>
        {
            Progress::Failed
        }
        _ => Progress::Progressing,
    };
    done
}

/// The kinds of the cluster; asked for anew where a definition of an earlier wave brought one of this wave's.
async fn kinds(pass: &mut Pass<'_>, wave: &PlannedWave) -> Arc<Kinds> {
    let known = pass.context.cluster.kinds().await;
    let missing = |kinds: &Kinds| {
        wave.actions
            .iter()
            .any(|action| kinds.get(&action.id.group, &action.id.kind).is_none())
    };
    if !missing(&known) {
        return known;
    }
    let kinds = pass.context.cluster.refresh_kinds().await.unwrap_or(known);
    if missing(&kinds) {
        // A definition is served a moment after it is established.
        pass.due(Instant::now() + Duration::from_millis(250));
    }
    kinds
}

/// Dry-runs what could not be tried when the revision was admitted; whether all of it may be written.
async fn tried(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    running: &Running,
    kinds: &Kinds,
    observed: &Observed,
    wave: &PlannedWave,
    done: &mut Done,
) -> bool {
    let untried: Vec<&Action> = wave
        .actions
        .iter()
        .filter(|action| memory.untried.contains(&action.id))
        .collect();
    let tried: Vec<_> = untried.iter().map(|action| action.id.clone()).collect();
    let refusals = dry_run::try_all(pass, kinds, observed, untried).await;
    if refusals.is_empty() {
        for id in &tried {
            memory.untried.remove(id);
        }
        return true;
    }
    done.applied = false;
    pass.next.retry = true;
    pass.report.failures.extend(
        refusals
            .iter()
            .map(|refusal| dry_run::failure(refusal, &running.desired)),
    );
    false
}

fn all_applied(memory: &Memory, wave: &PlannedWave) -> bool {
    wave.objects
        .iter()
        .all(|id| memory.applied.contains_key(id) || memory.is_finished(id))
}

async fn run<'p>(
    pass: &Pass<'_>,
    kinds: &Kinds,
    observed: &Observed,
    actions: impl Iterator<Item = &'p Action>,
) -> Vec<(&'p Action, Ended)> {
    let writes: Vec<_> = actions
        .map(|action| async move {
            let ended = write::one(pass, kinds, observed.of(&action.id), action).await;
            (action, ended)
        })
        .collect();
    together(pass.context.parallel, writes).await
}

/// Takes what came of the actions into memory, inventory and report; whether anything is missing.
fn record(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    running: &Running,
    ended: Vec<(&Action, Ended)>,
    done: &mut Done,
) -> bool {
    let mut missing = false;
    for (action, ended) in ended {
        match ended {
            Ended::Applied(object) => applied(pass, memory, action, &object),
            Ended::Removed => {
                missing = true;
                memory.applied.remove(&action.id);
                memory.health.remove(&action.id);
                pass.due(Instant::now() + Duration::from_secs(1));
            }
            Ended::Outdated => {
                missing = true;
                memory.applied.remove(&action.id);
                pass.next.retry = true;
            }
            Ended::Failed(mut failure, trouble) => {
                failure.message = dry_run::placed(&action.id, &failure.message, &running.desired);
                missing = true;
                memory.applied.remove(&action.id);
                tracing::warn!(
                    environment = memory.owner.name,
                    revision = running.revision.short,
                    object = failure.object,
                    reason = failure.reason,
                    message = failure.message,
                    "an object could not be applied"
                );
                match trouble {
                    Trouble::Retry => pass.next.retry = true,
                    Trouble::Wait => pass.due(Instant::now() + Duration::from_secs(5)),
                    Trouble::Refused => {
                        done.applied = false;
                        pass.next.retry = true;
                    }
                    Trouble::Held => pass.report.held.push(HeldObject {
                        object: failure.object.clone(),
                        action: "replace".to_owned(),
                        reason: failure.message.clone(),
                    }),
                }
                pass.report.failures.push(failure);
            }
        }
    }
    missing
}

fn applied(pass: &mut Pass<'_>, memory: &mut Memory, action: &Action, object: &Object) {
    let uid = object.uid().unwrap_or_default().to_owned();
    memory.applied.insert(
        action.id.clone(),
        Applied {
            digest: action.digest.clone(),
            fingerprint: fingerprint(object).unwrap_or_default(),
            resource_version: resource_version(object),
            uid: uid.clone(),
        },
    );
    if let Some(inventory) = &mut memory.inventory {
        inventory.applied(&action.id, object.version(), &uid);
    }
    if matches!(
        action.reason,
        Reason::Create | Reason::Change | Reason::Adopt
    ) {
        memory.unhealthy_since.remove(&action.id);
        memory.steady.remove(&action.id);
    }
    memory
        .health
        .insert(action.id.clone(), rules::assess(object, &memory.checks));
    memory.fresh.insert(action.id.clone(), object.clone());
    pass.context.metrics.applied(&memory.owner.name);
    if let Reason::Drift {
        fields,
        managers,
        deleted,
    } = &action.reason
    {
        pass.context.metrics.drift_repaired(&memory.owner.name);
        for field in fields {
            memory.damper.record(&action.id, field, pass.now);
        }
        let what = if *deleted {
            format!("{} was deleted; it was created again", action.id)
        } else {
            let by = if managers.is_empty() {
                String::new()
            } else {
                format!(" by {}", managers.join(", "))
            };
            format!(
                "{}: {} changed{by}; restored to what Git says",
                action.id,
                fields.join(", ")
            )
        };
        tracing::info!(environment = memory.owner.name, object = %action.id, fields = fields.join(", "), managers = managers.join(", "), "drift was undone");
        pass.events.push((false, "DriftRepaired", "Apply", what));
    }
}

/// The resourceVersion as a number; `None` where it is none (aggregated APIs may have their own).
pub(super) fn resource_version(object: &Object) -> Option<u64> {
    object
        .at("/metadata/resourceVersion")
        .and_then(Value::as_str)?
        .parse()
        .ok()
}
