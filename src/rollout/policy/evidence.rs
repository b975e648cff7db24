//! Whether the checks of a policy can be made: what no verdict could ever come of is refused before anything is applied.

use regex::Regex;
use serde_json::Value;

use super::{Check, Policy, Step, Strategy, matches, services};
use crate::api::{CheckSpec, HoldEnd, HumanDuration, PrometheusCheck, Router, TrafficSpec};
use crate::desired::Desired;
use crate::health::Condition;
use crate::object::Id;
use crate::rollout::names::{
    Side, asks_for_pods, pods_tell_sides_apart, tells_sides_apart, unknown,
};
use crate::rollout::query::queries;

/// Why checks of this policy can never give a verdict.
pub(super) fn unprovable(policy: &Policy, desired: &Desired) -> Vec<String> {
    let mut reasons = Vec::new();
    for check in &policy.checks {
        let mut wrong =
            |message: String| reasons.push(format!("check {}: {message}", check.spec.name));
        unreadable(&check.spec, policy.traffic.as_ref())
            .into_iter()
            .for_each(&mut wrong);
        let never = [never_due, nameless, without_requests];
        never
            .into_iter()
            .filter_map(|reason| reason(policy, check))
            .for_each(&mut wrong);
        match &check.job {
            Some(Ok(template)) => served(template, &policy.workload, desired)
                .into_iter()
                .for_each(&mut wrong),
            Some(Err(problem)) => wrong(format!("job.{problem}")),
            None => {}
        }
    }
    reasons
}

/// Why a step ends before the check was made once.
fn never_due(policy: &Policy, check: &Check) -> Option<String> {
    let shortest = policy.steps.iter().filter_map(|step| match step {
        Step::Weight(_, for_) => Some(*for_),
        Step::Pause => None,
    });
    let least = shortest.min()?.saturating_add(policy.max_hold);
    (policy.hold_end == HoldEnd::Abort && check.looks_back() > least).then(|| {
        format!(
            "prometheus.window: the first verdict at a weight comes after {}, and spec.maxHold takes the change back before",
            HumanDuration(check.looks_back())
        )
    })
}

/// Why it finds no pods by their names.
fn nameless(policy: &Policy, check: &Check) -> Option<String> {
    let asks = texts(&check.spec)
        .into_iter()
        .find(|(_, text)| asks_for_pods(text));
    let (field, _) = asks.filter(|_| {
        policy.strategy != Strategy::Partition && !pods_tell_sides_apart(&policy.workload.name)
    })?;
    Some(format!(
        "{field}: of the name of {} too little is left in those of its pods for {{{{pods}}}} to tell the canary's; it may have 50 characters",
        policy.workload
    ))
}

/// Why nothing would be counted at weight 0.
fn without_requests(policy: &Policy, check: &Check) -> Option<String> {
    let (prometheus, traffic) = (check.spec.prometheus.as_ref()?, policy.traffic.as_ref()?);
    // A proxy beside the pods counts what comes by other ways, too.
    let counts_at_the_pods = prometheus.router == Some(Router::Istio) || traffic.istio.is_some();
    let is_without = policy.strategy == Strategy::Canary
        && policy
            .steps
            .iter()
            .any(|step| matches!(step, Step::Weight(0, _)))
        && traffic.match_.is_none()
        && prometheus.builtin.is_some()
        && !counts_at_the_pods;
    is_without.then(|| {
        "prometheus.builtin: a step has weight 0, where the router counts no requests to the canary, and without data it holds; begin with a small weight, or name testers in spec.traffic.match"
            .to_owned()
    })
}

/// What of a check has `{{…}}` in it, by its field.
fn texts(check: &CheckSpec) -> Vec<(&'static str, &String)> {
    let mut texts = Vec::new();
    if let Some(prometheus) = &check.prometheus {
        texts.push(("prometheus.url", &prometheus.url));
        texts.extend(prometheus.query.as_ref().map(|it| ("prometheus.query", it)));
        let requests = prometheus.requests.as_ref();
        texts.extend(requests.map(|it| ("prometheus.requests", it)));
    }
    if let Some(json) = &check.json {
        texts.push(("json.url", &json.url));
        texts.extend(json.body.as_ref().map(|it| ("json.body", it)));
    }
    texts
}

/// What of a check cannot be read.
fn unreadable(check: &CheckSpec, traffic: Option<&TrafficSpec>) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(pattern) = check.http.as_ref().and_then(|http| http.body.as_ref())
        && let Err(error) = Regex::new(pattern)
    {
        reasons.push(format!("http.body: {error}"));
    }
    if let Some(latency) = check.http.as_ref().and_then(|http| http.latency.as_ref())
        && !(latency.percentile > 0.0 && latency.percentile <= 100.0)
    {
        reasons.push("http.latency.percentile: must be between 0 and 100".to_owned());
    }
    if let Some(prometheus) = &check.prometheus {
        reasons.extend(of_prometheus(prometheus, traffic));
    }
    if let Some(json) = &check.json
        && let Err(message) = Condition::compile(&json.condition)
    {
        reasons.push(format!(
            "json.condition is not a CEL expression: {message}: {}",
            json.condition
        ));
    }
    for (field, text) in texts(check) {
        if let Some(name) = unknown(text) {
            reasons.push(format!(
                "{field}: nothing stands for {{{{{name}}}}}; there is namespace, workload, canary, side, deployment, service, pods, window"
            ));
        }
    }
    reasons
}

fn of_prometheus(check: &PrometheusCheck, traffic: Option<&TrafficSpec>) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Err(message) = queries(check, traffic, Side::Canary) {
        reasons.push(format!("prometheus.{message}"));
    }
    if let Some(query) = check.query.as_ref().filter(|_| check.compare.is_some())
        && !tells_sides_apart(query)
    {
        reasons.push(
            "prometheus.compare: the query is the same for both sides; it needs {{pods}}, {{deployment}}, {{service}} or {{side}}"
                .to_owned(),
        );
    }
    reasons
}

/// The Services that would send their requests to a Job's pods.
fn served(template: &Value, workload: &Id, desired: &Desired) -> Vec<String> {
    let labels = template
        .pointer("/spec/template/metadata/labels")
        .and_then(Value::as_object);
    let Some(labels) = labels else {
        return Vec::new();
    };
    services(workload, desired)
        .filter(|service| {
            let selector = service
                .object
                .at("/spec/selector")
                .and_then(Value::as_object);
            selector.is_some_and(|selector| matches(selector, labels))
        })
        .map(|service| {
            format!(
                "job: its pods carry the labels that {} selects, and would get its requests",
                service.id
            )
        })
        .collect()
}
