//! The checks of a `RolloutPolicy`: where evidence comes from, and what of it passes.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::HumanDuration;

/// One piece of evidence. Exactly one of `http`, `prometheus`, `json` and `job`.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.http), has(self.prometheus), has(self.json), has(self.job)].filter(given, given).size() == 1").message("give exactly one of http, prometheus, json and job"))]
pub struct CheckSpec {
    /// Its name in the status; unique in the policy.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$")
    )]
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
    /// Requests to each ready pod of the canary, from the agent. It fails if one of them answers otherwise, or too late; a pod
    /// that cannot be reached is no verdict, and one that refuses the connection fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// A query to a Prometheus server, whose single value must lie in a range. No value, several, `NaN`, a stale one, too few
    /// requests and an unreachable server are no verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusCheck>,
    /// A condition on JSON that a server answers with. An answer that is no 2xx or no JSON, one that the condition cannot be
    /// evaluated on, and an unreachable server are no verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonCheck>,
    /// A Job that must complete: one for each verdict, made and removed as the Environment's service account. It passes when it
    /// completes and fails when it fails; one whose pod never ran is no verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobCheck>,
}

/// Requests to each ready pod of the canary. It fails if one of them answers otherwise, or too late; a pod that cannot be
/// reached is no verdict, and one that refuses the connection fails.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<HeaderSpec>,
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
    /// So many requests to each pod for one verdict, one after the other, each on a connection of its own (default 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub requests: Option<u32>,
    /// How fast a pod must answer: so many percent of its `requests` within a time, from the start of the connection to the last
    /// byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencySpec>,
}

/// So many percent of the requests must be answered within a time, from the start of the connection to the last byte.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LatencySpec {
    /// In percent: 95 says that of 20 requests 19 must be answered within `max`.
    #[schemars(range(min = 1, max = 100))]
    pub percentile: f64,
    /// The time.
    pub max: HumanDuration,
}

/// A header of a request, with a value or with one from a Secret.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.valueFrom)").message("give either value or valueFrom"))]
pub struct HeaderSpec {
    /// Its name.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = r"^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")
    )]
    pub name: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096), regex(pattern = r"^[ -~]*$"))]
    pub value: Option<String>,
    /// Where its value lies. It is told to nobody but the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// Where a value lies.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// A key of a Secret in the policy's namespace. It is read as the Environment's service account.
    pub secret_key_ref: SecretKeyRef,
}

/// A key of a Secret.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A query whose single value must lie in a range. No value, several, `NaN`, a stale one, too few requests and an
/// unreachable server are no verdict.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.query) != has(self.builtin)").message("give either query or builtin"))]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max) || has(self.compare)").message("give min, max or compare, or several of them"))]
#[x_kube(validation = Rule::new("has(self.builtin) || !has(self.router)").message("router belongs to builtin"))]
#[x_kube(validation = Rule::new("has(self.builtin) && self.builtin == 'latency' || !has(self.percentile)").message("percentile belongs to builtin: latency"))]
#[x_kube(validation = Rule::new("has(self.query) && has(self.minRequests) == has(self.requests) || has(self.builtin) && !has(self.requests)").message("requests belongs to query, and goes with minRequests"))]
pub struct PrometheusCheck {
    /// The server, such as `http://prometheus.monitoring:9090`. Credentials stand in `headers`.
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = r"^https?://[^\s/?#]+(/[^\s?#]*)?$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^https?://[^/?#]*@')").message("must not contain credentials; put them into a Secret and name it in headers"))]
    pub url: String,
    /// Headers of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<HeaderSpec>,
    /// PromQL. `{{namespace}}` and `{{workload}}` stand for names, `{{canary}}` for that of the canary's Deployment, `{{side}}` for
    /// `canary` or `stable`; of that side `{{deployment}}` and `{{service}}` are names and `{{pods}}` a regular expression for the names
    /// of its pods; `{{window}}` is in seconds, such as `60s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub query: Option<String>,
    /// In place of `query`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builtin: Option<Builtin>,
    /// Of `builtin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<Router>,
    /// Which latency, in percent (default 95).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub percentile: Option<f64>,
    /// What `{{window}}` and `builtin` look back on, and how old a value may be (default 1m).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<HumanDuration>,
    /// With fewer requests in the window there is no verdict (with `builtin`, 10 where it is not given).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min_requests: Option<u32>,
    /// PromQL that counts the requests in the window, where `query` is your own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub requests: Option<String>,
    /// The least that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// How far the canary's value may be from the stable side's, both at the same time of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare: Option<CompareSpec>,
}

