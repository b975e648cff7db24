use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::tests::{analysing, at, policy, steps, well};
use super::super::{Observed, Outcome, step};
use super::*;
use crate::api::RolloutStatus;
use crate::rollout::policy::Policy;

fn after(policy: &Policy, record: &RolloutStatus, observed: &Observed, now: i64) -> RolloutStatus {
    step(policy, record, observed, at(now)).record.unwrap()
}

fn word(command: Command) -> Observed {
    let mut observed = well("x", &[]);
    observed.command = Some((format!("{command:?}"), command));
    observed
}

#[test]
fn when_a_step_ends_at_the_earliest_is_said_as_long_as_it_lasts() {
    let policy = policy(steps(), true, 1);
    let seen = after(
        &policy,
        &analysing(&policy),
        &well("x", &[(Outcome::Pass, 110)]),
        110,
    );
    assert_eq!(seen.until, Some(Time(at(160))));
    let next = after(&policy, &seen, &well("x", &[(Outcome::Pass, 155)]), 160);
    assert_eq!((next.step, next.until), (1, None));
    let mut bad = well("x", &[]);
    bad.canary.failure = Some("OOMKilled".to_owned());
    assert_eq!(after(&policy, &seen, &bad, 120).until, None);
}

#[test]
fn what_a_person_paused_goes_on_with_the_rest_of_its_step() {
    let policy = policy(steps(), true, 1);
    let passed = after(
        &policy,
        &analysing(&policy),
        &well("x", &[(Outcome::Pass, 110)]),
        110,
    );
    let paused = after(&policy, &passed, &word(Command::Pause), 120);
    assert_eq!((paused.phase, paused.step), (Phase::Paused, 0));
    let resumed = after(&policy, &paused, &word(Command::Promote), 130);
    assert_eq!((resumed.phase, resumed.step), (Phase::Analysing, 0));
    assert_eq!(resumed.in_effect_since, Some(Time(at(100))));
    assert_eq!(resumed.checks, passed.checks);
    let rest = after(&policy, &resumed, &well("x", &[(Outcome::Pass, 140)]), 159);
    assert_eq!(rest.step, 0);
    assert_eq!(
        after(&policy, &rest, &well("x", &[(Outcome::Pass, 155)]), 160).step,
        1
    );
    // A step that is a pause itself is over.
    let record = RolloutStatus {
        phase: Phase::Paused,
        step: 1,
        ..analysing(&policy)
    };
    let next = after(&policy, &record, &word(Command::Promote), 130);
    assert_eq!((next.phase, next.step), (Phase::Analysing, 2));
}

#[test]
fn what_was_paused_before_its_weight_was_in_effect_is_seen_at_that_weight() {
    let policy = policy(steps(), true, 1);
    let entered = RolloutStatus {
        step: 2,
        in_effect_since: None,
        written_at: None,
        ..analysing(&policy)
    };
    let paused = after(&policy, &entered, &word(Command::Pause), 120);
    assert_eq!((paused.weight, paused.in_effect_since.as_ref()), (10, None));
    // The weight of before is written and known, and goes on being seen.
    let paused = after(&policy, &paused, &well("x", &[]), 121);
    let seen = after(&policy, &paused, &well("x", &[(Outcome::Pass, 127)]), 127);
    assert_eq!(seen.in_effect_since, Some(Time(at(127))));
    let resumed = after(&policy, &seen, &word(Command::Promote), 130);
    let raised = after(&policy, &resumed, &well("x", &[]), 131);
    assert_eq!((raised.step, raised.weight), (2, 50));
    assert_eq!(
        (raised.in_effect_since.as_ref(), raised.checks.len()),
        (None, 0)
    );
}

#[test]
fn what_cannot_be_written_is_waited_for_as_long_as_maxhold_says() {
    let policy = policy(steps(), true, 1);
    let mut observed = well("x", &[]);
    observed.written = false;
    observed.refused = Some("Deployment.apps shop/api-canary: Denied: no canaries here".to_owned());
    for (phase, index, waits) in [
        (
            Phase::Narrowing,
            0,
            "the stable Services are being narrowed",
        ),
        (Phase::Starting, 0, "waits for the canary's pods"),
        (Phase::Analysing, 2, "waits for the canary's pods"),
        (Phase::Analysing, 0, "the weight is being written"),
    ] {
        let record = RolloutStatus {
            phase,
            step: index,
            in_effect_since: None,
            ..analysing(&policy)
        };
        let held = after(&policy, &record, &observed, 200);
        assert_eq!((held.phase, held.weight), (phase, 10));
        assert!(held.message.starts_with(waits), "{}", held.message);
        assert!(held.message.ends_with("Denied: no canaries here"));
        let ended = after(&policy, &held, &observed, 800);
        // Where nothing runs yet nothing has to drain.
        let end = if phase == Phase::Narrowing {
            Phase::Removing
        } else {
            Phase::Aborting
        };
        assert_eq!((ended.phase, ended.taken_back), (end, true));
        assert!(ended.message.contains("Denied"), "{}", ended.message);
    }
}

#[test]
fn pods_take_as_long_to_start_as_they_need() {
    let policy = policy(steps(), true, 1);
    let mut observed = well("x", &[]);
    observed.canary.ready = false;
    for (phase, index) in [(Phase::Starting, 0), (Phase::Analysing, 2)] {
        let record = RolloutStatus {
            phase,
            step: index,
            in_effect_since: None,
            ..analysing(&policy)
        };
        let waits = after(&policy, &record, &observed, 200);
        let waits = after(&policy, &waits, &observed, 9000);
        assert_eq!((waits.phase, waits.held_since.as_ref()), (phase, None));
    }
}
