//! What is to be done to one object.

use super::adoption::{self, Adoption};
use super::{
    Action, Applied, Contested, DriftReport, ForeignFields, LiveState, Plan, PlanInput, Reason,
    Refusal, RefusalReason, body,
};
use crate::api::Drift;
use crate::desired::DesiredObject;
use crate::fields::{
    Additions, additions, fingerprint, human, is_rewritten, missing, own_fields, take_over, who,
};
use crate::object::{ENVIRONMENT_LABEL, Object};
use crate::rollout::{ROLLOUT_LABEL, TRACK_LABEL};

/// What is damped where an object is deleted again and again.
const ITSELF: &str = "the object";

pub(super) fn decide(
    input: &PlanInput,
    desired: &DesiredObject,
    plan: &mut Plan,
) -> Option<Action> {
    let id = &desired.id;
    let entry = input.inventory.entries.get(id);
    if entry.is_some_and(|entry| entry.finished.as_ref() == Some(&desired.digest)) {
        // A Job that has run under this content does not run again, whatever became of it.
        return None;
    }
    let known = input.memory.get(id);
    let same = known.is_some_and(|known| known.digest == desired.digest);
    match input.live.get(id) {
        Some(LiveState::AsApplied) if same && !input.reapply => None,
        // Held, and told by whoever read it.
        Some(LiveState::Unknown(_)) | None => None,
        Some(LiveState::AsApplied) => Some(action(
            input,
            desired,
            None,
            if same {
                Reason::Reapply
            } else {
                Reason::Change
            },
        )),
        Some(LiveState::Absent) => absent(input, desired, known, plan),
        Some(LiveState::Present(live)) => present(input, desired, live, plan),
    }
}

fn absent(
    input: &PlanInput,
    desired: &DesiredObject,
    known: Option<&Applied>,
    plan: &mut Plan,
) -> Option<Action> {
    let was_there = known.is_some()
        || input.recorded
            && input
                .inventory
                .entries
                .get(&desired.id)
                .is_some_and(|entry| entry.uid.is_some());
    if !was_there {
        return Some(action(input, desired, None, Reason::Create));
    }
    let drift = DriftReport {
        id: desired.id.clone(),
        fields: Vec::new(),
        managers: Vec::new(),
        deleted: true,
    };
    plan.drifts.push(drift);
    if input.drift == Drift::Report {
        return None;
    }
    if let Some(until) = input.damper.contested(&desired.id, ITSELF, input.now) {
        plan.contested.push(Contested {
            id: desired.id.clone(),
            fields: vec![ITSELF.to_owned()],
            managers: vec!["whoever deletes it".to_owned()],
            until,
        });
        return None;
    }
    let reason = Reason::Drift {
        fields: vec![ITSELF.to_owned()],
        managers: Vec::new(),
        deleted: true,
    };
    // Under an autoscaler or another who decides fields it starts as a new one does.
    Some(Action {
        body: body::body(input, desired, true),
        ..action(input, desired, None, reason)
    })
}

fn present(
    input: &PlanInput,
    desired: &DesiredObject,
    live: &Object,
    plan: &mut Plan,
) -> Option<Action> {
    let id = &desired.id;
    if live.at("/metadata/deletionTimestamp").is_some() {
        plan.refusals.push(Refusal::new(
            id,
            RefusalReason::Terminating,
            "it is being deleted; it is created again when it is gone",
        ));
        return None;
    }
    let known = input
        .memory
        .get(id)
        .filter(|known| Some(known.uid.as_str()) == live.uid());
    let recorded = input
        .inventory
        .entries
        .get(id)
        .and_then(|entry| entry.uid.as_deref());
    let ours = match live.label(ENVIRONMENT_LABEL) {
        Some(owner) if owner == input.owner.id => true,
        Some(_) => {
            plan.refusals.push(Refusal::new(
                id,
                RefusalReason::OwnedElsewhere,
                adoption::elsewhere(live),
            ));
            return None;
        }
        // Without the label it is ours still if it is the very object that we applied.
        None => known.is_some() || (recorded.is_some() && recorded == live.uid()),
    };
    if !ours && desired.object.label(TRACK_LABEL) == Some("canary") {
        plan.refusals.push(Refusal::new(
            id,
            RefusalReason::ForeignOwner,
            "it is not ours, and stands where a part of a rollout is to be; rename it, or delete it",
        ));
        return None;
    }
    if !ours {
        return match adoption::adopt(desired, live, input.hand_tools) {
            Adoption::Refused(message) => {
                plan.refusals
                    .push(Refusal::new(id, RefusalReason::ForeignOwner, message));
                None
            }
            Adoption::Allowed { force } => Some(Action {
                force,
                ..action(input, desired, Some(live), Reason::Adopt)
            }),
        };
    }
    if known.is_some_and(|known| known.digest != desired.digest) {
        return Some(action(input, desired, Some(live), Reason::Change));
    }
    upkeep(input, desired, live, known, plan)
}

