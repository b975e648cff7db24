//! The life of one Repository: look, fetch, tell, wait.

mod status;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{Signals, Snapshot, Sources, View};
use crate::api::Repository;
use crate::cluster::watch_backoff;
use crate::git::{Access, Mirror, Remote, RemoteRefs, RemoteUrl};

type SecretEvents = BoxStream<'static, Result<watcher::Event<Secret>, watcher::Error>>;

/// What the task remembers between two looks; all of it can be lost.
#[derive(Default)]
struct Memory {
    mirror: Option<(String, Arc<Mirror>)>,
    seen: Option<RemoteRefs>,
    snapshot: Option<Snapshot>,
    problem: Option<String>,
    fetched_at: Option<Timestamp>,
    failures: u32,
}

pub(super) async fn run(
    sources: Arc<Sources>,
    reference: ObjectRef<Repository>,
    signals: Arc<Signals>,
    stop: CancellationToken,
) {
    let mut memory = Memory::default();
    let mut watched: Option<String> = None;
    let mut secret: Option<BTreeMap<String, Vec<u8>>> = None;
    let mut events: SecretEvents = stream::pending().boxed();
    loop {
        let Some(repository) = current(&sources, &reference) else {
            return;
        };
        let name = repository
            .spec
            .credentials
            .as_ref()
            .map(|credentials| credentials.secret.clone());
        if name != watched {
            secret = None;
            events = match &name {
                Some(name) => watch_secret(&sources, &repository, name),
                None => stream::pending().boxed(),
            };
            if name.is_some() && !first_list(&mut events, &mut secret, &stop).await {
                return;
            }
            watched = name;
        }
        let changed = look(&sources, &repository, secret.as_ref(), &mut memory, &stop).await;
        if stop.is_cancelled() {
            return;
        }
        if changed {
            let view = View {
                snapshot: memory.snapshot.clone(),
                problem: memory.problem.clone(),
            };
            sources.publish(&reference, view);
        }
        status::write(&sources, &reference, &memory).await;
        let next = Instant::now() + pause(repository.spec.interval.0, memory.failures);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = signals.look.notified() => break,
                () = tokio::time::sleep_until(next.into()) => break,
                Some(event) = events.next() => {
                    if take(&mut secret, event) {
                        break;
                    }
                }
                () = signals.counted.notified() => {
                    // The environments answer within moments of each other: one write for all.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    status::write(&sources, &reference, &memory).await;
                }
            }
        }
    }
}

fn current(sources: &Sources, reference: &ObjectRef<Repository>) -> Option<Arc<Repository>> {
    sources
        .state()
        .get(reference)
        .map(|source| source.repository.clone())
}

/// The interval; after failures at first less, for what was only a moment's trouble.
fn pause(interval: Duration, failures: u32) -> Duration {
    match failures {
        0 => interval,
        failures => interval.min(Duration::from_secs(2_u64.saturating_pow(failures.min(10)))),
    }
}

fn watch_secret(sources: &Sources, repository: &Repository, name: &str) -> SecretEvents {
    let namespace = repository.namespace().unwrap_or_default();
    let api: Api<Secret> = Api::namespaced(sources.cluster.watching(), &namespace);
    let config = watcher::Config::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(3600);
    watcher(api, config).backoff(watch_backoff()).boxed()
}

/// Whether the first list came before `stop`.
async fn first_list(
    events: &mut SecretEvents,
    secret: &mut Option<BTreeMap<String, Vec<u8>>>,
    stop: &CancellationToken,
) -> bool {
    loop {
        tokio::select! {
            () = stop.cancelled() => return false,
            event = events.next() => match event {
                Some(Ok(watcher::Event::InitDone)) | None => return true,
                Some(event) => { take(secret, event); }
            }
        }
    }
}

/// Whether the Secret's data changed.
fn take(
    secret: &mut Option<BTreeMap<String, Vec<u8>>>,
    event: Result<watcher::Event<Secret>, watcher::Error>,
) -> bool {
    let data = match event {
        Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => Some(
            object
                .data
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value)| (key, value.0))
                .collect(),
        ),
        Ok(watcher::Event::Delete(_)) => None,
        Ok(watcher::Event::Init | watcher::Event::InitDone) | Err(_) => return false,
    };
    let changed = *secret != data;
    *secret = data;
    changed
}

