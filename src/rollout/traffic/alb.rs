//! The AWS Load Balancer Controller: an Ingress whose paths use forward actions, which are annotations.

use serde_json::{Value, json};

use super::{Split, weights};
use crate::object::Object;

const ACTIONS: &str = "alb.ingress.kubernetes.io/actions.";
const MOST_WEIGHT: u64 = 999;

/// The Ingress whose forward actions to the workload's Services have a second target group.
pub(super) fn split(ingress: &Object, split: &Split) -> Result<Object, String> {
    let id = ingress.id();
    if split.testers.is_some() {
        return Err(format!(
            "match: the weights of {id} say nothing of requests; write a path with a `conditions.` annotation, or take match out"
        ));
    }
    let used = used(ingress);
    let mut after = ingress.clone();
    let mut is_split = false;
    let annotations = ingress
        .at("/metadata/annotations")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    for (key, text) in &annotations {
        let Some(name) = key.strip_prefix(ACTIONS) else {
            continue;
        };
        let Some(text) = text.as_str().filter(|_| used.contains(&name)) else {
            continue;
        };
        let mut action: Value = serde_json::from_str(text)
            .map_err(|error| format!("{id}: the annotation {key} is no JSON: {error}"))?;
        let forward = &action["forwardConfig"];
        let groups = forward["targetGroups"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let weight = |group: &Value| group["weight"].as_u64().unwrap_or(1);
        let Some(groups) = weights::split(groups, split.weight, MOST_WEIGHT, weight, |group| {
            let canary = split.canary_of(group["serviceName"].as_str()?)?;
            let mut second = group.clone();
            second["serviceName"] = json!(canary);
            Some(second)
        }) else {
            continue;
        };
        if forward["targetGroupStickinessConfig"]["enabled"] == true {
            return Err(format!(
                "{id}: the annotation {key}: targetGroupStickinessConfig keeps clients at the canary, whatever its weight; take it out"
            ));
        }
        is_split = true;
        action["forwardConfig"]["targetGroups"] = Value::Array(groups.all);
        after.set_metadata_entry("annotations", key, &action.to_string());
    }
    if is_split {
        Ok(after)
    } else {
        Err(format!(
            "no path of {id} uses an annotation {ACTIONS}NAME that forwards to the workload's Service with a weight above 0"
        ))
    }
}

/// The actions that paths name in place of a Service.
fn used(ingress: &Object) -> Vec<&str> {
    let paths = ingress
        .list("/spec/rules")
        .filter_map(|rule| rule["http"]["paths"].as_array())
        .flatten()
        .map(|path| &path["backend"]);
    let default = ingress.at("/spec/defaultBackend");
    paths
        .chain(default)
        .filter(|backend| backend["service"]["port"]["name"] == "use-annotation")
        .filter_map(|backend| backend["service"]["name"].as_str())
        .collect()
}
