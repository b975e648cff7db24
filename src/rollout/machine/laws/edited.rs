//! What holds where Git edits the steps in the middle.

use proptest::prelude::*;

use super::super::*;
use super::Ghost;
use crate::rollout::policy::Step;

/// The step that Git has another one of now, as far as the record has come.
pub(super) fn is_edited(policy: &Policy, record: &RolloutStatus) -> bool {
    let wanted = edits::shape(policy);
    let so_far = |shape: &str| {
        let step = usize::try_from(record.step).unwrap();
        let steps: Vec<String> = shape.split(' ').take(step + 1).map(str::to_owned).collect();
        steps
    };
    let known = record.shape.as_ref().unwrap();
    matches!(
        record.phase,
        Phase::Analysing | Phase::Paused | Phase::Proved
    ) && so_far(known) != so_far(&wanted)
}

/// The laws of a look at which Git has other steps than those that the rollout went through.
pub(super) fn edit(
    policy: &Policy,
    before: &RolloutStatus,
    after: &RolloutStatus,
    ghost: &mut Ghost,
) -> Result<(), TestCaseError> {
    let is_another = matches!(
        after.phase,
        Phase::Aborting | Phase::Narrowing | Phase::Restoring
    );
    if is_another || after.shape == before.shape {
        return Ok(());
    }
    prop_assert!(after.weight <= before.weight, "an edit raises nothing");
    let pauses = |shape: &Option<String>, step: u32| {
        let steps = shape.as_ref().unwrap().split(' ');
        let step = usize::try_from(step).unwrap();
        steps.take(step).filter(|step| *step == "pause").count()
    };
    let (was, is) = (
        pauses(&before.shape, before.step),
        pauses(&after.shape, after.step),
    );
    prop_assert!(is <= was, "a pause was skipped");
    prop_assert!(matches!(after.phase, Phase::Analysing | Phase::Paused));
    let step = usize::try_from(after.step).unwrap();
    if let Step::Weight(weight, _) = policy.steps[step] {
        prop_assert!(after.step == 0 || weight <= before.weight);
    }
    if after.phase == Phase::Analysing {
        prop_assert!(after.in_effect_since.is_none() && after.checks.is_empty());
    }
    // The first weight is given to any canary that is ready.
    ghost.may_rise = after.step == 0;
    Ok(())
}
