//! The health of an environment's objects as they live, by the agent's own rules. Reads only.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;

use futures::StreamExt;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::discovery::Scope;
use kube::{Api, Client};

use crate::api::Environment;
use crate::health::{Checks, Health, assess};
use crate::inventory::Inventory;
use crate::object::{Id, Object};

/// Objects that are looked at, at most: more say nothing at a glance.
const OBJECTS: usize = 500;
/// Requests at once.
const PARALLEL: usize = 8;

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Healthy,
    Waits(String),
    Failed(String),
    Missing,
    /// It could not be read; this person's rights do not suffice, for one.
    Unknown(String),
}

/// The objects of the inventory, each with its state.
pub(super) async fn health(client: &Client, environment: &Environment) -> BTreeMap<Id, State> {
    let status = environment.status.clone().unwrap_or_default();
    let Ok(inventory) = Inventory::from_status(&status.inventory) else {
        return BTreeMap::new();
    };
    let checks = Checks::compile(&environment.spec.health.checks).unwrap_or_default();
    let mut resources: BTreeMap<(String, String), Result<(ApiResource, Scope), String>> =
        BTreeMap::new();
    let entries: Vec<_> = inventory.entries.into_iter().take(OBJECTS).collect();
    for (id, entry) in &entries {
        let key = (id.group.clone(), id.kind.clone());
        if let MapEntry::Vacant(unknown) = resources.entry(key) {
            unknown.insert(resource(client, &id.group, &entry.version, &id.kind).await);
        }
    }
    let states = entries.into_iter().map(|(id, _)| {
        let found = resources[&(id.group.clone(), id.kind.clone())].clone();
        let checks = &checks;
        async move {
            let state = match found {
                Ok((resource, scope)) => read(client, &id, &resource, &scope, checks).await,
                Err(message) => State::Unknown(message),
            };
            (id, state)
        }
    });
    futures::stream::iter(states)
        .buffer_unordered(PARALLEL)
        .collect()
        .await
}

async fn resource(
    client: &Client,
    group: &str,
    version: &str,
    kind: &str,
) -> Result<(ApiResource, Scope), String> {
    let gvk = GroupVersionKind::gvk(group, version, kind);
    match kube::discovery::pinned_kind(client, &gvk).await {
        Ok((resource, capabilities)) => Ok((resource, capabilities.scope)),
        Err(_) => {
            // The version may be served no more; any other shows the same object.
            let group = kube::discovery::group(client, group)
                .await
                .map_err(|error| error.to_string())?;
            group
                .recommended_kind(kind)
                .map(|(resource, capabilities)| (resource, capabilities.scope))
                .ok_or_else(|| format!("the cluster has no kind {kind}"))
        }
    }
}

async fn read(
    client: &Client,
    id: &Id,
    resource: &ApiResource,
    scope: &Scope,
    checks: &Checks,
) -> State {
    let api: Api<DynamicObject> = match (&id.namespace, scope) {
        (Some(namespace), Scope::Namespaced) => {
            Api::namespaced_with(client.clone(), namespace, resource)
        }
        _ => Api::all_with(client.clone(), resource),
    };
    let live = match api.get_opt(&id.name).await {
        Ok(Some(live)) => live,
        Ok(None) => return State::Missing,
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return State::Unknown("you may not read it".to_owned());
        }
        Err(error) => return State::Unknown(error.to_string()),
    };
    let object = serde_json::to_value(live).ok().and_then(Object::from_value);
    match object.map(|object| assess(&object, checks)) {
        None => State::Unknown("it is no object".to_owned()),
        Some(Health::Current) => State::Healthy,
        Some(Health::InProgress { message, .. }) => State::Waits(message),
        Some(Health::Failed { message, .. }) => State::Failed(message),
        Some(Health::Terminating) => State::Waits("it is being deleted".to_owned()),
    }
}
