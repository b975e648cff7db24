//! Who gets the traffic by a record: which pods the Services select, the canary's own Service, and the weights in routes.

use serde_json::{Value, json};

use super::{Stage, mark};
use crate::api::{RolloutPhase as Phase, RolloutStatus, RolloutStrategy};
use crate::object::{Id, Object};
use crate::rollout::TRACK_LABEL;
use crate::rollout::names::canary_name;
use crate::rollout::policy::Policy;
use crate::rollout::share::released;
use crate::rollout::traffic::{Router, Split};

/// Which of the workload's pods a Service selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selected {
    /// As Git says: all of them.
    All,
    Stable,
    Canary,
}

impl Stage<'_> {
    pub(super) fn narrow(&mut self, services: &[Id], record: &RolloutStatus) {
        let Some(hash) = &record.stable_hash else {
            return;
        };
        for service in services {
            if let Some(object) = self.objects.get_mut(service) {
                object.object.0["spec"]["selector"]["pod-template-hash"] = json!(hash);
                mark(&mut object.object, record);
            }
        }
    }

    /// A Service of this name that selects the canary's pods.
    pub(super) fn canary_service(
        &mut self,
        service: &Id,
        name: String,
        policy: &Policy,
        record: &RolloutStatus,
    ) {
        let Some(origin) = self.base.get(service) else {
            return;
        };
        let stable = &origin.object;
        let ports: Vec<Value> = stable
            .list("/spec/ports")
            .map(|port| {
                let mut port = port.clone();
                if let Some(port) = port.as_object_mut() {
                    port.remove("nodePort");
                }
                port
            })
            .collect();
        let mut selector = stable.at("/spec/selector").cloned().unwrap_or_default();
        selector[TRACK_LABEL] = json!("canary");
        let mut object = Object(serde_json::Map::new());
        object.0.insert("apiVersion".to_owned(), json!("v1"));
        object.0.insert("kind".to_owned(), json!("Service"));
        object.0.insert(
            "metadata".to_owned(),
            json!({
                "name": name,
                "namespace": service.namespace,
                "labels": stable.at("/metadata/labels").cloned().unwrap_or_else(|| json!({})),
            }),
        );
        object.0.insert(
            "spec".to_owned(),
            json!({"ports": ports, "selector": selector}),
        );
        for field in ["ipFamilyPolicy", "ipFamilies", "publishNotReadyAddresses"] {
            if let Some(value) = stable.at(&format!("/spec/{field}")) {
                object.0["spec"][field] = value.clone();
            }
        }
        for (key, value) in spoken_by(stable, router(policy)) {
            object.set_metadata_entry("annotations", key, value);
        }
        // A load balancer outside the cluster may know no other way in.
        let type_ = stable.at("/spec/type").and_then(Value::as_str);
        if router(policy).is_some_and(|router| router.reaches_nodes())
            && matches!(type_, Some("NodePort" | "LoadBalancer"))
        {
            object.0["spec"]["type"] = json!("NodePort");
        }
        object.set_metadata_entry("labels", TRACK_LABEL, "canary");
        mark(&mut object, record);
        self.part(object, origin);
    }

    pub(super) fn route(&mut self, policy: &Policy, services: &[Id], record: &RolloutStatus) {
        let Some(router) = router(policy) else {
            return;
        };
        // What stands beside a route carries weight 0 until it is gone; the route itself is Git's by then.
        let drains = matches!(record.phase, Phase::Finishing | Phase::Aborting)
            && router.beside(&policy.workload).is_some();
        if !leads_to_canary(record.phase) && !drains {
            return;
        }
        let services: Vec<(String, String)> = services
            .iter()
            .map(|id| (id.name.clone(), canary_name(&id.name)))
            .collect();
        let testers = policy.traffic.as_ref().and_then(|it| it.match_.as_ref());
        let split = Split {
            workload: &policy.workload.name,
            services: &services,
            weight: written_weight(policy, record),
            testers: testers.filter(|_| !drains),
        };
        let id = router.route(policy.workload.namespace.as_deref());
        // With the weights of other workloads behind the same route.
        let result = self
            .objects
            .get(&id)
            .ok_or_else(|| format!("Git has no {id} in this environment"))
            .and_then(|route| Ok((route.clone(), router.split(&route.object, &split)?)));
        match result {
            Ok((origin, mut object)) if object.id() != id => {
                object.set_metadata_entry("labels", TRACK_LABEL, "canary");
                mark(&mut object, record);
                self.part(object, &origin);
            }
            Ok((_, mut object)) => {
                mark(&mut object, record);
                if router.reports() {
                    self.roles.routes.insert(id.clone());
                }
                if let Some(route) = self.objects.get_mut(&id) {
                    route.object = object;
                }
            }
            Err(problem) => self.roles.problems.push((policy.workload.clone(), problem)),
        }
    }
}