/// An object of ours that should be as it was applied.
fn upkeep(
    input: &PlanInput,
    desired: &DesiredObject,
    live: &Object,
    known: Option<&Applied>,
    plan: &mut Plan,
) -> Option<Action> {
    let body = body::body(input, desired, false);
    let exempt = body::exempt(input, desired, live);
    let Additions { taken, foreign } = additions(live, &body, input.hand_tools, &exempt);
    plan.foreign
        .extend(foreign.into_iter().map(|(manager, fields)| ForeignFields {
            id: desired.id.clone(),
            manager,
            fields: fields.iter().map(|path| human(path)).collect(),
        }));
    let touched = match known {
        Some(known) => fingerprint(live).as_deref() != Some(known.fingerprint.as_str()),
        // Without memory only what is missing tells.
        None => true,
    };
    let lost = if touched {
        let nothing = serde_json::json!({});
        missing(&body.0, own_fields(live).unwrap_or(&nothing))
    } else {
        Vec::new()
    };
    // What a rollout is about to write, or to put back, was perhaps never written by an agent that went away.
    let is_rolled_out = live.label(ROLLOUT_LABEL).is_some()
        || desired.object.label(ROLLOUT_LABEL).is_some()
        || input.rolled_out.contains(&desired.id.to_string());
    let certain = known.is_some() || input.recorded && !is_rolled_out;
    // A field that Git does not decide may have passed from us to whoever decides it: that alone is nobody's drift.
    let handed_over = touched
        && lost.is_empty()
        && body::is_partial(input, desired)
        && known.is_some_and(|known| !is_rewritten(live, &known.fingerprint));
    let drifted = certain
        && (!taken.is_empty() || !lost.is_empty() || (known.is_some() && touched && !handed_over));
    if !drifted {
        let let_go = body::hand_over(input, desired, live).is_some();
        return (touched || input.reapply || !taken.is_empty() || let_go).then(|| {
            let reason = if certain {
                Reason::Reapply
            } else {
                Reason::Change
            };
            action(input, desired, Some(live), reason)
        });
    }
    let mut managers = if taken.is_empty() || !lost.is_empty() {
        who(live, &lost)
    } else {
        Vec::new()
    };
    managers.extend(taken.iter().map(|(manager, _)| manager.clone()));
    managers.sort();
    managers.dedup();
    let paths = lost.iter().chain(taken.iter().flat_map(|(_, paths)| paths));
    let mut fields: Vec<String> = paths.map(|path| human(path)).collect();
    fields.sort();
    fields.dedup();
    if fields.is_empty() {
        fields.push("a value".to_owned());
    }
    plan.drifts.push(DriftReport {
        id: desired.id.clone(),
        fields: fields.clone(),
        managers: managers.clone(),
        deleted: false,
    });
    if input.drift == Drift::Report {
        return None;
    }
    let contested = fields
        .iter()
        .filter_map(|field| input.damper.contested(&desired.id, field, input.now))
        .max();
    if let Some(until) = contested {
        plan.contested.push(Contested {
            id: desired.id.clone(),
            fields,
            managers,
            until,
        });
        return None;
    }
    Some(action(
        input,
        desired,
        Some(live),
        Reason::Drift {
            fields,
            managers,
            deleted: false,
        },
    ))
}

fn action(
    input: &PlanInput,
    desired: &DesiredObject,
    live: Option<&Object>,
    reason: Reason,
) -> Action {
    let take_over = live
        .and_then(|live| take_over(live, input.hand_tools, &body::exempt(input, desired, live)));
    Action {
        id: desired.id.clone(),
        force: true,
        body: body::body(input, desired, reason == Reason::Create),
        hand_over: live.and_then(|live| body::hand_over(input, desired, live)),
        take_over,
        reason,
        digest: desired.digest.clone(),
    }
}
