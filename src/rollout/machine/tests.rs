use std::time::Duration;

use super::*;
use crate::api::{CheckSpec, HoldEnd, TrafficSpec};
use crate::object::Id;
use crate::rollout::policy::{Check, Step, Strategy as Way};
use crate::rollout::share::share;

const LIMIT: u32 = 3;

pub(super) fn policy(steps: Vec<Step>, router: bool, checks: usize) -> Policy {
    Policy {
        workload: Id {
            group: "apps".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "api".to_owned(),
        },
        strategy: Way::Canary,
        service: None,
        steps,
        traffic: router.then(TrafficSpec::default),
        shared_volumes: false,
        checks: (0..checks)
            .map(|index| Check {
                spec: CheckSpec {
                    name: format!("check-{index}"),
                    ..CheckSpec::default()
                },
                interval: Duration::from_secs(10),
                failure_limit: LIMIT,
                count: 1,
                job: None,
            })
            .collect(),
        max_hold: Duration::from_mins(10),
        hold_end: HoldEnd::Abort,
        settle: Duration::from_secs(5),
        depends_on: Vec::new(),
    }
}

const KEEP: Duration = Duration::from_mins(2);

pub(super) fn blue_green(checks: usize) -> Policy {
    Policy {
        strategy: Way::BlueGreen {
            preview: None,
            keep: KEEP,
        },
        ..policy(
            vec![Step::Weight(0, Duration::from_secs(30))],
            false,
            checks,
        )
    }
}

pub(super) fn partition(checks: usize) -> Policy {
    let mut policy = policy(steps(), false, checks);
    policy.workload.kind = "StatefulSet".to_owned();
    policy.strategy = Way::Partition;
    policy
}

