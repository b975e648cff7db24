//! What the records of rollouts mean for the desired objects: the canary and its Service beside what Git says, Services
//! narrowed to the stable pods, weights in routes. The result is applied, watched and repaired like everything else.

mod blue_green;
mod partition;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::names::canary_name;
use super::order::workload_of;
use super::pin::{Pinned, pin};
use super::policy::{Policy, policies, stable_services};
use super::{HOLD_ANNOTATION, PINNED_ANNOTATION, ROLLOUT_LABEL, TRACK_LABEL, autoscaler};
use crate::api::{RolloutPhase as Phase, RolloutStatus, RolloutStrategy};
use crate::desired::{Desired, DesiredObject, digest};
use crate::object::{ENVIRONMENT_ANNOTATION, ENVIRONMENT_LABEL, IGNORE_ANNOTATION, Id, Object};

use traffic::{Selected, routes, selected};

/// The desired objects with what their rollouts ask for.
#[derive(Clone, Debug)]
pub struct Staged {
    pub desired: Desired,
    pub roles: Roles,
}

/// What objects are to the rollouts that asked for them.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// What exists only for a rollout. Its health is evidence, not the environment's.
    pub parts: BTreeSet<Id>,
    /// What runs both versions itself. Its health is evidence, too.
    pub mixed: BTreeSet<Id>,
    /// The routes that carry weights, of the routers that say whether they accept them.
    pub routes: BTreeSet<Id>,
    /// Everything that decides who gets the traffic: Services, routes, and the canaries of both.
    pub traffic: BTreeSet<Id>,
    /// The autoscalers of the workloads.
    pub scalers: BTreeSet<Id>,
    /// Why a rollout cannot be staged, by workload.
    pub problems: Vec<(Id, String)>,
}

impl Staged {
    /// Leaves out what rollouts that only go down never made: nothing leads there, and a cluster that refuses it is not
    /// asked for it again.
    #[must_use]
    pub fn without_unmade(
        mut self,
        records: &[RolloutStatus],
        is_made: impl Fn(&Id) -> bool,
    ) -> Self {
        let goes_down = |mark: &str| {
            let mut marked = records.iter().filter(|record| id(record) == mark);
            marked.any(|record| matches!(record.phase, Phase::Aborting | Phase::Removing))
        };
        let is_unmade = |object: &DesiredObject| {
            self.roles.parts.contains(&object.id)
                && object.object.label(ROLLOUT_LABEL).is_some_and(goes_down)
                && !is_made(&object.id)
        };
        let (unmade, objects): (Vec<_>, Vec<_>) =
            self.desired.objects.into_iter().partition(is_unmade);
        for object in unmade {
            self.roles.parts.remove(&object.id);
        }
        self.desired = Desired::new(objects, self.desired.hash);
        self
    }
}

/// One rollout: its policy, and what is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Rollout<'a> {
    pub policy: &'a Policy,
    pub record: &'a RolloutStatus,
}

/// Whether the canary's parts are kept though nobody asks for them: the proxies may still send to it.
pub fn keeps_parts(record: &RolloutStatus) -> bool {
    // While the stable side restarts no Service can leave the canary's pods out: where nothing but their number splits the
    // traffic, they go at once.
    let is_selected = record.strategy == RolloutStrategy::Canary
        && record.stable_hash.is_none()
        && record.achieved_weight.is_some();
    match record.phase {
        Phase::Restoring => true,
        Phase::Aborting => !is_selected,
        _ => false,
    }
}

/// Whether the stable side runs the change, or is about to, before the revision is taken.
pub fn is_promoted(record: &RolloutStatus) -> bool {
    match record.phase {
        // The stable Services select all pods again.
        Phase::Promoting => record.in_effect_since.is_some(),
        Phase::Finishing => true,
        _ => false,
    }
}

/// What marks the objects of a rollout: the first digits of its change.
pub fn id(record: &RolloutStatus) -> &str {
    record.change.get(..10).unwrap_or(&record.change)
}

/// The change to a workload: the digest of its template with its configuration. `None` where there is no such workload.
pub fn change(workload: &Id, desired: &Desired) -> Option<String> {
    Some(pinned(workload, desired)?.digest())
}

