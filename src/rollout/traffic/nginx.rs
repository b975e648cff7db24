//! ingress-nginx: a second Ingress, whose annotations give it a share of the first one's traffic.

use serde_json::{Map, Value, json};

use super::{MatchSpec, Split};
use crate::object::Object;
use crate::rollout::TRACK_LABEL;

/// What of an Ingress's annotations its canary has too: what ingress-nginx reads of a canary at all (the balancing of its
/// upstream), and how requests are passed on, which controllers that only follow its annotations read there. Not who may
/// make requests, what is answered in the application's place, or what other controllers act on: a certificate is ordered once.
const COPIED: [&str; 13] = [
    "backend-protocol",
    "load-balance",
    "proxy-body-size",
    "proxy-buffer-size",
    "proxy-connect-timeout",
    "proxy-read-timeout",
    "proxy-send-timeout",
    "rewrite-target",
    "service-upstream",
    "upstream-hash-by",
    "upstream-hash-by-subset",
    "upstream-hash-by-subset-size",
    "use-regex",
];
const NGINX: &str = "nginx.ingress.kubernetes.io/";
/// The value of a canary's cookie: ingress-nginx knows no other.
const ALWAYS: &str = "always";

/// Whether this Ingress stands beside another for a canary: it has its weight for as long as it is there.
pub fn is_canary_ingress(ingress: &Object) -> bool {
    ingress.kind() == "Ingress" && ingress.label(TRACK_LABEL) == Some("canary")
}

/// The Ingress beside this one.
pub(super) fn beside(ingress: &Object, split: &Split) -> Result<Object, String> {
    let id = ingress.id();
    if ingress.annotation(&format!("{NGINX}canary")) == Some("true") {
        return Err(format!(
            "{id} is the canary of another Ingress; name that one, and ingress-nginx allows it one canary"
        ));
    }
    let mut spec = Map::new();
    for key in ["ingressClassName", "tls"] {
        if let Some(value) = ingress.at(&format!("/spec/{key}")) {
            spec.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(backend) = ingress
        .at("/spec/defaultBackend")
        .and_then(|backend| canary_of(backend, split))
    {
        spec.insert("defaultBackend".to_owned(), backend);
    }
    let rules = rules(ingress, split);
    if rules.is_empty() && !spec.contains_key("defaultBackend") {
        return Err(format!("no path of {id} points to the workload's Service"));
    }
    if !rules.is_empty() {
        spec.insert("rules".to_owned(), Value::Array(rules));
    }
    let annotations = annotations(ingress, split)?;
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), json!(ingress.api_version()));
    object.insert("kind".to_owned(), json!("Ingress"));
    object.insert(
        "metadata".to_owned(),
        json!({
            "name": crate::rollout::names::canary_name(split.workload),
            "namespace": ingress.namespace(),
            "annotations": annotations,
        }),
    );
    object.insert("spec".to_owned(), Value::Object(spec));
    Ok(Object(object))
}

/// The rules whose paths point to the workload's Services, with these paths alone.
fn rules(ingress: &Object, split: &Split) -> Vec<Value> {
    let mut rules = Vec::new();
    for rule in ingress.list("/spec/rules") {
        let given = rule["http"]["paths"].as_array();
        let paths: Vec<Value> = given
            .into_iter()
            .flatten()
            .filter_map(|path| {
                let backend = canary_of(&path["backend"], split)?;
                let mut path = path.clone();
                path["backend"] = backend;
                Some(path)
            })
            .collect();
        if !paths.is_empty() {
            let mut rule = rule.clone();
            rule["http"] = json!({"paths": paths});
            rules.push(rule);
        }
    }
    rules
}

fn canary_of(backend: &Value, split: &Split) -> Option<Value> {
    let canary = split.canary_of(backend["service"]["name"].as_str()?)?;
    let mut backend = backend.clone();
    backend["service"]["name"] = json!(canary);
    Some(backend)
}

fn annotations(ingress: &Object, split: &Split) -> Result<Map<String, Value>, String> {
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
    let mut add = |name: &str, value: &str| {
        annotations.insert(format!("{NGINX}{name}"), json!(value));
    };
    add("canary", "true");
    add("canary-weight", &split.weight.to_string());
    // Else a client that had the canary once would have it again, at weight 0 too.
    if ingress.annotation(&format!("{NGINX}affinity")).is_some() {
        add("affinity-canary-behavior", "legacy");
    }
    if let Some(MatchSpec { header, cookie }) = split.testers {
        if let Some(header) = header {
            add("canary-by-header", &header.name);
            add("canary-by-header-value", &header.value);
        }
        if let Some(cookie) = cookie {
            if cookie.value != ALWAYS {
                return Err(format!(
                    "match.cookie.value {:?}: ingress-nginx knows the canary's cookie by the value {ALWAYS} only",
                    cookie.value
                ));
            }
            add("canary-by-cookie", &cookie.name);
        }
    }
    Ok(annotations)
}
