//! `Environment`: a path of a repository, kept true in this cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{HumanDuration, RolloutStatus};

/// A path of a Git repository, kept true in this cluster.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize)]
#[kube(
    group = "driftless.dev",
    version = "v1alpha1",
    kind = "Environment",
    plural = "environments",
    shortname = "env",
    category = "driftless",
    namespaced,
    status = "EnvironmentStatus",
    doc = "A path of a Git repository, kept true in this cluster.",
    validation = Rule::new("!self.spec.createNamespace || has(self.spec.__namespace__)")
        .message("spec.createNamespace needs spec.namespace"),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        name = "Ready",
        type_ = "string"
    ),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Healthy\")].status",
        name = "Healthy",
        type_ = "string"
    ),
    printcolumn(json_path = ".status.revision.ref", name = "Ref", type_ = "string"),
    printcolumn(
        json_path = ".status.revision.short",
        name = "Commit",
        type_ = "string"
    ),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        name = "Message",
        type_ = "string"
    ),
    printcolumn(
        json_path = ".metadata.creationTimestamp",
        name = "Age",
        type_ = "date"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentSpec {
    /// The Repository: `name`, or `namespace/name` where that one's `allow` lists this namespace.
    #[schemars(
        length(min = 1, max = 317),
        regex(pattern = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
    )]
    pub repository: String,

    /// Which revision is wanted: the first rule that yields one decides.
    #[schemars(length(min = 1, max = 32))]
    pub follow: Vec<FollowRule>,

    /// The directory in the repository: a kustomization, or plain manifests.
    #[serde(default = "default_path")]
    #[x_kube(validation = Rule::new("!self.split('/').exists(part, part == '..')").message("must not leave the repository"))]
    #[schemars(length(max = 4096))]
    pub path: String,

    /// Images whose tag comes from the chosen revision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub images: Vec<ImageRule>,

    /// The namespace of objects that name none. Without it such objects are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,

    /// Whether `namespace` is made where it is missing. It is never deleted.
    #[serde(default)]
    pub create_namespace: bool,

    /// The service account, of this Environment's own namespace, under whose rights everything is written and deleted.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
    )]
    pub service_account: String,

    /// When this environment counts as healthy.
    #[serde(default)]
    pub health: HealthSpec,

    /// What happens to objects that leave Git.
    #[serde(default)]
    pub prune: PruneSpec,

    /// What happens when somebody changes what Git decides.
    #[serde(default)]
    pub drift: Drift,

    /// What deleting this Environment does to its objects.
    #[serde(default)]
    pub deletion: Deletion,

    /// Leaves the cluster as it is: nothing is applied, repaired or deleted.
    #[serde(default)]
    pub suspend: bool,
}

/// One way to choose a revision. Exactly one of `branches`, `semver`, `tags` and `commit` is given.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.branches), has(self.semver), has(self.tags), has(self.commit)].filter(given, given).size() == 1").message("give exactly one of branches, semver, tags and commit"))]
pub struct FollowRule {
    /// Branches by name or glob (`main`, `hotfix/*`). Of several the newest commit wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 256)))]
    pub branches: Option<Vec<String>>,
    /// A range of versions (`>=1.0.0`): the highest tag in it. `v1.0` and `v1.0-rc.1` are versions too; pre-releases are
    /// admitted only where the range names one (`>=1.0.0-0`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub semver: Option<String>,
    /// Tags by name or glob (`release-*`). Of several the newest wins: by version where their names carry one, else by commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 256)))]
    pub tags: Option<Vec<String>>,
    /// One commit, in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    pub commit: Option<String>,
    /// Whether a revision that does not contain the running one, and carries no higher version, is taken without approval.
    #[serde(default)]
    pub diverge: bool,
}

/// An image whose tag is taken from the chosen revision.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ImageRule {
    /// The image's name as the manifests have it, without a tag.
    #[schemars(length(min = 1, max = 512))]
    pub name: String,
    /// Another name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub new_name: Option<String>,
    /// The tag: text with `{tag}`, `{branch}` (slashes become dashes) or `{commit}` (in full).
    #[schemars(length(min = 1, max = 128))]
    pub tag: String,
}

/// When an environment counts as healthy.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthSpec {
    /// How long a revision may take to become healthy before it has failed.
    pub timeout: HumanDuration,
    /// How long something that can heal by itself (an image still being built, a node being added, a missing Secret) is
    /// waited for before it counts as failed.
    pub grace: HumanDuration,
    /// Rules for kinds that the built-in ones do not know, or know wrongly.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub checks: Vec<HealthCheck>,
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self {
            timeout: HumanDuration::from_secs(300),
            grace: HumanDuration::from_secs(300),
            checks: Vec::new(),
        }
    }
}

/// The health of one kind by CEL expressions over the object (`self`, as it lives in the cluster).
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// `group/version` of the kind, or `group` alone.
    #[schemars(length(min = 1, max = 317))]
    pub api_version: String,
    /// The kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// True when the object is as it should be.
    #[schemars(length(min = 1, max = 4096))]
    pub current: String,
    /// True when it cannot become so without a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub failed: Option<String>,
}

/// What happens to objects that leave Git.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PruneSpec {
    /// Whether they are deleted.
    pub enabled: bool,
    /// More deletions than this share of the inventory (or than 5, the larger) wait for approval.
    #[schemars(regex(pattern = r"^([0-9]|[1-9][0-9]|100)%$"))]
    pub limit: String,
    /// Kinds (`Kind` or `Kind.group`) whose deletion waits for approval, beside the built-in ones.
    #[schemars(length(max = 256), inner(length(min = 1, max = 317)))]
    pub protect: Vec<String>,
}

impl Default for PruneSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            limit: "20%".to_owned(),
            protect: Vec::new(),
        }
    }
}

/// What happens when somebody changes what Git decides.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Drift {
    /// It is put back at once.
    #[default]
    Repair,
    /// It is told, and left.
    Report,
}

/// What deleting an Environment does to its objects.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Deletion {
    /// They stay, and belong to nobody.
    #[default]
    Orphan,
    /// They are deleted, behind the same gate as any other deletion.
    Prune,
}

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

fn default_path() -> String {
    ".".to_owned()
}

/// Kubernetes' own conditions, merged by their type.
pub(super) fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
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
