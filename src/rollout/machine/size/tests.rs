use super::super::tests::{analysing, at, policy, steps, well};
use super::super::{Observed, Outcome, step};
use super::*;
use crate::api::RolloutStatus;
use crate::rollout::policy::Policy;

fn after(policy: &Policy, record: &RolloutStatus, observed: &Observed) -> RolloutStatus {
    step(policy, record, observed, at(120)).record.unwrap()
}

/// All is well beside a stable side of this size.
fn beside(stable: u32) -> Observed {
    let mut observed = well("x", &[(Outcome::Pass, 115)]);
    observed.stable.replicas = stable;
    observed
}

#[test]
fn beside_a_router_the_canary_grows_with_the_stable_side() {
    let policy = policy(steps(), true, 1);
    let record = RolloutStatus {
        stable_replicas: 3,
        canary_replicas: 1,
        ..analysing(&policy)
    };
    let grown = after(&policy, &record, &beside(30));
    assert_eq!((grown.canary_replicas, grown.stable_replicas), (3, 3));
    // It may come back to what it was: no pod goes before the next step.
    assert_eq!(after(&policy, &grown, &beside(3)).canary_replicas, 3);
    assert_eq!(after(&policy, &grown, &beside(0)).canary_replicas, 3);
    // In a pause that lasts all night, and at the step behind it.
    let paused = RolloutStatus {
        phase: Phase::Paused,
        step: 1,
        ..record.clone()
    };
    assert_eq!(after(&policy, &paused, &beside(50)).canary_replicas, 5);
    let mut word = beside(30);
    word.command = Some(("1".to_owned(), super::super::Command::Promote));
    let next = after(&policy, &paused, &word);
    assert_eq!((next.step, next.canary_replicas), (2, 15));
    // Never below the share of what it was when the rollout began.
    let mut word = beside(1);
    word.command = Some(("1".to_owned(), super::super::Command::Promote));
    assert_eq!(after(&policy, &paused, &word).canary_replicas, 2);
}

#[test]
fn without_a_router_the_share_stays_within_the_step_whoever_scales() {
    let policy = policy(
        vec![Step::Weight(20, std::time::Duration::from_mins(9))],
        false,
        1,
    );
    let record = RolloutStatus {
        stable_replicas: 10,
        canary_replicas: 2,
        weight: 20,
        achieved_weight: Some(16),
        ..analysing(&policy)
    };
    for (stable, pods, achieved) in [
        (10, 2, 16),
        (30, 2, 6),
        (8, 2, 20),
        (5, 1, 16),
        // One pod beside two would be too much: it gets nothing.
        (2, 1, 0),
        // Nothing is known.
        (0, 2, 16),
    ] {
        let seen = after(&policy, &record, &beside(stable));
        assert_eq!(
            (seen.canary_replicas, seen.achieved_weight),
            (pods, Some(achieved)),
            "beside {stable}"
        );
        assert_eq!(seen.stable_replicas, 10);
    }
    // What gets nothing gets nothing at this step, even where it could.
    let none = after(&policy, &record, &beside(2));
    assert_eq!(after(&policy, &none, &beside(10)).achieved_weight, Some(0));
}

#[test]
fn a_weight_that_falls_keeps_its_pods_until_it_has_fallen() {
    let minute = std::time::Duration::from_mins(1);
    let policy = policy(
        vec![Step::Weight(50, minute), Step::Weight(10, minute)],
        true,
        0,
    );
    let record = RolloutStatus {
        weight: 50,
        canary_replicas: 2,
        in_effect_since: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(10))),
        ..analysing(&policy)
    };
    let entered = after(&policy, &record, &beside(4));
    assert_eq!(
        (entered.step, entered.weight, entered.canary_replicas),
        (1, 50, 2)
    );
}

#[test]
fn a_set_that_shrinks_keeps_the_pod_that_runs_the_change() {
    let policy = super::super::tests::partition(1);
    let record = RolloutStatus {
        phase: Phase::Paused,
        step: 1,
        weight: 0,
        canary_replicas: 1,
        ..analysing(&policy)
    };
    let shrunk = after(&policy, &record, &beside(1));
    assert_eq!((shrunk.stable_replicas, shrunk.canary_replicas), (1, 1));
}

#[test]
fn a_policy_that_is_not_known_decides_no_size() {
    let policy = policy(steps(), true, 1);
    let record = RolloutStatus {
        weight: 50,
        canary_replicas: 5,
        ..analysing(&policy)
    };
    let mut observed = beside(9);
    observed.held = Some("suspended".to_owned());
    let gone = Policy::gone(&policy.workload);
    assert_eq!(after(&gone, &record, &observed).canary_replicas, 5);
    let starting = RolloutStatus {
        phase: Phase::Starting,
        canary_replicas: 2,
        ..analysing(&super::super::tests::partition(1))
    };
    let mut before = super::super::tests::partition(1);
    before.steps = vec![Step::Weight(90, std::time::Duration::ZERO)];
    assert_eq!(after(&before, &starting, &observed).canary_replicas, 2);
}

#[test]
fn pods_that_have_no_weight_yet_stay_for_their_first() {
    let minute = std::time::Duration::from_mins(1);
    let policy = policy(vec![Step::Pause, Step::Weight(50, minute)], false, 1);
    let record = RolloutStatus {
        phase: Phase::Paused,
        weight: 0,
        canary_replicas: 4,
        ..analysing(&policy)
    };
    assert_eq!(after(&policy, &record, &beside(4)).canary_replicas, 4);
    // They are as many as that weight has beside fewer, too.
    assert_eq!(after(&policy, &record, &beside(2)).canary_replicas, 2);
}

#[test]
fn a_set_that_shrinks_while_nothing_goes_on_is_followed_afterwards() {
    let mut policy = policy(steps(), false, 1);
    policy.strategy = crate::rollout::policy::Strategy::Partition;
    let record = RolloutStatus {
        phase: Phase::Starting,
        strategy: RolloutStrategy::Partition,
        stable_replicas: 4,
        canary_replicas: 2,
        ..analysing(&policy)
    };
    let held = Observed {
        held: Some("suspended".to_owned()),
        ..beside(1)
    };
    let after = after(&policy, &record, &held);
    assert_eq!((after.stable_replicas, after.canary_replicas), (4, 2));
}
