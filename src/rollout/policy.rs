//! A policy as the rollout needs it: its steps and checks with their defaults, or why it cannot be followed.

mod depends;
mod evidence;
mod parts;
mod services;
mod turned;
mod workload;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::api::{
    BlueGreenSpec, CanarySpec, CheckSpec, HoldEnd, RolloutPolicy, RolloutPolicySpec,
    RolloutStrategy, TrafficSpec, WorkloadKind, WorkloadReference,
};
use crate::desired::{Desired, DesiredObject};
use crate::object::{Id, Object};
use crate::rollout::names::canary_name;
use crate::rollout::traffic::{Router, Split};
use crate::rollout::{job, query};

pub use parts::parts;
pub use services::foreign;
pub(super) use services::stable_services;
pub use turned::{shared, turned};
use workload::unsuitable;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The weight in percent, and how long it is checked.
    Weight(u32, Duration),
    Pause,
}

/// How a change reaches the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    Canary,
    BlueGreen {
        /// The Service of Git that shows the change before the switch.
        preview: Option<String>,
        /// For how long the stable side stays as it was after the switch.
        keep: Duration,
    },
    Partition,
}

impl Strategy {
    pub fn kind(&self) -> RolloutStrategy {
        match self {
            Strategy::Canary => RolloutStrategy::Canary,
            Strategy::BlueGreen { .. } => RolloutStrategy::BlueGreen,
            Strategy::Partition => RolloutStrategy::Partition,
        }
    }
}

