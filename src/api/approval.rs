//! `Approval`: a person's word that one set of changes may happen.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A person's word that an environment may take one revision, or delete one set of objects, that the agent holds back.
/// Made by `driftless approve`, used once, immutable, and never taken from Git.
#[derive(CustomResource, JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "driftless.dev",
    version = "v1alpha1",
    kind = "Approval",
    plural = "approvals",
    category = "driftless",
    namespaced,
    status = "ApprovalStatus",
    doc = "A person's word that an environment may do what the agent holds back.",
    printcolumn(json_path = ".spec.environment", name = "Environment", type_ = "string"),
    printcolumn(json_path = ".spec.commit", name = "Commit", type_ = "string"),
    printcolumn(json_path = ".spec.by", name = "By", type_ = "string"),
    printcolumn(json_path = ".spec.expires", name = "Expires", type_ = "string"),
    printcolumn(json_path = ".status.usedAt", name = "Used", type_ = "date"),
    validation = Rule::new("self.spec == oldSelf.spec").message("an Approval cannot be changed; delete it and make another")
)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalSpec {
    /// The Environment, in the Approval's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub environment: String,
    /// The UID of that Environment: another one of the same name is not meant.
    #[serde(rename = "environmentUID")]
    #[schemars(length(min = 1, max = 64))]
    pub environment_uid: String,
    /// The commit, in full.
    #[schemars(regex(pattern = r"^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    pub commit: String,
    /// The hash of the desired objects (`status.hash` of the Environment). Empty where only the revision is approved,
    /// before it was rendered.
    #[serde(default)]
    #[schemars(regex(pattern = r"^([0-9a-f]{64})?$"))]
    pub hash: String,
    /// The SHA-256 of the deletions that are admitted (`status.deletions` of the Environment). Empty admits none.
    #[serde(default)]
    #[schemars(regex(pattern = r"^([0-9a-f]{64})?$"))]
    pub deletions: String,
    /// Who approves: the user that creates this object, as the API server knows them.
    #[schemars(length(min = 1, max = 512))]
    pub by: String,
    /// After this time it admits nothing.
    pub expires: Time,
}

/// What became of it.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ApprovalStatus {
    /// When the agent used it: written before what it admits is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Time>,
    /// What it admitted: the hash of the deletions, or `revision`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admitted: Option<String>,
}
