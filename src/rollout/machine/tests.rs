use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::api::{CheckSpec, TrafficSpec};
use crate::object::Id;
use crate::rollout::policy::{Check, Strategy as Way};

const LIMIT: u32 = 3;

fn policy(steps: Vec<Step>, router: bool, checks: usize) -> Policy {
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
    }
}

const KEEP: Duration = Duration::from_mins(2);

fn blue_green(checks: usize) -> Policy {
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

fn partition(checks: usize) -> Policy {
    let mut policy = policy(steps(), false, checks);
    policy.workload.kind = "StatefulSet".to_owned();
    policy.strategy = Way::Partition;
    policy
}

fn steps() -> Vec<Step> {
    let minute = Duration::from_mins(1);
    vec![
        Step::Weight(10, minute),
        Step::Pause,
        Step::Weight(50, minute),
    ]
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn side() -> Side {
    Side {
        ready: true,
        failure: None,
        replicas: 4,
        hash: Some("aaaa".to_owned()),
        restarting: false,
    }
}

/// Everything is as it should be.
fn well(change: &str, verdicts: &[(Outcome, i64)]) -> Observed {
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
        ]
    );
}

/// A record of a green side that has the traffic since second 100.
fn switched(policy: &Policy) -> RolloutStatus {
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
        ]
    );
}

/// A record at a step whose weight is in effect since second 100.
fn analysing(policy: &Policy) -> RolloutStatus {
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
    let ended = step(&policy, &held, &nothing(800), at(800)).record.unwrap();
    assert_eq!(ended.phase, Phase::Aborting);
    let stays = Policy {
        hold_end: HoldEnd::Stay,
        ..policy
    };
    let held = step(&stays, &held, &nothing(800), at(800)).record.unwrap();
    assert_eq!(held.phase, Phase::Analysing);
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
        (Phase::Promoting, Some(&this), Some(&other), true),
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

/// What may happen between two looks.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and all combinations happen"
)]
#[derive(Clone, Debug)]
struct Event {
    seconds: i64,
    written: bool,
    router: bool,
    ready: bool,
    canary_fails: bool,
    stable_ready: bool,
    stable_restarts: bool,
    stable_pods: u32,
    gone: bool,
    others: bool,
    /// 0: reverted, 1: this change, 2: another one.
    change: u8,
    verdicts: Vec<(u8, u8)>,
    command: Option<u8>,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let often = || prop::bool::weighted(0.85);
    let event = (
        1..40_i64,
        (
            often(),
            often(),
            often(),
            prop::bool::weighted(0.02),
            often(),
            prop::bool::weighted(0.02),
            often(),
            often(),
        ),
        prop_oneof![40 => Just(1_u8), 1 => Just(0), 1 => Just(2)],
        prop::collection::vec((0..2_u8, 0..8_u8), 0..3),
        prop::option::weighted(0.03, 0..4_u8),
        prop_oneof![20 => Just(4_u32), 1 => 0..12_u32],
    )
        .prop_map(
            |(
                seconds,
                (written, router, ready, canary_fails, stable_ready, stable_restarts, gone, others),
                change,
                verdicts,
                command,
                stable_pods,
            )| Event {
                seconds,
                written,
                router,
                ready,
                canary_fails,
                stable_ready,
                stable_restarts,
                stable_pods,
                gone,
                others,
                change,
                verdicts,
                command,
            },
        );
    prop::collection::vec(event, 1..80)
}

fn observed(event: &Event, record: &RolloutStatus, now: Timestamp, count: usize) -> Observed {
    let outcome = |kind: u8| match kind {
        0 => Outcome::Fail,
        1 => Outcome::NoData,
        _ => Outcome::Pass,
    };
    Observed {
        change: match event.change {
            0 => None,
            1 => Some("x".to_owned()),
            _ => Some("y".to_owned()),
        },
        written: event.written,
        router_waits: (!event.router).then(|| "not yet".to_owned()),
        canary: Side {
            ready: event.ready,
            failure: event.canary_fails.then(|| "OOMKilled".to_owned()),
            replicas: record.canary_replicas,
            ..side()
        },
        canary_is_gone: event.gone,
        stable: Side {
            ready: event.stable_ready,
            restarting: event.stable_restarts,
            replicas: event.stable_pods,
            ..side()
        },
        verdicts: event
            .verdicts
            .iter()
            .map(|(check, kind)| Verdict {
                check: format!("check-{check}"),
                outcome: outcome(*kind),
                value: String::new(),
                at: now,
            })
            .collect(),
        command: event.command.map(|command| {
            let command = match command {
                0 => Command::Promote,
                1 => Command::Abort,
                2 => Command::Retry,
                _ => Command::Pause,
            };
            (count.to_string(), command)
        }),
        may_switch: event.others,
        may_promote: event.others,
    }
}

/// The share of the traffic that the record gives to the canary.
fn weight_in_force(record: &RolloutStatus) -> u32 {
    record.weight
}

/// A canary by a router, one by pods, blue/green, a set.
fn policies() -> impl Strategy<Value = Policy> {
    let paused = || {
        let mut policy = blue_green(2);
        policy.steps.push(Step::Pause);
        policy
    };
    prop_oneof![
        Just(policy(steps(), true, 2)),
        Just(policy(steps(), false, 2)),
        Just(blue_green(2)),
        Just(paused()),
        Just(partition(2)),
    ]
}

