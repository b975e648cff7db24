//! `RolloutPolicy`: how a change to a workload reaches live traffic. It lies in Git beside the workload.

mod check;
mod traffic;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::{
    Builtin, CheckSpec, CompareSpec, HeaderSpec, HttpCheck, JobCheck, JsonCheck, LatencySpec,
    PrometheusCheck, Router, SecretKeyRef, ValueFrom,
};
pub use traffic::{IstioReference, MatchSpec, RequestMark, RouteReference, TrafficSpec};

use super::HumanDuration;

/// How a change to a workload of the same environment is brought to live traffic: gradually, on evidence.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "driftless.dev",
    version = "v1alpha1",
    kind = "RolloutPolicy",
    plural = "rolloutpolicies",
    shortname = "rp",
    category = "driftless",
    namespaced,
    doc = "How a change to a workload of the same environment is brought to live traffic: gradually, on evidence.",
    validation = Rule::new("has(self.spec.canary) != has(self.spec.blueGreen)")
        .message("give exactly one of spec.canary and spec.blueGreen"),
    validation = Rule::new("self.spec.workload.kind == 'Deployment' || has(self.spec.canary) && !has(self.spec.traffic)")
        .message("a StatefulSet is rolled out by its partition: give spec.canary, and no spec.traffic"),
    validation = Rule::new("!has(self.spec.blueGreen) || !has(self.spec.traffic)")
        .message("spec.blueGreen switches the workload's Services, and every route follows them: give no spec.traffic"),
    printcolumn(json_path = ".spec.workload.kind", name = "Kind", type_ = "string"),
    printcolumn(json_path = ".spec.workload.name", name = "Workload", type_ = "string"),
    printcolumn(
        json_path = ".metadata.creationTimestamp",
        name = "Age",
        type_ = "date"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RolloutPolicySpec {
    /// The workload, in the policy's own namespace.
    pub workload: WorkloadReference,
    /// A second, small set of pods runs the change beside the stable ones, and its share of the traffic rises. Of a
    /// StatefulSet a growing part of its own pods runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanarySpec>,
    /// A second set of pods, as many as the stable ones, runs the change without traffic until it has proved itself; then it
    /// gets all of the traffic at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreenSpec>,
    /// What splits the traffic of a canary. Without it the number of pods does, as far as whole pods allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficSpec>,
    /// `true`: both versions may use the same host paths, and write to the same volume claims, at the same time. The
    /// application must be made for that: nothing here can take back what a bad version has written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared_volumes: bool,
    /// What must hold at each step. An empty list says that ready pods are evidence enough.
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.all(one, self.filter(other, other.name == one.name).size() == 1)").message("another check has this name"))]
    pub checks: Vec<CheckSpec>,
    /// How often each check is made.
    #[serde(default = "default_interval")]
    pub check_interval: HumanDuration,
    /// So many failed verdicts of one check at one step abort the rollout.
    #[serde(default = "default_failure_limit")]
    #[schemars(range(min = 0, max = 1000))]
    pub failure_limit: u32,
    /// For how long a rollout waits for evidence, and for a write or a weight that is not accepted.
    #[serde(default)]
    pub max_hold: HoldSpec,
    /// How long a weight may take to reach every proxy, and a pod to drain.
    #[serde(default = "default_settle")]
    pub settle: HumanDuration,
    /// Other workloads of this environment, with policies of their own, that are promoted first where one revision changes
    /// them too. Without it all workloads of a revision are promoted at the same time, when all are proved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub depends_on: Vec<WorkloadReference>,
}

/// A workload in the namespace of the object that names it.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadReference {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    #[schemars(
        length(min = 1, max = 243),
        regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
}

/// The kinds that can be rolled out.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub enum WorkloadKind {
    /// `apps/v1`.
    Deployment,
    /// `apps/v1`; by `canary`, without `traffic`.
    StatefulSet,
}

/// The weights of a canary. Either `steps`, or `maxWeight`, `stepWeight` and `interval`.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.steps) != has(self.stepWeight)").message("give either steps, or stepWeight (with maxWeight and interval)"))]
#[x_kube(validation = Rule::new("has(self.stepWeight) || !has(self.maxWeight) && !has(self.interval)").message("maxWeight and interval belong to stepWeight"))]
pub struct CanarySpec {
    /// The steps, in order. After the last one the change is promoted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub steps: Vec<StepSpec>,
    /// The weight rises by so much at a time, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub step_weight: Option<u8>,
    /// Up to this weight, in percent (default 50); then the change is promoted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_weight: Option<u8>,
    /// How long each weight is held (default 1m).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<HumanDuration>,
}

/// The change at full size beside the stable side, which is kept for a while after the switch.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreenSpec {
    /// A Service of this environment that selects the workload's pods: until the end of the rollout it selects those that run
    /// the change. Where none is named, the rollout makes `NAME-preview` for each Service of the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub preview_service: Option<String>,
    /// How long the checks must pass before the switch (default: until each has passed as often as its `count`).
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub for_: Option<HumanDuration>,
    /// `true`: wait with the switch until `driftless promote`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("pause is true or absent"))]
    pub pause: Option<bool>,
    /// For how long after the switch the stable side is kept as it was: a failed check, a revert or `driftless abort` gives it the
    /// traffic back at once. Then it takes the change.
    #[serde(default = "default_keep")]
    pub keep: HumanDuration,
}

