use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::tests::{at, policy, side, well};
use super::super::{Command, Observed, Outcome, begin, step};
use super::*;
use crate::api::RolloutStatus;

/// Steps of ten minutes; 0 is a pause.
fn of(steps: &[u32]) -> Policy {
    let step = |weight: &u32| match weight {
        0 => Step::Pause,
        weight => Step::Weight(*weight, Duration::from_mins(10)),
    };
    policy(steps.iter().map(step).collect(), true, 1)
}

/// At this step of this policy, in effect since second 100, with a verdict that passed.
fn record(policy: &Policy, phase: Phase, index: u32, weight: u32) -> RolloutStatus {
    let record = RolloutStatus {
        phase,
        step: index,
        weight,
        canary_replicas: 1,
        in_effect_since: Some(Time(at(100))),
        ..begin(policy, "c", "x", &side(), at(0))
    };
    let mut passed = well("x", &[(Outcome::Pass, 110)]);
    passed.may_promote = false;
    step(policy, &record, &passed, at(110)).record.unwrap()
}

fn after(
    policy: &Policy,
    record: &RolloutStatus,
    observed: &Observed,
    now: Timestamp,
) -> RolloutStatus {
    step(policy, record, observed, now).record.unwrap()
}

#[test]
fn a_step_with_another_weight_has_its_pods_first_and_evidence_of_its_own() {
    let record = record(&of(&[5, 25]), Phase::Analysing, 0, 5);
    let edited = of(&[50, 60]);
    // All but over, by the time and the evidence of the weight before.
    let now = at(640);
    let seen = well("x", &[(Outcome::Pass, 640)]);
    let anew = after(&edited, &record, &seen, now);
    assert_eq!((anew.step, anew.weight, anew.canary_replicas), (0, 5, 2));
    assert_eq!(
        (anew.in_effect_since.as_ref(), anew.checks.len()),
        (None, 0)
    );
    let mut unready = seen.clone();
    unready.canary.ready = false;
    assert_eq!(after(&edited, &anew, &unready, now).weight, 5);
    let raised = after(&edited, &anew, &seen, now);
    assert_eq!((raised.weight, raised.in_effect_since.as_ref()), (50, None));
    let known = after(
        &edited,
        &after(&edited, &raised, &seen, now),
        &seen,
        at(646),
    );
    assert_eq!(known.in_effect_since, Some(Time(at(646))));
    // A step that only takes another time goes on.
    let mut shorter = of(&[5, 25]);
    shorter.steps[0] = Step::Weight(5, Duration::from_mins(9));
    let next = after(&shorter, &record, &seen, now);
    assert_eq!((next.step, next.weight), (1, 5));
}

#[test]
fn no_pause_is_skipped_and_no_weight_that_nothing_speaks_for() {
    // Before, where it stood, its weight; after, where it goes on.
    for (before, phase, step, weight, now, goes_on) in [
        // A passed step is deleted: the pause is another step now.
        (
            &[5, 25, 0, 50][..],
            Phase::Analysing,
            1,
            25,
            &[25, 0, 50][..],
            (Phase::Analysing, 0),
        ),
        (
            &[5, 25, 50],
            Phase::Analysing,
            1,
            25,
            &[25, 50],
            (Phase::Analysing, 0),
        ),
        // A word that was given counts.
        (
            &[1, 5, 0, 50],
            Phase::Analysing,
            3,
            50,
            &[5, 0, 50],
            (Phase::Analysing, 2),
        ),
        (
            &[5, 50],
            Phase::Analysing,
            1,
            50,
            &[5, 0, 50],
            (Phase::Analysing, 0),
        ),
        (
            &[5, 0, 50],
            Phase::Paused,
            1,
            5,
            &[5, 50],
            (Phase::Analysing, 0),
        ),
        (
            &[5, 0, 50],
            Phase::Paused,
            1,
            5,
            &[2, 5, 0, 50],
            (Phase::Analysing, 1),
        ),
        // Paused by a person: only a person's word ends it.
        (
            &[5, 25, 50],
            Phase::Paused,
            1,
            25,
            &[20, 50],
            (Phase::Paused, 0),
        ),
        // Later steps are free to change.
        (
            &[5, 25, 50],
            Phase::Analysing,
            1,
            25,
            &[5, 25, 0],
            (Phase::Analysing, 1),
        ),
        (
            &[5, 50],
            Phase::Proved,
            2,
            50,
            &[5, 50, 75],
            (Phase::Analysing, 1),
        ),
        (
            &[5, 50],
            Phase::Proved,
            2,
            50,
            &[5, 50, 0],
            (Phase::Analysing, 1),
        ),
    ] {
        let record = record(&of(before), phase, step, weight);
        let mut observed = well("x", &[]);
        observed.may_promote = false;
        let after = after(&of(now), &record, &observed, at(120));
        let what = format!("{before:?} at {step} is {now:?}: {}", after.message);
        assert_eq!((after.phase, after.step), goes_on, "{what}");
        assert_eq!(after.weight, weight, "{what}");
        assert_eq!(after.shape, Some(shape(&of(now))));
    }
}

