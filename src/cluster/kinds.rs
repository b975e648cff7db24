//! Which kinds the cluster has.

use http::Request;
use kube::Client;
use serde::Deserialize;

use super::ClusterError;
use crate::desired::{KindInfo, Kinds};

#[derive(Deserialize)]
struct Groups {
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "version")]
    name: String,
    #[serde(default)]
    freshness: String,
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    #[serde(rename = "resource")]
    plural: String,
    response_kind: Option<ResponseKind>,
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct ResponseKind {
    #[serde(default)]
    kind: String,
}

/// Asks in two requests (aggregated discovery, Kubernetes 1.27 and later). A group whose answer is stale keeps its kinds.
pub(super) async fn discover(client: &Client) -> Result<Kinds, ClusterError> {
    let mut kinds = Kinds::default();
    for path in ["/api", "/apis"] {
        let request = Request::get(path)
            .header(
                "accept",
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            )
            .body(Vec::new())
            .map_err(|error| {
                ClusterError::new("ask for the kinds", kube::Error::HttpError(error))
            })?;
        let groups: Groups = client
            .request(request)
            .await
            .map_err(|error| ClusterError::new("ask which kinds the cluster has", error))?;
        for group in groups.items {
            add(&mut kinds, &group);
        }
    }
    if kinds.get("", "Namespace").is_none() {
        return Err(ClusterError::unexpected(
            "ask which kinds the cluster has",
            "the answer does not even name Namespace",
        ));
    }
    Ok(kinds)
}

fn add(kinds: &mut Kinds, group: &Group) {
    for version in &group.versions {
        if version.freshness == "Stale" {
            kinds.set_stale(&group.metadata.name);
            tracing::warn!(
                group = group.metadata.name,
                version = version.name,
                "the API server cannot reach the server of this group: what it says of its kinds is old"
            );
        }
        for resource in &version.resources {
            let Some(kind) = resource
                .response_kind
                .as_ref()
                .filter(|kind| !kind.kind.is_empty())
            else {
                continue;
            };
            if !resource
                .verbs
                .iter()
                .any(|verb| verb == "patch" || verb == "create")
            {
                continue;
            }
            let mut versions = kinds
                .get(&group.metadata.name, &kind.kind)
                .map(|known| known.versions.clone())
                .unwrap_or_default();
            if !versions.contains(&version.name) {
                versions.push(version.name.clone());
            }
            kinds.insert(KindInfo {
                group: group.metadata.name.clone(),
                kind: kind.kind.clone(),
                versions,
                plural: resource.plural.clone(),
                namespaced: resource.scope == "Namespaced",
                listable: resource.verbs.iter().any(|verb| verb == "list"),
            });
        }
    }
}
