//! Whether NetworkPolicies let the agent's requests through to a canary's pods. Where they come from is documented: the pods
//! of the agent's installation.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::TRACK_LABEL;
use super::policy::Policy;
use crate::desired::{Desired, DesiredObject};
use crate::object::Id;

/// What the agent's pods carry.
const AGENT: (&str, &str) = ("app.kubernetes.io/name", "driftless");
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The NetworkPolicies that keep the requests of `http` checks from the canary's pods, each with what is to be added. The agent
/// runs in the namespace `agent`. Rules by `ipBlock` are taken to let it through: its address is not known.
pub fn blocked(policy: &Policy, desired: &Desired, agent: &str) -> Vec<(Id, String)> {
    let Some(workload) = desired.get(&policy.workload) else {
        return Vec::new();
    };
    let template = workload.object.at("/spec/template");
    let pod = Pod::new(template.unwrap_or(&Value::Null));
    let policies: Vec<&DesiredObject> = desired
        .objects
        .iter()
        .filter(|object| {
            object.id.group == "networking.k8s.io"
                && object.id.kind == "NetworkPolicy"
                && object.id.namespace == policy.workload.namespace
                && isolates(object, &pod)
        })
        .collect();
    let Some(first) = policies.first() else {
        return Vec::new();
    };
    let mut checks: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for check in &policy.checks {
        let port = |http: &crate::api::HttpCheck| http.port.map(u64::from).or(pod.first_port);
        if let Some(port) = check.spec.http.as_ref().and_then(port) {
            checks.entry(port).or_default().push(&check.spec.name);
        }
    }
    let own_namespace = policy.workload.namespace.as_deref() == Some(agent);
    checks
        .into_iter()
        .filter(|(port, _)| {
            !policies.iter().any(|policy| {
                rules(policy).any(|rule| {
                    from_agent(rule, agent, own_namespace) && to_port(rule, *port, &pod)
                })
            })
        })
        .map(|(port, checks)| {
            let rule = json!({
                "from": [{
                    "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: agent}},
                    "podSelector": {"matchLabels": {AGENT.0: AGENT.1}},
                }],
                "ports": [{"port": port}],
            });
            let others: String = policies[1..]
                .iter()
                .map(|policy| format!(" (as does {})", policy.id))
                .collect();
            let message = format!(
                "keeps the agent's requests of the check {} from port {port} of the canary's pods of {}{others}; add to spec.ingress: {rule}",
                checks.join(", "),
                policy.workload,
            );
            (first.id.clone(), message)
        })
        .collect()
}

/// The canary's pods, as a template has them.
struct Pod {
    labels: Map<String, Value>,
    /// By name.
    ports: BTreeMap<String, u64>,
    first_port: Option<u64>,
}

impl Pod {
    fn new(template: &Value) -> Self {
        let labels = template["metadata"]["labels"].as_object();
        let mut labels = labels.cloned().unwrap_or_default();
        labels.insert(TRACK_LABEL.to_owned(), json!("canary"));
        let mut ports = BTreeMap::new();
        for port in elements(&template["spec"]["containers"])
            .flat_map(|container| elements(&container["ports"]))
        {
            if let (Some(name), Some(number)) =
                (port["name"].as_str(), port["containerPort"].as_u64())
            {
                ports.insert(name.to_owned(), number);
            }
        }
        let first = &template["spec"]["containers"][0]["ports"][0];
        Self {
            labels,
            ports,
            first_port: first["containerPort"].as_u64(),
        }
    }
}

/// Whether the policy selects the pod, and is about what comes in.
fn isolates(policy: &DesiredObject, pod: &Pod) -> bool {
    let spec = policy.object.at("/spec").unwrap_or(&Value::Null);
    let types = &spec["policyTypes"];
    // Without types a policy is about what comes in, whatever else it is about.
    let of_ingress =
        types.as_array().is_none_or(Vec::is_empty) || elements(types).any(|kind| kind == "Ingress");
    of_ingress && selects(&spec["podSelector"], &pod.labels)
}

fn rules(policy: &DesiredObject) -> impl Iterator<Item = &Value> {
    policy
        .object
        .at("/spec/ingress")
        .into_iter()
        .flat_map(elements)
}

fn from_agent(rule: &Value, agent: &str, own_namespace: bool) -> bool {
    let peers = &rule["from"];
    if peers.as_array().is_none_or(Vec::is_empty) {
        return true;
    }
    let mut namespace = Map::new();
    namespace.insert(NAMESPACE_NAME.to_owned(), json!(agent));
    // The label that the installation gives it.
    namespace.insert(AGENT.0.to_owned(), json!(AGENT.1));
    let mut pod = Map::new();
    pod.insert(AGENT.0.to_owned(), json!(AGENT.1));
    elements(peers).any(|peer| {
        if !peer["ipBlock"].is_null() {
            return true;
        }
        let (namespaces, pods) = (&peer["namespaceSelector"], &peer["podSelector"]);
        let from_namespace = if namespaces.is_null() {
            own_namespace
        } else {
            selects(namespaces, &namespace)
        };
        from_namespace && (pods.is_null() || selects(pods, &pod))
    })
}

fn to_port(rule: &Value, wanted: u64, pod: &Pod) -> bool {
    let ports = &rule["ports"];
    if ports.as_array().is_none_or(Vec::is_empty) {
        return true;
    }
    elements(ports).any(|port| {
        let is_tcp = matches!(port["protocol"].as_str(), None | Some("TCP"));
        let number = match &port["port"] {
            Value::String(name) => pod.ports.get(name).copied(),
            Value::Null => return is_tcp,
            number => number.as_u64(),
        };
        let last = port["endPort"].as_u64().or(number);
        is_tcp
            && number
                .zip(last)
                .is_some_and(|(first, last)| (first..=last).contains(&wanted))
    })
}

/// Whether a label selector matches; an empty one matches everything.
fn selects(selector: &Value, labels: &Map<String, Value>) -> bool {
    let by_label = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    by_label
        && elements(&selector["matchExpressions"]).all(|expression| {
            let label = expression["key"].as_str().and_then(|key| labels.get(key));
            let is_in = || {
                label.is_some_and(|label| elements(&expression["values"]).any(|one| one == label))
            };
            match expression["operator"].as_str() {
                Some("In") => is_in(),
                Some("NotIn") => !is_in(),
                Some("Exists") => label.is_some(),
                Some("DoesNotExist") => label.is_none(),
                _ => false,
            }
        })
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests;
