//! Routers: Git's whole route with the weights of a rollout put in, one module per kind of route. Must not know who applies
//! it.

mod alb;
mod gateway;
mod istio;
mod nginx;
mod testers;
mod traefik;
mod weights;

pub use gateway::accepted;
pub use nginx::is_canary_ingress;

use super::names::canary_name;
use crate::api::{IstioReference, MatchSpec, RouteReference, TrafficSpec};
use crate::object::{Id, Object};

/// How the traffic of a workload is to be split.
#[derive(Clone, Copy, Debug)]
pub struct Split<'a> {
    /// The name of the workload.
    pub workload: &'a str,
    /// Each Service of the workload, with that of its canary.
    pub services: &'a [(String, String)],
    /// The share of the canary, in percent.
    pub weight: u32,
    /// What marks a request that goes to the canary whatever its share.
    pub testers: Option<&'a MatchSpec>,
}

impl Split<'_> {
    /// The Service of the canary beside this one, which is the workload's.
    fn canary_of(&self, service: &str) -> Option<&str> {
        self.services
            .iter()
            .find(|(stable, _)| stable == service)
            .map(|(_, canary)| canary.as_str())
    }
}

/// What splits the traffic of a policy.
#[derive(Clone, Copy, Debug)]
pub enum Router<'a> {
    HttpRoute(&'a RouteReference),
    GrpcRoute(&'a RouteReference),
    IngressNginx(&'a RouteReference),
    Alb(&'a RouteReference),
    Istio(&'a IstioReference),
    Traefik(&'a RouteReference),
}

impl<'a> Router<'a> {
    /// The one that a policy names.
    pub fn of(traffic: &'a TrafficSpec) -> Option<Self> {
        let TrafficSpec {
            http_route,
            grpc_route,
            ingress_nginx,
            alb,
            istio,
            traefik,
            match_: _,
        } = traffic;
        let named = [
            http_route.as_ref().map(Router::HttpRoute),
            grpc_route.as_ref().map(Router::GrpcRoute),
            ingress_nginx.as_ref().map(Router::IngressNginx),
            alb.as_ref().map(Router::Alb),
            istio.as_ref().map(Router::Istio),
            traefik.as_ref().map(Router::Traefik),
        ];
        named.into_iter().flatten().next()
    }

    /// The route in Git.
    pub fn route(&self, namespace: Option<&str>) -> Id {
        let (group, kind, name) = match self {
            Router::HttpRoute(route) => ("gateway.networking.k8s.io", "HTTPRoute", &route.name),
            Router::GrpcRoute(route) => ("gateway.networking.k8s.io", "GRPCRoute", &route.name),
            Router::IngressNginx(route) | Router::Alb(route) => {
                ("networking.k8s.io", "Ingress", &route.name)
            }
            Router::Istio(route) => ("networking.istio.io", "VirtualService", &route.name),
            Router::Traefik(route) => ("traefik.io", "TraefikService", &route.name),
        };
        Id {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.clone(),
        }
    }

    /// What the rollout of this workload puts beside the route; `None` where it changes the route itself. It has the
    /// workload's name: others may be behind the same route.
    pub fn beside(&self, workload: &Id) -> Option<Id> {
        let route = self.route(workload.namespace.as_deref());
        matches!(self, Router::IngressNginx(_)).then(|| Id {
            name: canary_name(&workload.name),
            ..route
        })
    }

    /// Whether the route's status says what became of it: [`accepted`] reads it.
    pub fn reports(&self) -> bool {
        matches!(self, Router::HttpRoute(_) | Router::GrpcRoute(_))
    }

    /// Whether it reaches the canary's Service on the ports of its nodes, as it may the stable one.
    pub fn reaches_nodes(&self) -> bool {
        matches!(self, Router::Alb(_))
    }

    /// The route with the weights put in, or what stands beside it.
    ///
    /// # Errors
    /// Nothing of it points to the workload's Services, or it cannot do what is asked for.
    pub fn split(&self, route: &Object, split: &Split) -> Result<Object, String> {
        match self {
            Router::HttpRoute(_) | Router::GrpcRoute(_) => gateway::split(route, split),
            Router::IngressNginx(_) => nginx::beside(route, split),
            Router::Alb(_) => alb::split(route, split),
            Router::Istio(reference) => istio::split(route, &reference.routes, split),
            Router::Traefik(_) => traefik::split(route, split),
        }
    }
}

#[cfg(test)]
mod tests;
