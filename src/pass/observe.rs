//! observe: what the cluster has of what is desired, and of what was.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use kube::api::{Api, PostParams};

use super::apply::resource_version;
use super::{Memory, Pass, Running, report, together};
use crate::api::{Environment, ObjectFailure, RolloutPhase};
use crate::cluster::Seen;
use crate::desired::Desired;
use crate::inventory::Inventory;
use crate::object::{ENVIRONMENT_LABEL, IGNORE_ANNOTATION, Id, Object};
use crate::plan::{LiveState, Plan, PlanInput, plan};
use crate::rollout::autoscaler::target_of;
use crate::status::{Progress, Report, newest_applied};

/// The live state of everything that is desired or was.
pub(super) struct Observed {
    live: BTreeMap<Id, LiveState>,
    /// What a watch told of since the last pass: its health is read again.
    pub touched: BTreeSet<Id>,
    /// What an autoscaler scales.
    autoscaled: BTreeSet<Id>,
}

impl Observed {
    pub fn of(&self, id: &Id) -> &LiveState {
        self.live.get(id).unwrap_or(&LiveState::Absent)
    }

    /// Whether the namespace is desired, and not there yet.
    pub fn is_absent_namespace(&self, name: &str) -> bool {
        let id = Id {
            group: String::new(),
            kind: "Namespace".to_owned(),
            namespace: None,
            name: name.to_owned(),
        };
        matches!(self.live.get(&id), Some(LiveState::Absent))
    }

    /// What could not be read.
    pub fn unknown(&self) -> impl Iterator<Item = (&Id, ObjectFailure)> {
        self.live.iter().filter_map(|(id, live)| match live {
            LiveState::Unknown(message) => {
                let failure = ObjectFailure {
                    object: id.to_string(),
                    container: None,
                    reason: "Unknown".to_owned(),
                    message: message.clone(),
                };
                Some((id, failure))
            }
            _ => None,
        })
    }
}

/// Reads what is not known from a watch: nothing, where nothing has changed.
pub(super) async fn observe(pass: &Pass<'_>, memory: &Memory, running: &Running) -> Observed {
    let kinds = pass.context.cluster.kinds().await;
    let desired = &running.desired;
    let inventory = memory.inventory.clone().unwrap_or_default();
    watch(pass, desired, &inventory, &kinds);
    let autoscaled = autoscaled(pass, desired);
    let mut observed = Observed {
        live: BTreeMap::new(),
        touched: BTreeSet::new(),
        autoscaled,
    };
    let mut to_read: Vec<(Id, String, bool)> = Vec::new();
    for object in &desired.objects {
        let id = &object.id;
        let seen = memory
            .seen
            .get(id)
            .filter(|seen| is_news(memory, id, seen))
            .cloned();
        if seen.is_some() {
            observed.touched.insert(id.clone());
        }
        // The values of fields that Git does not decide are handed over before they are left out.
        // Whether a Job has finished decides what becomes of it.
        let whole = observed.autoscaled.contains(id)
            || object.object.annotation(IGNORE_ANNOTATION).is_some()
            || id.kind == "Job";
        let known = memory
            .applied
            .get(id)
            .is_some_and(|applied| applied.digest == object.digest);
        match seen {
            Some(Seen::Present(live)) if !whole => {
                observed.live.insert(id.clone(), LiveState::Present(live));
            }
            None if known && !memory.reapply => {
                observed.live.insert(id.clone(), LiveState::AsApplied);
            }
            // A watch that lost an object does not say whether it is gone or only lost its label.
            _ if kinds.get(&id.group, &id.kind).is_some() => {
                to_read.push((id.clone(), object.object.version().to_owned(), whole));
            }
            // The kind itself is still to come.
            _ => {
                observed.live.insert(id.clone(), LiveState::Absent);
            }
        }
    }
    let departed = inventory
        .entries
        .iter()
        .filter(|(id, _)| !desired.contains(id));
    let not_served = departed
        .clone()
        .any(|(id, _)| kinds.get(&id.group, &id.kind).is_none());
    let kinds = if not_served {
        // Their definition may be gone, and they with it, or it may be served again: only a fresh answer says so.
        match pass.context.cluster.refresh_kinds().await {
            Ok(fresh) => Some(fresh),
            Err(error) => {
                tracing::warn!(%error, "cannot ask which kinds are left");
                None
            }
        }
    } else {
        Some(kinds)
    };
    for (id, entry) in departed {
        if kinds
            .as_ref()
            .is_some_and(|kinds| kinds.is_absent(&id.group, &id.kind))
        {
            observed.live.insert(id.clone(), LiveState::Absent);
        } else {
            to_read.push((id.clone(), entry.version.clone(), false));
        }
    }
    let kinds = kinds.unwrap_or_default();
    let (context, kinds) = (pass.context, &kinds);
    let reads: Vec<_> = to_read
        .into_iter()
        .map(|(id, version, whole)| async move {
            let live = context.cluster.observe(kinds, &id, &version, whole).await;
            (id, live)
        })
        .collect();
    let read: Vec<(Id, LiveState)> = together(context.parallel, reads).await;
    observed.live.extend(read);
    for live in observed.live.values_mut() {
        if let LiveState::Present(object) = live {
            forget_dead_owner(pass, object);
        }
    }
    observed
}