/// The annotations of a Service that say how it is spoken to, by who reads them: those of the canary's say the same.
fn spoken_by<'a>(
    service: &'a Object,
    router: Option<Router>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let prefixes: &[&str] = match router {
        // Any Gateway may be behind these.
        Some(Router::HttpRoute(_) | Router::GrpcRoute(_)) => &[
            "cloud.google.com/app-protocols",
            "networking.istio.io/",
            "projectcontour.io/upstream-protocol.",
            "traefik.ingress.kubernetes.io/service.",
        ],
        Some(Router::Alb(_)) => &["alb.ingress.kubernetes.io/"],
        Some(Router::Istio(_)) => &["networking.istio.io/"],
        Some(Router::Traefik(_)) => &["traefik.ingress.kubernetes.io/service."],
        Some(Router::IngressNginx(_)) | None => &[],
    };
    let annotations = service
        .at("/metadata/annotations")
        .and_then(Value::as_object);
    annotations
        .into_iter()
        .flatten()
        .filter(move |(key, _)| {
            *key == "service.kubernetes.io/topology-mode"
                || prefixes.iter().any(|prefix| key.starts_with(prefix))
        })
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

fn router(policy: &Policy) -> Option<Router<'_>> {
    Router::of(policy.traffic.as_ref()?)
}

/// The route of a policy, and what stands beside it.
pub(super) fn routes(policy: &Policy) -> impl Iterator<Item = Id> {
    let namespace = policy.workload.namespace.as_deref();
    router(policy)
        .into_iter()
        .flat_map(move |router| {
            [
                Some(router.route(namespace)),
                router.beside(&policy.workload),
            ]
        })
        .flatten()
}

/// Which pods the stable Services select.
pub(super) fn selected(policy: &Policy, record: &RolloutStatus) -> Selected {
    let switches = record.strategy == RolloutStrategy::BlueGreen;
    match record.phase {
        Phase::Switched => Selected::Canary,
        // The stable pods are being replaced: those of before would be met again.
        Phase::Promoting if switches => Selected::Canary,
        Phase::Restoring if switches && record.weight > 0 => Selected::Canary,
        Phase::Promoting | Phase::Restoring | Phase::Finishing | Phase::Failed => Selected::All,
        Phase::Aborting => Selected::Stable,
        // When the canary's last pod is gone the Services become what Git says.
        Phase::Removing if record.canary_replicas > 0 => Selected::Stable,
        Phase::Removing => Selected::All,
        _ if switches || policy.traffic.is_some() || shares_nothing(record) => Selected::Stable,
        _ => Selected::All,
    }
}

/// The weight in the routes. While the stable side restarts, its Services select the canary's pods too.
fn written_weight(policy: &Policy, record: &RolloutStatus) -> u32 {
    if selected(policy, record) == Selected::Stable && record.stable_hash.is_none() {
        return released(
            record.weight,
            record.canary_replicas,
            record.stable_replicas,
        );
    }
    record.weight
}

/// Without a router the pods that the Services select share the traffic: a canary that would get too much gets none.
fn shares_nothing(record: &RolloutStatus) -> bool {
    record.achieved_weight.unwrap_or(0) == 0
}

/// Whether routes lead to the canary: its pods were ready, and nothing speaks against them.
fn leads_to_canary(phase: Phase) -> bool {
    !matches!(
        phase,
        Phase::Narrowing
            | Phase::Starting
            | Phase::Finishing
            | Phase::Aborting
            | Phase::Removing
            | Phase::Failed
    )
}