/// One step: a weight, and how long it is checked there; or a pause.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.weight) != has(self.pause)").message("a step is either a weight or a pause"))]
#[x_kube(validation = Rule::new("!has(self.__for__) || has(self.weight)").message("for belongs to a weight"))]
pub struct StepSpec {
    /// The share of the traffic that the change gets, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub weight: Option<u8>,
    /// How long the checks must pass at this weight (default: until each has passed once).
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub for_: Option<HumanDuration>,
    /// `true`: wait at the weight before, until `driftless promote`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("pause is true or absent"))]
    pub pause: Option<bool>,
}

/// What happens where no evidence comes.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct HoldSpec {
    /// For so long the rollout waits.
    #[serde(rename = "for")]
    pub for_: HumanDuration,
    /// Then it is aborted, or stays as it is.
    pub then: HoldEnd,
}

impl Default for HoldSpec {
    fn default() -> Self {
        Self {
            for_: HumanDuration::from_secs(3600),
            then: HoldEnd::Abort,
        }
    }
}

/// What ends a hold.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum HoldEnd {
    /// Back to stable.
    #[default]
    Abort,
    /// Nothing does, but a person.
    Stay,
}

/// The rollout of one workload, in the Environment's status. It is written before it is acted on.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStatus {
    /// `Deployment.apps shop/api`.
    pub workload: String,
    /// How the change reaches the traffic.
    pub strategy: RolloutStrategy,
    /// The commit that brings the change.
    pub commit: String,
    /// SHA-256 of the change: the pod template with the configuration that it refers to.
    pub change: String,
    /// Where it is.
    pub phase: RolloutPhase,
    /// The index of the step in the policy, from 0.
    pub step: u32,
    /// How many steps there are.
    pub steps: u32,
    /// The weights and pauses that the step is one of, such as `5 25 pause 50`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    /// The route that splits the traffic, such as `HTTPRoute.gateway.networking.k8s.io shop/api`; empty where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The canary's share of the traffic as it was written, in percent; of a StatefulSet the share of its pods that the step
    /// names. Blue/green knows 0, and after the switch 100.
    pub weight: u32,
    /// The share that whole pods allow, in percent, where the number of pods splits the traffic, and of a StatefulSet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub achieved_weight: Option<u32>,
    /// How many pods the stable side had when it began; of a StatefulSet how many it has.
    pub stable_replicas: u32,
    /// How many pods the canary has; 0 before it is made, and when the last one is gone. Of a StatefulSet how many of its
    /// pods run the change.
    pub canary_replicas: u32,
    /// The stable side referred to content-named copies of its configuration before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_pinned: Option<bool>,
    /// The `pod-template-hash` of the stable side: what its Services are narrowed to. Of a StatefulSet the revision that it ran
    /// when it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_hash: Option<String>,
    /// Since when it is in this phase and at this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
    /// Since when the evidence of this step counts: its weight is in effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_effect_since: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
    /// When this step ends at the earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
    /// Since when it holds, without a break.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_since: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
    /// After the switch of blue/green: until when the old side is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_until: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
    /// The evidence of this step.
    pub checks: Vec<CheckStatus>,
    /// The change itself is at fault: it is not tried again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub taken_back: bool,
    /// Since when everything that this phase asks for is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_at: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
    /// What it waits for, or why it was taken back.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The value of the annotation `driftless.dev/rollout` that was last served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_command: Option<String>,
}

/// How a change reaches the traffic.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, Hash)]
pub enum RolloutStrategy {
    /// By the weight of a second Deployment.
    #[default]
    Canary,
    /// All at once, to a second Deployment of full size.
    BlueGreen,
    /// By the partition of a StatefulSet.
    Partition,
}

/// Where a rollout is.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, Hash)]
pub enum RolloutPhase {
    /// The stable Services are narrowed to the stable pods.
    #[default]
    Narrowing,
    /// The canary's pods are starting; they get no traffic.
    Starting,
    /// At a step's weight, collecting evidence.
    Analysing,
    /// At a pause, or paused by a person.
    Paused,
    /// Proved; waits for the other workloads of the revision.
    Proved,
    /// Blue/green: all traffic goes to the canary; the stable side is kept as it was, so that going back is immediate.
    Switched,
    /// The stable side takes the change; the canary still serves its share (in blue/green: everything).
    Promoting,
    /// The stable side goes back to what it was before the promotion; the canary serves until it is whole again.
    Restoring,
    /// The stable side runs the change. When those of all other workloads of the revision do, the rest of the revision is
    /// applied, and the canary drains.
    Finishing,
    /// All traffic goes to the stable side, which never changed; the canary drains.
    Aborting,
    /// The canary is being deleted. When its last pod is gone, Services and autoscalers become what Git says.
    Removing,
    /// The change was taken back, and is not tried again.
    Failed,
}

/// One check at the present step.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckStatus {
    /// Its name in the policy.
    pub name: String,
    /// `Pass`, `Fail` or `NoData`; empty before the first verdict.
    pub verdict: String,
    /// What was measured, or why there is nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Verdicts at this step that passed.
    pub passed: u32,
    /// Verdicts at this step that failed.
    pub failed: u32,
    /// When the check was begun that the last verdict is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
    /// When the last verdict fell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
}

fn default_interval() -> HumanDuration {
    HumanDuration::from_secs(30)
}

fn default_failure_limit() -> u32 {
    3
}

fn default_keep() -> HumanDuration {
    HumanDuration::from_secs(600)
}

fn default_settle() -> HumanDuration {
    HumanDuration::from_secs(5)
}
