//! desired × live × inventory → waves of actions with their reasons, and refusals. Must not do any of them.

mod adoption;
mod answer;
mod body;
mod decide;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

pub use answer::{DryRunOutcome, Verdict, after_dry_run, classify, has_finished};

use crate::api::Drift;
use crate::desired::{Desired, Owner, Wave};
use crate::drift::Damper;
use crate::fields::{HandTools, own_fields};
use crate::inventory::{Entry, Inventory};
use crate::object::{ENVIRONMENT_LABEL, Id, Object, PRUNE_ANNOTATION};

/// What the cluster has of one object.
#[derive(Clone, Debug)]
pub enum LiveState {
    /// No event came since we applied it.
    AsApplied,
    Absent,
    /// Its metadata (`managedFields` included), or all of it.
    Present(Object),
    /// It could not be read: not the same as absent.
    Unknown(String),
}

/// What is remembered of an apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The digest of what was applied.
    pub digest: String,
    /// The fingerprint of our own entry in `managedFields` afterwards.
    pub fingerprint: String,
    pub uid: String,
    /// The live object's afterwards: what a watch tells of an older one is no news.
    pub resource_version: Option<u64>,
}

/// Everything that a plan is made of.
pub struct PlanInput<'a> {
    pub desired: &'a Desired,
    /// Of everything that is desired or in the inventory.
    pub live: &'a BTreeMap<Id, LiveState>,
    pub inventory: &'a Inventory,
    pub memory: &'a BTreeMap<Id, Applied>,
    /// Workloads whose replicas belong to an autoscaler.
    pub autoscaled: &'a BTreeSet<Id>,
    pub owner: &'a Owner,
    pub drift: Drift,
    pub damper: &'a Damper,
    pub hand_tools: &'a HandTools,
    pub now: Timestamp,
    /// Apply everything again, whatever it looks like.
    pub reapply: bool,
    /// This very content was applied before: what is not as it says has drifted.
    pub recorded: bool,
    /// The workloads that are rolled out.
    pub rolled_out: &'a BTreeSet<String>,
}

/// What is to be done, and what is not.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub waves: Vec<PlannedWave>,
    pub refusals: Vec<Refusal>,
    /// What somebody changed, whether it is put back or only told.
    pub drifts: Vec<DriftReport>,
    /// What is changed so often that it is left for a while.
    pub contested: Vec<Contested>,
    /// Fields that other controllers added.
    pub foreign: Vec<ForeignFields>,
    /// What Git no longer has.
    pub departed: Vec<Departed>,
}

/// The objects of one wave, and what is to be done to them.
#[derive(Clone, Debug)]
pub struct PlannedWave {
    pub wave: Wave,
    pub actions: Vec<Action>,
    /// All of the wave, for its health.
    pub objects: Vec<Id>,
}

/// One object to be applied.
#[derive(Clone, Debug)]
pub struct Action {
    pub id: Id,
    /// Whether fields of other managers are taken.
    pub force: bool,
    /// What is sent: without the fields that Git does not decide.
    pub body: Object,
    /// Fields with their live values, given to another manager before we let go of them.
    pub hand_over: Option<Object>,
    /// The `managedFields` that give us what hand tools added, so that the apply removes it.
    pub take_over: Option<serde_json::Value>,
    pub reason: Reason,
    /// The digest of the desired object.
    pub digest: String,
}

/// Why an object is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    Create,
    Change,
    /// Somebody changed what Git decides, or added what Git does not have.
    Drift {
        fields: Vec<String>,
        managers: Vec<String>,
        deleted: bool,
    },
    /// To be sure of it: after a change of leadership, and once a day.
    Reapply,
    /// It is there, and belonged to nobody.
    Adopt,
}

impl Reason {
    /// Keeping what was applied, as against bringing something new.
    pub fn is_upkeep(&self) -> bool {
        matches!(self, Self::Drift { .. } | Self::Reapply)
    }
}

