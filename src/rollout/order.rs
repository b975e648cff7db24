//! What the rollouts of one revision have to do with each other: they are promoted together, in order where a policy names
//! one, and go back together.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::machine::{is_proved, is_ready_to_promote};
use super::policy::Policy;
use crate::api::{RolloutPhase as Phase, RolloutStatus};
use crate::object::Id;

/// The record of a workload's rollout.
pub fn record_of<'a>(records: &'a [RolloutStatus], workload: &Id) -> Option<&'a RolloutStatus> {
    let name = workload.to_string();
    records.iter().find(|record| record.workload == name)
}

/// The workload of a record, where it is one of these.
pub fn workload_of<'a>(
    record: &RolloutStatus,
    workloads: impl IntoIterator<Item = &'a Id>,
) -> Option<&'a Id> {
    let mut all = workloads.into_iter();
    all.find(|workload| workload.to_string() == record.workload)
}

/// The policy that a record's rollout follows.
pub fn policy_of<'a>(
    record: &RolloutStatus,
    policies: &'a BTreeMap<Id, Policy>,
) -> Option<&'a Policy> {
    policies.get(workload_of(record, policies.keys())?)
}

/// Whether all traffic may be switched to a green side: every change of the revision is proved.
pub fn may_switch(changes: &BTreeMap<Id, String>, records: &[RolloutStatus]) -> bool {
    changes
        .keys()
        .all(|workload| record_of(records, workload).is_some_and(is_proved))
}

/// Whether the stable side of this workload may take its change: every change of the revision is proved and no old side is
/// kept any longer, and those that this one depends on are promoted.
pub fn may_promote(
    policy: &Policy,
    policies: &BTreeMap<Id, Policy>,
    changes: &BTreeMap<Id, String>,
    records: &[RolloutStatus],
    now: Timestamp,
) -> bool {
    let is_ready = |workload: &Id| {
        policies
            .get(workload)
            .zip(record_of(records, workload))
            .is_some_and(|(policy, record)| is_ready_to_promote(policy, record, now))
    };
    let is_promoted = |workload: &Id| {
        record_of(records, workload).is_some_and(|record| record.phase == Phase::Finishing)
    };
    changes.keys().all(is_ready)
        && policy
            .depends_on
            .iter()
            .filter(|workload| changes.contains_key(*workload))
            .all(is_promoted)
}

/// Why the other rollouts of the revision go back, or do not begin: one of them was taken back.
pub fn taken_back(
    workload: &Id,
    changes: &BTreeMap<Id, String>,
    records: &[RolloutStatus],
) -> Option<String> {
    changes
        .iter()
        .filter(|(other, _)| *other != workload)
        .filter_map(|(other, change)| Some((change, record_of(records, other)?)))
        .find(|(change, record)| record.taken_back && record.change == **change)
        .map(|(_, record)| {
            format!(
                "the rollout of {} in the same revision was taken back: {}",
                record.workload, record.message
            )
        })
}

/// Whether the stable sides of all changes run them: the rest of the revision follows.
pub fn all_promoted(changes: &BTreeMap<Id, String>, records: &[RolloutStatus]) -> bool {
    !changes.is_empty()
        && changes.iter().all(|(workload, change)| {
            record_of(records, workload)
                .is_some_and(|record| record.phase == Phase::Finishing && record.change == *change)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> Id {
        Id {
            group: "apps".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("shop".to_owned()),
            name: name.to_owned(),
        }
    }

    fn policy(name: &str, depends_on: &[&str]) -> Policy {
        Policy {
            depends_on: depends_on.iter().map(|name| id(name)).collect(),
            ..Policy::gone(&id(name))
        }
    }

    fn record(name: &str, phase: Phase) -> RolloutStatus {
        RolloutStatus {
            workload: id(name).to_string(),
            change: name.to_owned(),
            phase,
            ..RolloutStatus::default()
        }
    }

    fn changes(names: &[&str]) -> BTreeMap<Id, String> {
        names
            .iter()
            .map(|name| (id(name), (*name).to_owned()))
            .collect()
    }

    #[test]
    fn all_are_proved_before_one_is_promoted_and_those_depended_on_come_first() {
        let (api, worker) = (policy("api", &["worker"]), policy("worker", &[]));
        let policies: BTreeMap<Id, Policy> = [&api, &worker]
            .map(|policy| (policy.workload.clone(), policy.clone()))
            .into();
        let may_promote =
            |policy: &Policy, changes: &BTreeMap<Id, String>, records: &[RolloutStatus]| {
                may_promote(policy, &policies, changes, records, Timestamp::UNIX_EPOCH)
            };
        let both = changes(&["api", "worker"]);
        let may = |policy: &Policy, api: Phase, worker: Phase| {
            may_promote(
                policy,
                &both,
                &[record("api", api), record("worker", worker)],
            )
        };
        assert!(!may(&worker, Phase::Analysing, Phase::Proved));
        assert!(may(&worker, Phase::Proved, Phase::Proved));
        assert!(!may(&api, Phase::Proved, Phase::Promoting));
        assert!(may(&api, Phase::Proved, Phase::Finishing));
        // What it depends on does not change in this revision.
        let one = changes(&["api"]);
        assert!(may_promote(&api, &one, &[record("api", Phase::Proved)]));
        assert!(!may_promote(&api, &both, &[record("api", Phase::Proved)]));
    }

    #[test]
    fn one_that_is_taken_back_takes_the_others_with_it() {
        let both = changes(&["api", "worker"]);
        let failed = RolloutStatus {
            taken_back: true,
            message: "check errors failed 3 times".to_owned(),
            ..record("worker", Phase::Aborting)
        };
        let records = [record("api", Phase::Promoting), failed.clone()];
        let why = taken_back(&id("api"), &both, &records).unwrap();
        assert!(why.contains("shop/worker") && why.ends_with("check errors failed 3 times"));
        assert_eq!(taken_back(&id("worker"), &both, &records), None);
        // What failed is not wanted any more: it keeps nobody.
        let other = RolloutStatus {
            change: "before".to_owned(),
            ..failed
        };
        assert_eq!(taken_back(&id("api"), &both, &[other]), None);
    }

    #[test]
    fn the_revision_follows_when_all_are_promoted() {
        let both = changes(&["api", "worker"]);
        let records = |worker| [record("api", Phase::Finishing), record("worker", worker)];
        assert!(all_promoted(&both, &records(Phase::Finishing)));
        assert!(!all_promoted(&both, &records(Phase::Promoting)));
        assert!(!all_promoted(&both, &records(Phase::Finishing)[..1]));
        assert!(!all_promoted(&BTreeMap::new(), &records(Phase::Finishing)));
    }
}
