//! What scales workloads, and the floor that it gets as long as a rollout is under way: the stable side does not fall below
//! its size at the start. Must not know who applies it.

use serde_json::{Value, json};

use crate::desired::DesiredObject;
use crate::object::{Id, Object};

/// Group, kind and plural of what scales workloads.
pub const SCALERS: [(&str, &str, &str, &str); 2] = [
    (
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
    ),
    ("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"),
];

/// Where a scaler names what it scales.
pub const REFERENCE: &str = "/spec/scaleTargetRef";

/// What the `spec.scaleTargetRef` of a scaler in `namespace` names. KEDA's default kind is Deployment.
pub fn target(reference: Option<&Value>, namespace: Option<&str>) -> Option<Id> {
    let reference = reference?;
    let text = |key: &str| reference.get(key).and_then(Value::as_str);
    let api_version = text("apiVersion").unwrap_or("apps/v1");
    Some(Id {
        group: api_version
            .rsplit_once('/')
            .map_or("", |(group, _)| group)
            .to_owned(),
        kind: text("kind").unwrap_or("Deployment").to_owned(),
        namespace: namespace.map(str::to_owned),
        name: text("name")?.to_owned(),
    })
}

/// How a kind of autoscaler says its least and its most.
struct Range {
    least: &'static str,
    most: &'static str,
    /// The least where it is not given, and the most.
    defaults: (u64, u64),
}

const HPA: Range = Range {
    least: "minReplicas",
    most: "maxReplicas",
    defaults: (1, u64::MAX),
};
const KEDA: Range = Range {
    least: "minReplicaCount",
    most: "maxReplicaCount",
    defaults: (0, 100),
};

fn range(scaler: &Object) -> Option<Range> {
    match (scaler.group(), scaler.kind()) {
        ("autoscaling", "HorizontalPodAutoscaler") => Some(HPA),
        ("keda.sh", "ScaledObject") => Some(KEDA),
        _ => None,
    }
}

/// Whether this is an autoscaler.
pub fn is_scaler(id: &Id) -> bool {
    SCALERS
        .iter()
        .any(|(group, _, kind, _)| id.group == *group && id.kind == *kind)
}

/// What this scales, where it is an autoscaler.
pub fn target_of(scaler: &DesiredObject) -> Option<Id> {
    let reference = scaler.object.at(REFERENCE);
    let namespace = scaler.id.namespace.as_deref();
    target(reference, namespace).filter(|_| is_scaler(&scaler.id))
}

/// Whether this is an autoscaler of that workload.
pub fn scales(scaler: &DesiredObject, workload: &Id) -> bool {
    target_of(scaler).as_ref() == Some(workload)
}

/// Where an autoscaler says its least number of pods, and the number below which it must not go meanwhile: never more than
/// its most. `None` where it says as much already.
pub fn floor(scaler: &Object, size: u32) -> Option<(&'static str, u64)> {
    let range = range(scaler)?;
    let number = |field: &str, default: u64| {
        scaler
            .at(&format!("/spec/{field}"))
            .and_then(Value::as_u64)
            .unwrap_or(default)
    };
    let most = number(range.most, range.defaults.1);
    let floor = u64::from(size).min(most);
    (number(range.least, range.defaults.0) < floor).then_some((range.least, floor))
}

/// The autoscaler with that floor.
pub fn raised(scaler: &Object, size: u32) -> Option<Object> {
    let (field, floor) = floor(scaler, size)?;
    let mut scaler = scaler.clone();
    scaler.0["spec"][field] = json!(floor);
    Some(scaler)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hpa(spec: Value) -> Object {
        Object::from_value(json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "api"}, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn the_least_is_raised_to_the_size_and_never_above_the_most() {
        let least = |spec: Value, size: u32| floor(&hpa(spec), size);
        let raised_to = |floor: u64| Some(("minReplicas", floor));
        assert_eq!(
            least(json!({"minReplicas": 2, "maxReplicas": 10}), 4),
            raised_to(4)
        );
        assert_eq!(least(json!({"maxReplicas": 10}), 4), raised_to(4));
        assert_eq!(
            least(json!({"minReplicas": 2, "maxReplicas": 3}), 4),
            raised_to(3)
        );
        assert_eq!(least(json!({"minReplicas": 4, "maxReplicas": 10}), 4), None);
        assert_eq!(least(json!({"minReplicas": 6, "maxReplicas": 10}), 4), None);
        assert_eq!(least(json!({"minReplicas": 3, "maxReplicas": 3}), 4), None);
        let object = raised(&hpa(json!({"minReplicas": 2, "maxReplicas": 10})), 4).unwrap();
        assert_eq!(
            object.at("/spec").unwrap(),
            &json!({"minReplicas": 4, "maxReplicas": 10})
        );
    }

    #[test]
    fn keda_names_it_otherwise_and_goes_to_none() {
        let mut scaled = hpa(json!({}));
        scaled
            .0
            .insert("apiVersion".to_owned(), json!("keda.sh/v1alpha1"));
        scaled.0.insert("kind".to_owned(), json!("ScaledObject"));
        assert_eq!(floor(&scaled, 4), Some(("minReplicaCount", 4)));
        assert_eq!(floor(&scaled, 400), Some(("minReplicaCount", 100)));
        assert_eq!(floor(&scaled, 0), None);
    }
}