/// Whether a watch told something that came after our own last write of the object.
fn is_news(memory: &Memory, id: &Id, seen: &Seen) -> bool {
    let Seen::Present(live) = seen else {
        return true;
    };
    let written = memory
        .applied
        .get(id)
        .and_then(|applied| applied.resource_version);
    match (written, resource_version(live)) {
        (Some(written), Some(seen)) => seen > written,
        _ => true,
    }
}

/// An owner that no Environment has any more (it was deleted, and left its objects) owns nothing.
fn forget_dead_owner(pass: &Pass<'_>, object: &mut Object) {
    let Some(owner) = object.label(ENVIRONMENT_LABEL) else {
        return;
    };
    let lives = pass.context.environments.state().iter().any(|environment| {
        let namespace = environment.namespace().unwrap_or_default();
        crate::inventory::owner_id(
            &pass.context.cluster.uid,
            &namespace,
            &environment.name_any(),
        ) == owner
    });
    let labels = object
        .0
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("labels"))
        .and_then(serde_json::Value::as_object_mut);
    if let Some(labels) = labels.filter(|_| !lives) {
        labels.remove(ENVIRONMENT_LABEL);
    }
}

fn watch(pass: &Pass<'_>, desired: &Desired, inventory: &Inventory, kinds: &crate::desired::Kinds) {
    let ids = desired
        .objects
        .iter()
        .map(|object| &object.id)
        .chain(inventory.entries.keys());
    let watched: BTreeSet<(&str, &str)> = ids
        .map(|id| (id.group.as_str(), id.kind.as_str()))
        .collect();
    for (group, kind) in watched {
        if let Some(kind) = kinds.get(group, kind) {
            pass.context.tracker.watch(kind);
        }
    }
}

fn autoscaled(pass: &Pass<'_>, desired: &Desired) -> BTreeSet<Id> {
    let mut targets = pass.context.scalers.targets();
    targets.extend(desired.objects.iter().filter_map(target_of));
    targets
}

impl Pass<'_> {
    /// plan: what is to be done to make `live` what is desired.
    pub(super) fn plan(&self, memory: &Memory, running: &Running, observed: &Observed) -> Plan {
        let empty = Inventory::default();
        let rolled_out = self.report.rollouts.iter();
        let rolled_out = rolled_out
            .filter(|record| record.phase != RolloutPhase::Failed)
            .map(|record| record.workload.clone())
            .collect();
        plan(&PlanInput {
            desired: &running.desired,
            live: &observed.live,
            inventory: memory.inventory.as_ref().unwrap_or(&empty),
            memory: &memory.applied,
            autoscaled: &observed.autoscaled,
            owner: &memory.owner,
            drift: self.environment.spec.drift,
            damper: &memory.damper,
            hand_tools: &self.context.hand_tools,
            now: self.now,
            reapply: memory.reapply,
            recorded: self.was_applied(running),
            rolled_out: &rolled_out,
        })
    }
}

