//! A policy as the rollout needs it: its steps and checks with their defaults, or why it cannot be followed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::api::{
    CanarySpec, CheckSpec, HoldEnd, RolloutPolicy, RolloutPolicySpec, TrafficSpec, WorkloadKind,
    WorkloadReference,
};
use crate::desired::{Desired, DesiredObject};
use crate::object::{Id, Object};
use crate::rollout::{order, traffic};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The weight in percent, and how long it is checked.
    Weight(u32, Duration),
    Pause,
}

/// A policy with all its defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub workload: Id,
    pub steps: Vec<Step>,
    pub traffic: Option<TrafficSpec>,
    pub checks: Vec<Check>,
    pub max_hold: Duration,
    pub hold_end: HoldEnd,
    pub settle: Duration,
    /// The workloads that are promoted first.
    pub depends_on: Vec<Id>,
}

/// A check with all its defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub spec: CheckSpec,
    pub interval: Duration,
    pub failure_limit: u32,
    pub count: u32,
}

/// The policies among the desired objects, by workload.
///
/// # Errors
/// Every policy that cannot be followed, with the reason.
pub fn policies(desired: &Desired) -> Result<BTreeMap<Id, Policy>, Vec<(Id, String)>> {
    let mut found = BTreeMap::new();
    let mut problems = Vec::new();
    for object in &desired.objects {
        if object.id.group != crate::api::GROUP || object.id.kind != "RolloutPolicy" {
            continue;
        }
        let policy =
            serde_json::from_value::<RolloutPolicy>(Value::Object(object.object.0.clone()));
        let policy = match policy {
            Ok(policy) => policy,
            Err(error) => {
                problems.push((object.id.clone(), error.to_string()));
                continue;
            }
        };
        let policy = Policy::new(&policy.spec, object.id.namespace.clone());
        let workload = policy.workload.clone();
        match desired.get(&workload) {
            None => problems.push((
                object.id.clone(),
                format!("spec.workload: Git has no {workload} in this environment"),
            )),
            Some(target) => problems.extend(
                unsuitable(&target.object)
                    .into_iter()
                    .map(|reason| format!("{workload}: {reason}"))
                    .chain(collisions(&policy, desired))
                    .chain(unroutable(&policy, desired))
                    .map(|reason| (object.id.clone(), reason)),
            ),
        }
        if found.insert(workload.clone(), policy).is_some() {
            problems.push((
                object.id.clone(),
                format!("spec.workload: {workload} has another policy already"),
            ));
        }
    }
    problems.extend(order::problems(&found));
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

/// The workload that a policy of this namespace names.
fn workload(reference: &WorkloadReference, namespace: Option<&str>) -> Id {
    let kind = match reference.kind {
        WorkloadKind::Deployment => "Deployment",
    };
    Id {
        group: "apps".to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: reference.name.clone(),
    }
}

impl Policy {
    pub fn new(spec: &RolloutPolicySpec, namespace: Option<String>) -> Self {
        let namespace = namespace.as_deref();
        Self {
            workload: workload(&spec.workload, namespace),
            depends_on: spec
                .depends_on
                .iter()
                .map(|other| workload(other, namespace))
                .collect(),
            steps: steps(&spec.canary),
            traffic: spec.traffic.clone(),
            checks: spec
                .checks
                .iter()
                .map(|check| Check {
                    interval: check.interval.unwrap_or(spec.check_interval).0,
                    failure_limit: check.failure_limit.unwrap_or(spec.failure_limit).max(1),
                    count: check.count.unwrap_or(1),
                    spec: check.clone(),
                })
                .collect(),
            max_hold: spec.max_hold.for_.0,
            hold_end: spec.max_hold.then,
            settle: spec.settle.0,
        }
    }
}

impl Policy {
    /// Of a workload whose policy Git no longer has: its rollout only ends.
    pub fn gone(workload: &Id) -> Self {
        Self {
            workload: workload.clone(),
            steps: Vec::new(),
            traffic: None,
            checks: Vec::new(),
            max_hold: Duration::ZERO,
            hold_end: HoldEnd::Abort,
            settle: Duration::from_secs(5),
            depends_on: Vec::new(),
        }
    }
}

fn steps(canary: &CanarySpec) -> Vec<Step> {
    let Some(by) = canary.step_weight else {
        return canary
            .steps
            .iter()
            .map(|step| match step.weight {
                Some(weight) => Step::Weight(
                    u32::from(weight),
                    step.for_.map_or(Duration::ZERO, |for_| for_.0),
                ),
                None => Step::Pause,
            })
            .collect();
    };
    let most = u32::from(canary.max_weight.unwrap_or(50));
    let by = u32::from(by.max(1));
    let each = canary
        .interval
        .map_or(Duration::from_mins(1), |each| each.0);
    let mut weights: Vec<u32> = (1..=100)
        .map(|n| n * by)
        .take_while(|weight| *weight < most)
        .collect();
    weights.push(most);
    weights
        .into_iter()
        .map(|weight| Step::Weight(weight, each))
        .collect()
}

/// Why two sets of this workload's pods cannot run side by side.
fn unsuitable(workload: &Object) -> Vec<String> {
    let mut reasons = Vec::new();
    if workload.at("/spec/strategy/type").and_then(Value::as_str) == Some("Recreate") {
        reasons.push("spec.strategy Recreate says that two versions must not run at once; a rollout runs two".to_owned());
    }
    let pod = "/spec/template/spec";
    let flag = |name: &str| {
        workload
            .at(&format!("{pod}/{name}"))
            .and_then(Value::as_bool)
            == Some(true)
    };
    if flag("hostNetwork") {
        reasons.push("hostNetwork: two pods of one node would want the same ports".to_owned());
    }
    for container in list(workload, &format!("{pod}/containers")) {
        for port in container["ports"].as_array().into_iter().flatten() {
            if port["hostPort"].as_u64().is_some_and(|port| port != 0) {
                reasons.push(format!(
                    "container {}: hostPort {}: two pods of one node would want it",
                    container["name"].as_str().unwrap_or_default(),
                    port["hostPort"]
                ));
            }
        }
    }
    for volume in list(workload, &format!("{pod}/volumes")) {
        let name = volume["name"].as_str().unwrap_or_default();
        if !volume["hostPath"].is_null() {
            reasons.push(format!(
                "volume {name}: a hostPath would be shared by both versions"
            ));
        }
        if !volume["persistentVolumeClaim"].is_null()
            && volume["persistentVolumeClaim"]["readOnly"].as_bool() != Some(true)
        {
            reasons.push(format!(
                "volume {name}: both versions would write to the claim {}",
                volume["persistentVolumeClaim"]["claimName"]
                    .as_str()
                    .unwrap_or_default()
            ));
        }
    }
    reasons
}

/// What of Git's own stands where the rollout's parts would.
fn collisions(policy: &Policy, desired: &Desired) -> Vec<String> {
    let namespace = policy.workload.namespace.as_deref();
    let mut parts = vec![policy.workload.clone()];
    if let Some(traffic) = &policy.traffic {
        parts.extend(services(&policy.workload, desired).map(|service| service.id.clone()));
        let ingress = traffic.ingress_nginx.as_ref();
        parts.extend(ingress.map(|route| super::stage::ingress(namespace, &route.name)));
    }
    parts
        .into_iter()
        .map(|id| Id {
            name: super::stage::canary_name(&id.name),
            ..id
        })
        .filter(|id| desired.contains(id))
        .map(|id| format!("Git has {id}, which is the name of a part of the rollout"))
        .collect()
}

/// Why its traffic cannot be split.
fn unroutable(policy: &Policy, desired: &Desired) -> Vec<String> {
    let mut reasons = Vec::new();
    for DesiredObject { id, object, .. } in services(&policy.workload, desired) {
        if object.at("/spec/clusterIP").and_then(Value::as_str) == Some("None") {
            reasons.push(format!(
                "{id} is headless: who asks it picks a pod, and no weight is kept"
            ));
        }
        if policy.traffic.is_none()
            && object.at("/spec/sessionAffinity").and_then(Value::as_str) == Some("ClientIP")
        {
            reasons.push(format!(
                "{id} has session affinity: the number of pods does not split its traffic; name a route in spec.traffic"
            ));
        }
    }
    let Some(traffic) = &policy.traffic else {
        return reasons;
    };
    let names: Vec<(String, String)> = services(&policy.workload, desired)
        .map(|service| (service.id.name.clone(), service.id.name.clone()))
        .collect();
    if names.is_empty() {
        reasons.push(format!(
            "spec.traffic: no Service of this environment selects the pods of {}",
            policy.workload
        ));
    }
    let mut route = |group: &str, kind: &str, name: &str, check: Split| {
        let id = Id {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: policy.workload.namespace.clone(),
            name: name.to_owned(),
        };
        let problem = match desired.get(&id) {
            None => Some(format!("Git has no {id} in this environment")),
            Some(route) => check(&route.object, &names, 0).err(),
        };
        reasons.extend(problem.map(|problem| format!("spec.traffic: {problem}")));
    };
    if let Some(reference) = &traffic.http_route {
        let group = "gateway.networking.k8s.io";
        route(group, "HTTPRoute", &reference.name, traffic::split);
    }
    if let Some(reference) = &traffic.ingress_nginx {
        let group = "networking.k8s.io";
        route(group, "Ingress", &reference.name, traffic::canary_ingress);
    }
    reasons
}

type Split = fn(&Object, &[(String, String)], u32) -> Result<Object, String>;

/// The Services whose selector matches the workload's pods.
pub(super) fn services<'a>(
    workload: &'a Id,
    desired: &'a Desired,
) -> impl Iterator<Item = &'a DesiredObject> {
    let labels = desired
        .get(workload)
        .and_then(|object| object.object.at("/spec/template/metadata/labels"))
        .and_then(Value::as_object);
    desired.objects.iter().filter(move |object| {
        let selector = object
            .object
            .at("/spec/selector")
            .and_then(Value::as_object);
        object.id.group.is_empty()
            && object.id.kind == "Service"
            && object.id.namespace == workload.namespace
            && labels.zip(selector).is_some_and(|(labels, selector)| {
                !selector.is_empty()
                    && selector
                        .iter()
                        .all(|(key, value)| labels.get(key) == Some(value))
            })
    })
}

fn list<'a>(object: &'a Object, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object
        .at(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests;
