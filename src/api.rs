//! The kinds of `driftless.dev/v1alpha1`; their doc comments are the reference that `driftless crds` prints. Must hold
//! no behaviour beyond reading and writing themselves.

mod approval;
mod environment;
mod repository;
mod rollout;
mod time;

pub use approval::{Approval, ApprovalSpec, ApprovalStatus};
pub use environment::{
    Deletion, Drift, Environment, EnvironmentSpec, EnvironmentStatus, FollowRule, HealthCheck,
    HealthSpec, HeldObject, HistoryEntry, ImageRule, Inventory, InventoryEntry, NextRevision,
    ObjectFailure, Outcome, PruneSpec, RenderSettings, RevisionStatus,
};
pub use repository::{CommitRenders, Repository, RepositorySpec, RepositoryStatus, SecretName};
pub use rollout::{
    BlueGreenSpec, Builtin, CanarySpec, CheckSpec, CheckStatus, CompareSpec, HeaderSpec, HoldEnd,
    HoldSpec, HttpCheck, JobCheck, JsonCheck, LatencySpec, PrometheusCheck, RolloutPhase,
    RolloutPolicy, RolloutPolicySpec, RolloutStatus, RolloutStrategy, Router, SecretKeyRef,
    StepSpec, ValueFrom, WorkloadKind, WorkloadReference,
};
pub use rollout::{IstioReference, MatchSpec, RequestMark, RouteReference, TrafficSpec};
pub use time::HumanDuration;

/// The group of every kind here.
pub const GROUP: &str = "driftless.dev";
/// The version of every kind here.
pub const VERSION: &str = "v1alpha1";

use kube::CustomResourceExt;

/// The definitions of all kinds, for `driftless crds` and `deploy/crds`.
pub fn definitions()
-> Vec<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>
{
    vec![
        Repository::crd(),
        Environment::crd(),
        RolloutPolicy::crd(),
        Approval::crd(),
    ]
}
