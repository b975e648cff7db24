//! From what is applied and what is held to the revision as it is to be applied now. What Git no longer wants is given up
//! here, before anything of it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::{Memory, Pass, Running};
use super::Rolling;
use super::course::{self, Course};
use super::hold::{changes, has_pods};
use super::observe::{command, is_pinned};
use crate::api::{RolloutPhase as Phase, RolloutStatus, RolloutStrategy};
use crate::object::Id;
use crate::rollout::machine::{self, Command};
use crate::rollout::order::{policy_of, record_of, workload_of};
use crate::rollout::policy::{Policy, Strategy, policies};
use crate::rollout::stage::{self, Roles, Rollout};

/// What is to be applied now.
pub(in super::super) async fn stage(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    running: Arc<Running>,
) -> Result<Rolling, String> {
    let told_before = pass.report.failures.len();
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
    let looked = memory.rollouts.looked;
    if course == Course::On {
        give_up_unwanted(pass, memory, &running, &changes, &mut records)?;
        if memory.rollouts.looked {
            course::give_up_rerouted(pass, &policies, &mut records);
        }
    }
    for record in &records {
        let Some(workload) = workload_of(record, running.desired.ids()) else {
            continue;
        };
        let follows = |policy: &&Policy| policy.strategy.kind() == record.strategy;
        let wanted = policies.get(workload).filter(|policy| {
            // What was held may have been under another policy than what is applied.
            next.is_some() || looked || follows(policy)
        });
        if wanted.is_none() {
            let known = known_policies.get(workload).filter(follows);
            let policy = known.cloned().unwrap_or_else(|| ending(workload, record));
            policies.insert(workload.clone(), policy);
        }
    }
    let pinned = remember_pinned(pass, memory, &running, &policies, &records).await?;
    let commit = wanted.revision.commit.clone();
    let taken = running;
    let (running, roles) = if policies.is_empty() {
        (taken.clone(), Roles::default())
    } else {
        staged(
            memory,
            &taken,
            next.as_deref(),
            &policies,
            &records,
            &pinned,
        )
    };
    Ok(Rolling {
        running,
        taken,
        roles,
        policies,
        changes,
        commit,
        records,
        looked,
        told_before,
        left: BTreeSet::new(),
        course,
    })
}

/// The revision with what the records ask for put in.
fn staged(
    memory: &Memory,
    running: &Running,
    next: Option<&Running>,
    policies: &BTreeMap<Id, Policy>,
    records: &[RolloutStatus],
    pinned: &BTreeSet<Id>,
) -> (Arc<Running>, Roles) {
    let of = |record| {
        let policy = policy_of(record, policies)?;
        Some(Rollout { policy, record })
    };
    let rollouts: Vec<Rollout> = records.iter().filter_map(of).collect();
    let staged = stage::stage(
        &running.desired,
        next.map(|next| &next.desired),
        &rollouts,
        pinned,
    );
    let entries = memory.inventory.as_ref().map(|it| &it.entries);
    let is_made = |id: &Id| {
        // Where it is not known, what may be there is taken back.
        entries.is_none_or(|all| all.get(id).is_some_and(|entry| entry.uid.is_some()))
    };
    let staged = staged.without_unmade(records, is_made);
    let running = Running {
        revision: running.revision.clone(),
        desired: staged.desired,
        settings: running.settings.clone(),
    };
    (Arc::new(running), staged.roles)
}

/// The policy of a rollout that nobody has one for: it only ends, by the way that it went.
fn ending(workload: &Id, record: &RolloutStatus) -> Policy {
    let mut policy = Policy::gone(workload);
    if record.strategy == RolloutStrategy::BlueGreen {
        policy.strategy = Strategy::BlueGreen {
            // No preview is made for it.
            preview: Some(String::new()),
            keep: Duration::ZERO,
        };
    }
    policy
}

/// Gives up the rollouts of changes that Git no longer wants. Before that is known none is, and nothing is written where a
/// stable side runs a change that was not read yet.
fn give_up_unwanted(
    pass: &mut Pass<'_>,
    memory: &Memory,
    running: &Running,
    changes: &BTreeMap<Id, String>,
    records: &mut [RolloutStatus],
) -> Result<(), String> {
    for record in records {
        let stable = workload_of(record, running.desired.ids())
            .and_then(|workload| stage::change(workload, &running.desired));
        let wanted = workload_of(record, changes.keys()).map(|workload| &changes[workload]);
        if !memory.rollouts.looked {
            if stage::is_promoted(record) && stable.as_ref() != Some(&record.change) {
                // The way back needs only what was applied before.
                if record.phase == Phase::Promoting
                    && let Some((word, Command::Abort)) = command(pass, record)
                {
                    let (reason, what) = machine::take_back(record, word, pass.now);
                    pass.events.push((true, reason, "Rollout", what));
                    continue;
                }
                return Err(format!(
                    "{} runs a change of {}, which was not read yet; nothing is written before it is",
                    record.workload, record.commit
                ));
            }
            continue;
        }
        let told = machine::give_up(record, wanted, stable.as_ref(), pass.now);
        if let Some((reason, what)) = told {
            // Lowering is written at once; raising waits for its record.
            pass.events.push((true, reason, "Rollout", what));
        }
    }
    Ok(())
}

/// Remembers of each workload whether its live template refers to copies of its configuration; those that do.
async fn remember_pinned(
    pass: &Pass<'_>,
    memory: &mut Memory,
    running: &Running,
    policies: &BTreeMap<Id, Policy>,
    records: &[RolloutStatus],
) -> Result<BTreeSet<Id>, String> {
    for workload in policies.keys() {
        let pinned = match record_of(records, workload) {
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
            let pinned = is_pinned(pass, workload).await?;
            memory.rollouts.pinned.insert(workload.clone(), pinned);
        }
    }
    memory
        .rollouts
        .pinned
        .retain(|workload, _| policies.contains_key(workload));
    Ok(memory
        .rollouts
        .pinned
        .iter()
        .filter(|(_, pinned)| **pinned)
        .map(|(workload, _)| workload.clone())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_without_a_policy_ends_by_the_way_that_it_went() {
        let workload = Id {
            group: "apps".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "api".to_owned(),
        };
        for strategy in [RolloutStrategy::Canary, RolloutStrategy::BlueGreen] {
            let record = RolloutStatus {
                strategy,
                phase: Phase::Switched,
                ..RolloutStatus::default()
            };
            assert_eq!(ending(&workload, &record).strategy.kind(), strategy);
        }
    }
}
