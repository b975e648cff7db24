//! Traefik: the weighted services of a TraefikService, to which IngressRoutes point.

use serde_json::{Value, json};

use super::{Split, weights};
use crate::object::Object;

const MOST_WEIGHT: u64 = 1_000_000;

/// The TraefikService whose weighted services split between the workload's and the canary's.
pub(super) fn split(service: &Object, split: &Split) -> Result<Object, String> {
    let id = service.id();
    if split.testers.is_some() {
        return Err(format!(
            "match: the weights of {id} say nothing of requests; write a route of an IngressRoute, or take match out"
        ));
    }
    if service
        .at("/spec/weighted/sticky")
        .is_some_and(|sticky| !sticky.is_null())
    {
        return Err(format!(
            "{id}: spec.weighted.sticky keeps clients at the canary, so that its share is of new clients only; take it out, or write it on the services, where it keeps them at a pod"
        ));
    }
    let namespace = id.namespace.as_deref();
    let given = service
        .at("/spec/weighted/services")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let weight = |one: &Value| one["weight"].as_u64().unwrap_or(1);
    let services = weights::split(given, split.weight, MOST_WEIGHT, weight, |one| {
        let text = |key: &str| one[key].as_str();
        let is_service = matches!(text("kind"), None | Some("Service"))
            && text("namespace").is_none_or(|other| namespace == Some(other));
        let canary = split.canary_of(text("name").filter(|_| is_service)?)?;
        let mut second = one.clone();
        second["name"] = json!(canary);
        Some(second)
    });
    let Some(services) = services else {
        return Err(format!(
            "nothing in spec.weighted.services of {id} points to the workload's Service with a weight above 0"
        ));
    };
    let mut service = service.clone();
    service.0["spec"]["weighted"]["services"] = Value::Array(services.all);
    Ok(service)
}
