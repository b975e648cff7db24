//! What may happen to a rollout, drawn at random: what is seen of its pods, of the others, of people and of Git.

use std::time::Duration;

use proptest::prelude::*;

use super::super::tests::{blue_green, partition, policy, side, steps, well};
use super::super::*;
use crate::rollout::policy::{Check, Step};

/// What may happen between two looks.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and all combinations happen"
)]
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub seconds: i64,
    pub written: bool,
    pub refused: bool,
    pub router: bool,
    pub canary: Pods,
    pub stable: Pods,
    pub gone: bool,
    pub others: Others,
    pub held: bool,
    /// Another agent looks from now on.
    pub restart: bool,
    /// 0: reverted, 1: this change, 2: another one.
    pub change: u8,
    /// How many pods the stable side has.
    pub pods: u32,
    /// Git has these steps of the policy from now on.
    pub edit: Option<usize>,
    /// Check, and 0 for a failure, 1 for no data, any other for a pass.
    pub verdicts: Vec<(u8, u8)>,
    pub command: Option<u8>,
}

/// The pods of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pods {
    Ready,
    Starting,
    Failing,
    Restarting,
    Stopped,
}

/// The other workloads of the revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    Analysing,
    Proved,
    Promoted,
    TakenBack,
}

fn pods() -> impl Strategy<Value = Pods> {
    prop_oneof![
        80 => Just(Pods::Ready),
        14 => Just(Pods::Starting),
        2 => Just(Pods::Failing),
        3 => Just(Pods::Restarting),
        1 => Just(Pods::Stopped),
    ]
}

fn others() -> impl Strategy<Value = Others> {
    prop_oneof![
        20 => Just(Others::Analysing),
        60 => Just(Others::Proved),
        18 => Just(Others::Promoted),
        2 => Just(Others::TakenBack),
    ]
}

pub(super) fn events() -> impl Strategy<Value = Vec<Event>> {
    let often = || prop::bool::weighted(0.85);
    let change = prop_oneof![60 => Just(1_u8), 1 => Just(0), 1 => Just(2)];
    let verdicts = prop::collection::vec((0..2_u8, 0..8_u8), 0..3);
    let size = prop_oneof![20 => Just(4_u32), 2 => 1..12_u32];
    let written = (often(), prop::bool::weighted(0.05));
    let world = (written, often(), pods(), pods(), often(), others(), size);
    let people = (
        prop::bool::weighted(0.05),
        prop::bool::weighted(0.1),
        change,
        verdicts,
        prop::option::weighted(0.03, 0..4_u8),
        prop::option::weighted(0.04, 0..7_usize),
    );
    let seconds = prop_oneof![40 => 1..40_i64, 1 => -900..0_i64, 1 => 600..4000_i64];
    let event = (seconds, world, people).prop_map(|(seconds, world, people)| {
        let ((written, refused), router, canary, stable, gone, others, pods) = world;
        let (held, restart, change, verdicts, command, edit) = people;
        Event {
            seconds,
            written,
            refused,
            router,
            canary,
            stable,
            gone,
            others,
            held,
            restart,
            change,
            pods,
            edit,
            verdicts,
            command,
        }
    });
    prop::collection::vec(event, 1..80)
}

fn seen(pods: Pods, hash: &str) -> Side {
    Side {
        ready: pods == Pods::Ready,
        failure: (pods == Pods::Failing).then(|| "OOMKilled".to_owned()),
        restarting: pods == Pods::Restarting,
        hash: (pods != Pods::Restarting).then(|| hash.to_owned()),
        stopped: pods == Pods::Stopped,
        ..side()
    }
}

