//! `spec.traffic` of a `RolloutPolicy`: the route whose weights a rollout decides, and what marks the requests of testers.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What splits the traffic: exactly one kind of route, in which Git's weights are replaced during a rollout.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.httpRoute), has(self.grpcRoute), has(self.ingressNginx), has(self.alb), has(self.istio), has(self.traefik)].filter(given, given).size() == 1").message("give exactly one of httpRoute, grpcRoute, ingressNginx, alb, istio and traefik"))]
#[x_kube(validation = Rule::new("!has(self.match) || !has(self.alb) && !has(self.traefik)").message("match: the weights of alb and traefik say nothing of requests"))]
pub struct TrafficSpec {
    /// A Gateway API HTTPRoute of this environment: of its rules those that point to the workload's Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_route: Option<RouteReference>,
    /// A Gateway API GRPCRoute of this environment: of its rules those that point to the workload's Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_route: Option<RouteReference>,
    /// An Ingress of this environment, served by ingress-nginx: a second one with canary annotations stands beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_nginx: Option<RouteReference>,
    /// An Ingress of this environment, served by the AWS Load Balancer Controller: its annotations
    /// `alb.ingress.kubernetes.io/actions.NAME` that a path uses and that forward to the workload's Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alb: Option<RouteReference>,
    /// An Istio VirtualService of this environment: its HTTP routes to the workload's Service, by its short or its full name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub istio: Option<IstioReference>,
    /// A TraefikService of this environment: its `weighted.services` that are the workload's Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traefik: Option<RouteReference>,
    /// Requests that go to the canary whatever its weight, as long as it is ready: those of testers. Not with `alb` and
    /// `traefik`.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_: Option<MatchSpec>,
}

/// What marks the requests of testers. Each is enough by itself.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.header) || has(self.cookie)").message("give header, cookie, or both"))]
pub struct MatchSpec {
    /// A header with exactly this value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<RequestMark>,
    /// A cookie with exactly this value; for ingress-nginx the value can only be `always`. Gateways read it as a regular
    /// expression on the header `Cookie`, which not each of them supports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<RequestMark>,
}

/// A header or a cookie.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RequestMark {
    /// Its name.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// Its value.
    #[serde(default = "default_mark")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_.:/-]+$"))]
    pub value: String,
}

/// A VirtualService in the policy's own namespace.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IstioReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The names of its HTTP routes that are split; all that point to the workload's Service where none is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub routes: Vec<String>,
}

/// A route in the policy's own namespace.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RouteReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

fn default_mark() -> String {
    "always".to_owned()
}
