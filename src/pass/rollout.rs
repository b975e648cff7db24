//! rollout: which changes are held back, what the records ask for, and what was observed of them. The decisions are
//! [`crate::rollout`]'s; here they meet the cluster. Must not write: what is staged is applied by the
//! line. Only pods that a `StatefulSet` would wait for forever are deleted here ([`set`]).

mod begin;
mod course;
mod foreign;
mod hold;
mod observe;
mod recall;
mod rolling;
mod set;
mod staging;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::{Memory, Pass, Running};
use crate::api::{RevisionStatus, RolloutPhase as Phase, RolloutStatus};
use crate::object::Id;
use crate::rollout::machine::{self, Observed};
use crate::rollout::order::policy_of;
use crate::status::TakenBack;

pub(super) use course::is_under_way;
pub(super) use hold::{
    NotHeld, compares, concerns, hold, holds, nothing_is_held, still_held, take_proved,
};
pub(super) use recall::recall;
pub(super) use rolling::{Rolling, sort_out};
pub(super) use staging::stage;

use observe::{command, observe};

/// What is remembered of an environment's rollouts.
#[derive(Default)]
pub(super) struct Rollouts {
    /// The revision whose changes are held back.
    next: Option<Arc<Running>>,
    /// Workloads, and whether their live template refers to copies.
    pinned: BTreeMap<Id, bool>,
    /// What Git wants was compared with what the stable sides run, since the agent started.
    looked: bool,
    /// When what was held before this agent started was last tried to be rendered.
    recalled_at: Option<Instant>,
    /// When the rollouts were first looked at.
    since: Option<Timestamp>,
}

/// Observes every rollout, and records what follows; begins those that are due.
pub(super) async fn advance(pass: &mut Pass<'_>, memory: &mut Memory, rolling: &Rolling) {
    let nothing = rolling.records.is_empty() && rolling.changes.is_empty();
    if nothing {
        return;
    }
    // A clock that was set back has looked since then.
    let since = memory.rollouts.since.get_or_insert(pass.now);
    *since = (*since).min(pass.now);
    let recorded = std::mem::take(&mut pass.report.rollouts);
    let mut after = Vec::new();
    for record in &rolling.records {
        let Some(policy) = policy_of(record, &rolling.policies) else {
            // Git has no such workload any more, and with it went all of this.
            continue;
        };
        if record.phase == Phase::Failed && !rolling.knows_changes() {
            // Whether Git still wants what failed is not known.
            after.push(record.clone());
            continue;
        }
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
            pass.events.push((warning, reason, "Rollout", what));
        }
        after.extend(decision.record.inspect(|after| {
            // What was staged may be taken back already; what counts is what was told.
            let mut known = recorded.iter().filter(|known| known.taken_back);
            if after.taken_back && !known.any(|known| known.workload == after.workload) {
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
            || RevisionStatus::of_commit(commit),
            |held| held.revision.clone(),
        ),
        hash: held.map_or_else(String::new, |held| held.desired.hash.clone()),
        message: format!("{workload}: {message}"),
    }
}