/// Whether a revision has the change that a record is about.
pub fn brings(desired: &Desired, record: &RolloutStatus) -> bool {
    workload_of(record, desired.ids())
        .and_then(|workload| change(workload, desired))
        .is_some_and(|change| change == record.change)
}

/// The copies of its configuration that a workload refers to under this revision.
pub fn copies(workload: &Id, desired: &Desired) -> BTreeSet<Id> {
    let pinned = pinned(workload, desired);
    let copies = pinned.into_iter().flat_map(|pinned| pinned.copies);
    copies.map(|(id, _)| id).collect()
}

fn pinned(workload: &Id, desired: &Desired) -> Option<Pinned> {
    let object = &desired.get(workload)?.object;
    let template = object.at("/spec/template")?;
    Some(pin(template, workload.namespace.as_deref(), desired))
}

/// What is to be applied: `base` is the revision that was taken; `next` has the changes that canaries run, and the stable
/// sides from their promotion on; `pinned` are the workloads whose live template refers to copies already.
pub fn stage(
    base: &Desired,
    next: Option<&Desired>,
    rollouts: &[Rollout],
    pinned_already: &BTreeSet<Id>,
) -> Staged {
    let mut stage = Stage {
        objects: base
            .objects
            .iter()
            .map(|object| (object.id.clone(), object.clone()))
            .collect(),
        base,
        roles: Roles::default(),
    };
    stage.never_held(next);
    for workload in pinned_already {
        stage.pin_stable(workload, base);
    }
    for rollout in rollouts {
        stage.rollout(*rollout, next);
    }
    let mut objects: Vec<DesiredObject> = stage
        .objects
        .into_values()
        .map(|mut object| {
            object.digest = digest(&Value::Object(object.object.0.clone()));
            object
        })
        .collect();
    objects.sort_by(|one, other| (one.wave, &one.id).cmp(&(other.wave, &other.id)));
    Staged {
        desired: Desired::new(objects, base.hash.clone()),
        roles: stage.roles,
    }
}

struct Stage<'a> {
    base: &'a Desired,
    objects: BTreeMap<Id, DesiredObject>,
    roles: Roles,
}

