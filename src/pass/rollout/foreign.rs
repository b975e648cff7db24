//! What stands in the way of a rollout that is to begin: a route that is not there yet or that somebody else decides, a
//! Service of somebody else that selects the pods, or something where a part of it is to be. Only reads.

use super::super::{Memory, Pass};
use super::observe::live;
use crate::desired::Desired;
use crate::object::{ENVIRONMENT_ANNOTATION, ENVIRONMENT_LABEL, Id, Object};
use crate::rollout::policy::{self, Policy, Strategy, parts, route, unsplittable};

/// Why the rollout of this policy's workload cannot begin, by what is in the way. `before` is what the stable side runs
/// beside, `desired` the revision that changes it.
///
/// # Errors
/// What could not be read: then nothing is known.
pub(super) async fn foreign(
    pass: &Pass<'_>,
    memory: &Memory,
    policy: &Policy,
    before: &Desired,
    desired: &Desired,
) -> Result<Vec<(Id, String)>, String> {
    let mut problems = Vec::new();
    if let Some(id) = route(policy) {
        if let Some(why) = unsplittable(policy, before) {
            let why = format!(
                "the rollout of {} needs it before the change, and in what is applied: {why}; push the route first, then the change",
                policy.workload
            );
            return Ok(vec![(id, why)]);
        }
        let version = desired
            .get(&id)
            .map_or("v1", |route| route.object.version());
        if let Some(route) = live(pass, &id, version).await? {
            problems.extend(decided_elsewhere(&route, &memory.owner.id).map(|why| (id, why)));
        }
    }
    for id in parts(policy, desired) {
        let part = live(pass, &id, "v1").await?;
        if let Some(part) = part
            && part.label(ENVIRONMENT_LABEL) != Some(&memory.owner.id)
        {
            let why = format!(
                "it stands where a part of the rollout of {} is to be, and is {}; rename it, or delete it",
                policy.workload,
                owner(&part).map_or("not ours".to_owned(), |owner| format!(
                    "the environment {owner}'s"
                ))
            );
            problems.push((id, why));
        }
    }
    problems.extend(foreign_services(pass, memory, policy, desired).await?);
    problems.extend(others_behind(pass, policy, before).await?);
    Ok(problems)
}

/// The Services that would take the canary's pods, and that the rollout may not touch.
async fn foreign_services(
    pass: &Pass<'_>,
    memory: &Memory,
    policy: &Policy,
    desired: &Desired,
) -> Result<Vec<(Id, String)>, String> {
    let Some(namespace) = &policy.workload.namespace else {
        return Ok(Vec::new());
    };
    let live = pass.context.cluster.services(namespace).await;
    let live = live.map_err(|error| error.to_string())?;
    let workload = &policy.workload;
    Ok(policy::foreign(policy, desired, &live, &memory.owner.id)
        .into_iter()
        .map(|reason| (workload.clone(), reason))
        .collect())
}

/// Whose pods the workload's Services select too.
async fn others_behind(
    pass: &Pass<'_>,
    policy: &Policy,
    before: &Desired,
) -> Result<Vec<(Id, String)>, String> {
    let Some(namespace) = &policy.workload.namespace else {
        return Ok(Vec::new());
    };
    if policy.strategy == Strategy::Partition {
        return Ok(Vec::new());
    }
    let live = pass.context.cluster.replica_sets(namespace).await;
    let live = live.map_err(|error| error.to_string())?;
    Ok(policy::shared(&policy.workload, before, &live))
}

/// Who else decides the weights of this route.
fn decided_elsewhere(route: &Object, environment: &str) -> Option<String> {
    if route
        .label(ENVIRONMENT_LABEL)
        .is_some_and(|owner| owner != environment)
    {
        let owner = owner(route).unwrap_or("unknown");
        return Some(format!(
            "the environment {owner} owns it; two would decide its weights"
        ));
    }
    let owners = route.at("/metadata/ownerReferences")?.as_array()?;
    let controller = owners.iter().find(|owner| owner["controller"] == true)?;
    let text = |key: &str| controller[key].as_str().unwrap_or_default();
    Some(format!(
        "{} {} of {} controls it, and would undo the weights; take its ownerReferences away, or name another route",
        text("kind"),
        text("name"),
        text("apiVersion")
    ))
}

fn owner(object: &Object) -> Option<&str> {
    object.annotation(ENVIRONMENT_ANNOTATION)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn route(metadata: Value) -> Option<String> {
        let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata});
        decided_elsewhere(&Object::from_value(route).unwrap(), "0123")
    }

    #[test]
    fn a_route_is_decided_by_one() {
        let of = |owner: &str| json!({"name": "api", "labels": {ENVIRONMENT_LABEL: owner}, "annotations": {ENVIRONMENT_ANNOTATION: "web/front"}});
        assert_eq!(route(json!({"name": "api"})), None);
        assert_eq!(route(of("0123")), None);
        let elsewhere = route(of("4567")).unwrap();
        assert!(
            elsewhere.contains("the environment web/front owns it"),
            "{elsewhere}"
        );
        let canary = json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "api", "controller": true});
        let controlled = route(json!({"name": "api", "ownerReferences": [canary]})).unwrap();
        assert!(
            controlled.contains("Canary api of flagger.app/v1beta1 controls it"),
            "{controlled}"
        );
    }
}
