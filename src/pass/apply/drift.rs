//! What is told of drift that is not put back: it is only to be reported, or it comes again and again.

use std::collections::BTreeSet;

use super::super::Pass;
use crate::api::{HeldObject, ObjectFailure};
use crate::plan::Plan;

pub(super) fn tell(pass: &mut Pass<'_>, plan: &Plan) {
    let repaired = plan
        .waves
        .iter()
        .flat_map(|wave| &wave.actions)
        .map(|action| &action.id);
    let repaired: BTreeSet<_> = repaired.collect();
    for drift in plan
        .drifts
        .iter()
        .filter(|drift| !repaired.contains(&drift.id))
    {
        if plan
            .contested
            .iter()
            .any(|contested| contested.id == drift.id)
        {
            continue;
        }
        let what = if drift.deleted {
            "it was deleted".to_owned()
        } else {
            format!(
                "{} changed by {}",
                drift.fields.join(", "),
                drift.managers.join(", ")
            )
        };
        pass.report.held.push(HeldObject {
            object: drift.id.to_string(),
            action: "apply".to_owned(),
            reason: format!("Drift: {what}; spec.drift is report"),
        });
    }
    for contested in &plan.contested {
        pass.due_at(contested.until);
        pass.report.failures.push(ObjectFailure {
            object: contested.id.to_string(),
            container: None,
            reason: "Contested".to_owned(),
            message: format!(
                "{} is changed again and again by {}; it is left until {}",
                contested.fields.join(", "),
                contested.managers.join(", "),
                contested.until
            ),
        });
    }
}