impl Stage<'_> {
    /// Takes from the held revision what asks for it. A workload that is rolled out is never one of these.
    fn never_held(&mut self, next: Option<&Desired>) {
        let Some(next) = next else {
            return;
        };
        let rolled_out = policies(next).unwrap_or_default();
        for object in &next.objects {
            if object.object.annotation(HOLD_ANNOTATION) == Some("never")
                && !rolled_out.contains_key(&object.id)
            {
                self.objects.insert(object.id.clone(), object.clone());
            }
        }
    }

    /// Has the stable side run what `source` says, and refer to copies of its configuration, as it does since its first
    /// promotion.
    fn pin_stable(&mut self, workload: &Id, source: &Desired) {
        let (Some(pinned), Some(origin)) = (pinned(workload, source), source.get(workload)) else {
            return;
        };
        if let Some(object) = self.objects.get_mut(workload) {
            object.object = origin.object.clone();
            object.object.0["spec"]["template"] = pinned.template;
            object
                .object
                .set_metadata_entry("annotations", PINNED_ANNOTATION, "true");
        }
        self.objects.extend(pinned.copies);
    }

    fn rollout(&mut self, rollout: Rollout, next: Option<&Desired>) {
        let Rollout { policy, record } = rollout;
        let workload = &policy.workload;
        if record.phase == Phase::Failed {
            return;
        }
        let brings =
            |desired: &&Desired| change(workload, desired).as_ref() == Some(&record.change);
        let taken = Some(self.base).filter(brings);
        let promoted = taken.or(next.filter(brings).filter(|_| is_promoted(record)));
        if let Some(promoted) = promoted {
            self.pin_stable(workload, promoted);
        }
        // A canary that still serves is never given another change.
        let serves_on = |desired: &&Desired| record.phase != Phase::Restoring || brings(desired);
        let source = taken.or(next.filter(serves_on));
        if record.strategy == RolloutStrategy::Partition {
            // Its steps follow its size, whoever decides that.
            return self.partition(workload, source, promoted.is_some(), record);
        }
        self.raise_floor(workload, record);
        let services: Vec<Id> = stable_services(policy, self.base)
            .map(|service| service.id.clone())
            .collect();
        self.roles.traffic.extend(services.iter().cloned());
        self.roles.traffic.extend(routes(policy));
        match selected(policy, record) {
            Selected::All => {}
            // What is taken is what the stable side runs.
            Selected::Stable if taken.is_some() => {}
            Selected::Stable => self.narrow(&services, record),
            Selected::Canary => self.select_canary(&services, record),
        }
        let canary_is_wanted = !matches!(
            record.phase,
            Phase::Narrowing | Phase::Aborting | Phase::Removing
        );
        if canary_is_wanted && let Some(source) = source {
            self.canary(workload, source, record);
        }
        if record.strategy == RolloutStrategy::BlueGreen {
            return self.preview(policy, &services, record);
        }
        if policy.traffic.is_none() || record.phase == Phase::Removing {
            return;
        }
        // It is there before a route leads to it, and for as long: a router may give up a whole route that leads nowhere.
        for service in &services {
            self.canary_service(service, canary_name(&service.name), policy, record);
        }
        self.route(policy, &services, record);
    }

    /// The autoscalers of the workload must not take the stable side below its size at the start.
    fn raise_floor(&mut self, workload: &Id, record: &RolloutStatus) {
        let is_over = record.phase == Phase::Removing && record.canary_replicas == 0;
        for (id, scaler) in &mut self.objects {
            if !autoscaler::scales(scaler, workload) {
                continue;
            }
            self.roles.scalers.insert(id.clone());
            let raised = autoscaler::raised(&scaler.object, record.stable_replicas);
            if let Some(mut raised) = raised.filter(|_| !is_over) {
                mark(&mut raised, record);
                scaler.object = raised;
            }
        }
    }

    /// The change, beside the stable side.
    fn canary(&mut self, workload: &Id, source: &Desired, record: &RolloutStatus) {
        let (Some(pinned), Some(origin)) = (pinned(workload, source), source.get(workload)) else {
            return;
        };
        let mut object = origin.object.clone();
        let name = canary_name(&workload.name);
        object.0["metadata"]["name"] = json!(name);
        object.set_metadata_entry("labels", TRACK_LABEL, "canary");
        // Its size is the rollout's to decide, whoever decides the stable side's.
        if let Some(annotations) = object.0["metadata"]["annotations"].as_object_mut() {
            annotations.remove(IGNORE_ANNOTATION);
        }
        mark(&mut object, record);
        let spec = &mut object.0["spec"];
        spec["replicas"] = json!(record.canary_replicas);
        spec["selector"]["matchLabels"][TRACK_LABEL] = json!("canary");
        spec["template"] = pinned.template;
        spec["template"]["metadata"]["labels"][TRACK_LABEL] = json!("canary");
        self.roles.parts.extend(pinned.copies.keys().cloned());
        self.objects.extend(pinned.copies);
        self.part(object, origin);
    }

    /// Adds what exists only for the rollout, owned like the object that it stands beside.
    fn part(&mut self, mut object: Object, origin: &DesiredObject) {
        if let Some(owner) = origin.object.label(ENVIRONMENT_LABEL) {
            object.set_metadata_entry("labels", ENVIRONMENT_LABEL, owner);
        }
        if let Some(owner) = origin.object.annotation(ENVIRONMENT_ANNOTATION) {
            object.set_metadata_entry("annotations", ENVIRONMENT_ANNOTATION, owner);
        }
        let part = DesiredObject {
            wave: origin.wave,
            origin: origin.origin.clone(),
            ..object.into()
        };
        self.roles.parts.insert(part.id.clone());
        self.objects.insert(part.id.clone(), part);
    }
}

/// What a rollout made or changed says which one.
fn mark(object: &mut Object, record: &RolloutStatus) {
    object.set_metadata_entry("labels", ROLLOUT_LABEL, id(record));
}

#[cfg(test)]
mod tests;
