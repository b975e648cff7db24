//! Objects for the scenarios' repositories, as data.

use serde_json::{Value, json};

/// An image that starts at once and does nothing: the node's own.
pub const PAUSE: &str = "127.0.0.1:5000/pause:1";

/// One file of many documents. JSON is YAML.
pub fn yaml(objects: &[Value]) -> String {
    let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
    documents.join("\n---\n")
}

pub fn config_map(name: &str, data: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    object["data"] = data;
    object
}

/// One pod of the pause image, labelled with the workload's name.
pub fn deployment(name: &str) -> Value {
    workload("Deployment", name)
}

pub fn stateful_set(name: &str) -> Value {
    let mut object = workload("StatefulSet", name);
    object["spec"]["serviceName"] = name.into();
    object
}

pub fn daemon_set(name: &str) -> Value {
    let mut object = workload("DaemonSet", name);
    object["spec"]
        .as_object_mut()
        .expect("a map")
        .remove("replicas");
    object
}

fn workload(kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
        "spec": {
            "replicas": 1, "revisionHistoryLimit": 3, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
                    "name": "main", "image": PAUSE,
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                }]},
            },
        },
    })
}

pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "sessionAffinity": "None", "ports": [
            {"name": "http", "port": 80, "targetPort": 8080}, {"name": "admin", "port": 81, "targetPort": 8081},
        ]},
    })
}

pub fn secret(name: &str, data: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    object["stringData"] = data;
    object
}

pub fn ingress(name: &str) -> Value {
    let rule = |host: &str| {
        json!({"host": host, "http": {"paths": [{
            "path": "/", "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": 80}}},
        }]}})
    };
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
        "spec": {"ingressClassName": "web", "rules": [rule("one.example.com"), rule("two.example.com")]},
    })
}

pub fn network_policy(name: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": {"app": name}}, "policyTypes": ["Ingress"]},
    })
}

pub fn role(name: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
    })
}

/// For a workload between `min` and 10 pods.
pub fn autoscaler(kind: &str, name: &str, min: u32) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": name}, "minReplicas": min, "maxReplicas": 10,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80},
            }}],
        },
    })
}

/// The definition of `kind` (`Widget` lies in namespaces, `Realm` does not).
pub fn definition(group: &str, kind: &str) -> Value {
    let (singular, scope) = match kind {
        "Realm" => ("realm", "Cluster"),
        _ => ("widget", "Namespaced"),
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{singular}s.{group}")},
        "spec": {
            "group": group, "scope": scope,
            "names": {"kind": kind, "plural": format!("{singular}s"), "singular": singular},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {
                        "size": {"type": "integer"}, "note": {"type": "string"},
                        "colors": {"type": "array", "items": {"type": "string"}},
                    }},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}},
            }],
        },
    })
}

pub fn custom(group: &str, kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": name},
        "spec": {"size": 1, "colors": ["red", "green"]},
    })
}

/// With this annotation.
pub fn annotated(mut object: Value, key: &str, value: &str) -> Value {
    object["metadata"]["annotations"][key] = value.into();
    object
}

/// With this label.
pub fn labelled(mut object: Value, key: &str, value: &str) -> Value {
    object["metadata"]["labels"][key] = value.into();
    object
}
