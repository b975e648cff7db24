//! A load generator: so many requests a second, half of them on new connections, no retries; everything is counted.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

/// One request.
#[derive(Clone, Debug)]
pub struct Sample {
    pub at: Instant,
    pub new_connection: bool,
    /// `version` and whether the answer was 200; or why there was none.
    pub answer: Result<(String, bool), String>,
}

impl Sample {
    pub fn failed(&self) -> bool {
        !matches!(self.answer, Ok((_, true)))
    }

    pub fn is_of(&self, version: &str) -> bool {
        matches!(&self.answer, Ok((known, _)) if known == version)
    }
}

pub struct Load {
    stop: Arc<AtomicBool>,
    samples: Arc<Mutex<Vec<Sample>>>,
    workers: JoinSet<()>,
}

const WORKERS: u32 = 16;

impl Load {
    /// `per_second` requests to `address` (`host:port`), with this Host header.
    pub fn start(address: &str, host: &str, per_second: u32) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let samples = Arc::<Mutex<Vec<Sample>>>::default();
        let mut workers = JoinSet::new();
        let every = Duration::from_secs(1) * WORKERS / per_second;
        for worker in 0..WORKERS {
            let (stop, samples) = (stop.clone(), samples.clone());
            let (address, host) = (address.to_owned(), host.to_owned());
            workers.spawn(async move {
                let fresh = worker % 2 == 0;
                let mut kept: Option<SendRequest<Empty<Bytes>>> = None;
                let mut tick = tokio::time::interval(every);
                tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
                while !stop.load(Ordering::Relaxed) {
                    tick.tick().await;
                    let at = Instant::now();
                    let mut connection = kept.take();
                    // The server may close a kept connection between two requests: then a new one is made, as every
                    // client does.
                    if connection.as_ref().is_some_and(SendRequest::is_closed) {
                        connection = None;
                    }
                    let new_connection = connection.is_none();
                    let answer = tokio::time::timeout(
                        Duration::from_secs(10),
                        ask(&address, &host, connection),
                    )
                    .await
                    .unwrap_or_else(|_| Err("no answer within 10 s".to_owned()));
                    let answer = answer.map(|(version, ok, connection)| {
                        kept = Some(connection).filter(|_| !fresh);
                        (version, ok)
                    });
                    samples
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(Sample {
                            at,
                            new_connection,
                            answer,
                        });
                }
            });
        }
        Self {
            stop,
            samples,
            workers,
        }
    }

    /// How many requests were answered, or failed, so far.
    pub fn answered(&self) -> usize {
        self.samples
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub async fn end(mut self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        while self.workers.join_next().await.is_some() {}
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let mut samples = std::mem::take(&mut *samples);
        samples.sort_by_key(|sample| sample.at);
        samples
    }
}

/// Waits until somebody answers: Services reach the proxies a moment after their pods are ready.
pub async fn answers(address: &str) {
    answers_as(address, "api").await;
}

/// As this host.
pub async fn answers_as(address: &str, host: &str) {
    crate::support::wait::wait_until(Duration::from_secs(30), "somebody answers", || async {
        ask(address, host, None)
            .await
            .ok()
            .filter(|(version, ok, _)| *ok && !version.is_empty())
    })
    .await;
}

/// What the application says at this address.
pub async fn ask_for_text(address: &str) -> String {
    crate::support::wait::wait_until(Duration::from_secs(30), "it answers", || async {
        let (text, _, _) = exchange(address, "api", &[], None).await.ok()?;
        Some(text)
    })
    .await
}

type Kept = SendRequest<Empty<Bytes>>;

async fn ask(
    address: &str,
    host: &str,
    connection: Option<Kept>,
) -> Result<(String, bool, Kept), String> {
    let (text, ok, sender) = exchange(address, host, &[], connection).await?;
    Ok((version_of(&text), ok, sender))
}

/// The versions that answer so many requests with this header, each on its own connection; `failed` where none does.
pub async fn versions_for(
    address: &str,
    host: &str,
    header: (&str, &str),
    requests: usize,
) -> std::collections::BTreeMap<String, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..requests {
        let version = match exchange(address, host, &[header], None).await {
            Ok((text, true, _)) => version_of(&text),
            _ => "failed".to_owned(),
        };
        *counts.entry(version).or_default() += 1;
    }
    counts
}

/// Waits until a request with this header is answered by this version: proxies follow a moment later.
pub async fn answered_by(address: &str, host: &str, header: (&str, &str), version: &str) {
    let what = format!("version {version} answers");
    crate::support::wait::wait_until(Duration::from_secs(30), &what, || async {
        let versions = versions_for(address, host, header, 1).await;
        versions.contains_key(version).then_some(())
    })
    .await;
}

/// Of `version 2, blue`.
fn version_of(text: &str) -> String {
    text.strip_prefix("version ")
        .and_then(|rest| rest.split(',').next())
        .unwrap_or_default()
        .to_owned()
}

/// The body, whether the status is good, and the connection.
async fn exchange(
    address: &str,
    host: &str,
    headers: &[(&str, &str)],
    connection: Option<Kept>,
) -> Result<(String, bool, Kept), String> {
    let mut sender = match connection {
        Some(sender) => sender,
        None => {
            let stream = TcpStream::connect(address)
                .await
                .map_err(|error| format!("connect: {error}"))?;
            let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| format!("handshake: {error}"))?;
            tokio::spawn(connection);
            sender
        }
    };
    let request = headers
        .iter()
        .fold(
            Request::get("/").header("host", host),
            |request, (name, value)| request.header(*name, *value),
        )
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| format!("send: {error}"))?;
    let ok = answer.status().is_success();
    let body = answer
        .into_body()
        .collect()
        .await
        .map_err(|error| format!("body: {error}"))?
        .to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    Ok((text, ok, sender))
}
