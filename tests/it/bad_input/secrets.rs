//! What must be told nowhere: the values of Secrets and the credentials of Git, as they are or in base64.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use driftless::api::{Approval, Environment, Repository};
use k8s_openapi::api::{coordination::v1::Lease, events::v1::Event};
use kube::{Api, Resource, api::ListParams};
use serde::de::DeserializeOwned;

use super::world::{CANARY, World};

/// Where anything of it was told: the log, Events, what our kinds hold, and the metrics.
pub async fn told(world: &World) -> Vec<String> {
    let mut sinks = vec![
        ("the agent's log", world.log()),
        ("the metrics", world.metrics.clone()),
    ];
    sinks.push(("an Event", all::<Event>(world).await));
    sinks.push(("an Environment", all::<Environment>(world).await));
    sinks.push(("a Repository", all::<Repository>(world).await));
    sinks.push(("an Approval", all::<Approval>(world).await));
    sinks.push(("a Lease", all::<Lease>(world).await));
    let password = world.server.password();
    let secrets = [
        ("the value of a Secret", CANARY),
        ("the password of the Git server", &password),
    ];
    let mut found = Vec::new();
    if world.log().is_empty() || world.metrics.is_empty() {
        found.push("the agent's log or its metrics are empty: nothing was looked at".to_owned());
    }
    for (sink, text) in &sinks {
        for (what, secret) in secrets {
            for form in [
                secret.to_owned(),
                STANDARD.encode(secret),
                STANDARD.encode(format!("git:{secret}")),
            ] {
                // Base64 of a longer text that holds it ends otherwise.
                let form = form.trim_end_matches('=');
                let form = &form[..form.len() - usize::from(form.len() > 8) * 2];
                if let Some(line) = text.lines().find(|line| line.contains(form)) {
                    found.push(format!("{what} is told by {sink}: {line}"));
                }
            }
        }
    }
    found
}

async fn all<K>(world: &World) -> String
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    let list = Api::<K>::all(world.client.clone())
        .list(&ListParams::default())
        .await;
    let items = list.expect("the API server answers").items;
    items
        .iter()
        .map(|item| serde_json::to_string(item).expect("an object is JSON"))
        .collect::<Vec<_>>()
        .join("\n")
}
