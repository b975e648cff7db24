//! One object as the API server would have it: a server-side apply that is only tried. Writes nothing.

use std::collections::BTreeMap;

use kube::api::{
    ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, ValidationDirective,
};
use kube::{Api, Client};

use crate::cluster::{Cluster, ClusterError, Identity};
use crate::desired::Kinds;
use crate::object::{FIELD_MANAGER, Id, Object};
use crate::plan::{Action, LiveState};

/// What would become of an object.
pub(super) enum Changed {
    To {
        /// As it lives; `None` if it would be new.
        before: Option<Object>,
        after: Object,
        /// Tried under the person's own rights.
        as_self: bool,
    },
    Refused(String),
}

pub(super) async fn tried(
    cluster: &Cluster,
    identity: &Identity,
    kinds: &Kinds,
    action: &Action,
    live: &BTreeMap<Id, LiveState>,
) -> (Id, Changed) {
    let id = action.id.clone();
    let before = match live.get(&id) {
        Some(LiveState::Present(object)) => Some(object.clone()),
        Some(LiveState::Unknown(message)) => return (id, Changed::Refused(message.clone())),
        Some(LiveState::Absent | LiveState::AsApplied) | None => None,
    };
    let known = cluster.kinds().await;
    let there = |id: &Id| known.get(&id.group, &id.kind).is_some();
    // Its definition or its namespace comes first: nothing can be tried yet.
    let new_namespace = id
        .namespace
        .as_ref()
        .is_some_and(|namespace| is_new_namespace(live, namespace));
    if !there(&id) || (before.is_none() && new_namespace) {
        return (
            id,
            Changed::To {
                before,
                after: action.body.clone(),
                as_self: false,
            },
        );
    }
    let result = match apply(cluster.acting_as(identity), kinds, action).await {
        Err(error) if error.is_impersonation() => apply(cluster.client(), kinds, action)
            .await
            .map(|after| (after, true)),
        result => result.map(|after| (after, false)),
    };
    let changed = match result {
        Ok((after, as_self)) => Changed::To {
            before,
            after,
            as_self,
        },
        Err(error) => Changed::Refused(error.to_string()),
    };
    (id, changed)
}

/// Whether the namespace is among what is desired and not there yet.
fn is_new_namespace(live: &BTreeMap<Id, LiveState>, namespace: &str) -> bool {
    let id = Id {
        group: String::new(),
        kind: "Namespace".to_owned(),
        namespace: None,
        name: namespace.to_owned(),
    };
    matches!(live.get(&id), Some(LiveState::Absent))
}

async fn apply(client: Client, kinds: &Kinds, action: &Action) -> Result<Object, ClusterError> {
    let id = &action.id;
    let what = format!("apply {id} (dry run)");
    let Some(kind) = kinds.get(&id.group, &id.kind) else {
        return Err(ClusterError::unexpected(
            what,
            "the cluster has no such kind",
        ));
    };
    let gvk = GroupVersionKind::gvk(&id.group, action.body.version(), &id.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &kind.plural);
    let api: Api<DynamicObject> = match &id.namespace {
        Some(namespace) if kind.namespaced => Api::namespaced_with(client, namespace, &resource),
        _ => Api::all_with(client, &resource),
    };
    let params = PatchParams {
        dry_run: true,
        force: action.force,
        field_manager: Some(FIELD_MANAGER.to_owned()),
        field_validation: Some(ValidationDirective::Strict),
    };
    let applied = api
        .patch(&id.name, &params, &Patch::Apply(&action.body))
        .await
        .map_err(|error| ClusterError::new(what.clone(), error))?;
    let value = serde_json::to_value(applied)
        .ok()
        .and_then(Object::from_value);
    value.ok_or_else(|| ClusterError::unexpected(what, "the answer is no object"))
}
