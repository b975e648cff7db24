//! The revision as it is to be applied now, and what of it may be written, kept or deleted while its rollouts go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::Running;
use super::super::observe::Observed;
use super::course::Course;
use crate::api::{RolloutPhase as Phase, RolloutStatus, RolloutStrategy};
use crate::object::{Id, Object};
use crate::plan::{Departed, LiveState};
use crate::rollout::order::{policy_of, record_of, workload_of};
use crate::rollout::policy::{Policy, parts};
use crate::rollout::stage::{self, Roles};
use crate::rollout::traffic::is_canary_ingress;
use crate::rollout::{ROLLOUT_LABEL, TRACK_LABEL, autoscaler};

/// A revision as it is to be applied now, with what its rollouts ask for.
pub(in super::super) struct Rolling {
    pub running: Arc<Running>,
    /// The revision as Git says it.
    pub(super) taken: Arc<Running>,
    pub(super) roles: Roles,
    pub(super) policies: BTreeMap<Id, Policy>,
    /// The changes that Git wants and the stable sides do not run.
    pub(super) changes: BTreeMap<Id, String>,
    /// The commit that brings them.
    pub(super) commit: String,
    /// The records as they are acted on.
    pub(super) records: Vec<RolloutStatus>,
    /// What Git wants now was compared with what the stable sides run.
    pub(super) looked: bool,
    /// So many failures were told before anything of this was written: they are another revision's.
    pub(super) told_before: usize,
    /// What still is as a rollout asked for, though none asks for it now.
    pub(super) left: BTreeSet<Id>,
    pub(super) course: Course,
}

impl Rolling {
    /// Whether an object exists only for a rollout, or runs both versions: its health is evidence.
    pub fn is_part(&self, id: &Id) -> bool {
        self.roles.parts.contains(id) || self.roles.mixed.contains(id)
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
        let records = self.records.iter().filter(goes_back);
        let mut workloads = records.filter_map(|record| workload_of(record, self.policies.keys()));
        workloads.any(|workload| {
            let is_copy = || stage::copies(workload, &self.taken.desired).contains(id);
            workload == id
                || self.is_scaler(id) && self.scales(id, workload)
                || is_configuration(id) && is_copy()
        })
    }

    fn scales(&self, id: &Id, workload: &Id) -> bool {
        let scaler = self.running.desired.get(id);
        scaler.is_some_and(|scaler| autoscaler::scales(scaler, workload))
    }

    /// Whether a rollout made this object, or changes it now.
    fn is_marked(&self, id: &Id) -> bool {
        let object = self.running.desired.get(id);
        object.is_some_and(|object| object.object.label(ROLLOUT_LABEL).is_some())
    }

    /// Whether an object decides who gets the traffic.
    pub fn is_traffic(&self, id: &Id) -> bool {
        self.roles.traffic.contains(id)
    }

    /// Whether an object scales a workload that is rolled out.
    pub fn is_scaler(&self, id: &Id) -> bool {
        self.roles.scalers.contains(id)
    }

    /// Whether the whole environment is kept, and not only what its rollouts made or changed.
    pub fn is_whole(&self) -> bool {
        self.course == Course::On
    }

    /// Whether what Git wants of the workloads is known: only then a rollout goes on, or is given up.
    pub(super) fn knows_changes(&self) -> bool {
        self.is_whole() && self.looked
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
            .filter(|record| !(record.phase == Phase::Aborting && is_canary_ingress(part)))
            .any(|record| {
                let is_named = || {
                    policy_of(record, &self.policies)
                        .is_some_and(|policy| parts(policy, &self.taken.desired).contains(id))
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

fn is_configuration(id: &Id) -> bool {
    id.group.is_empty() && matches!(id.kind.as_str(), "ConfigMap" | "Secret")
}

#[cfg(test)]
mod tests;
