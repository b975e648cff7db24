//! The revision as it is to be applied now: what Git says, with what the records ask for put in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::super::observe::Observed;
use super::super::{Memory, Pass, Running};
use super::course::{self, Course};
use super::hold::{changes, has_pods};
use super::observe::{command, live};
use crate::api::{RolloutPhase as Phase, RolloutStatus, RolloutStrategy};
use crate::desired::Desired;
use crate::object::{Id, Object};
use crate::plan::{Departed, LiveState};
use crate::rollout::machine::{self, Command};
use crate::rollout::order::record_of;
use crate::rollout::policy::{Policy, Strategy, parts, policies};
use crate::rollout::stage::{self, Rollout, Staged};
use crate::rollout::{PINNED_ANNOTATION, ROLLOUT_LABEL, TRACK_LABEL, autoscaler};

/// A revision as it is to be applied now, with what its rollouts ask for.
pub(in super::super) struct Rolling {
    pub running: Arc<Running>,
    /// The revision as Git says it.
    pub(super) taken: Arc<Running>,
    pub(super) staged: Staged,
    pub(super) policies: BTreeMap<Id, Policy>,
    /// The changes that Git wants and the stable sides do not run.
    pub(super) changes: BTreeMap<Id, String>,
    /// The commit that brings them.
    pub(super) commit: String,
    /// The records as they are acted on.
    pub(super) records: Vec<RolloutStatus>,
    /// What Git wants now was compared with what the stable sides run.
    looked: bool,
    /// Nothing was in the way of what Git wants when this pass looked.
    holds: bool,
    /// So many failures were told before anything of this was written: they are another revision's.
    pub(super) told_before: usize,
    /// What still is as a rollout asked for, though none asks for it now.
    left: BTreeSet<Id>,
    pub(super) course: Course,
}

impl Rolling {
    /// Whether an object exists only for a rollout, or runs both versions: its health is evidence.
    pub fn is_part(&self, id: &Id) -> bool {
        self.staged.parts.contains(id) || self.staged.mixed.contains(id)
    }

    /// Whether an object is written whatever else is not well.
    pub fn is_urgent(&self, id: &Id) -> bool {
        self.is_traffic(id) || self.is_left(id) || self.goes_back(id)
    }

    /// Whether an object gives a workload back what it ran before: itself, its configuration, or what scales it.
    fn goes_back(&self, id: &Id) -> bool {
        let goes_back = |record: &&RolloutStatus| match record.phase {
            Phase::Restoring => true,
            // The workload itself ran the change.
            Phase::Aborting | Phase::Removing => {
                record.strategy == RolloutStrategy::Partition && record.canary_replicas > 0
            }
            _ => false,
        };
        let of = |record: &RolloutStatus| {
            let mut all = self.policies.keys();
            all.find(|workload| workload.to_string() == record.workload)
        };
        let mut workloads = self.records.iter().filter(goes_back).filter_map(of);
        workloads.any(|workload| {
            let is_copy = || stage::copies(workload, &self.taken.desired).contains(id);
            workload == id
                || self.is_scaler(id) && self.scales(id, workload)
                || is_configuration(id) && is_copy()
        })
    }

    fn scales(&self, id: &Id, workload: &Id) -> bool {
        let scaler = self.running.desired.get(id);
        let target = scaler.and_then(|scaler| {
            let value = Value::Object(scaler.object.0.clone());
            autoscaler::target(&value, id.namespace.as_deref())
        });
        target.as_ref() == Some(workload)
    }

    /// Whether a rollout made this object, or changes it now.
    fn is_marked(&self, id: &Id) -> bool {
        let object = self.running.desired.get(id);
        object.is_some_and(|object| object.object.label(ROLLOUT_LABEL).is_some())
    }

    /// Whether an object decides who gets the traffic.
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

    /// Whether what Git wants of the workloads is known: only then a rollout goes on, or is given up.
    pub(super) fn knows_changes(&self) -> bool {
        self.is_whole() && self.looked
    }

    /// Whether rollouts begin: not those of a revision that was refused, or that this pass did not look at.
    pub(super) fn may_begin(&self) -> bool {
        self.knows_changes() && self.holds
    }

    /// Why no rollout goes on.
    pub(super) fn held(&self) -> Option<String> {
        let unknown = self.is_whole() && !self.looked;
        self.course.held().or_else(|| {
            unknown.then(|| {
                "what Git wants now cannot be had; what the canary's pods show to be bad, and driftless abort, take the change back".to_owned()
            })
        })
    }