/// A usual query on the metrics of the router, in place of `query`: `successRate` is the share of requests that were not
/// answered with 5xx, from 0 to 1; `latency` is in seconds.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Builtin {
    /// The share of requests that were not answered with 5xx, from 0 to 1.
    SuccessRate,
    /// In seconds.
    Latency,
}

/// Whose metrics `builtin` reads; the router that `spec.traffic` names where it is not given (an HTTPRoute names none).
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub enum Router {
    /// `traefik_service_requests_total`.
    Traefik,
    /// `nginx_ingress_controller_requests`.
    IngressNginx,
    /// `istio_requests_total`, as the workload's own proxy or a waypoint counts.
    Istio,
}

/// The canary's value beside the stable side's. All that is given must hold.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.minRatio) || has(self.maxRatio) || has(self.minDifference) || has(self.maxDifference)").message("give at least one of minRatio, maxRatio, minDifference and maxDifference"))]
pub struct CompareSpec {
    /// The least that canary ÷ stable may be. Beside a stable side of 0 a canary of 0 is as 1, another one infinite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ratio: Option<f64>,
    /// The most that canary ÷ stable may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ratio: Option<f64>,
    /// The least that canary − stable may be, such as −0.01 for a success rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_difference: Option<f64>,
    /// The most that canary − stable may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_difference: Option<f64>,
}

/// A request whose answer is JSON, and what must hold of it. An answer that is no 2xx or no JSON, a condition that cannot be
/// evaluated on it, and an unreachable server are no verdict.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct JsonCheck {
    /// The URL; `{{namespace}}`, `{{workload}}`, `{{canary}}` and `{{service}}` (both the canary's) stand for names. Credentials
    /// stand in `headers`.
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = r"^https?://[^\s/?#]+([/?#]\S*)?$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^https?://[^/?#]*@')").message("must not contain credentials; put them into a Secret and name it in headers"))]
    pub url: String,
    /// `GET` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(GET|POST|PUT)$"))]
    pub method: Option<String>,
    /// Headers of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<HeaderSpec>,
    /// What is sent, with the same names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub body: Option<String>,
    /// A CEL expression; `self` is the answer, as in `self.errors < 3`.
    #[schemars(length(min = 1, max = 4096))]
    pub condition: String,
    /// How long an answer may take (default 10s).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<HumanDuration>,
}

/// A Job that must complete. Its containers find `ROLLOUT_NAMESPACE`, `ROLLOUT_WORKLOAD`, `ROLLOUT_CANARY`, `ROLLOUT_SERVICE` and
/// `ROLLOUT_CANARY_IPS` (of the canary's ready pods, separated by commas) in their environment, and the first four as
/// `{{namespace}}`, `{{workload}}`, `{{canary}}` and `{{service}}` in every text of the template.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.template) != has(self.cronJob)").message("give either template or cronJob"))]
pub struct JobCheck {
    /// A `JobTemplateSpec`, as a CronJob has one: `{spec: {template: {spec: {containers: […]}}}}`. Unless it says otherwise, it is
    /// tried once (`backoffLimit: 0`, `restartPolicy: Never`). Its containers get `ROLLOUT_NAMESPACE`, `ROLLOUT_WORKLOAD`,
    /// `ROLLOUT_CANARY`, `ROLLOUT_SERVICE` and `ROLLOUT_CANARY_IPS` (of the canary's ready pods, separated by commas); the first four
    /// stand in its texts for `{{namespace}}`, `{{workload}}`, `{{canary}}` and `{{service}}`, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "template_schema")]
    pub template: Option<Value>,
    /// The CronJob of this environment whose template it is. With `suspend: true` it is a template and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 52))]
    pub cron_job: Option<String>,
    /// How long it may take, where the template has no `activeDeadlineSeconds` (default 10m).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<HumanDuration>,
}

fn template_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
