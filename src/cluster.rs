//! The only holder of a Kubernetes client: every request to the API server goes through here. Must decide nothing: it
//! says what the API server answered, and an error is never told as absence.

mod client;
mod error;
mod jobs;
mod kinds;
mod lease;
mod object;
mod owned;
mod pods;
mod record;
pub mod scalers;
mod state;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::{HeaderValue, Request};
use k8s_openapi::api::core::v1::Namespace;
use kube::client::Body;
use kube::{Api, Client, Config};
use tokio::sync::RwLock;

pub use error::{ClusterError, Refused};
pub use lease::{Leadership, Lease};
pub use object::{DryRun, Identity};
pub use pods::{PodWatch, PodWatches};
pub use record::Events;
pub use watch::{Seen, Tracker, watch_backoff};

use crate::desired::Kinds;

/// The connection to one cluster.
pub struct Cluster {
    client: Client,
    /// For watches: nothing may come for minutes.
    watching: Client,
    /// The UID of the namespace kube-system: which cluster this is.
    pub uid: String,
    kinds: RwLock<Arc<Kinds>>,
    impersonated: Mutex<HashMap<Identity, Client>>,
    sweep: tokio::sync::Mutex<Option<(Instant, owned::Sweep)>>,
}

impl Cluster {
    /// Connects, and asks which cluster this is and which kinds it has.
    pub async fn connect(config: Config) -> Result<Self, ClusterError> {
        let (client, watching) = client::clients(config)?;
        let system: Namespace = Api::all(client.clone())
            .get("kube-system")
            .await
            .map_err(|source| ClusterError::new("read the namespace kube-system", source))?;
        let cluster = Self {
            client,
            watching,
            uid: system.metadata.uid.unwrap_or_default(),
            kinds: RwLock::default(),
            impersonated: Mutex::default(),
            sweep: tokio::sync::Mutex::default(),
        };
        cluster.refresh_kinds().await?;
        Ok(cluster)
    }

    /// The client under the agent's own rights: for reads, statuses and events.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The client for watches: without a limit on the time between two answers.
    pub fn watching(&self) -> Client {
        self.watching.clone()
    }

    /// The client that acts as `identity`, over the same connections.
    pub fn acting_as(&self, identity: &Identity) -> Client {
        let mut clients = self
            .impersonated
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        clients
            .entry(identity.clone())
            .or_insert_with(|| {
                let user = HeaderValue::from_str(&identity.user()).ok();
                let client = self.client.clone();
                let service = tower::service_fn(move |mut request: Request<Body>| {
                    // A name that is no header value is no user of the cluster.
                    let user = user
                        .clone()
                        .unwrap_or(HeaderValue::from_static("system:anonymous"));
                    request.headers_mut().insert("impersonate-user", user);
                    let client = client.clone();
                    async move { client.send(request).await }
                });
                Client::new(service, identity.namespace.clone())
            })
            .clone()
    }

    /// The kinds that the cluster has, as last asked.
    pub async fn kinds(&self) -> Arc<Kinds> {
        self.kinds.read().await.clone()
    }

    /// Asks again which kinds there are. A group that cannot answer makes it an error: its kinds are not absent.
    pub async fn refresh_kinds(&self) -> Result<Arc<Kinds>, ClusterError> {
        let kinds = Arc::new(kinds::discover(&self.client).await?);
        *self.kinds.write().await = kinds.clone();
        Ok(kinds)
    }
}
