//! What passes over one environment remember between them. Must not be needed: whoever loses it derives it again.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use kube::ResourceExt;
use tokio::sync::Notify;

use super::{Running, admit, prepare, rollout};
use crate::analysis::Analysis;
use crate::api::Environment;
use crate::cluster::{PodWatch, Seen};
use crate::desired::Owner;
use crate::drift::Damper;
use crate::health::{Checks, Health};
use crate::inventory::{Inventory, owner_id};
use crate::object::{Id, Object};
use crate::plan::{Applied, has_finished};

/// What is remembered of one environment between passes. All of it can be lost: it is derived again from Git, the cluster
/// and the status.
pub struct Memory {
    pub wake: Arc<Notify>,
    pub(super) owner: Owner,
    /// What was last rendered, and of what.
    pub(super) rendered: Option<prepare::Rendered>,
    pub(super) renders: i64,
    /// The change of the refs that was last counted.
    pub(super) counted: u64,
    /// What is kept, and the generation of the Environment that it was made for.
    pub(super) running: Option<Arc<Running>>,
    pub(super) generation: Option<i64>,
    /// The hash whose dry run was passed, or that was recorded before.
    pub(super) admitted: Option<String>,
    /// The hash of a revision that an agent before this one admitted, and that waits for its rollouts.
    pub(super) admitted_before: Option<String>,
    /// When a damaged mirror was last asked to be made anew.
    pub(super) mended_at: Option<Instant>,
    /// Why a revision was refused, so that it is not tried again at every event.
    pub(super) refused: Option<admit::Refused>,
    pub(super) applied: BTreeMap<Id, Applied>,
    pub(super) health: BTreeMap<Id, Health>,
    pub(super) checks: Checks,
    /// What the API server answered to the writes of this pass.
    pub(super) fresh: BTreeMap<Id, Object>,
    /// What was healthy when it was last looked at, its pods included.
    pub(super) steady: BTreeSet<Id>,
    /// Since when what is not healthy is not.
    pub(super) unhealthy_since: BTreeMap<Id, Timestamp>,
    pub(super) seen: HashMap<Id, Seen>,
    pub(super) inventory: Option<Inventory>,
    pub(super) inventory_trusted: bool,
    pub(super) pods: BTreeMap<String, Arc<PodWatch>>,
    pub(super) damper: Damper,
    pub(super) reapply: bool,
    pub(super) reapplied_at: Instant,
    /// Deletions that an approval admitted, until they are done.
    pub(super) approved: BTreeSet<(Id, String)>,
    pub(super) approved_by: Option<String>,
    /// What could not be tried when its revision was admitted: it is tried before its wave.
    pub(super) untried: BTreeSet<Id>,
    /// The Environment as this agent wrote it last: the watch may still be behind.
    pub(super) latest: Option<Arc<Environment>>,
    /// What was last told by Events, so that it is told once.
    pub(super) told: VecDeque<String>,
    pub(super) rollouts: rollout::Rollouts,
    pub(super) analysis: Analysis,
}

impl Memory {
    /// Of an environment of the cluster with this UID.
    pub fn new(cluster_uid: &str, environment: &Environment) -> Self {
        let namespace = environment.namespace().unwrap_or_default();
        let name = environment.name_any();
        let status = environment.status.clone().unwrap_or_default();
        let wake = Arc::<Notify>::default();
        Self {
            analysis: Analysis::new(wake.clone()),
            wake,
            owner: Owner {
                id: owner_id(cluster_uid, &namespace, &name),
                name: format!("{namespace}/{name}"),
            },
            rendered: None,
            renders: status.renders,
            counted: 0,
            running: None,
            generation: None,
            admitted: status.hash,
            admitted_before: status.next.and_then(|next| next.hash),
            mended_at: None,
            refused: None,
            applied: BTreeMap::new(),
            health: BTreeMap::new(),
            checks: Checks::default(),
            fresh: BTreeMap::new(),
            steady: BTreeSet::new(),
            unhealthy_since: BTreeMap::new(),
            seen: HashMap::new(),
            inventory: None,
            inventory_trusted: true,
            pods: BTreeMap::new(),
            damper: Damper::default(),
            reapply: true,
            reapplied_at: Instant::now(),
            approved: BTreeSet::new(),
            approved_by: None,
            untried: BTreeSet::new(),
            latest: None,
            told: VecDeque::new(),
            rollouts: rollout::Rollouts::default(),
        }
    }

    /// Of the same environment, without anything that is remembered.
    #[must_use]
    pub fn renewed(&self, cluster_uid: &str, environment: &Environment) -> Self {
        Self {
            wake: self.wake.clone(),
            analysis: Analysis::new(self.wake.clone()),
            ..Self::new(cluster_uid, environment)
        }
    }

    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The newer of what the watch shows and what this agent wrote itself.
    pub fn newest(&self, watched: Arc<Environment>) -> Arc<Environment> {
        let version = |environment: &Environment| {
            environment
                .resource_version()
                .and_then(|version| version.parse::<u64>().ok())
        };
        match &self.latest {
            Some(latest)
                if latest.metadata.uid == watched.metadata.uid
                    && version(latest) > version(&watched) =>
            {
                latest.clone()
            }
            _ => watched,
        }
    }

    /// Whether this Job has run under the content that is desired now.
    pub(super) fn is_finished(&self, id: &Id) -> bool {
        let Some(running) = &self.running else {
            return false;
        };
        let finished = self
            .inventory
            .as_ref()
            .and_then(|inventory| inventory.entries.get(id)?.finished.as_ref());
        finished.is_some() && finished == running.desired.get(id).map(|object| &object.digest)
    }

    /// Records that a Job has run: it does not run again under the same content.
    pub(super) fn finish_job(&mut self, id: &Id, object: &Object) {
        if id.kind != "Job" || id.group != "batch" || !has_finished(object) {
            return;
        }
        let digest = self.applied.get(id).map(|applied| applied.digest.clone());
        if let Some(entry) = self
            .inventory
            .as_mut()
            .and_then(|inventory| inventory.entries.get_mut(id))
        {
            entry.finished = digest;
        }
    }
}