    /// Notices what a rollout has changed that nobody asks for any more.
    pub fn notice(&mut self, live: &Observed) {
        let plain = self.running.desired.objects.iter().filter(|object| {
            object.object.label(ROLLOUT_LABEL).is_none()
                && matches!(live.of(&object.id), LiveState::Present(live) if live.label(ROLLOUT_LABEL).is_some())
        });
        self.left = plain.map(|object| object.id.clone()).collect();
    }

    /// Whether this object is to be put back to what it was before a rollout.
    pub fn is_left(&self, id: &Id) -> bool {
        self.left.contains(id)
    }

    /// Whether a live part is left, though nobody asks for it now.
    fn keeps(&self, id: &Id, part: &Object) -> bool {
        self.records
            .iter()
            .filter(|record| self.course.keeps_parts(record, self.looked))
            // An Ingress that nobody asks for has its weight until it is gone.
            .filter(|record| !(record.phase == Phase::Aborting && is_canary_ingress(id, part)))
            .any(|record| {
                let is_named = || {
                    let policy = self
                        .policies
                        .values()
                        .find(|policy| policy.workload.to_string() == record.workload);
                    policy.is_some_and(|policy| parts(policy, &self.taken.desired).contains(id))
                };
                // Copies are named by their content: any rollout may use them.
                is_configuration(id)
                    || part.label(ROLLOUT_LABEL) == Some(stage::id(record))
                    || is_named()
            })
    }

    /// Whether this object may be written now.
    pub fn may_write(&self, id: &Id) -> bool {
        let concerns = || {
            self.is_traffic(id)
                || self.is_scaler(id)
                || self.is_left(id)
                || record_of(&self.records, id).is_some()
                || self.is_marked(id)
        };
        self.is_whole() || self.course.writes(&self.records) && concerns()
    }
}

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
        let Some(workload) = running
            .desired
            .objects
            .iter()
            .map(|object| &object.id)
            .find(|id| id.to_string() == record.workload)
        else {
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
    if policies.is_empty() {
        return Ok(Rolling {
            staged: Staged::plain(Desired::default()),
            taken: running.clone(),
            running,
            policies,
            changes,
            commit,
            records,
            looked,
            holds: pass.holds,
            told_before,
            left: BTreeSet::new(),
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
    let entries = memory.inventory.as_ref().map(|it| &it.entries);
    let is_made = |id: &Id| {
        // Where it is not known, what may be there is taken back.
        entries.is_none_or(|all| all.get(id).is_some_and(|entry| entry.uid.is_some()))
    };
    let staged = staged.without_unmade(&records, is_made);
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
        looked,
        holds: pass.holds,
        told_before,
        left: BTreeSet::new(),
        course,
    })
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
        if !memory.rollouts.looked {
            if stage::is_promoted(record) && stable.as_ref() != Some(&record.change) {
                // The way back needs only what was applied before.
                if record.phase == Phase::Promoting
                    && let Some((word, Command::Abort)) = command(pass, record)
                {
                    machine::give_up(record, None, None, pass.now);
                    record.taken_back = true;
                    record.last_command = Some(word);
                    "taken back by a person".clone_into(&mut record.message);
                    let what = format!("{}: {}", record.workload, record.message);
                    pass.events
                        .push((true, "RolloutRestoring", "Rollout", what));
                    continue;
                }
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
    Ok(memory
        .rollouts
        .pinned
        .iter()
        .filter(|(_, pinned)| **pinned)
        .map(|(workload, _)| workload.clone())
        .collect())
}

/// What of `departed` may go at once, and what is nobody's concern but the rollouts': the rest.
pub(in super::super) fn sort_out(
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
    // Configuration may still be in use by pods of the state before, until all is well.
    let parts = parts
        .into_iter()
        .filter(|one| settled || !is_configuration(&one.id))
        .filter(|one| match &one.live {
            LiveState::Present(part) => !rolling.keeps(&one.id, part),
            _ => false,
        })
        .collect();
    (parts, rest)
}

fn is_canary_ingress(id: &Id, part: &Object) -> bool {
    id.kind == "Ingress" && part.label(TRACK_LABEL) == Some("canary")
}

fn is_configuration(id: &Id) -> bool {
    id.group.is_empty() && matches!(id.kind.as_str(), "ConfigMap" | "Secret")
}

#[cfg(test)]
mod tests;
