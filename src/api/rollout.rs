//! `RolloutPolicy`: how a change to a workload reaches live traffic. It lies in Git beside the workload.

#![expect(
    clippy::duplicated_attributes,
    reason = "columns of the same type are no duplicates"
)]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HumanDuration;

/// How a change to a workload of the same environment is brought to live traffic: gradually, on evidence.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "driftless.dev",
    version = "v1alpha1",
    kind = "RolloutPolicy",
    plural = "rolloutpolicies",
    shortname = "rollout",
    category = "driftless",
    namespaced,
    doc = "How a change to a workload of the same environment is brought to live traffic: gradually, on evidence.",
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
    /// A second, small set of pods runs the change beside the stable ones, and its share of the traffic rises.
    pub canary: CanarySpec,
    /// What splits the traffic. Without it the number of pods does, as far as whole pods allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficSpec>,
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
    /// For how long a rollout waits for evidence that does not come.
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

/// What splits the traffic. Exactly one.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.httpRoute), has(self.ingressNginx)].filter(given, given).size() == 1").message("give exactly one of httpRoute and ingressNginx"))]
pub struct TrafficSpec {
    /// A Gateway API HTTPRoute of this environment: of its rules those that point to the workload's Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_route: Option<RouteReference>,
    /// An Ingress of this environment, served by ingress-nginx: a second one with canary annotations stands beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_nginx: Option<RouteReference>,
}

/// A route in the policy's own namespace.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RouteReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// One piece of evidence. Exactly one of `http` and `prometheus`.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.http), has(self.prometheus)].filter(given, given).size() == 1").message("give exactly one of http and prometheus"))]
pub struct CheckSpec {
    /// Its name in the status; unique in the policy.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// How often it is made; `checkInterval` of the policy where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<HumanDuration>,
    /// So many failed verdicts at one step abort the rollout; `failureLimit` of the policy where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub failure_limit: Option<u32>,
    /// So many verdicts must pass at each step (default 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub count: Option<u32>,
    /// A request to each of the canary's pods, from the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// A query to a Prometheus server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusCheck>,
}

/// A request to each ready pod of the canary. It fails if one of them answers otherwise.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HttpCheck {
    /// The path, with its query.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^/[!-~]*$"))]
    pub path: String,
    /// The port of the pod; that of its first container's first port where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// `GET` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(GET|HEAD|POST|PUT|OPTIONS)$"))]
    pub method: Option<String>,
    /// Headers of the request.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub headers: std::collections::BTreeMap<String, String>,
    /// The status that is expected; any below 400 where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 599))]
    pub expect: Option<u16>,
    /// A regular expression that the first 64 KiB of the body must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub body: Option<String>,
    /// How long an answer may take (default 5s).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<HumanDuration>,
}

/// A query whose single value must lie in a range. No value, several, `NaN` and an unreachable server are no verdict.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max)").message("give min, max, or both"))]
pub struct PrometheusCheck {
    /// The server, such as `http://prometheus.monitoring:9090`.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https?://[^\s@]+$"))]
    pub url: String,
    /// PromQL. `{{namespace}}`, `{{workload}}`, `{{canary}}` (the canary's Deployment) and `{{service}}` (the canary's Service)
    /// stand for their names.
    #[schemars(length(min = 1, max = 8192))]
    pub query: String,
    /// The least that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
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
    /// The canary's share of the traffic as it was written, in percent.
    pub weight: u32,
    /// The share that whole pods allow, in percent, where the number of pods splits the traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub achieved_weight: Option<u32>,
    /// How many pods the stable side had when it began.
    pub stable_replicas: u32,
    /// How many pods the canary has; 0 before it is made, and when the last one is gone.
    pub canary_replicas: u32,
    /// The stable side referred to content-named copies of its configuration before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_pinned: Option<bool>,
    /// The `pod-template-hash` of the stable side: what its Services are narrowed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_hash: Option<String>,
    /// Since when it is in this phase and at this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
    /// Since when the evidence of this step counts: its weight is in effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_effect_since: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
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
    /// The stable side takes the change; the canary still serves its share.
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

fn default_settle() -> HumanDuration {
    HumanDuration::from_secs(5)
}
