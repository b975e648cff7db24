//! What holds for every history of a rollout, whatever happens in which order.

mod edited;
mod world;

use std::time::Duration;

use proptest::prelude::*;

use super::tests::{at, side};
use super::*;
use crate::rollout::policy::Step;
use crate::rollout::share::share;
use edited::{edit, is_edited};
use world::{Ending, Event, Others, Pods, all_is_well, endings, events, observed, policies};

/// What a history has shown so far, seen from outside.
#[derive(Default)]
struct Ghost {
    /// Every check's last word at the present weight is that it passes, or a person said to go on.
    may_rise: bool,
    /// The canary was made, and was not seen gone since.
    canary: bool,
}

/// Whether every check's last word at this step is a pass, with the verdicts that just fell.
fn all_pass(policy: &Policy, record: &RolloutStatus, observed: &Observed, now: Timestamp) -> bool {
    let looked_since = observed.looked_since.map(|since| since.min(now));
    policy.checks.iter().all(|check| {
        let name = &check.spec.name;
        let known = record.checks.iter().find(|known| known.name == *name);
        let fresh = observed
            .verdicts
            .iter()
            .rev()
            .find(|verdict| verdict.check == *name);
        match fresh {
            Some(verdict) => verdict.outcome == Outcome::Pass,
            None => known.is_some_and(|known| {
                let at = known.at.as_ref().map(|at| at.0);
                let is_fresh = at.is_some_and(|at| now.duration_since(at).as_secs() <= 20);
                known.verdict == "Pass" && is_fresh && at >= looked_since
            }),
        }
    })
}