impl Pass<'_> {
    /// Whether the status says that this very content was applied, and healthy, before.
    fn was_applied(&self, running: &Running) -> bool {
        let history = self
            .environment
            .status
            .as_ref()
            .and_then(|status| newest_applied(&status.history));
        history.is_some_and(|newest| {
            newest.hash == running.desired.hash && newest.healthy_at.is_some()
        })
    }
}

/// The inventory of the status; where there is none, what the cluster says by its labels. A status without an inventory
/// may only mean that it could not be told before.
pub(super) async fn inventory(pass: &mut Pass<'_>, memory: &mut Memory) -> Result<(), String> {
    if memory.inventory.is_none() {
        let mut inventory = recorded(pass).await?;
        if inventory.entries.is_empty() {
            let cluster = &pass.context.cluster;
            let owned = cluster.owned(&memory.owner.id).await;
            inventory = owned.map_err(|error| error.to_string())?;
            // What is only known by its label is not deleted before one healthy pass.
            memory.inventory_trusted = inventory.entries.is_empty();
        }
        memory.inventory = Some(inventory);
    }
    pass.report.inventory = memory.inventory.clone().unwrap_or_default();
    Ok(())
}

async fn recorded(pass: &Pass<'_>) -> Result<Inventory, String> {
    let Some(status) = &pass.environment.status else {
        return Ok(Inventory::default());
    };
    let context = pass.context;
    let loaded = context
        .cluster
        .load_inventory(&context.namespace, status.inventory.clone())
        .await;
    let recorded = loaded.map_err(|error| error.to_string())?;
    Inventory::from_status(&recorded).map_err(|error| error.to_string())
}

/// Records what is about to be written, beside what was, before the first write.
pub(super) async fn write_ahead(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    running: &Running,
) -> Result<(), String> {
    let before = memory.inventory.clone().unwrap_or_default();
    let union = before.union(&running.desired);
    let status = pass.environment.status.clone().unwrap_or_default();
    let recorded = status.hash.as_deref() == Some(running.desired.hash.as_str())
        && union.covers_no_more_than(&before);
    memory.inventory = Some(union.clone());
    pass.report.inventory = union.clone();
    if recorded && pass.environment.status.is_some() {
        return Ok(());
    }
    if !pass.context.leadership.is_valid() {
        return Err("this replica may no longer lead".to_owned());
    }
    let mut object = pass.environment.clone();
    // Nobody reads of the new revision that it is ready before it is.
    let report = Report {
        progress: Progress::Progressing,
        failures: Vec::new(),
        ..pass.report.clone()
    };
    let mut after = crate::status::status(&status, &report, pass.now);
    let (context, owner) = (pass.context, &memory.owner.id);
    let stored = context
        .cluster
        .store_inventory(&context.namespace, owner, union.to_status())
        .await;
    after.inventory = stored.map_err(|error| error.to_string())?;
    object.metadata.managed_fields = None;
    object.status = Some(after);
    let api: Api<Environment> = Api::namespaced(pass.context.cluster.client(), pass.namespace());
    let mut attempts = 0;
    loop {
        match api
            .replace_status(&object.name_any(), &PostParams::default(), &object)
            .await
        {
            Ok(written) => {
                pass.written = Some(written);
                return Ok(());
            }
            // Somebody changed the object (an annotation, the spec) since it was read: what is recorded stays right.
            Err(kube::Error::Api(status)) if status.code == 409 && attempts < 3 => {
                attempts += 1;
                let current = api
                    .get(&object.name_any())
                    .await
                    .map_err(|error| error.to_string())?;
                if current.metadata.uid != object.metadata.uid {
                    return Err("the Environment was deleted and made anew".to_owned());
                }
                let read = pass.environment.status.as_ref();
                report::follow(&mut object, current, read).map_err(|error| error.to_string())?;
            }
            Err(error) => return Err(format!("cannot record what is to be written: {error}")),
        }
    }
}

/// What the watches told has been taken into the plan. What the plan leaves as it is must be seen again by the next.
pub(super) fn settle(memory: &mut Memory, plan: &Plan) {
    let left: BTreeSet<&Id> = plan
        .contested
        .iter()
        .map(|contested| &contested.id)
        .chain(plan.drifts.iter().map(|drift| &drift.id))
        .collect();
    memory.seen.retain(|id, _| left.contains(id));
}
