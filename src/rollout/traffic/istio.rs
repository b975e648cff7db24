//! Istio: a VirtualService's HTTP routes.

use serde_json::{Value, json};

use super::testers::{self, Mark};
use super::{MatchSpec, Split, weights};
use crate::object::Object;

const MOST_WEIGHT: u64 = 1_000_000;

/// The VirtualService whose HTTP routes to the workload's Services split between them and the canary's; with `names`, of
/// these routes only.
pub(super) fn split(service: &Object, names: &[String], split: &Split) -> Result<Object, String> {
    let mut service = service.clone();
    let id = service.id();
    let namespace = id.namespace.as_deref();
    let mut routes = Vec::new();
    let mut missing: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut is_split = false;
    let given = service
        .at("/spec/http")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for (index, mut route) in given.into_iter().enumerate() {
        let name = route["name"].as_str().unwrap_or_default();
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            routes.push(route);
            continue;
        }
        let destinations = route["route"].as_array().map_or(&[][..], Vec::as_slice);
        let alone = destinations.len() == 1;
        // One destination gets everything, whatever it says; of several, one that says nothing gets nothing.
        let weight = |one: &Value| {
            if alone {
                1
            } else {
                one["weight"].as_u64().unwrap_or(0)
            }
        };
        let Some(destinations) =
            weights::split(destinations, split.weight, MOST_WEIGHT, weight, |one| {
                canary_of(one, namespace, split)
            })
        else {
            routes.push(route);
            continue;
        };
        is_split = true;
        missing.retain(|wanted| *wanted != name);
        if let Some(testers) = split.testers {
            let tester = tester_route(&route, destinations.canaries, testers)
                .map_err(|why| format!("{id}, spec.http[{index}]: {why}"))?;
            routes.push(tester);
        }
        route["route"] = Value::Array(destinations.all);
        routes.push(route);
    }
    if let Some(name) = missing.first() {
        return Err(format!(
            "{id} has no HTTP route {name} that points to the workload's Service with a weight above 0"
        ));
    }
    if !is_split {
        return Err(format!(
            "no HTTP route of {id} points to the workload's Service with a weight above 0"
        ));
    }
    service.0["spec"]["http"] = Value::Array(routes);
    Ok(service)
}

/// What this route does, for testers: all of it to the canary. The first route that matches decides, so it stands in
/// front.
fn tester_route(route: &Value, canaries: Vec<Value>, testers: &MatchSpec) -> Result<Value, String> {
    let matches = testers::matches(&route["match"], testers, marked)?;
    let mut tester = route.clone();
    tester.as_object_mut().map(|route| route.remove("name"));
    tester["match"] = Value::Array(matches);
    tester["route"] = Value::Array(canaries);
    Ok(tester)
}

fn marked(mut one: Value, mark: &Mark) -> Result<Value, String> {
    let header = mark.header().to_ascii_lowercase();
    if !one["headers"][&header].is_null() {
        return Err(testers::is_taken(&header));
    }
    one["headers"][&header] = match mark {
        Mark::Is(_, value) => json!({"exact": value}),
        Mark::Matches(_, pattern) => json!({"regex": pattern}),
    };
    Ok(one)
}

/// The canary's destination beside this one, where it is the workload's. Subsets are those of the stable host; the
/// canary's has none.
fn canary_of(one: &Value, namespace: Option<&str>, split: &Split) -> Option<Value> {
    let host = one["destination"]["host"].as_str()?;
    let (service, rest) = host.split_once('.').unwrap_or((host, ""));
    let mut rest_of_it = rest.split('.');
    let here = rest.is_empty()
        || rest_of_it
            .next()
            .is_some_and(|other| namespace.is_none_or(|namespace| namespace == other))
            && matches!(rest_of_it.next(), None | Some("svc"));
    let canary = split.canary_of(service).filter(|_| here)?;
    let mut second = one.clone();
    second["destination"]["host"] = if rest.is_empty() {
        json!(canary)
    } else {
        json!(format!("{canary}.{rest}"))
    };
    second["destination"]
        .as_object_mut()
        .map(|destination| destination.remove("subset"));
    Some(second)
}