/// The laws of one look.
fn look(
    policy: &Policy,
    before: &RolloutStatus,
    observed: &Observed,
    after: Option<&RolloutStatus>,
    ghost: &mut Ghost,
    now: Timestamp,
) -> Result<(), TestCaseError> {
    let by_hand = matches!(observed.command, Some((_, Command::Promote)));
    let Some(after) = after else {
        // It ends drained and without a canary, or is forgotten after a failure.
        prop_assert!(matches!(before.phase, Phase::Removing | Phase::Failed));
        prop_assert_eq!(before.weight, 0);
        prop_assert!(!ghost.canary, "a canary is left");
        prop_assert!(before.phase == Phase::Failed || observed.written);
        return Ok(());
    };
    // A step further only on evidence at the weight before, or on a person's word.
    let is_edited = is_edited(policy, before);
    if is_edited {
        edit(policy, before, after, ghost)?;
    } else if after.step > before.step {
        prop_assert!(observed.held.is_none());
        prop_assert_eq!(after.step, before.step + 1);
        if !by_hand {
            prop_assert_eq!(before.phase, Phase::Analysing);
            prop_assert!(before.in_effect_since.is_some());
            prop_assert!(observed.canary.ready && observed.canary.failure.is_none());
            prop_assert!(all_pass(policy, before, observed, now));
        }
        ghost.may_rise = true;
    }
    // The first weight is given to a canary that is ready.
    if before.phase == Phase::Starting && after.phase == Phase::Analysing {
        prop_assert!(observed.canary.ready && observed.written);
        ghost.may_rise = true;
    }
    // The weight rises once for each of these, and only to that of its step.
    if after.weight > before.weight {
        prop_assert!(ghost.may_rise, "no evidence at {} %", before.weight);
        prop_assert!(observed.held.is_none());
        prop_assert!(observed.canary.ready && observed.written);
        if after.phase == Phase::Switched {
            prop_assert!(before.phase == Phase::Proved && observed.may_switch);
            prop_assert!(all_pass(policy, before, observed, now));
            prop_assert!(observed.canary.replicas >= observed.stable.replicas);
            prop_assert!(!observed.stable.restarting);
        } else {
            prop_assert_eq!(after.phase, Phase::Analysing);
            let index = usize::try_from(after.step).unwrap();
            prop_assert!(
                matches!(policy.steps[index], Step::Weight(weight, _) if weight == after.weight)
            );
        }
        ghost.may_rise = false;
    }
    // A green side has nothing, or everything.
    if before.strategy == RolloutStrategy::BlueGreen {
        let has_all = matches!(after.phase, Phase::Switched | Phase::Promoting);
        let share = if has_all { 100 } else { 0 };
        prop_assert!(after.weight == share || after.phase == Phase::Restoring);
    }
    // Of a set no more pods run the change than the step says, whatever its size.
    if before.strategy == RolloutStrategy::Partition
        && matches!(after.phase, Phase::Starting | Phase::Analysing)
    {
        let index = usize::try_from(after.step).unwrap();
        if let Some(Step::Weight(weight, _)) = policy.steps.get(index)
            && after.shape == Some(edits::shape(policy))
        {
            let share = share(policy, *weight, after.stable_replicas);
            prop_assert!(after.canary_replicas <= share.pods);
        }
    }
    // Where pods split the traffic the canary has no more of them than its step has beside the stable side of now.
    let counts_pods = before.strategy == RolloutStrategy::Canary && policy.traffic.is_none();
    if counts_pods
        && before.phase == Phase::Analysing
        && after.phase == Phase::Analysing
        && !is_edited
        && observed.stable.replicas > 0
    {
        let index = usize::try_from(after.step).unwrap();
        if let Some(Step::Weight(weight, _)) = policy.steps.get(index) {
            let share = share(policy, *weight, observed.stable.replicas);
            prop_assert!(after.canary_replicas <= share.pods);
            // A step that a person leaves for a smaller one had its pods, and their share, before its weight was told.
            let so_far = before.weight.max(before.achieved_weight.unwrap_or(0));
            prop_assert!(after.achieved_weight.unwrap_or(0) <= so_far.max(*weight));
        }
    }
    // The narrowing never leaves a stable pod out that is known: of another template, or of two.
    let keeps = before.strategy == RolloutStrategy::BlueGreen;
    let is_looked_at = !(before.phase == Phase::Switched && observed.stable.stopped);
    if before.strategy != RolloutStrategy::Partition && is_looked_at {
        let hash = after.stable_hash.as_ref();
        if observed.stable.restarting {
            prop_assert!(hash.is_none() || keeps);
        } else if let Some(stable) = &observed.stable.hash {
            prop_assert_eq!(hash, Some(stable));
        }
    }
    // Nothing goes to a canary that is on its way out.
    if matches!(
        after.phase,
        Phase::Aborting | Phase::Removing | Phase::Failed | Phase::Finishing
    ) {
        prop_assert_eq!(after.weight, 0);
    }
    // Bad evidence is never kept: as often as the limit says, and it goes.
    let fails = |record: &RolloutStatus| {
        policy.checks.iter().any(|check| {
            let known = record
                .checks
                .iter()
                .find(|known| known.name == check.spec.name);
            known.is_some_and(|known| known.failed >= check.failure_limit)
        })
    };
    prop_assert!(
        !matches!(
            after.phase,
            Phase::Analysing | Phase::Paused | Phase::Proved | Phase::Switched
        ) || !fails(after)
    );
    // A canary that fails is taken back at once, wherever it has traffic, and something else can have it.
    let has_no_other = before.phase == Phase::Switched && observed.stable.stopped;
    prop_assert!(!has_no_other || after.phase == Phase::Switched);
    if observed.canary.failure.is_some() && after.phase == before.phase && !has_no_other {
        prop_assert!(!matches!(
            after.phase,
            Phase::Starting
                | Phase::Analysing
                | Phase::Paused
                | Phase::Proved
                | Phase::Switched
                | Phase::Promoting
        ));
    }
    // One that failed gets nothing while the stable side is put back either.
    if observed.canary.failure.is_some() && after.phase == Phase::Restoring {
        let goes_back_anyway = matches!(before.phase, Phase::Promoting | Phase::Finishing)
            && (observed.change.as_ref() != Some(&before.change)
                || observed.go_back.is_some()
                || matches!(observed.command, Some((_, Command::Abort))));
        prop_assert!(after.weight == 0 || goes_back_anyway);
    }
    if after.phase != before.phase {
        transition(policy, before, observed, after, ghost, now)?;
    }
    // A set whose first step is a pause starts without one.
    ghost.canary |= after.canary_replicas > 0;
    if after.phase == Phase::Removing && after.canary_replicas == 0 && ghost.canary {
        prop_assert!(observed.canary_is_gone && observed.written);
        ghost.canary = false;
    }
    Ok(())
}