pub(super) fn observed(
    event: &Event,
    policy: &Policy,
    record: &RolloutStatus,
    now: Timestamp,
    (count, taken, hash): (usize, bool, &str),
) -> Observed {
    let outcome = |kind: u8| match kind {
        0 => Outcome::Fail,
        1 => Outcome::NoData,
        _ => Outcome::Pass,
    };
    Observed {
        change: match event.change {
            _ if taken => Some("x".to_owned()),
            0 => None,
            1 => Some("x".to_owned()),
            _ => Some("y".to_owned()),
        },
        written: event.written,
        refused: event.refused.then(|| "denied".to_owned()),
        router_waits: (!event.router).then(|| "not yet".to_owned()),
        canary: Side {
            replicas: record.canary_replicas,
            ..seen(event.canary, hash)
        },
        canary_is_gone: event.gone,
        stable: Side {
            replicas: event.pods,
            ..seen(event.stable, hash)
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
        may_switch: matches!(event.others, Others::Proved | Others::Promoted),
        may_promote: matches!(event.others, Others::Proved | Others::Promoted)
            && is_ready_to_promote(policy, record, now),
        taken,
        go_back: (event.others == Others::TakenBack).then(|| "the other went back".to_owned()),
        looked_since: None,
        held: event.held.then(|| "suspended".to_owned()),
    }
}

/// A world in which all is well, once people and Git have decided.
pub(super) fn all_is_well(
    policy: &Policy,
    record: &RolloutStatus,
    now: Timestamp,
    taken: bool,
) -> Observed {
    let pass = |check: &Check| Verdict {
        check: check.spec.name.clone(),
        outcome: Outcome::Pass,
        value: String::new(),
        at: now,
    };
    Observed {
        taken: taken || record.phase == Phase::Finishing,
        verdicts: policy.checks.iter().map(pass).collect(),
        command: (record.phase == Phase::Paused).then(|| (now.to_string(), Command::Promote)),
        canary: Side {
            replicas: record.canary_replicas,
            ..well("x", &[]).canary
        },
        may_promote: is_ready_to_promote(policy, record, now),
        ..well("x", &[])
    }
}

/// How it goes on behind the last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Well,
    /// The checks find nothing.
    NoData,
    /// What brings the change further cannot be written.
    Refused,
}

pub(super) fn endings() -> impl Strategy<Value = Ending> {
    prop_oneof![
        2 => Just(Ending::Well),
        1 => Just(Ending::NoData),
        1 => Just(Ending::Refused),
    ]
}

impl Ending {
    pub(super) fn of(
        self,
        policy: &Policy,
        record: &RolloutStatus,
        now: Timestamp,
        taken: bool,
    ) -> Observed {
        let mut observed = all_is_well(policy, record, now, taken);
        match self {
            Ending::Well => {}
            Ending::NoData => {
                for verdict in &mut observed.verdicts {
                    verdict.outcome = Outcome::NoData;
                }
            }
            // What only goes down is there already; but where nothing runs yet the first part of all is missing.
            Ending::Refused => {
                observed.written = match record.phase {
                    Phase::Aborting => record.canary_replicas > 0,
                    Phase::Restoring | Phase::Finishing | Phase::Removing | Phase::Failed => true,
                    _ => false,
                };
                observed.refused = (!observed.written).then(|| "denied".to_owned());
            }
        }
        observed
    }
}

/// A canary by a router, one by pods, blue/green, with a pause as well, a set.
pub(super) fn policies() -> impl Strategy<Value = Policy> {
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

/// What people make of the steps in the middle.
pub(super) fn edited(policy: &Policy, index: usize) -> Policy {
    let minute = Duration::from_mins(1);
    let weight = |weight: u32| Step::Weight(weight, minute);
    let green = matches!(
        policy.strategy,
        crate::rollout::policy::Strategy::BlueGreen { .. }
    );
    let steps = match (green, index) {
        (true, 0..4) => vec![weight(0)],
        (true, _) => vec![weight(0), Step::Pause],
        (false, 0) => steps(),
        (false, 1) => vec![weight(10), weight(50)],
        (false, 2) => vec![weight(50)],
        (false, 3) => vec![Step::Pause, weight(10), weight(50)],
        (false, 4) => vec![weight(5), weight(10), Step::Pause, weight(50), weight(75)],
        (false, 5) => vec![weight(50), weight(10), Step::Pause],
        (false, _) => vec![weight(20), Step::Pause, weight(50), Step::Pause],
    };
    Policy {
        steps,
        ..policy.clone()
    }
}
