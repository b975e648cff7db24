//! The Services that a rollout cannot turn: a change of pod labels has them select the pods of one side only, whatever weight
//! is asked for, or pods of others stand behind them.

use serde_json::Value;

use super::matches;
use crate::desired::{Desired, DesiredObject};
use crate::object::{Id, Object};
use crate::rollout::HOLD_ANNOTATION;
use crate::rollout::names::canary_name;

/// Why the change of this workload cannot be rolled out, by workload: each Service of `before` that selects the pods of
/// before and not those of `after`, or the reverse.
pub fn turned(workload: &Id, before: &Desired, after: &Desired) -> Vec<(Id, String)> {
    let services = before.objects.iter().filter(|object| {
        object.id.group.is_empty()
            && object.id.kind == "Service"
            && object.id.namespace == workload.namespace
    });
    services
        .filter_map(|service| {
            // What is never held is by then what the change says.
            let service = after
                .get(&service.id)
                .filter(|next| next.object.annotation(HOLD_ANNOTATION) == Some("never"))
                .unwrap_or(service);
            let why = match (
                selects(service, workload, before)?,
                selects(service, workload, after)?,
            ) {
                (true, false) => format!(
                    "does not select the pods of the change, which would get no traffic: add the label to {workload} first, then change the selector, each with a commit of its own"
                ),
                (false, true) => format!(
                    "selects the pods of the change only, at any weight: take it out, or let it select something else, until the label is promoted on {workload}"
                ),
                _ => return None,
            };
            Some((
                workload.clone(),
                format!("{} in what is applied {why}", service.id),
            ))
        })
        .collect()
}

/// Why narrowing the Services of this workload would leave others out: each Service of `before` that selects the pods of a
/// `ReplicaSet` which is neither the workload's nor its canary's; `live` are those of the namespace.
pub fn shared(workload: &Id, before: &Desired, live: &[Object]) -> Vec<(Id, String)> {
    let canary = canary_name(&workload.name);
    let is_other = |set: &&Object| {
        let owner = set
            .at("/metadata/ownerReferences/0/name")
            .and_then(Value::as_str);
        owner != Some(&workload.name)
            && owner != Some(&canary)
            && set.at("/spec/replicas").and_then(Value::as_u64) != Some(0)
    };
    let others: Vec<&Object> = live.iter().filter(is_other).collect();
    let services = before.objects.iter().filter(|object| {
        object.id.group.is_empty()
            && object.id.kind == "Service"
            && object.id.namespace == workload.namespace
            && selects(object, workload, before) == Some(true)
    });
    services
        .filter_map(|service| {
            let selector = service.object.at("/spec/selector")?.as_object()?;
            let other = others.iter().find(|set| {
                let labels = set.at("/spec/template/metadata/labels");
                let labels = labels.and_then(Value::as_object);
                labels.is_some_and(|labels| matches(selector, labels))
            })?;
            let id = other.id();
            Some((
                workload.clone(),
                format!(
                    "{} selects the pods of {id} too, which is not of {workload}: narrowed to the stable pods it would leave them out; narrow its selector, or give them a Service of their own",
                    service.id
                ),
            ))
        })
        .collect()
}

/// Whether a Service selects the pods that a workload of this revision makes; `None` where that is not known.
fn selects(service: &DesiredObject, workload: &Id, desired: &Desired) -> Option<bool> {
    let selector = service.object.at("/spec/selector")?.as_object()?;
    let template = desired.get(workload)?.object.at("/spec/template")?;
    let labels = template
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    Some(labels.is_some_and(|labels| matches(selector, labels)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shop(labels: Value, services: Vec<(&str, Value)>) -> Desired {
        let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api", "namespace": "shop"}, "spec": {
            "template": {"metadata": {"labels": labels}},
        }});
        let services = services.into_iter().map(|(name, selector)| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": selector}})
        });
        Desired::of_manifests(std::iter::once(workload).chain(services))
    }

    fn why(before: &Desired, after: &Desired) -> String {
        let all: Vec<String> = turned(&before.objects[0].id, before, after)
            .into_iter()
            .map(|(_, why)| why)
            .collect();
        all.join("; ")
    }

    #[test]
    fn a_service_that_others_stand_behind_is_not_narrowed() {
        let before = shop(
            json!({"app": "api", "v": "1"}),
            vec![("api", json!({"app": "api"}))],
        );
        let workload = &before.objects[0].id;
        let set = |owner: &str, replicas: u32, app: &str| {
            Object::from_value(json!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": {"name": format!("{owner}-5d4f"), "namespace": "shop", "ownerReferences": [{"name": owner}]},
                "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"app": app}}}},
            }))
            .unwrap()
        };
        let none = [
            set("api", 3, "api"),
            set("api-canary", 1, "api"),
            set("old", 0, "api"),
            set("web", 2, "web"),
        ];
        assert_eq!(shared(workload, &before, &none), []);
        let all = shared(workload, &before, &[set("old", 1, "api")]);
        assert!(
            all[0].1.starts_with(
                "Service shop/api selects the pods of ReplicaSet.apps shop/old-5d4f too"
            ),
            "{all:?}"
        );
    }

    #[test]
    fn a_label_that_services_select_by_is_not_changed_with_its_selector() {
        let of = |color: &str| json!({"app": "api", "color": color});
        let blue = shop(of("blue"), vec![("api", of("blue"))]);
        let green = shop(of("green"), vec![("api", of("green"))]);
        let refused = why(&blue, &green);
        assert!(
            refused.starts_with(
                "Service shop/api in what is applied does not select the pods of the change"
            ),
            "{refused}"
        );
        assert!(refused.contains("add the label to Deployment.apps shop/api first"));
        // One that has no pods until then would have them at once.
        let waiting = shop(of("blue"), vec![("next", of("green"))]);
        let told = why(&waiting, &green);
        assert!(told.contains("selects the pods of the change only"));
        assert!(told.contains("until the label is promoted"), "{told}");
        assert!(!told.contains("add the label"), "it has it: {told}");
        // First the label, then the selector.
        let both = json!({"app": "api", "color": "blue", "tint": "green"});
        let labelled = shop(both.clone(), vec![("api", of("blue"))]);
        let turned = shop(both, vec![("api", json!({"app": "api", "tint": "green"}))]);
        assert_eq!(why(&blue, &labelled), "");
        assert_eq!(why(&labelled, &turned), "");
    }
}