/// A policy with all its defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub workload: Id,
    pub strategy: Strategy,
    /// The first Service that selects its pods.
    pub service: Option<String>,
    pub steps: Vec<Step>,
    pub traffic: Option<TrafficSpec>,
    pub shared_volumes: bool,
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
    /// The template of its Job, or why there is none; `None` where it is no Job.
    pub job: Option<Result<Value, String>>,
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
                let reason = workload::kind(&object.object).unwrap_or_else(|| error.to_string());
                problems.push((object.id.clone(), reason));
                continue;
            }
        };
        let mut policy = Policy::new(&policy.spec, object.id.namespace.clone());
        for check in &mut policy.checks {
            let namespace = object.id.namespace.as_deref();
            let job = check.spec.job.as_ref();
            check.job = job.map(|job| job::template(job, namespace, desired));
        }
        let workload = policy.workload.clone();
        policy.service = services(&workload, desired)
            .next()
            .map(|service| service.id.name.clone());
        match desired.get(&workload) {
            None => problems.push((
                object.id.clone(),
                format!("spec.workload: Git has no {workload} in this environment"),
            )),
            Some(target) => problems.extend(
                unsuitable(&policy, &target.object)
                    .into_iter()
                    .map(|reason| format!("{workload}: {reason}"))
                    .chain(parts::collisions(&policy, desired))
                    .chain(parts::too_long(&policy, desired))
                    .chain(unroutable(&policy, desired))
                    .chain(evidence::unprovable(&policy, desired))
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
    problems.extend(depends::problems(&found));
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

/// The workload that a policy of this namespace names.
fn named(reference: &WorkloadReference, namespace: Option<&str>) -> Id {
    let kind = match reference.kind {
        WorkloadKind::Deployment => "Deployment",
        WorkloadKind::StatefulSet => "StatefulSet",
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
        let strategy = match (&spec.blue_green, spec.workload.kind) {
            (_, WorkloadKind::StatefulSet) => Strategy::Partition,
            (Some(spec), WorkloadKind::Deployment) => Strategy::BlueGreen {
                preview: spec.preview_service.clone(),
                keep: spec.keep.0,
            },
            (None, WorkloadKind::Deployment) => Strategy::Canary,
        };
        let steps = match &spec.blue_green {
            Some(spec) => before_the_switch(spec),
            None => spec.canary.as_ref().map(steps).unwrap_or_default(),
        };
        let namespace = namespace.as_deref();
        Self {
            workload: named(&spec.workload, namespace),
            depends_on: spec
                .depends_on
                .iter()
                .map(|other| named(other, namespace))
                .collect(),
            strategy,
            service: None,
            steps,
            traffic: spec.traffic.clone(),
            shared_volumes: spec.shared_volumes,
            checks: spec
                .checks
                .iter()
                .map(|check| Check {
                    interval: check.interval.unwrap_or(spec.check_interval).0,
                    failure_limit: check.failure_limit.unwrap_or(spec.failure_limit).max(1),
                    count: check.count.unwrap_or(1),
                    job: None,
                    spec: check.clone(),
                })
                .collect(),
            max_hold: spec.max_hold.for_.0,
            hold_end: spec.max_hold.then,
            settle: spec.settle.0,
        }
    }
}

impl Check {
    /// How far back its verdict looks: one that begins earlier than this after a change of the weight is of the weight before.
    pub fn looks_back(&self) -> Duration {
        let window = self.spec.prometheus.as_ref().map(query::window);
        window.unwrap_or_default()
    }
}

impl Policy {
    /// Of a workload whose policy Git no longer has: its rollout only ends.
    pub fn gone(workload: &Id) -> Self {
        Self {
            workload: workload.clone(),
            strategy: if workload.kind == "StatefulSet" {
                Strategy::Partition
            } else {
                Strategy::Canary
            },
            service: None,
            steps: Vec::new(),
            traffic: None,
            shared_volumes: false,
            checks: Vec::new(),
            max_hold: Duration::ZERO,
            hold_end: HoldEnd::Abort,
            settle: Duration::from_secs(5),
            depends_on: Vec::new(),
        }
    }
}

/// Evidence without any traffic, and a person's word where it is asked for.
fn before_the_switch(spec: &BlueGreenSpec) -> Vec<Step> {
    let for_ = spec.for_.map_or(Duration::ZERO, |for_| for_.0);
    let pause = spec.pause.map(|_| Step::Pause);
    std::iter::once(Step::Weight(0, for_))
        .chain(pause)
        .collect()
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

/// The route that splits the traffic; `None` where the number of pods does.
pub fn route(policy: &Policy) -> Option<Id> {
    let router = Router::of(policy.traffic.as_ref()?)?;
    Some(router.route(policy.workload.namespace.as_deref()))
}

/// Why its traffic cannot be split.
fn unroutable(policy: &Policy, desired: &Desired) -> Vec<String> {
    let mut reasons = services::unswitchable(policy, desired);
    if policy.strategy == Strategy::Partition {
        // No weight is kept: any Service may select its pods, a headless one governs them.
        return reasons;
    }
    for DesiredObject { id, object, .. } in services(&policy.workload, desired) {
        if object.at("/spec/clusterIP").and_then(Value::as_str) == Some("None") {
            reasons.push(format!(
                "{id} is headless: who asks it picks a pod, and no weight is kept"
            ));
        }
        let shared = desired
            .objects
            .iter()
            .find(|other| other.id != policy.workload && selects(object, &policy.workload, other));
        if let Some(other) = shared {
            reasons.push(format!(
                "{id} selects the pods of {} too: narrowed to the stable pods of {}, it would leave them out; give each a Service of its own",
                other.id, policy.workload
            ));
        }
        if policy.traffic.is_none()
            && policy.strategy == Strategy::Canary
            && object.at("/spec/sessionAffinity").and_then(Value::as_str) == Some("ClientIP")
        {
            reasons.push(format!(
                "{id} has session affinity: the number of pods does not split its traffic; name a route in spec.traffic"
            ));
        }
    }
    let problem = unsplittable(policy, desired);
    reasons.extend(problem.map(|problem| format!("spec.traffic: {problem}")));
    reasons
}

/// Why the route that the policy names cannot carry a weight; `None` where it can, or none is named.
pub fn unsplittable(policy: &Policy, desired: &Desired) -> Option<String> {
    let traffic = policy.traffic.as_ref()?;
    let names: Vec<(String, String)> = services(&policy.workload, desired)
        .map(|service| (service.id.name.clone(), canary_name(&service.id.name)))
        .collect();
    if names.is_empty() {
        let workload = &policy.workload;
        return Some(format!(
            "no Service of this environment selects the pods of {workload}"
        ));
    }
    let (router, id) = (Router::of(traffic)?, route(policy)?);
    let split = Split {
        workload: &policy.workload.name,
        services: &names,
        weight: 0,
        testers: traffic.match_.as_ref(),
    };
    match desired.get(&id) {
        None => Some(format!("Git has no {id} in this environment")),
        Some(route) => router.split(&route.object, &split).err(),
    }
}

/// The Services whose selector matches the workload's pods.
pub(super) fn services<'a>(
    workload: &'a Id,
    desired: &'a Desired,
) -> impl Iterator<Item = &'a DesiredObject> {
    let target = desired.get(workload);
    desired.objects.iter().filter(move |object| {
        object.id.group.is_empty()
            && object.id.kind == "Service"
            && target.is_some_and(|target| selects(&object.object, workload, target))
    })
}

/// Whether a Service with this selector has pods with these labels behind it: without any selector it has none.
fn matches(selector: &Map<String, Value>, labels: &Map<String, Value>) -> bool {
    let mut all = selector.iter();
    !selector.is_empty() && all.all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether a Service in the workload's namespace selects the pods that `other`, which lies there too, makes.
fn selects(service: &Object, workload: &Id, other: &DesiredObject) -> bool {
    let labels = other
        .object
        .at("/spec/template/metadata/labels")
        .and_then(Value::as_object);
    let selector = service.at("/spec/selector").and_then(Value::as_object);
    let namespace = workload.namespace.as_deref();
    other.id.group == "apps"
        && other.id.namespace.as_deref() == namespace
        && service.namespace() == namespace
        && labels
            .zip(selector)
            .is_some_and(|(labels, selector)| matches(selector, labels))
}

#[cfg(test)]
mod tests;
