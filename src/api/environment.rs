//! `Environment`: a path of a repository, kept true in this cluster.

mod status;

pub(super) use status::conditions_schema;
pub use status::{
    EnvironmentStatus, HeldObject, HistoryEntry, Inventory, InventoryEntry, NextRevision,
    ObjectFailure, Outcome, RenderSettings, RevisionStatus,
};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HumanDuration;

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

fn default_path() -> String {
    ".".to_owned()
}
