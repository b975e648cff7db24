use std::time::Duration;

use super::super::{Observed, Side, Verdict, begin, step};
use super::*;
use crate::api::{CheckSpec, HoldEnd, RolloutPhase as Phase, RolloutStatus};
use crate::object::Id;
use crate::rollout::policy::{Check, Policy, Step};

/// One step of 10 % for a minute, with a check every 30 s.
fn policy(count: u32) -> Policy {
    Policy {
        workload: Id {
            group: "apps".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "api".to_owned(),
        },
        strategy: crate::rollout::policy::Strategy::Canary,
        service: None,
        depends_on: Vec::new(),
        shared_volumes: false,
        steps: vec![Step::Weight(10, Duration::from_mins(1))],
        traffic: Some(crate::api::TrafficSpec::default()),
        checks: vec![Check {
            spec: CheckSpec {
                name: "errors".to_owned(),
                ..CheckSpec::default()
            },
            interval: Duration::from_secs(30),
            failure_limit: 2,
            count,
            job: None,
        }],
        max_hold: Duration::from_hours(1),
        hold_end: HoldEnd::Abort,
        settle: Duration::ZERO,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// At the step since second 100.
fn record(policy: &Policy) -> RolloutStatus {
    RolloutStatus {
        phase: Phase::Analysing,
        weight: 10,
        in_effect_since: Some(Time(at(100))),
        ..begin(policy, "c", "x", &Side::default(), at(0))
    }
}

/// What follows at this time from a verdict that was begun at that one.
fn look(
    policy: &Policy,
    record: &RolloutStatus,
    now: i64,
    verdict: Option<(Outcome, i64)>,
) -> RolloutStatus {
    step(policy, record, &seen_at(verdict), at(now))
        .record
        .unwrap()
}

/// All is well, and this verdict fell.
fn seen_at(verdict: Option<(Outcome, i64)>) -> Observed {
    Observed {
        change: Some("x".to_owned()),
        written: true,
        canary: Side {
            ready: true,
            ..Side::default()
        },
        verdicts: verdict
            .into_iter()
            .map(|(outcome, began)| Verdict {
                check: "errors".to_owned(),
                outcome,
                value: "0.2 is more than 0.01".to_owned(),
                at: at(began),
            })
            .collect(),
        ..Observed::default()
    }
}

#[test]
fn so_many_verdicts_must_pass_and_the_last_one_too() {
    let policy = policy(2);
    let mut seen = record(&policy);
    seen = look(&policy, &seen, 130, Some((Outcome::Pass, 130)));
    seen = look(&policy, &seen, 160, None);
    assert_eq!(seen.message, "holds: check errors passed 1 of 2 times");
    seen = look(&policy, &seen, 161, Some((Outcome::Fail, 160)));
    assert_eq!(
        seen.message,
        "holds: check errors: Fail: 0.2 is more than 0.01"
    );
    seen = look(&policy, &seen, 191, Some((Outcome::NoData, 190)));
    assert!(seen.message.starts_with("holds: check errors: NoData"));
    seen = look(&policy, &seen, 221, Some((Outcome::Pass, 220)));
    assert_eq!(seen.phase, Phase::Proved);
}

#[test]
fn a_verdict_of_before_the_weight_is_none() {
    let policy = policy(1);
    let seen = look(&policy, &record(&policy), 170, Some((Outcome::Pass, 99)));
    assert_eq!(seen.message, "holds: check errors was not made yet");
    assert_eq!(seen.checks[0].passed, 0);
}

#[test]
fn the_limit_names_the_check_its_weight_and_its_value() {
    let policy = policy(1);
    let seen = look(&policy, &record(&policy), 110, Some((Outcome::Fail, 109)));
    assert_eq!(seen.phase, Phase::Analysing);
    let seen = look(&policy, &seen, 140, Some((Outcome::Fail, 139)));
    assert_eq!(seen.phase, Phase::Aborting);
    assert_eq!(
        seen.message,
        "check errors failed 2 times at 10 %: 0.2 is more than 0.01"
    );
}

#[test]
fn an_agent_that_was_away_waits_for_a_fresh_verdict() {
    let policy = policy(1);
    let passed = look(&policy, &record(&policy), 130, Some((Outcome::Pass, 130)));
    // Two intervals are no absence.
    assert_eq!(look(&policy, &passed, 190, None).phase, Phase::Proved);
    let away = look(&policy, &passed, 1000, None);
    assert_eq!((away.phase, away.weight), (Phase::Analysing, 10));
    assert_eq!(
        away.message,
        "holds: the last verdict of check errors is 870 s old"
    );
    let back = look(&policy, &away, 1001, Some((Outcome::Pass, 1000)));
    assert_eq!(back.phase, Phase::Proved);
    // What takes long may be so long ago.
    let slow = look(&policy, &record(&policy), 700, Some((Outcome::Pass, 105)));
    assert_eq!(slow.phase, Phase::Proved, "{}", slow.message);
}

#[test]
fn what_goes_on_is_not_begun_anew() {
    let policy = policy(1);
    let proved = look(&policy, &record(&policy), 170, Some((Outcome::Pass, 165)));
    assert_eq!(proved.phase, Phase::Proved);
    assert_eq!(proved.in_effect_since, Some(Time(at(100))));
}

#[test]
fn an_absence_is_no_hold() {
    let policy = policy(1);
    let hour = 3600;
    let passed = look(&policy, &record(&policy), 130, Some((Outcome::Pass, 130)));
    // Two hours later another agent looks for the first time: its check is under way.
    let first = 130 + 2 * hour;
    let looks = |record: &RolloutStatus, now: i64, verdict: Option<(Outcome, i64)>| {
        let mut observed = seen_at(verdict);
        observed.looked_since = Some(at(first));
        step(&policy, record, &observed, at(now)).record.unwrap()
    };
    let back = looks(&passed, first, None);
    assert_eq!((back.phase, back.weight), (Phase::Analysing, 10));
    assert_eq!(back.held_since, Some(Time(at(first))));
    let verdict = Some((Outcome::Pass, first));
    assert_eq!(looks(&back, first + 1, verdict).phase, Phase::Proved);
    // What was held before it went away is held from when it is back.
    let held = RolloutStatus {
        held_since: Some(Time(at(160))),
        ..passed
    };
    assert_eq!(looks(&held, first, None).phase, Phase::Analysing);
    let last = looks(&held, first + hour - 1, None);
    assert_eq!(last.phase, Phase::Analysing);
    assert_eq!(looks(&last, first + hour, None).phase, Phase::Aborting);
}

#[test]
fn a_hold_is_as_long_as_it_lasts_without_a_break() {
    let policy = policy(1);
    let passed = look(&policy, &record(&policy), 130, Some((Outcome::Pass, 130)));
    let mut held = look(&policy, &passed, 160, Some((Outcome::NoData, 160)));
    assert_eq!(held.held_since, Some(Time(at(160))));
    // Suspended, it waits for something else.
    let mut observed = seen_at(None);
    observed.held = Some("suspended".to_owned());
    held = step(&policy, &held, &observed, at(170)).record.unwrap();
    assert_eq!(held.held_since, None);
    held = look(&policy, &held, 9000, None);
    assert_eq!(held.phase, Phase::Analysing);
    held = look(&policy, &held, 9000 + 3600, None);
    assert_eq!(held.phase, Phase::Aborting);
    // A check whose verdicts do not come any more is no data.
    let silent = look(&policy, &passed, 300, None);
    assert!(silent.held_since.is_some(), "{}", silent.message);
}
