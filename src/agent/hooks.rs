//! What webhooks need of the cluster: the token of a repository, and a way to ask for a look at it. Any replica answers; the
//! annotation wakes the leader.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use serde_json::json;

use super::Handle;
use crate::api::Repository;
use crate::cluster::Cluster;
use crate::object::SYNC_ANNOTATION;
use crate::server::{Hooks, Name};

pub fn hooks(handle: &Handle, cluster: Arc<Cluster>) -> Hooks {
    let repositories = handle.repositories.clone();
    let secret = move |name: &Name| {
        let reference = ObjectRef::<Repository>::new(&name.repository).within(&name.namespace);
        let repository = repositories.get(&reference)?;
        Some(repository.spec.webhook.as_ref()?.secret.clone())
    };
    let tokens = cluster.clone();
    let token = move |namespace: String, name: String| {
        let secrets: Api<Secret> = Api::namespaced(tokens.client(), &namespace);
        async move {
            let secret = secrets.get_opt(&name).await?;
            let mut data = secret.and_then(|secret| secret.data).unwrap_or_default();
            Ok(data.remove("token").map(|token| token.0))
        }
    };
    let request = move |name: Name| {
        let repositories: Api<Repository> = Api::namespaced(cluster.client(), &name.namespace);
        async move {
            let now = Timestamp::now().to_string();
            let patch = json!({"metadata": {"annotations": {SYNC_ANNOTATION: now}}});
            repositories
                .patch(
                    &name.repository,
                    &PatchParams::apply("driftless-webhook"),
                    &Patch::Merge(&patch),
                )
                .await?;
            Ok(())
        }
    };
    Hooks::new(secret, token, request)
}
