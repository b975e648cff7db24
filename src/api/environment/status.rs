//! What the agent last saw and did, as it is kept with the Environment.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{EnvironmentSpec, ImageRule, PruneSpec};
use crate::api::RolloutStatus;

/// What the agent last saw and did.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvironmentStatus {
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready` (the cluster is what the wanted revision says), `Healthy`, `Progressing`, `Held` (something waits for a
    /// person) and `Suspended`.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The revision that is applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionStatus>,
    /// SHA-256 of the desired objects of that revision, with the namespace, the service account and the prune settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// What of the spec that revision was rendered with: an agent that starts knows by it what was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<RenderSettings>,
    /// A revision that is wanted but not taken yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<NextRevision>,
    /// What is not healthy, or was refused.
    pub failures: Vec<ObjectFailure>,
    /// What is held back, and why.
    pub held: Vec<HeldObject>,
    /// SHA-256 of the deletions that wait for approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletions: Option<String>,
    /// How often this environment was rendered.
    pub renders: i64,
    /// What this environment owns, and what it may own because a write was begun.
    pub inventory: Inventory,
    /// The rollouts that are under way, or whose change was taken back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rollouts: Vec<RolloutStatus>,
    /// The last ten revisions that were applied or taken back, newest first.
    pub history: Vec<HistoryEntry>,
    /// The value of the annotation `driftless.dev/sync-requested` that was last served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<String>,
}

/// A revision, and which rule chose it.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct RevisionStatus {
    /// The index of the rule in `spec.follow`.
    pub rule: i64,
    /// The full name of the ref (`refs/heads/main`); empty where a commit is followed.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The version that the ref's name carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The commit, in full.
    pub commit: String,
    /// Its first seven digits.
    pub short: String,
    /// It neither contains the revision before it nor carries a higher version: what it no longer has is deleted only on
    /// approval.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub diverged: bool,
}

impl RevisionStatus {
    /// Of which nothing but the commit is known.
    pub fn of_commit(commit: &str) -> Self {
        Self {
            commit: commit.to_owned(),
            short: commit.get(..7).unwrap_or(commit).to_owned(),
            ..Self::default()
        }
    }
}

/// What of an Environment's spec decides, beside the commit, what its objects are.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct RenderSettings {
    /// `spec.path`.
    pub path: String,
    /// `spec.images`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageRule>,
    /// `spec.namespace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `spec.createNamespace`.
    pub create_namespace: bool,
    /// `spec.serviceAccount`.
    pub service_account: String,
    /// `spec.prune`.
    pub prune: PruneSpec,
}

impl From<&EnvironmentSpec> for RenderSettings {
    fn from(spec: &EnvironmentSpec) -> Self {
        Self {
            path: spec.path.clone(),
            images: spec.images.clone(),
            namespace: spec.namespace.clone(),
            create_namespace: spec.create_namespace,
            service_account: spec.service_account.clone(),
            prune: spec.prune.clone(),
        }
    }
}

/// A revision that is not taken yet.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NextRevision {
    /// The revision.
    pub revision: RevisionStatus,
    /// What it waits for, in words.
    pub waiting_for: Vec<String>,
    /// SHA-256 of its desired objects where it was admitted, and waits for its rollouts only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// One thing that is wrong.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectFailure {
    /// `Kind.group namespace/name`; empty where no object is at fault.
    pub object: String,
    /// The container, where one is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// One word from the documented list.
    pub reason: String,
    /// What is wrong, in words.
    pub message: String,
}

/// One thing that is held back.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct HeldObject {
    /// `Kind.group namespace/name`; empty where the whole revision is held.
    pub object: String,
    /// `delete`, `apply` or `replace`.
    pub action: String,
    /// Why, in words.
    pub reason: String,
}

/// What an environment owns.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Inventory {
    /// How many objects it has.
    pub count: i64,
    /// The objects, up to 2,000.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<InventoryEntry>,
    /// The Secrets in the agent's namespace that hold them, where there are more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// One object of an inventory.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct InventoryEntry {
    /// `group/version/kind/namespace/name`; the group is empty for core kinds, the namespace for cluster-scoped ones.
    pub id: String,
    /// The UID that it had when it was last applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The hash of the content under which a Job has finished: it does not run again under that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
}

/// How a revision ended.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub enum Outcome {
    /// It is being applied, or waited for.
    #[default]
    Progressing,
    /// It became healthy.
    Healthy,
    /// It did not. It stays applied.
    Failed,
    /// A newer one came first.
    Superseded,
    /// A rollout took it back: it was never applied as a whole.
    TakenBack,
}

/// One revision of the past.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct HistoryEntry {
    /// The revision.
    pub revision: RevisionStatus,
    /// SHA-256 of its desired objects, with the settings of the environment then.
    pub hash: String,
    /// When it was first applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Time>,
    /// When everything of it was first healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_at: Option<Time>,
    /// How it ended.
    pub outcome: Outcome,
    /// Who approved it, where approval was needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// When a rollout took it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_back_at: Option<Time>,
    /// Why it failed, or was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Kubernetes' own conditions, merged by their type.
pub(in crate::api) fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string"},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"type": "integer", "format": "int64"},
                "lastTransitionTime": {"type": "string", "format": "date-time"},
                "reason": {"type": "string"},
                "message": {"type": "string"}
            }
        }
    })
}