/// The last word of every check, the verdicts of this look included, is that it passes.
fn all_pass(policy: &Policy, record: &RolloutStatus, observed: &Observed) -> bool {
    policy.checks.iter().all(|check| {
        let known = record
            .checks
            .iter()
            .find(|known| known.name == check.spec.name)
            .map_or("", |known| known.verdict.as_str());
        let last = observed
            .verdicts
            .iter()
            .rfind(|verdict| verdict.check == check.spec.name);
        last.map_or(known, |verdict| verdict.outcome.as_str()) == "Pass"
    })
}

fn history(policy: &Policy, events: &[Event]) -> Result<(), TestCaseError> {
    let mut now = at(0);
    let mut record = begin(policy, "c", "x", &side(), now);
    // Whether every check has passed since the last step, or a person said that they need not.
    let mut proved = false;
    for (count, event) in events.iter().enumerate() {
        now = now
            .checked_add(Duration::from_secs(event.seconds.unsigned_abs()))
            .unwrap();
        let observed = observed(event, &record, now, count);
        let decision = step(policy, &record, &observed, now);
        let promoted_by_hand = matches!(observed.command, Some((_, Command::Promote)));
        let Some(after) = decision.record else {
            // It ends drained: promoted, taken back, or forgotten after a failure.
            prop_assert!(matches!(
                record.phase,
                Phase::Finishing | Phase::Removing | Phase::Failed
            ));
            prop_assert_eq!(weight_in_force(&record), 0);
            if record.phase == Phase::Removing {
                prop_assert!(observed.canary_is_gone && observed.written);
            }
            return Ok(());
        };
        // A step further only on evidence at the weight before: every check's last word is that it passes.
        if after.step > record.step && record.phase == Phase::Analysing && !promoted_by_hand {
            prop_assert!(record.in_effect_since.is_some());
            prop_assert!(observed.canary.ready && observed.canary.failure.is_none());
            prop_assert!(all_pass(policy, &record, &observed));
        }
        proved |= after.step > record.step;
        // A side that starts anew has proved nothing.
        proved &= !matches!(after.phase, Phase::Narrowing | Phase::Starting);
        // The weight never rises but to that of the step, with its pods ready.
        if after.weight > record.weight {
            prop_assert!(observed.canary.ready && observed.written);
            if after.phase == Phase::Switched {
                prop_assert!(proved && record.phase == Phase::Proved && observed.may_switch);
                prop_assert!(observed.canary.replicas >= observed.stable.replicas);
                prop_assert!(!observed.stable.restarting);
            } else {
                prop_assert_eq!(after.phase, Phase::Analysing);
            }
        }
        if record.strategy == RolloutStrategy::BlueGreen {
            let has_all = matches!(after.phase, Phase::Switched | Phase::Promoting);
            prop_assert_eq!(after.weight, if has_all { 100 } else { 0 });
        }
        // Of a set no more pods run the change than the step says, whatever its size.
        if record.strategy == RolloutStrategy::Partition
            && matches!(after.phase, Phase::Starting | Phase::Analysing)
        {
            let index = usize::try_from(after.step).unwrap();
            let Step::Weight(weight, _) = policy.steps[index] else {
                return Err(TestCaseError::fail("it is at a pause"));
            };
            let share = share(policy, weight, after.stable_replicas);
            prop_assert!(after.canary_replicas <= share.pods);
        }
        // Nothing goes to a canary that is on its way out.
        if matches!(
            after.phase,
            Phase::Aborting | Phase::Removing | Phase::Failed | Phase::Finishing
        ) {
            prop_assert_eq!(weight_in_force(&after), 0);
        }
        // The stable side takes the change only when all steps are behind it.
        if after.phase == Phase::Promoting && record.phase != Phase::Promoting {
            let behind = if record.strategy == RolloutStrategy::BlueGreen {
                prop_assert!(all_pass(policy, &record, &observed));
                prop_assert!(
                    after
                        .kept_until
                        .as_ref()
                        .is_some_and(|until| until.0 <= now)
                );
                Phase::Switched
            } else {
                Phase::Proved
            };
            prop_assert_eq!(record.phase, behind);
            prop_assert!(observed.may_promote);
            prop_assert_eq!(usize::try_from(after.step).unwrap(), policy.steps.len());
        }
        // The narrowing goes only after the canary.
        if after.phase == Phase::Failed && record.phase != Phase::Failed {
            prop_assert!(observed.canary_is_gone);
        }
        record = after;
    }
    // From wherever it stands, a world in which all is well ends it, once people and Git have decided.
    for round in 0..2000 {
        now = now.checked_add(Duration::from_secs(7)).unwrap();
        let mut observed = well("x", &[]);
        observed.canary.replicas = record.canary_replicas;
        for check in &policy.checks {
            observed.verdicts.push(Verdict {
                check: check.spec.name.clone(),
                outcome: Outcome::Pass,
                value: String::new(),
                at: now,
            });
        }
        if record.phase == Phase::Paused {
            observed.command = Some((format!("end-{round}"), Command::Promote));
        }
        match step(policy, &record, &observed, now).record {
            None => return Ok(()),
            Some(after) if after.phase == Phase::Failed => return Ok(()),
            Some(after) => record = after,
        }
    }
    Err(TestCaseError::fail(format!("stuck: {record:?}")))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("ROLLOUT_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(2000),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_history_is_safe_and_ends(policy in policies(), events in events()) {
        history(&policy, &events)?;
    }
}