/// Looks at the server, and fetches what is new. Whether there is anything to tell.
async fn look(
    sources: &Sources,
    repository: &Repository,
    secret: Option<&BTreeMap<String, Vec<u8>>>,
    memory: &mut Memory,
    stop: &CancellationToken,
) -> bool {
    let started = Instant::now();
    let result = match remote(sources, repository, secret) {
        Ok(remote) => {
            let uid = repository.uid().unwrap_or_default();
            fetch(sources, remote, &uid, memory, stop).await
        }
        Err(problem) => Err(problem),
    };
    if stop.is_cancelled() {
        return false;
    }
    let label = format!(
        "{}/{}",
        repository.namespace().unwrap_or_default(),
        repository.name_any()
    );
    sources
        .metrics
        .looked(&label, result.is_ok(), started.elapsed());
    match result {
        Ok(new_refs) => {
            memory.failures = 0;
            let recovered = memory.problem.take().is_some();
            if recovered {
                tracing::info!(repository = label, "the repository answers again");
                sources
                    .events
                    .normal(
                        repository,
                        "Fetched",
                        "Fetch",
                        "the repository answers again",
                    )
                    .await;
            }
            new_refs || recovered
        }
        Err(problem) => {
            memory.failures = memory.failures.saturating_add(1);
            let changed = memory.problem.as_deref() != Some(problem.as_str());
            if changed {
                tracing::warn!(repository = label, problem, "cannot look at the repository");
                sources
                    .events
                    .warning(repository, "FetchFailed", "Fetch", &problem)
                    .await;
            }
            memory.problem = Some(problem);
            changed
        }
    }
}

/// What to ask, with what login.
fn remote(
    sources: &Sources,
    repository: &Repository,
    secret: Option<&BTreeMap<String, Vec<u8>>>,
) -> Result<Remote, String> {
    let url: RemoteUrl = repository
        .spec
        .url
        .parse()
        .map_err(|error| format!("spec.url: {error}"))?;
    if url.is_file() && !sources.config.allow_file {
        return Err("spec.url: file:// repositories are not allowed; start the agent with --allow-file-repositories".to_owned());
    }
    let access = match (&repository.spec.credentials, secret) {
        (None, _) => Access::anonymous(&url).map_err(|error| error.to_string())?,
        (Some(name), None) => {
            return Err(format!(
                "spec.credentials: there is no Secret {} in this namespace",
                name.secret
            ));
        }
        (Some(name), Some(data)) => Access::from_secret(&url, data)
            .map_err(|error| format!("Secret {}: {error}", name.secret))?,
    };
    Ok(Remote {
        url,
        access,
        allow_file: sources.config.allow_file,
        limits: sources.config.limits,
    })
}

/// Asks for the refs and fetches them if they changed; whether they did.
async fn fetch(
    sources: &Sources,
    remote: Remote,
    uid: &str,
    memory: &mut Memory,
    stop: &CancellationToken,
) -> Result<bool, String> {
    let url = remote.url.to_string();
    let known = memory
        .mirror
        .as_ref()
        .filter(|(of, _)| *of == url)
        .map(|(_, mirror)| mirror.clone());
    if known.is_none() {
        // Another server: what was seen of the old one says nothing.
        memory.seen = None;
    }
    let seen = memory.seen.clone();
    let directory = sources.config.data.join(folder(uid, &url));
    let cancel = Arc::new(AtomicBool::new(false));
    let work = {
        let cancel = cancel.clone();
        tokio::task::spawn_blocking(move || {
            let mirror = match known {
                Some(mirror) => mirror,
                None => Arc::new(Mirror::open_or_create(&directory)?),
            };
            // One conversation: whoever pushes meanwhile makes it begin again, not fail.
            let was_damaged = mirror.is_damaged();
            let found = mirror.update(&remote, &cancel)?;
            if seen.as_ref() == Some(&found) && !was_damaged {
                return Ok((mirror, found, None));
            }
            let refs = mirror.refs()?;
            Ok((mirror, found, Some(refs)))
        })
    };
    let result = tokio::select! {
        result = work => result,
        () = stop.cancelled() => {
            cancel.store(true, Ordering::Relaxed);
            return Ok(false);
        }
    };
    let (mirror, found, refs) = result
        .map_err(|error| format!("the fetch ended abnormally: {error}"))?
        .map_err(|error: crate::git::GitError| describe(&error))?;
    memory.mirror = Some((url, mirror.clone()));
    memory.seen = Some(found);
    let Some(refs) = refs else {
        return Ok(false);
    };
    let serial = memory
        .snapshot
        .as_ref()
        .map_or(1, |snapshot| snapshot.serial + 1);
    memory.snapshot = Some(Snapshot {
        refs,
        mirror,
        serial,
    });
    // As the API server keeps it: in whole seconds.
    memory.fetched_at = Timestamp::from_second(Timestamp::now().as_second()).ok();
    Ok(true)
}

/// An error with its causes.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// The folder of a mirror, named by hashes: nothing of a URL becomes a path. Each Repository has its own, as each may see
/// other refs with its own credentials.
fn folder(uid: &str, url: &str) -> String {
    let digest = Sha256::digest(format!("{uid} {url}").as_bytes());
    digest
        .iter()
        .take(16)
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
