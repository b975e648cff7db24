//! Who leads: one of the replicas, by a Lease.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, pin_mut};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::ClusterError;

/// A replica that does not renew for this long is not the leader any more.
const DURATION: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Without a renewal for this long the leader writes nothing more: before another one could take over.
const WRITE_FOR: Duration = Duration::from_secs(10);

/// Whether this replica may write.
#[derive(Debug, Default)]
pub struct Leadership(Mutex<Option<Instant>>);

impl Leadership {
    /// Whether a write that is begun now comes before any other replica's.
    pub fn is_valid(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|until| Instant::now() < until)
    }

    fn set(&self, until: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// The Lease of one installation.
pub struct Lease {
    api: Api<LeaseObject>,
    watch: Api<LeaseObject>,
    name: String,
    holder: String,
}

/// A Lease as it was last seen.
#[derive(Clone)]
struct Observed {
    object: Option<LeaseObject>,
    at: Instant,
}

impl Lease {
    pub fn new(
        client: Client,
        watching: Client,
        namespace: &str,
        name: &str,
        holder: &str,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            watch: Api::namespaced(watching, namespace),
            name: name.to_owned(),
            holder: holder.to_owned(),
        }
    }

    /// Competes until `stop`; `leads` says whether this replica leads. Gives the Lease back at the end.
    pub async fn run(
        &self,
        leads: &watch::Sender<bool>,
        leadership: &Arc<Leadership>,
        stop: &CancellationToken,
    ) {
        while !stop.is_cancelled() {
            let taken = tokio::select! {
                () = stop.cancelled() => return,
                taken = self.wait_and_take() => taken,
            };
            match taken {
                Ok((lease, asked)) => {
                    tracing::info!(holder = self.holder, "leading");
                    leadership.set(Some(asked + WRITE_FOR));
                    leads.send_replace(true);
                    self.keep(lease, asked, leadership, stop).await;
                    leadership.set(None);
                    leads.send_replace(false);
                    tracing::info!(holder = self.holder, "no longer leading");
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take the lease; trying again");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(Duration::from_secs(2)) => {}
                    }
                }
            }
        }
    }

    /// Watches the Lease until it is free, and takes it; with when that was asked for.
    async fn wait_and_take(&self) -> Result<(LeaseObject, Instant), ClusterError> {
        let config = watcher::Config::default()
            .fields(&format!("metadata.name={}", self.name))
            .timeout(3600);
        // An error ends it, and it is begun anew.
        let events = watcher(self.watch.clone(), config);
        pin_mut!(events);
        let mut seen: Option<Observed> = None;
        loop {
            if let Some(observed) = &seen
                && self.is_free(observed)
            {
                let asked = Instant::now();
                match self.take(observed.object.clone()).await {
                    Ok(lease) => return Ok((lease, asked)),
                    // Another one was faster.
                    Err(error) if error.is_conflict() => seen = None,
                    Err(error) => return Err(error),
                }
            }
            let expires = seen.as_ref().map_or(DURATION, |observed| {
                DURATION.saturating_sub(observed.at.elapsed())
            });
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(watcher::Event::Apply(lease) | watcher::Event::InitApply(lease))) => {
                        seen = Some(Observed { object: Some(lease), at: Instant::now() });
                    }
                    Some(Ok(watcher::Event::Delete(_))) => {
                        seen = Some(Observed { object: None, at: Instant::now() });
                    }
                    Some(Ok(watcher::Event::InitDone)) if seen.is_none() => {
                        seen = Some(Observed { object: None, at: Instant::now() });
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(ClusterError::unexpected("watch the lease", error.to_string())),
                    None => return Err(ClusterError::unexpected("watch the lease", "the watch ended")),
                },
                () = tokio::time::sleep(expires + Duration::from_millis(10)) => {
                    if seen.is_none() {
                        return Err(ClusterError::unexpected("watch the lease", "no answer"));
                    }
                }
            }
        }
    }

    /// Free: nobody holds it, this very replica did, or it was seen unchanged for longer than it lasts.
    fn is_free(&self, observed: &Observed) -> bool {
        let Some(spec) = observed
            .object
            .as_ref()
            .and_then(|lease| lease.spec.as_ref())
        else {
            return true;
        };
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        holder.is_empty() || holder == self.holder || observed.at.elapsed() >= DURATION
    }

    async fn take(&self, current: Option<LeaseObject>) -> Result<LeaseObject, ClusterError> {
        let now = MicroTime(Timestamp::now());
        let transitions = current
            .as_ref()
            .and_then(|lease| lease.spec.as_ref()?.lease_transitions)
            .unwrap_or(0);
        let spec = LeaseSpec {
            holder_identity: Some(self.holder.clone()),
            lease_duration_seconds: Some(i32::try_from(DURATION.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions.saturating_add(1)),
            ..LeaseSpec::default()
        };
        let result = match current {
            Some(mut lease) => {
                lease.spec = Some(spec);
                self.api
                    .replace(&self.name, &PostParams::default(), &lease)
                    .await
            }
            None => {
                let lease = LeaseObject {
                    metadata: ObjectMeta {
                        name: Some(self.name.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(spec),
                };
                self.api.create(&PostParams::default(), &lease).await
            }
        };
        result.map_err(|error| ClusterError::new("take the lease", error))
    }

    /// Renews until that fails for too long, another one has it, or `stop`.
    async fn keep(
        &self,
        mut lease: LeaseObject,
        taken: Instant,
        leadership: &Leadership,
        stop: &CancellationToken,
    ) {
        let mut last = taken;
        loop {
            let pause = RENEW_EVERY
                .saturating_sub(last.elapsed())
                .max(Duration::from_millis(500));
            tokio::select! {
                () = stop.cancelled() => {
                    // What is being written ends first: the caller stops the work, then comes back here by `release`.
                    return;
                }
                () = tokio::time::sleep(pause) => {}
            }
            let started = Instant::now();
            if let Some(spec) = &mut lease.spec {
                spec.renew_time = Some(MicroTime(Timestamp::now()));
            }
            let parameters = PostParams::default();
            let renewal = self.api.replace(&self.name, &parameters, &lease);
            match tokio::time::timeout(RENEW_EVERY, renewal).await {
                Ok(Ok(renewed)) => {
                    lease = renewed;
                    last = started;
                    leadership.set(Some(started + WRITE_FOR));
                    continue;
                }
                Ok(Err(kube::Error::Api(status))) if status.code == 409 || status.code == 404 => {
                    // Somebody wrote it: ours still, or another one's?
                    match self.api.get(&self.name).await {
                        Ok(current) if self.holds(&current) => {
                            lease = current;
                            continue;
                        }
                        Ok(_) => {
                            tracing::warn!("another replica took the lease");
                            return;
                        }
                        Err(error) => tracing::warn!(%error, "cannot read the lease"),
                    }
                }
                Ok(Err(error)) => tracing::warn!(%error, "cannot renew the lease"),
                Err(_) => tracing::warn!("the renewal of the lease got no answer"),
            }
            if last.elapsed() >= WRITE_FOR {
                return;
            }
        }
    }

    fn holds(&self, lease: &LeaseObject) -> bool {
        lease
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.as_deref())
            .is_some_and(|holder| holder == self.holder)
    }

    /// Gives the Lease back, so that another replica takes it at once.
    pub async fn release(&self) {
        let Ok(Some(mut lease)) = self.api.get_opt(&self.name).await else {
            return;
        };
        if !self.holds(&lease) {
            return;
        }
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
            spec.renew_time = None;
        }
        if let Err(error) = self
            .api
            .replace(&self.name, &PostParams::default(), &lease)
            .await
        {
            tracing::debug!(%error, "cannot give the lease back");
        }
    }
}