pub(super) fn steps() -> Vec<Step> {
    let minute = Duration::from_mins(1);
    vec![
        Step::Weight(10, minute),
        Step::Pause,
        Step::Weight(50, minute),
    ]
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

pub(super) fn side() -> Side {
    Side {
        ready: true,
        failure: None,
        replicas: 4,
        hash: Some("aaaa".to_owned()),
        restarting: false,
        stopped: false,
    }
}

/// Everything is as it should be.
pub(super) fn well(change: &str, verdicts: &[(Outcome, i64)]) -> Observed {
    Observed {
        change: Some(change.to_owned()),
        written: true,
        canary: side(),
        stable: side(),
        canary_is_gone: true,
        verdicts: verdicts
            .iter()
            .map(|(outcome, seconds)| Verdict {
                check: "check-0".to_owned(),
                outcome: *outcome,
                value: "1".to_owned(),
                at: at(*seconds),
            })
            .collect(),
        may_switch: true,
        may_promote: true,
        taken: true,
        ..Observed::default()
    }
}

/// Phase, weight and the canary's pods, whenever one of them changes, until the rollout is over.
fn way_of(policy: &Policy) -> Vec<(Phase, u32, u32)> {
    let mut record = Some(begin(policy, "c", "x", &side(), at(0)));
    let mut seen = Vec::new();
    for seconds in 0..900 {
        let Some(known) = &record else { break };
        let mut observed = well("x", &[(Outcome::Pass, seconds)]);
        if known.phase == Phase::Paused {
            observed.command = Some((format!("{seconds}"), Command::Promote));
        }
        record = step(policy, known, &observed, at(seconds)).record;
        if let Some(after) = &record {
            let now = (after.phase, after.weight, after.canary_replicas);
            if seen.last() != Some(&now) {
                seen.push(now);
            }
        }
    }
    assert_eq!(record, None, "it is over");
    seen
}

#[test]
fn blue_green_switches_once_and_keeps_the_old_side() {
    assert_eq!(
        way_of(&blue_green(1)),
        [
            (Phase::Narrowing, 0, 0),
            (Phase::Starting, 0, 4),
            (Phase::Analysing, 0, 4),
            (Phase::Proved, 0, 4),
            (Phase::Switched, 100, 4),
            (Phase::Promoting, 100, 4),
            (Phase::Finishing, 0, 4),
            (Phase::Removing, 0, 4),
            (Phase::Removing, 0, 0),
        ]
    );
}

#[test]
fn a_set_takes_the_change_pod_by_pod() {
    assert_eq!(
        way_of(&partition(1)),
        [
            (Phase::Starting, 0, 1),
            (Phase::Analysing, 0, 1),
            (Phase::Analysing, 10, 1),
            (Phase::Paused, 10, 1),
            (Phase::Analysing, 10, 2),
            (Phase::Analysing, 50, 2),
            (Phase::Proved, 50, 2),
            (Phase::Promoting, 50, 2),
            (Phase::Finishing, 0, 2),
            (Phase::Removing, 0, 2),
            (Phase::Removing, 0, 0),
        ]
    );
}

/// A record of a green side that has the traffic since second 100.
pub(super) fn switched(policy: &Policy) -> RolloutStatus {
    RolloutStatus {
        phase: Phase::Switched,
        weight: 100,
        step: 1,
        canary_replicas: 4,
        written_at: Some(Time(at(95))),
        in_effect_since: Some(Time(at(100))),
        ..begin(policy, "c", "x", &side(), at(0))
    }
}

#[test]
fn what_is_found_after_the_switch_goes_back_at_once() {
    let policy = blue_green(1);
    let after = |observed: &Observed, seconds| {
        let decision = step(&policy, &switched(&policy), observed, at(seconds));
        let after = decision.record.unwrap();
        (after.phase, after.weight, after.taken_back)
    };
    let failed: Vec<_> = (0..3).map(|n| (Outcome::Fail, 110 + n)).collect();
    assert_eq!(
        after(&well("x", &failed), 115),
        (Phase::Aborting, 0, true),
        "its checks fail"
    );
    let mut word = well("x", &[]);
    word.command = Some(("1".to_owned(), Command::Abort));
    assert_eq!(after(&word, 101), (Phase::Aborting, 0, true));
    let mut crash = well("x", &[]);
    crash.canary.failure = Some("container api: OOMKilled".to_owned());
    assert_eq!(after(&crash, 101), (Phase::Aborting, 0, true));
    let reverted = Observed {
        change: None,
        ..well("x", &[])
    };
    assert_eq!(after(&reverted, 101), (Phase::Aborting, 0, false));
    assert_eq!(
        after(&well("x", &[(Outcome::Pass, 110)]), 110),
        (Phase::Switched, 100, false)
    );
}

#[test]
fn the_old_side_goes_only_on_evidence_from_after_the_switch() {
    let policy = blue_green(1);
    let end = 100 + i64::try_from(KEEP.as_secs()).unwrap();
    let first = step(&policy, &switched(&policy), &well("x", &[]), at(101));
    let record = first.record.unwrap();
    assert_eq!(record.kept_until, Some(Time(at(end))));
    assert!(
        !is_ready_to_promote(&policy, &record, at(end)),
        "no verdict"
    );
    let held = step(&policy, &record, &well("x", &[]), at(end));
    let held = held.record.unwrap();
    assert_eq!(held.phase, Phase::Switched);
    assert!(held.message.starts_with("holds: "), "{}", held.message);
    let passes = well("x", &[(Outcome::Pass, end + 1)]);
    let promoted = step(&policy, &held, &passes, at(end + 1)).record.unwrap();
    assert_eq!((promoted.phase, promoted.weight), (Phase::Promoting, 100));
    // A person may say that it was long enough; the other workloads of the revision may not be there yet.
    let mut word = well("x", &[(Outcome::Pass, 120)]);
    word.command = Some(("1".to_owned(), Command::Promote));
    word.may_promote = false;
    let waits = step(&policy, &record, &word, at(120)).record.unwrap();
    assert_eq!(waits.phase, Phase::Switched);
    assert!(is_ready_to_promote(&policy, &waits, at(120)));
}

#[test]
fn the_switch_waits_for_the_others_and_for_a_green_side_that_is_large_enough() {
    let policy = blue_green(0);
    let proved = RolloutStatus {
        phase: Phase::Proved,
        weight: 0,
        kept_until: None,
        ..switched(&policy)
    };
    let phase = |observed: &Observed| {
        let after = step(&policy, &proved, observed, at(200)).record.unwrap();
        (after.phase, after.canary_replicas)
    };
    let others = Observed {
        may_switch: false,
        ..well("x", &[])
    };
    assert_eq!(phase(&others), (Phase::Proved, 4));
    let mut grown = well("x", &[]);
    grown.stable.replicas = 6;
    assert_eq!(phase(&grown), (Phase::Proved, 6), "it grows first");
    grown.canary.replicas = 6;
    assert_eq!(phase(&grown), (Phase::Switched, 6));
    let mut unready = well("x", &[]);
    unready.canary.ready = false;
    assert_eq!(phase(&unready), (Phase::Proved, 4));
    // Without the narrowing it would get its traffic before it is proved.
    let mut restarting = well("x", &[]);
    restarting.stable.restarting = true;
    restarting.stable.hash = None;
    assert_eq!(phase(&restarting).0, Phase::Narrowing);
    // The green pods go first, then the narrowing, which is not tightened before the stable side is of one template again.
    let mut record = proved.clone();
    let mut seen = Vec::new();
    for (seconds, observed) in [
        (200, &restarting),
        (200, &restarting),
        (201, &restarting),
        (202, &well("x", &[])),
        (203, &well("x", &[])),
        (209, &well("x", &[])),
    ] {
        record = step(&policy, &record, observed, at(seconds))
            .record
            .unwrap();
        seen.push((record.phase, record.stable_hash.is_some()));
    }
    assert_eq!(
        seen,
        [
            (Phase::Narrowing, true),
            (Phase::Narrowing, true),
            (Phase::Narrowing, false),
            (Phase::Narrowing, true),
            (Phase::Narrowing, true),
            (Phase::Starting, true),
        ]
    );
}

#[test]
fn a_policy_that_names_another_strategy_begins_anew() {
    let record = analysing(&policy(steps(), false, 1));
    let after = step(&blue_green(1), &record, &well("x", &[]), at(101));
    let after = after.record.unwrap();
    assert_eq!((after.phase, after.taken_back), (Phase::Aborting, false));
}

#[test]
fn the_steps_of_a_set_follow_its_size() {
    let policy = partition(1);
    let record = RolloutStatus {
        stable_hash: Some("api-1".to_owned()),
        canary_replicas: 2,
        step: 2,
        weight: 50,
        ..analysing(&policy)
    };
    let mut observed = well("x", &[]);
    observed.stable.replicas = 8;
    observed.stable.hash = None;
    let after = step(&policy, &record, &observed, at(101)).record.unwrap();
    assert_eq!((after.stable_replicas, after.canary_replicas), (8, 4));
    assert_eq!(after.stable_hash.as_deref(), Some("api-1"));
    // Nothing is known of a set that could not be read.
    observed.stable = Side::default();
    let after = step(&policy, &after, &observed, at(102)).record.unwrap();
    assert_eq!((after.stable_replicas, after.canary_replicas), (8, 4));
}

#[test]
fn a_good_change_goes_through_its_steps() {
    let policy = policy(steps(), true, 1);
    let mut record = Some(begin(&policy, "c", "x", &side(), at(0)));
    let mut seen = Vec::new();
    for seconds in 0..600 {
        let Some(known) = &record else { break };
        let mut observed = well("x", &[(Outcome::Pass, seconds)]);
        if known.phase == Phase::Paused {
            observed.command = Some((format!("{seconds}"), Command::Promote));
        }
        let decision = step(&policy, known, &observed, at(seconds));
        if let Some(after) = &decision.record
            && (after.phase, after.weight) != (known.phase, known.weight)
        {
            seen.push((after.phase, after.weight));
        }
        record = decision.record;
    }
    assert_eq!(record, None, "it is over");
    assert_eq!(
        seen,
        [
            (Phase::Starting, 0),
            (Phase::Analysing, 0),
            (Phase::Analysing, 10),
            (Phase::Paused, 10),
            (Phase::Analysing, 10),
            (Phase::Analysing, 50),
            (Phase::Proved, 50),
            (Phase::Promoting, 50),
            (Phase::Finishing, 0),
            (Phase::Removing, 0),
        ]
    );
}

/// A record at a step whose weight is in effect since second 100.
pub(super) fn analysing(policy: &Policy) -> RolloutStatus {
    RolloutStatus {
        phase: Phase::Analysing,
        weight: 10,
        written_at: Some(Time(at(95))),
        in_effect_since: Some(Time(at(100))),
        ..begin(policy, "c", "x", &side(), at(0))
    }
}

#[test]
fn so_many_failures_take_the_change_back() {
    let policy = policy(steps(), true, 1);
    let mut record = analysing(&policy);
    for (count, seconds) in (1..=LIMIT).zip([110, 120, 130]) {
        assert_eq!(record.phase, Phase::Analysing);
        let observed = well("x", &[(Outcome::Fail, seconds)]);
        record = step(&policy, &record, &observed, at(seconds))
            .record
            .unwrap();
        assert_eq!(record.checks[0].failed, count);
    }
    assert_eq!((record.phase, record.weight), (Phase::Aborting, 0));
    let mut record = Some(record);
    for seconds in 131..150 {
        let known = record.as_ref().unwrap();
        record = step(&policy, known, &well("x", &[]), at(seconds)).record;
    }
    let record = record.unwrap();
    assert_eq!(record.phase, Phase::Failed);
    assert!(
        record.message.contains("failed 3 times"),
        "{}",
        record.message
    );
    // It is not tried again, but on request or with another change.
    let still = step(&policy, &record, &well("x", &[]), at(200)).record;
    assert_eq!(still.map(|record| record.phase), Some(Phase::Failed));
    assert_eq!(
        step(&policy, &record, &well("y", &[]), at(200)).record,
        None
    );
}

#[test]
fn without_evidence_it_holds_and_in_the_end_goes_back() {
    let policy = policy(steps(), true, 1);
    let record = analysing(&policy);
    let nothing = |seconds| well("x", &[(Outcome::NoData, seconds)]);
    let held = step(&policy, &record, &nothing(400), at(400))
        .record
        .unwrap();
    assert_eq!((held.phase, held.weight), (Phase::Analysing, 10));
    assert!(held.message.starts_with("holds: check check-0: NoData"));
    let ended = step(&policy, &held, &nothing(1000), at(1000))
        .record
        .unwrap();
    assert_eq!(ended.phase, Phase::Aborting);
    let stays = Policy {
        hold_end: HoldEnd::Stay,
        ..policy
    };
    let held = step(&stays, &held, &nothing(1000), at(1000))
        .record
        .unwrap();
    assert_eq!(held.phase, Phase::Analysing);
}

#[test]
fn what_holds_for_longer_than_it_may_still_looks_again() {
    let policy = Policy {
        hold_end: HoldEnd::Stay,
        ..policy(steps(), false, 0)
    };
    let record = RolloutStatus {
        in_effect_since: None,
        written_at: None,
        held_since: Some(Time(at(100))),
        ..analysing(&policy)
    };
    // The router accepts the weight after maxHold is over: proxies need the time that they always do.
    let accepted = step(&policy, &record, &well("x", &[]), at(5000));
    let held = accepted.record.unwrap();
    assert_eq!(held.message, "waits until every proxy knows the weight");
    let due = accepted.due.unwrap();
    assert!(due > at(5000), "{due}");
    let on = step(&policy, &held, &well("x", &[]), due).record.unwrap();
    assert_eq!(on.in_effect_since, Some(Time(due)));
}

#[test]
fn a_canary_that_fails_is_not_waited_for() {
    let policy = policy(steps(), false, 0);
    let mut observed = well("x", &[]);
    observed.canary.failure = Some("container api: CrashLoopBackOff".to_owned());
    observed.canary.ready = false;
    for phase in [
        Phase::Starting,
        Phase::Analysing,
        Phase::Paused,
        Phase::Proved,
    ] {
        let record = RolloutStatus {
            phase,
            ..analysing(&policy)
        };
        let after = step(&policy, &record, &observed, at(101)).record.unwrap();
        assert_eq!((after.phase, after.taken_back), (Phase::Aborting, true));
    }
}

#[test]
fn a_revert_goes_back_at_once_and_is_no_failure() {
    let policy = policy(steps(), true, 1);
    let observed = Observed {
        change: None,
        ..well("x", &[])
    };
    let after = step(&policy, &analysing(&policy), &observed, at(101));
    let after = after.record.unwrap();
    assert_eq!((after.phase, after.taken_back), (Phase::Aborting, false));
    assert_eq!(after.weight, 0);
}

#[test]
fn the_narrowing_follows_a_stable_side_that_restarts() {
    let policy = policy(steps(), true, 1);
    let record = analysing(&policy);
    let hash = |stable: Side, record: &RolloutStatus| {
        let observed = Observed {
            stable,
            ..well("x", &[])
        };
        let after = step(&policy, record, &observed, at(101)).record.unwrap();
        (after.stable_hash.clone(), after)
    };
    let restarting = Side {
        restarting: true,
        hash: None,
        ..side()
    };
    let (released, record) = hash(restarting, &record);
    assert_eq!(released, None, "no pod of either is left out");
    let unknown = Side {
        hash: None,
        ..side()
    };
    assert_eq!(hash(unknown, &record).0, None);
    let restarted = Side {
        hash: Some("bbbb".to_owned()),
        ..side()
    };
    let (narrowed, record) = hash(restarted, &record);
    assert_eq!(narrowed.as_deref(), Some("bbbb"));
    // What cannot be read changes nothing.
    assert_eq!(hash(Side::default(), &record).0.as_deref(), Some("bbbb"));
}

#[test]
fn what_nobody_wants_loses_its_weight_before_anything_else() {
    let policy = policy(steps(), true, 1);
    let (this, other) = ("x".to_owned(), "y".to_owned());
    for (phase, wanted, stable, given_up) in [
        (Phase::Analysing, Some(&this), Some(&other), false),
        (Phase::Analysing, Some(&other), None, true),
        (Phase::Paused, None, Some(&other), true),
        (Phase::Promoting, None, Some(&this), false),
        (Phase::Promoting, Some(&this), Some(&other), false),
        (Phase::Failed, None, None, false),
        (Phase::Removing, None, None, false),
    ] {
        let mut record = RolloutStatus {
            phase,
            ..analysing(&policy)
        };
        let told = give_up(&mut record, wanted, stable, at(101));
        assert_eq!(told.is_some(), given_up, "{phase:?}");
        let expected = if given_up {
            (Phase::Aborting, 0)
        } else {
            (phase, 10)
        };
        assert_eq!((record.phase, record.weight), expected);
    }
    // The canary serves until the stable side is what it was.
    for phase in [Phase::Promoting, Phase::Finishing] {
        let mut record = RolloutStatus {
            phase,
            ..analysing(&policy)
        };
        assert!(give_up(&mut record, Some(&other), Some(&other), at(101)).is_some());
        assert_eq!((record.phase, record.weight), (Phase::Restoring, 10));
    }
}

/// A record in this phase, everything of which is written and known.
pub(super) fn settled_in(policy: &Policy, phase: Phase) -> RolloutStatus {
    RolloutStatus {
        phase,
        canary_replicas: 1,
        ..analysing(policy)
    }
}

fn phase_after(policy: &Policy, record: &RolloutStatus, observed: &Observed) -> (Phase, bool, u32) {
    let after = step(policy, record, observed, at(200)).record.unwrap();
    (after.phase, after.taken_back, after.weight)
}

#[test]
fn a_promotion_that_fails_goes_back_while_the_canary_serves() {
    let policy = policy(steps(), true, 1);
    let record = settled_in(&policy, Phase::Promoting);
    let failing = |change: &dyn Fn(&mut Observed)| {
        let mut observed = well("x", &[]);
        observed.stable.ready = false;
        observed.taken = false;
        change(&mut observed);
        observed
    };
    let crashes = failing(&|it| it.stable.failure = Some("CrashLoopBackOff".to_owned()));
    let restoring = (Phase::Restoring, true, 10);
    assert_eq!(phase_after(&policy, &record, &crashes), restoring);
    // What failed before the change was written is not the change's fault.
    let before = failing(&|it| {
        it.stable.failure = Some("CrashLoopBackOff".to_owned());
        it.written = false;
    });
    let waits = (Phase::Promoting, false, 10);
    assert_eq!(phase_after(&policy, &record, &before), waits);
    let canary = failing(&|it| it.canary.failure = Some("OOMKilled".to_owned()));
    let without_it = (Phase::Restoring, true, 0);
    assert_eq!(phase_after(&policy, &record, &canary), without_it);
    let person = failing(&|it| it.command = Some(("now".to_owned(), Command::Abort)));
    assert_eq!(phase_after(&policy, &record, &person), restoring);
    let other = failing(&|it| it.go_back = Some("the rollout of worker was taken back".to_owned()));
    let given_up = (Phase::Restoring, false, 10);
    assert_eq!(phase_after(&policy, &record, &other), given_up);
    let newer = failing(&|it| it.change = Some("y".to_owned()));
    assert_eq!(phase_after(&policy, &record, &newer), given_up);

    let restoring = RolloutStatus {
        taken_back: true,
        message: "the stable side cannot take the change: CrashLoopBackOff".to_owned(),
        ..settled_in(&policy, Phase::Restoring)
    };
    assert_eq!(phase_after(&policy, &restoring, &canary), without_it);
    let still = failing(&|_| {});
    assert_eq!(
        phase_after(&policy, &restoring, &still),
        (Phase::Restoring, true, 10)
    );
    let whole = step(&policy, &restoring, &well("x", &[]), at(200))
        .record
        .unwrap();
    assert_eq!((whole.phase, whole.weight), (Phase::Aborting, 0));
    assert!(whole.taken_back && whole.message.ends_with("CrashLoopBackOff"));
}

#[test]
fn a_promoted_side_waits_for_the_others_and_goes_back_with_them() {
    let policy = policy(steps(), true, 1);
    let record = RolloutStatus {
        weight: 0,
        ..settled_in(&policy, Phase::Finishing)
    };
    let mut observed = Observed {
        taken: false,
        ..well("x", &[])
    };
    assert_eq!(
        phase_after(&policy, &record, &observed).0,
        Phase::Finishing,
        "as long as it takes"
    );
    observed.go_back = Some("the rollout of worker was taken back".to_owned());
    assert_eq!(
        phase_after(&policy, &record, &observed),
        (Phase::Restoring, false, 0)
    );
    observed.taken = true;
    assert_eq!(phase_after(&policy, &record, &observed).0, Phase::Removing);
}

#[test]
fn a_promotion_lets_the_stable_services_go_first() {
    let policy = policy(steps(), true, 0);
    let record = RolloutStatus {
        in_effect_since: None,
        written_at: None,
        ..settled_in(&policy, Phase::Promoting)
    };
    let observed = well("x", &[]);
    let waits = step(&policy, &record, &observed, at(200)).record.unwrap();
    assert_eq!(waits.in_effect_since, None);
    let released = step(&policy, &waits, &observed, at(205)).record.unwrap();
    assert_eq!(released.phase, Phase::Promoting);
    assert_eq!(released.in_effect_since, Some(Time(at(205))));
}

#[test]
fn suspended_nothing_rises_and_what_is_bad_goes_back() {
    let policy = policy(steps(), true, 1);
    let suspended = |verdicts: &[(Outcome, i64)]| Observed {
        held: Some("suspended".to_owned()),
        ..well("x", verdicts)
    };
    for phase in [
        Phase::Narrowing,
        Phase::Starting,
        Phase::Analysing,
        Phase::Paused,
        Phase::Proved,
        Phase::Promoting,
    ] {
        let record = settled_in(&policy, phase);
        let after = step(
            &policy,
            &record,
            &suspended(&[(Outcome::Pass, 150)]),
            at(900),
        )
        .record
        .unwrap();
        assert_eq!(
            (after.phase, after.step, after.weight),
            (phase, 0, 10),
            "{phase:?}"
        );
    }
    let bad = suspended(&[(Outcome::Fail, 150); 3]);
    let record = settled_in(&policy, Phase::Analysing);
    assert_eq!(
        phase_after(&policy, &record, &bad),
        (Phase::Aborting, true, 0)
    );
}

#[test]
fn a_clock_that_is_set_back_blinds_nobody() {
    let day = 86_400;
    let policy = policy(steps(), true, 1);
    let record = RolloutStatus {
        written_at: Some(Time(at(day))),
        in_effect_since: Some(Time(at(day))),
        held_since: Some(Time(at(day))),
        ..analysing(&policy)
    };
    let seen = step(
        &policy,
        &record,
        &well("x", &[(Outcome::Fail, 100)]),
        at(100),
    );
    let seen = seen.record.unwrap();
    assert_eq!(seen.in_effect_since, Some(Time(at(100))));
    assert_eq!(seen.checks[0].failed, 1, "it counts");
    // A verdict of the future is one of now, and grows old.
    let future = RolloutStatus {
        checks: vec![crate::api::CheckStatus {
            name: "check-0".to_owned(),
            verdict: "Pass".to_owned(),
            passed: 1,
            began: Some(Time(at(day))),
            at: Some(Time(at(day))),
            ..crate::api::CheckStatus::default()
        }],
        ..record.clone()
    };
    let seen = step(&policy, &future, &well("x", &[]), at(100))
        .record
        .unwrap();
    let old = step(&policy, &seen, &well("x", &[]), at(500))
        .record
        .unwrap();
    assert_eq!(
        (old.step, old.phase),
        (0, Phase::Analysing),
        "{}",
        old.message
    );
    let entered = RolloutStatus {
        in_effect_since: None,
        ..record
    };
    let waits = step(&policy, &entered, &well("x", &[]), at(100))
        .record
        .unwrap();
    let known = step(&policy, &waits, &well("x", &[]), at(105))
        .record
        .unwrap();
    assert_eq!(known.in_effect_since, Some(Time(at(105))));
    // The old side is kept for as long as the policy says, and no longer.
    let policy = blue_green(0);
    let keep = i64::try_from(KEEP.as_secs()).unwrap();
    let kept = RolloutStatus {
        in_effect_since: Some(Time(at(day))),
        kept_until: Some(Time(at(day + keep))),
        ..switched(&policy)
    };
    let until = |policy: &Policy, record: &RolloutStatus, now| {
        let observed = Observed {
            held: Some("suspended".to_owned()),
            ..well("x", &[])
        };
        let after = step(policy, record, &observed, at(now)).record.unwrap();
        after.kept_until
    };
    assert_eq!(until(&policy, &kept, 200), Some(Time(at(200 + keep))));
    // A policy that is not known cuts nothing.
    let mut unknown = policy.clone();
    unknown.strategy = Way::BlueGreen {
        preview: None,
        keep: Duration::ZERO,
    };
    assert_eq!(until(&unknown, &kept, day), Some(Time(at(day + keep))));
    // What falls now is seen by an agent that began to look at a time that is still to come.
    let policy = self::policy(steps(), true, 1);
    let ahead = Observed {
        looked_since: Some(at(day)),
        ..well("x", &[(Outcome::Pass, 160)])
    };
    let passed = step(&policy, &analysing(&policy), &ahead, at(160)).record;
    assert_eq!(passed.unwrap().step, 1);
}

#[test]
fn a_workload_that_is_scaled_to_none_is_not_rolled_out() {
    let policy = policy(steps(), true, 1);
    let mut observed = well("x", &[]);
    observed.stable.stopped = true;
    for phase in [Phase::Narrowing, Phase::Analysing, Phase::Proved] {
        let record = settled_in(&policy, phase);
        assert_eq!(
            phase_after(&policy, &record, &observed),
            (Phase::Aborting, false, 0)
        );
    }
    let record = begin(&policy, "c", "x", &side(), at(0));
    let nothing_runs = (Phase::Removing, false, 0);
    assert_eq!(phase_after(&policy, &record, &observed), nothing_runs);
}

#[test]
fn behind_the_switch_nothing_goes_back_to_a_side_without_pods() {
    let policy = blue_green(1);
    let mut observed = well("x", &[(Outcome::Fail, 110); 3]);
    observed.stable.stopped = true;
    observed.canary.failure = Some("OOMKilled".to_owned());
    observed.command = Some(("1".to_owned(), Command::Abort));
    let record = switched(&policy);
    let after = step(&policy, &record, &observed, at(900)).record.unwrap();
    assert_eq!((after.phase, after.weight), (Phase::Switched, 100));
    assert!(after.message.contains("scaled to 0"), "{}", after.message);
    assert_eq!(after.last_command, None, "the word waits");
    observed.stable.stopped = false;
    assert_eq!(phase_after(&policy, &after, &observed).0, Phase::Aborting);
}

#[test]
fn the_canary_is_gone_before_anything_becomes_what_it_was() {
    let policy = policy(steps(), true, 1);
    let record = RolloutStatus {
        weight: 0,
        taken_back: true,
        ..settled_in(&policy, Phase::Removing)
    };
    let there = Observed {
        canary_is_gone: false,
        ..well("x", &[])
    };
    let waits = step(&policy, &record, &there, at(200)).record.unwrap();
    assert_eq!(waits, record);
    let gone = step(&policy, &record, &well("x", &[]), at(200))
        .record
        .unwrap();
    assert_eq!((gone.phase, gone.canary_replicas), (Phase::Removing, 0));
    let ended = step(&policy, &gone, &well("x", &[]), at(201))
        .record
        .unwrap();
    assert_eq!(ended.phase, Phase::Failed);
}

#[test]
fn what_lost_its_record_goes_back() {
    let policy = policy(steps(), true, 1);
    let mut record = Some(recovered(&policy, "x", &side(), at(0)));
    let mut seen = Vec::new();
    for seconds in 0..30 {
        let Some(known) = &record else { break };
        seen.push(known.phase);
        record = step(&policy, known, &well("x", &[]), at(seconds)).record;
    }
    seen.dedup();
    assert_eq!(
        (record, seen),
        (None, vec![Phase::Aborting, Phase::Removing])
    );
    // One that fails by itself is not waited for: the change may be what mends it.
    let failing = Side {
        failure: Some("CrashLoopBackOff".to_owned()),
        ..side()
    };
    let record = recovered(&policy, "x", &failing, at(0));
    assert_eq!(record.phase, Phase::Aborting);
    // Nothing else may serve: it was lost in the middle of a promotion, say.
    let broken = Side {
        ready: false,
        restarting: true,
        hash: None,
        ..side()
    };
    let policy = blue_green(1);
    let record = recovered(&policy, "x", &broken, at(0));
    assert_eq!((record.phase, record.weight), (Phase::Restoring, 0));
    let observed = Observed {
        stable: broken,
        ..well("x", &[])
    };
    assert_eq!(phase_after(&policy, &record, &observed).0, Phase::Restoring);
    let whole = phase_after(&policy, &record, &well("x", &[]));
    assert_eq!(whole, (Phase::Aborting, false, 0));
}

#[test]
fn a_stable_side_that_restarts_does_not_raise_the_canarys_share() {
    use crate::rollout::share::released;
    for (weight, canary, stable, written) in [
        (50, 2, 4, 25),
        (20, 1, 3, 0),
        (5, 1, 3, 0),
        (50, 5, 10, 25),
        (100, 4, 4, 100),
        (0, 1, 4, 0),
    ] {
        let released = released(weight, canary, stable);
        assert_eq!(released, written, "{weight} % of {canary} and {stable}");
        // In hundredths of the requests: through the route, and through the stable Services.
        let share = released * (canary + stable) + (100 - released) * canary;
        assert!(share <= (weight * (canary + stable)).max(100 * canary));
    }
}

#[test]
fn whole_pods_stay_within_the_weight() {
    let by_pods = policy(steps(), false, 0);
    for (weight, stable, pods, achieved) in [
        (5, 3, 1, 0),
        (25, 3, 1, 25),
        (50, 3, 3, 50),
        (40, 3, 2, 40),
        (100, 3, 3, 50),
        (10, 10, 1, 9),
    ] {
        let share = share(&by_pods, weight, stable);
        assert_eq!((share.pods, share.achieved), (pods, Some(achieved)));
    }
    for (weight, replicas, pods, achieved) in [
        (0, 3, 0, 0),
        (5, 3, 1, 33),
        (50, 3, 1, 33),
        (67, 3, 2, 66),
        (100, 3, 3, 100),
        (50, 0, 0, 0),
    ] {
        let share = share(&partition(0), weight, replicas);
        assert_eq!((share.pods, share.achieved), (pods, Some(achieved)));
    }
    assert_eq!(share(&blue_green(0), 0, 3).pods, 3);
    let by_router = policy(steps(), true, 0);
    assert_eq!(share(&by_router, 5, 3).pods, 1);
    assert_eq!(share(&by_router, 50, 5).pods, 3);
}

/// A time between two seconds.
fn between(seconds: i64, millis: u64) -> Timestamp {
    after(at(seconds), Duration::from_millis(millis))
}

/// As the API server gives it back: with whole seconds.
fn read_again(record: &RolloutStatus) -> RolloutStatus {
    serde_json::from_value(serde_json::to_value(record).unwrap()).unwrap()
}

#[test]
fn evidence_of_the_second_in_which_an_agent_began_to_look_is_its_own() {
    let policy = policy(vec![Step::Weight(10, Duration::from_secs(1))], true, 1);
    let began = between(160, 690);
    let looks = |record: &RolloutStatus, observed: Observed, now| {
        let observed = Observed {
            looked_since: Some(began),
            ..observed
        };
        read_again(&step(&policy, record, &observed, now).record.unwrap())
    };
    let passed = well("x", &[(Outcome::Pass, 160)]);
    let proved = looks(&analysing(&policy), passed, began);
    assert_eq!(proved.phase, Phase::Proved, "{}", proved.message);
    let next = looks(&proved, well("x", &[]), between(160, 740));
    assert_eq!(next.phase, Phase::Promoting, "{}", next.message);
}

#[test]
fn proxies_get_the_whole_time_that_the_policy_gives_them() {
    let policy = Policy {
        settle: Duration::from_secs(2),
        ..policy(steps(), true, 1)
    };
    let mut record = RolloutStatus {
        in_effect_since: None,
        written_at: None,
        ..analysing(&policy)
    };
    let written = between(100, 900);
    for millis in [0, 50, 1150, 1950] {
        let now = after(written, Duration::from_millis(millis));
        let decision = step(&policy, &record, &well("x", &[]), now);
        record = read_again(&decision.record.unwrap());
        assert_eq!(record.in_effect_since, None, "after {millis} ms");
        assert_eq!(decision.due, Some(at(103)), "after {millis} ms");
    }
    let settled = step(&policy, &record, &well("x", &[]), at(103));
    assert_eq!(settled.record.unwrap().in_effect_since, Some(Time(at(103))));
}
