//! Weights in routes: Git's whole route with the weights put in. Must not know who applies it.

use serde_json::{Map, Value, json};

use crate::object::Object;

/// An HTTPRoute (or GRPCRoute) whose rules that point to one of these Services split between it and its canary.
///
/// # Errors
/// No rule points to one of them.
pub fn split(route: &Object, services: &[(String, String)], weight: u32) -> Result<Object, String> {
    let mut route = route.clone();
    let mut split = false;
    let rules = route
        .0
        .get_mut("spec")
        .and_then(|spec| spec.get_mut("rules"))
        .and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten() {
        let Some(backends) = rule.get_mut("backendRefs").and_then(Value::as_array_mut) else {
            continue;
        };
        let mut all = Vec::with_capacity(backends.len() + 1);
        for backend in std::mem::take(backends) {
            let canary = services
                .iter()
                .find(|(service, _)| is_backend(&backend, service))
                .map(|(_, canary)| canary);
            let Some(canary) = canary else {
                all.push(backend);
                continue;
            };
            split = true;
            // A backend that has a part of the rule's traffic already shares that part.
            let whole = backend["weight"].as_u64().unwrap_or(1);
            let weight = u64::from(weight.min(100));
            let mut second = backend.clone();
            let mut first = backend;
            first["weight"] = json!(whole * (100 - weight));
            second["weight"] = json!(whole * weight);
            second["name"] = json!(canary);
            all.push(first);
            all.push(second);
        }
        // The weights of the others keep their proportion.
        if all.iter().any(|backend| {
            services
                .iter()
                .any(|(_, canary)| is_backend(backend, canary))
        }) {
            for backend in &mut all {
                let ours = services.iter().any(|(service, canary)| {
                    is_backend(backend, service) || is_backend(backend, canary)
                });
                if !ours {
                    let weight = backend["weight"].as_u64().unwrap_or(1);
                    backend["weight"] = json!(weight * 100);
                }
            }
        }
        *backends = all;
    }
    if split {
        Ok(route)
    } else {
        Err(format!(
            "no rule of {} points to the workload's Service",
            route.id()
        ))
    }
}

fn is_backend(backend: &Value, service: &str) -> bool {
    backend["name"].as_str() == Some(service)
        && matches!(
            backend.get("kind").and_then(Value::as_str),
            None | Some("Service")
        )
        && matches!(
            backend.get("group").and_then(Value::as_str),
            None | Some("")
        )
}

/// Whether the parents of a route have accepted it as it is now; what they say otherwise. A parent that reports nothing
/// has not looked at it yet.
pub fn accepted(route: &Object) -> Result<(), String> {
    let generation = route.at("/metadata/generation").and_then(Value::as_i64);
    let parents = route.at("/status/parents").and_then(Value::as_array);
    let Some(parents) = parents.filter(|parents| !parents.is_empty()) else {
        return Err("no gateway has looked at the route".to_owned());
    };
    for parent in parents {
        for condition in parent["conditions"].as_array().into_iter().flatten() {
            let type_ = condition["type"].as_str().unwrap_or_default();
            if !matches!(type_, "Accepted" | "ResolvedRefs") {
                continue;
            }
            if condition["observedGeneration"].as_i64() < generation {
                return Err("a gateway has not looked at this generation of the route".to_owned());
            }
            if condition["status"] != "True" {
                return Err(format!(
                    "{type_}: {}",
                    condition["message"].as_str().unwrap_or_default()
                ));
            }
        }
    }
    Ok(())
}

/// What of an Ingress's annotations its canary has too: how requests are passed on, not who may make them or what is
/// answered in the application's place.
const COPIED: [&str; 8] = [
    "backend-protocol",
    "proxy-body-size",
    "proxy-buffer-size",
    "proxy-connect-timeout",
    "proxy-read-timeout",
    "proxy-send-timeout",
    "rewrite-target",
    "use-regex",
];
const NGINX: &str = "nginx.ingress.kubernetes.io/";

/// The second Ingress, which ingress-nginx gives this share of the first one's traffic.
///
/// # Errors
/// No path of the Ingress points to one of the Services.
pub fn canary_ingress(
    ingress: &Object,
    services: &[(String, String)],
    weight: u32,
) -> Result<Object, String> {
    let mut spec = Map::new();
    for key in ["ingressClassName", "tls"] {
        if let Some(value) = ingress.at(&format!("/spec/{key}")) {
            spec.insert(key.to_owned(), value.clone());
        }
    }
    let mut rules = Vec::new();
    for rule in ingress
        .at("/spec/rules")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let mut paths = Vec::new();
        for path in rule["http"]["paths"].as_array().into_iter().flatten() {
            let service = path["backend"]["service"]["name"].as_str();
            if let Some((_, canary)) = services
                .iter()
                .find(|(service_, _)| Some(service_.as_str()) == service)
            {
                let mut path = path.clone();
                path["backend"]["service"]["name"] = json!(canary);
                paths.push(path);
            }
        }
        if !paths.is_empty() {
            let mut rule = rule.clone();
            rule["http"] = json!({"paths": paths});
            rules.push(rule);
        }
    }
    if rules.is_empty() {
        return Err(format!(
            "no path of {} points to the workload's Service",
            ingress.id()
        ));
    }
    spec.insert("rules".to_owned(), Value::Array(rules));
    let mut annotations = Map::new();
    for name in COPIED {
        let name = format!("{NGINX}{name}");
        if let Some(value) = ingress.annotation(&name) {
            annotations.insert(name, json!(value));
        }
    }
    // What older clusters name the class by.
    if let Some(class) = ingress.annotation("kubernetes.io/ingress.class") {
        annotations.insert("kubernetes.io/ingress.class".to_owned(), json!(class));
    }
    annotations.insert(format!("{NGINX}canary"), json!("true"));
    annotations.insert(format!("{NGINX}canary-weight"), json!(weight.to_string()));
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), json!(ingress.api_version()));
    object.insert("kind".to_owned(), json!("Ingress"));
    object.insert(
        "metadata".to_owned(),
        json!({
            "name": format!("{}-canary", ingress.name()),
            "namespace": ingress.namespace(),
            "annotations": annotations,
        }),
    );
    object.insert("spec".to_owned(), Value::Object(spec));
    Ok(Object(object))
}