#[test]
fn a_record_of_an_older_agent_goes_on() {
    let policy = of(&[5, 0, 50]);
    for (phase, index, weight) in [(Phase::Analysing, 2, 50), (Phase::Paused, 1, 5)] {
        let known = record(&policy, phase, index, weight);
        let older = RolloutStatus {
            shape: None,
            ..known.clone()
        };
        let observed = well("x", &[]);
        let seen = after(&policy, &older, &observed, at(120));
        assert_eq!(
            RolloutStatus {
                shape: known.shape.clone(),
                ..seen.clone()
            },
            after(&policy, &known, &observed, at(120))
        );
        // A server that drops what it does not know is not written to in every pass.
        assert_eq!(seen.shape, None);
        let mut paused = observed;
        paused.command = Some(("1".to_owned(), Command::Promote));
        assert_eq!(after(&policy, &seen, &paused, at(121)).shape, known.shape);
    }
}

#[test]
fn a_word_to_pause_holds_what_begins_anew() {
    let record = record(&of(&[5, 25]), Phase::Analysing, 0, 5);
    let mut observed = well("x", &[]);
    observed.command = Some(("1".to_owned(), Command::Pause));
    let paused = after(&of(&[10, 25]), &record, &observed, at(120));
    assert_eq!((paused.phase, paused.weight), (Phase::Paused, 5));
    // Suspended nothing begins anew either.
    let mut held = well("x", &[]);
    held.held = Some("suspended".to_owned());
    let held = after(&of(&[10, 25]), &record, &held, at(120));
    assert_eq!(
        (held.phase, held.message.as_str()),
        (Phase::Analysing, "suspended")
    );
    assert_eq!(held.shape.as_deref(), Some("5 25"));
}

#[test]
fn a_word_waits_until_something_goes_on() {
    let policy = of(&[5, 25]);
    let record = record(&policy, Phase::Analysing, 0, 5);
    let word = |command, held: bool| Observed {
        command: Some(("1".to_owned(), command)),
        held: held.then(|| "the newest commit cannot be had".to_owned()),
        ..well("x", &[])
    };
    for command in [Command::Pause, Command::Promote, Command::Retry] {
        let waits = after(&policy, &record, &word(command, true), at(120));
        assert_eq!((waits.phase, waits.last_command), (Phase::Analysing, None));
    }
    let aborted = after(&policy, &record, &word(Command::Abort, true), at(120));
    assert_eq!(aborted.phase, Phase::Aborting);
    let paused = after(&policy, &record, &word(Command::Pause, false), at(120));
    assert_eq!(paused.last_command.as_deref(), Some("1"));
    // A step that begins anew is not the one that the word was about; nor is the word lost.
    let edited = of(&[4, 25]);
    let anew = after(&edited, &record, &word(Command::Promote, false), at(120));
    assert_eq!((anew.step, anew.last_command.as_ref()), (0, None));
    let next = after(&edited, &anew, &word(Command::Promote, false), at(121));
    assert_eq!((next.step, next.last_command.as_deref()), (1, Some("1")));
}

#[test]
fn another_route_begins_anew_and_the_one_of_before_loses_its_weight_first() {
    use crate::api::{RouteReference, TrafficSpec};
    let by = |name: &str| {
        let http_route = Some(RouteReference {
            name: name.to_owned(),
        });
        Policy {
            traffic: Some(TrafficSpec {
                http_route,
                ..TrafficSpec::default()
            }),
            ..of(&[5, 25])
        }
    };
    let by_pods = Policy {
        traffic: None,
        ..of(&[5, 25])
    };
    let known = record(&by("api"), Phase::Analysing, 1, 25);
    assert!(
        known
            .route
            .as_ref()
            .is_some_and(|route| route.ends_with("/api"))
    );
    let observed = well("x", &[]);
    for edited in [by("web"), by_pods.clone()] {
        let gone = after(&edited, &known, &observed, at(120));
        assert_eq!((gone.phase, gone.weight), (Phase::Aborting, 0));
        assert!(!gone.taken_back && gone.message == REROUTED);
        // Before the parts of its route are no longer staged.
        let mut before = known.clone();
        assert!(reroute(&edited, &mut before, at(120)).is_some());
        assert_eq!((before.phase, before.weight), (Phase::Aborting, 0));
        // Suspended the policy may be that of the revision before.
        let mut held = observed.clone();
        held.held = Some("suspended".to_owned());
        assert_eq!(
            after(&edited, &known, &held, at(120)).phase,
            Phase::Analysing
        );
    }
    assert_eq!(reroute(&by("api"), &mut known.clone(), at(120)), None);
    // A canary by its number of pods that is to have a route.
    let by_pods = record(&by_pods, Phase::Paused, 0, 5);
    assert_eq!(
        after(&by("api"), &by_pods, &observed, at(120)).phase,
        Phase::Aborting
    );
    // What an agent before this one began goes on, and so does what leads nowhere yet.
    let older = RolloutStatus {
        route: None,
        ..known.clone()
    };
    assert_eq!(reroute(&by("web"), &mut older.clone(), at(120)), None);
    let older = after(&by("web"), &older, &observed, at(120));
    assert_eq!((older.phase, older.route), (Phase::Analysing, None));
    // What failed is left as it is, whatever its steps are by now.
    let failed = RolloutStatus {
        phase: Phase::Failed,
        held_since: None,
        ..known.clone()
    };
    assert_eq!(after(&of(&[10]), &failed, &observed, at(120)), failed);
    let narrowing = begin(&by("api"), "c", "x", &side(), at(0));
    let followed = after(&by("web"), &narrowing, &observed, at(120));
    assert_eq!(followed.phase, Phase::Narrowing);
    assert!(followed.route.is_some_and(|route| route.ends_with("/web")));
    // What is promoted is promoted.
    let promoting = RolloutStatus {
        phase: Phase::Promoting,
        ..known
    };
    assert_eq!(reroute(&by("web"), &mut promoting.clone(), at(120)), None);
}
