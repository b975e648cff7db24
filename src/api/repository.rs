//! `Repository`: a Git source.

#![expect(
    clippy::duplicated_attributes,
    reason = "columns of the same type are no duplicates"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HumanDuration;

/// A Git repository, fetched once for all the environments that refer to it.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize)]
#[kube(
    group = "driftless.dev",
    version = "v1alpha1",
    kind = "Repository",
    plural = "repositories",
    shortname = "repo",
    category = "driftless",
    namespaced,
    status = "RepositoryStatus",
    doc = "A Git repository, fetched once for all the environments that refer to it.",
    printcolumn(json_path = ".spec.url", name = "URL", type_ = "string"),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        name = "Ready",
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
pub struct RepositorySpec {
    /// Where it is: `https://…`, `ssh://[user@]host[:port]/…`, or `file:///…` where the agent was started with
    /// `--allow-file-repositories`. Credentials do not belong here; name a Secret in `credentials`.
    #[x_kube(validation = Rule::new("self.matches('^(https|ssh|file)://[^\\\\s\\\\x00-\\\\x1f]+$')").message("must be an https://, ssh:// or file:// URL"))]
    #[x_kube(validation = Rule::new("!self.matches('^(https|file)://[^/]*@|^ssh://[^/]*:[^/@]*@')").message("must not contain credentials; put them into a Secret and name it in spec.credentials.secret"))]
    #[schemars(length(max = 2048))]
    pub url: String,

    /// How often the server is asked for its refs (`git ls-remote`). A webhook makes changes immediate.
    #[serde(default = "default_interval")]
    #[x_kube(validation = Rule::new("self.matches('[1-9][0-9]*(s|m|h|d|w)([0-9]|$)')").message("must be at least 1s"))]
    pub interval: HumanDuration,

    /// What to log in with. For https: `token`, or `username` and `password`, and `ca.crt` for an authority of your own.
    /// For ssh: `identity` (a private key; `password` if it has a passphrase) and `known_hosts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SecretName>,

    /// A Secret whose key `token` is shared with the Git server, for `POST /hooks/<namespace>/<name>`: the key of
    /// `X-Hub-Signature-256` (GitHub), `X-Gitea-Signature` and `X-Signature-256`, or the value of `X-Gitlab-Token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<SecretName>,

    /// Other namespaces whose Environments may refer to this repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub allow: Vec<String>,
}

/// A Secret in the namespace of the object that names it.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretName {
    /// The Secret's name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
    )]
    pub secret: String,
}

/// What the agent last saw of the repository.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct RepositoryStatus {
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the server's refs are known and fetched.
    #[schemars(schema_with = "super::environment::conditions_schema")]
    pub conditions: Vec<Condition>,
    /// How many branches and tags the server has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refs: Option<i64>,
    /// When the refs last changed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<Time>,
    /// What the newest change of the refs cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renders: Option<CommitRenders>,
}

/// How many environments a change of the refs caused to be looked at, and to be rendered again.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct CommitRenders {
    /// The newest commit that an environment chose after the change.
    pub commit: String,
    /// Environments that looked at their choice.
    pub environments: i64,
    /// Environments that had to be rendered again, because something that they read changed.
    pub rendered: i64,
}

fn default_interval() -> HumanDuration {
    HumanDuration::from_secs(30)
}