/// The laws of a change of phase.
fn transition(
    policy: &Policy,
    before: &RolloutStatus,
    observed: &Observed,
    after: &RolloutStatus,
    ghost: &mut Ghost,
    now: Timestamp,
) -> Result<(), TestCaseError> {
    match after.phase {
        Phase::Starting => {
            prop_assert_eq!(before.phase, Phase::Narrowing);
            prop_assert!(after.stable_hash.is_some() && observed.written);
        }
        // The stable side takes the change only when all steps are behind it, and all others are proved.
        Phase::Promoting => {
            if before.strategy == RolloutStrategy::BlueGreen {
                prop_assert_eq!(before.phase, Phase::Switched);
                prop_assert!(after.kept_until.is_some());
            } else {
                prop_assert_eq!(before.phase, Phase::Proved);
                prop_assert_eq!(usize::try_from(after.step).unwrap(), policy.steps.len());
            }
            prop_assert!(all_pass(policy, before, observed, now), "not proved by now");
            prop_assert!(observed.may_promote && observed.held.is_none());
        }
        Phase::Finishing => {
            prop_assert_eq!(before.phase, Phase::Promoting);
            prop_assert!(observed.written && observed.stable.ready);
            prop_assert!(observed.stable.failure.is_none() && observed.go_back.is_none());
        }
        // Only a stable side that was to run the change has to be put back.
        Phase::Restoring => {
            prop_assert!(matches!(before.phase, Phase::Promoting | Phase::Finishing));
            prop_assert!(!observed.taken || before.phase == Phase::Promoting);
        }
        // The canary loses its traffic at once, but where the stable side is not whole.
        Phase::Aborting => {
            prop_assert!(!matches!(before.phase, Phase::Promoting | Phase::Finishing));
            if before.phase == Phase::Restoring {
                let is_asked = matches!(observed.command, Some((_, Command::Abort)));
                let waits = observed.stable.failure.is_some()
                    && observed.change.as_ref() == Some(&"y".to_owned());
                prop_assert!(observed.written && (observed.stable.ready || waits) || is_asked);
            }
        }
        Phase::Removing => {
            if before.phase == Phase::Narrowing {
                prop_assert!(before.canary_replicas == 0 && !ghost.canary);
                return Ok(());
            }
            prop_assert!(matches!(before.phase, Phase::Aborting | Phase::Finishing));
            prop_assert!(before.phase == Phase::Aborting || observed.taken);
            prop_assert!(observed.written, "weight 0 is written first");
        }
        Phase::Failed => {
            prop_assert_eq!(before.phase, Phase::Removing);
            prop_assert!(after.taken_back && !ghost.canary && observed.written);
        }
        _ => {}
    }
    Ok(())
}

/// All is well for so many looks; then these events come; then it goes on like this.
fn history(
    policy: &Policy,
    looks: u32,
    events: &[Event],
    ending: Ending,
) -> Result<(), TestCaseError> {
    let mut policy = policy.clone();
    let mut now = at(100_000);
    let mut record = begin(&policy, "c", "x", &side(), now);
    let mut ghost = Ghost::default();
    let mut taken = false;
    for _ in 0..looks {
        now = now.checked_add(Duration::from_secs(7)).unwrap();
        taken |= record.phase == Phase::Finishing;
        let observed = all_is_well(&policy, &record, now, taken);
        let after = step(&policy, &record, &observed, now).record;
        look(&policy, &record, &observed, after.as_ref(), &mut ghost, now)?;
        let Some(after) = after else {
            return Ok(());
        };
        record = after;
    }
    let mut looked_since = at(0);
    let mut restarts = 0_u32;
    for (count, event) in events.iter().enumerate() {
        now = now
            .checked_add(jiff::SignedDuration::from_secs(event.seconds))
            .unwrap();
        if let Some(index) = event.edit {
            policy = world::edited(&policy, index);
        }
        // Whose pods were replaced has others afterwards.
        restarts += u32::from(event.stable == Pods::Restarting);
        // A revision is taken when all its workloads are promoted, and stays so.
        taken |= record.phase == Phase::Finishing && event.others == Others::Promoted;
        if event.restart {
            looked_since = now;
        }
        let observed = Observed {
            looked_since: Some(looked_since),
            ..observed(
                event,
                &policy,
                &record,
                now,
                (count, taken, &restarts.to_string()),
            )
        };
        let after = step(&policy, &record, &observed, now).record;
        look(&policy, &record, &observed, after.as_ref(), &mut ghost, now)?;
        let Some(after) = after else {
            return Ok(());
        };
        record = after;
    }
    // From wherever it stands, it ends.
    for _ in 0..2000 {
        now = now.checked_add(Duration::from_secs(7)).unwrap();
        let observed = ending.of(&policy, &record, now, taken);
        let after = step(&policy, &record, &observed, now).record;
        look(&policy, &record, &observed, after.as_ref(), &mut ghost, now)?;
        match after {
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
    fn every_history_is_safe_and_ends(policy in policies(), looks in 0..40_u32, events in events(), ending in endings()) {
        history(&policy, looks, &events, ending)?;
    }
}