/// Why an object is not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// Another environment owns it.
    OwnedElsewhere,
    /// Another tool owns it.
    ForeignOwner,
    /// Other managers own fields that Git wants to set.
    Conflict,
    /// It is being deleted.
    Terminating,
    /// An immutable field changed.
    Immutable,
    Invalid,
    /// Admission refused it.
    Denied,
    /// The service account may not.
    Forbidden,
    /// The agent may not act as the service account.
    NotGranted,
    /// There is no such service account.
    NoServiceAccount,
    NotFound,
    Failed,
}

impl RefusalReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnedElsewhere => "OwnedElsewhere",
            Self::ForeignOwner => "ForeignOwner",
            Self::Conflict => "Conflict",
            Self::Terminating => "Terminating",
            Self::Immutable => "Immutable",
            Self::Invalid => "Invalid",
            Self::Denied => "Denied",
            Self::Forbidden => "Forbidden",
            Self::NotGranted => "NotGranted",
            Self::NoServiceAccount => "NoServiceAccount",
            Self::NotFound => "NotFound",
            Self::Failed => "ApplyFailed",
        }
    }
}

/// An object that is not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub id: Id,
    pub reason: RefusalReason,
    pub message: String,
}

impl Refusal {
    pub fn new(id: &Id, reason: RefusalReason, message: impl Into<String>) -> Self {
        Self {
            id: id.clone(),
            reason,
            message: message.into(),
        }
    }

    pub fn invalid(id: &Id, message: impl Into<String>) -> Self {
        Self::new(id, RefusalReason::Invalid, message)
    }
}

/// What somebody changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftReport {
    pub id: Id,
    pub fields: Vec<String>,
    pub managers: Vec<String>,
    pub deleted: bool,
}

/// A field that is fought over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested {
    pub id: Id,
    pub fields: Vec<String>,
    pub managers: Vec<String>,
    pub until: Timestamp,
}

/// Fields that another controller added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignFields {
    pub id: Id,
    pub manager: String,
    pub fields: Vec<String>,
}

/// An object of the inventory that Git no longer has.
#[derive(Clone, Debug)]
pub struct Departed {
    pub id: Id,
    pub version: String,
    /// The live object's.
    pub uid: Option<String>,
    pub live: LiveState,
    /// The live object says `driftless.dev/prune: never`.
    pub prune_never: bool,
    /// The live object still says that this environment owns it.
    pub owned: bool,
}

impl Departed {
    pub fn new(id: &Id, entry: &Entry, live: LiveState, owner: &Owner) -> Self {
        let (uid, prune_never, owned) = match &live {
            LiveState::Present(object) => (
                object.uid().map(str::to_owned),
                object.annotation(PRUNE_ANNOTATION) == Some("never"),
                object.label(ENVIRONMENT_LABEL) == Some(owner.id.as_str()) && !is_copy(object),
            ),
            _ => (None, false, false),
        };
        Self {
            id: id.clone(),
            version: entry.version.clone(),
            uid,
            live,
            prune_never,
            owned,
        }
    }
}

/// Whether an object carries our label though we never applied it: controllers copy labels to what they make.
fn is_copy(object: &Object) -> bool {
    object.at("/metadata/managedFields").is_some() && own_fields(object).is_none()
}

/// What is to be done to make what is live what is desired.
pub fn plan(input: &PlanInput) -> Plan {
    let mut plan = Plan::default();
    for desired in &input.desired.objects {
        if plan
            .waves
            .last()
            .is_none_or(|wave| wave.wave != desired.wave)
        {
            plan.waves.push(PlannedWave {
                wave: desired.wave,
                actions: Vec::new(),
                objects: Vec::new(),
            });
        }
        let action = decide::decide(input, desired, &mut plan);
        if let Some(wave) = plan.waves.last_mut() {
            wave.objects.push(desired.id.clone());
            wave.actions.extend(action);
        }
    }
    for (id, entry) in &input.inventory.entries {
        if !input.desired.contains(id) {
            let live = input
                .live
                .get(id)
                .cloned()
                .unwrap_or_else(|| LiveState::Unknown("it was not read".to_owned()));
            plan.departed
                .push(Departed::new(id, entry, live, input.owner));
        }
    }
    plan
}

#[cfg(test)]
mod tests;
