//! The Gateway API: HTTPRoute and GRPCRoute.

use serde_json::{Value, json};

use super::testers::{self, Mark};
use super::weights::{self, Backends};
use super::{MatchSpec, Split};
use crate::object::Object;

/// What the definitions allow: rules of a route, backends and matches of a rule.
const MOST: (usize, usize, usize) = (16, 16, 64);
const MOST_WEIGHT: u64 = 1_000_000;

/// The route whose rules that point to the workload's Services split between them and the canary's.
pub(super) fn split(route: &Object, split: &Split) -> Result<Object, String> {
    let mut route = route.clone();
    let id = route.id();
    let namespace = id.namespace.as_deref();
    let mut rules = Vec::new();
    let mut is_split = false;
    let given = route
        .at("/spec/rules")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for (index, mut rule) in given.into_iter().enumerate() {
        let backends = rule["backendRefs"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let Some(backends) = weights::split(backends, split.weight, MOST_WEIGHT, weight, |one| {
            canary_of(one, namespace, split)
        }) else {
            rules.push(rule);
            continue;
        };
        is_split = true;
        let place = format!("{id}, spec.rules[{index}]");
        if !rule["sessionPersistence"].is_null() {
            return Err(format!(
                "{place}: sessionPersistence keeps clients at the canary, whatever its weight; take it out of this rule"
            ));
        }
        let most = MOST.1;
        if backends.all.len() > most {
            return Err(format!(
                "{place}: with the canary's it would have {} backendRefs; {most} are allowed",
                backends.all.len()
            ));
        }
        if let Some(testers) = split.testers {
            rules.push(
                tester_rule(&rule, &backends, testers).map_err(|why| format!("{place}: {why}"))?,
            );
        }
        rule["backendRefs"] = Value::Array(backends.all);
        rules.push(rule);
    }
    if !is_split {
        return Err(format!(
            "no rule of {id} points to the workload's Service with a weight above 0"
        ));
    }
    let most = MOST.0;
    if rules.len() > most {
        return Err(format!(
            "{id}: with those for testers (spec.traffic.match) it would have {} rules; {most} are allowed",
            rules.len()
        ));
    }
    route.0["spec"]["rules"] = Value::Array(rules);
    Ok(route)
}

/// What this rule does, for testers: all of it to the canary. One more header makes it win over the rule itself.
fn tester_rule(rule: &Value, backends: &Backends, testers: &MatchSpec) -> Result<Value, String> {
    let matches = testers::matches(&rule["matches"], testers, marked)?;
    let most = MOST.2;
    if matches.len() > most {
        return Err(format!(
            "the rule for testers (spec.traffic.match) would have {} matches; {most} are allowed",
            matches.len()
        ));
    }
    let mut tester = rule.clone();
    // A name belongs to one rule.
    tester.as_object_mut().map(|rule| rule.remove("name"));
    tester["matches"] = Value::Array(matches);
    tester["backendRefs"] = Value::Array(backends.canaries.clone());
    Ok(tester)
}

fn marked(mut one: Value, mark: &Mark) -> Result<Value, String> {
    let mut headers = one["headers"].as_array().cloned().unwrap_or_default();
    let exists = headers.iter().any(|header| {
        header["name"]
            .as_str()
            .is_some_and(|name| name.eq_ignore_ascii_case(mark.header()))
    });
    if exists {
        return Err(testers::is_taken(mark.header()));
    }
    headers.push(match mark {
        Mark::Is(name, value) => json!({"type": "Exact", "name": name, "value": value}),
        Mark::Matches(name, pattern) => {
            json!({"type": "RegularExpression", "name": name, "value": pattern})
        }
    });
    one["headers"] = Value::Array(headers);
    Ok(one)
}

fn weight(backend: &Value) -> u64 {
    backend["weight"].as_u64().unwrap_or(1)
}

/// The canary's backend beside this one, where it is the workload's: the same port, and the same filters.
fn canary_of(backend: &Value, namespace: Option<&str>, split: &Split) -> Option<Value> {
    let text = |key: &str| backend[key].as_str();
    let is_service = matches!(text("kind"), None | Some("Service"))
        && matches!(text("group"), None | Some(""))
        && text("namespace").is_none_or(|other| namespace == Some(other));
    let canary = split.canary_of(text("name").filter(|_| is_service)?)?;
    let mut second = backend.clone();
    second["name"] = json!(canary);
    Some(second)
}

/// Whether the parents of a route have accepted it as it is now; what they say otherwise. One that never said anything beside
/// others that did is no gateway that serves it: a reference to what is gone.
pub fn accepted(route: &Object) -> Result<(), String> {
    let generation = route.at("/metadata/generation").and_then(Value::as_i64);
    let named: Vec<_> = route
        .list("/spec/parentRefs")
        .map(|reference| parent(reference, route))
        .collect();
    // What it no longer names says nothing of it.
    let parents: Vec<_> = route
        .list("/status/parents")
        .filter(|status| named.is_empty() || named.contains(&parent(&status["parentRef"], route)))
        .collect();
    if parents.is_empty() {
        return Err("no gateway has looked at the route".to_owned());
    }
    for status in parents {
        for condition in status["conditions"].as_array().into_iter().flatten() {
            let type_ = condition["type"].as_str().unwrap_or_default();
            let good = match type_ {
                "Accepted" | "ResolvedRefs" => "True",
                "PartiallyInvalid" => "False",
                _ => continue,
            };
            let gateway = status["parentRef"]["name"].as_str().unwrap_or_default();
            if condition["observedGeneration"].as_i64() < generation {
                return Err(format!(
                    "the gateway {gateway} has not looked at this generation of the route"
                ));
            }
            if condition["status"] != good {
                return Err(format!(
                    "the gateway {gateway} says {type_}={}, {}: {}",
                    condition["status"].as_str().unwrap_or_default(),
                    condition["reason"].as_str().unwrap_or_default(),
                    condition["message"].as_str().unwrap_or_default()
                ));
            }
        }
    }
    Ok(())
}

/// Which parent a reference means, with the defaults of the API.
fn parent<'a>(reference: &'a Value, route: &'a Object) -> [Option<&'a str>; 5] {
    let text = |key: &str| reference[key].as_str();
    [
        text("group").or(Some("gateway.networking.k8s.io")),
        text("kind").or(Some("Gateway")),
        text("namespace").or(route.namespace()),
        text("name"),
        text("sectionName"),
    ]
}
