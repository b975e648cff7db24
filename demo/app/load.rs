//! A load generator: so many requests a second, half of them on new connections, no retries; everything is counted. Nothing
//! in the way may retry either, so that a request that failed is one that a person would have seen fail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// One request.
#[derive(Clone, Debug)]
pub struct Sample {
    pub at: Instant,
    pub new_connection: bool,
    /// The version that answered and whether it answered 200; or why there was no answer.
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

/// Requests that go on until they are ended.
pub struct Load {
    stop: Arc<AtomicBool>,
    samples: Arc<Mutex<Vec<Sample>>>,
    workers: JoinSet<()>,
}

/// So many that those that wait for a slow answer do not keep the others from asking.
const WORKERS: u32 = 64;
const PATIENCE: Duration = Duration::from_secs(10);

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
                let mut kept: Option<Kept> = None;
                // One after the other, not all at once.
                let first = tokio::time::Instant::now() + every * worker / WORKERS;
                let mut tick = tokio::time::interval_at(first, every);
                tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
                while !stop.load(Ordering::Relaxed) {
                    tick.tick().await;
                    let at = Instant::now();
                    // The server may close a kept connection between two requests: then a new one is made, as every
                    // client does.
                    let connection = kept.take().filter(|kept| !kept.is_closed());
                    let new_connection = connection.is_none();
                    let asked = exchange(&address, &host, &[], connection);
                    let answer = tokio::time::timeout(PATIENCE, asked)
                        .await
                        .unwrap_or_else(|_| Err("no answer within 10 s".to_owned()));
                    let answer = answer.map(|(text, ok, connection)| {
                        kept = Some(connection).filter(|_| !fresh);
                        (version_of(&text), ok)
                    });
                    let sample = Sample {
                        at,
                        new_connection,
                        answer,
                    };
                    let mut samples = samples.lock().unwrap_or_else(PoisonError::into_inner);
                    samples.push(sample);
                }
            });
        }
        Self {
            stop,
            samples,
            workers,
        }
    }

    /// What has ended so far, from the `from`th on.
    pub fn so_far(&self, from: usize) -> Vec<Sample> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.get(from..).unwrap_or_default().to_vec()
    }

    /// How many requests were answered, or failed, so far.
    pub fn answered(&self) -> usize {
        self.samples
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Ends it; every request, by the time at which it was begun.
    pub async fn end(mut self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        while self.workers.join_next().await.is_some() {}
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let mut samples = std::mem::take(&mut *samples);
        samples.sort_by_key(|sample| sample.at);
        samples
    }
}

/// How many requests each version answered, well or not; nobody has the name ``.
pub fn by_version(samples: &[Sample]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for sample in samples {
        let version = sample.answer.as_ref().map_or("", |(version, _)| version);
        *counts.entry(version.to_owned()).or_default() += 1;
    }
    counts
}

/// A connection that can be used again.
pub type Kept = SendRequest<Empty<Bytes>>;

/// Of `version 2, blue`.
pub fn version_of(text: &str) -> String {
    text.strip_prefix("version ")
        .and_then(|rest| rest.split(',').next())
        .unwrap_or_default()
        .to_owned()
}

async fn connect(address: &str) -> Result<Kept, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("connect: {error}"))?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("handshake: {error}"))?;
    tokio::spawn(connection);
    Ok(sender)
}

/// One request: the body, whether the status is good, and the connection.
pub async fn exchange(
    address: &str,
    host: &str,
    headers: &[(&str, &str)],
    connection: Option<Kept>,
) -> Result<(String, bool, Kept), String> {
    let mut request = headers
        .iter()
        .fold(
            Request::get("/").header("host", host),
            |request, (name, value)| request.header(*name, *value),
        )
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let mut kept = connection;
    let (answer, sender) = loop {
        let is_kept = kept.is_some();
        let mut sender = match kept.take() {
            Some(sender) => sender,
            None => connect(address).await?,
        };
        match sender.try_send_request(request).await {
            Ok(answer) => break (answer, sender),
            // The server had closed the kept connection: not a byte of the request was sent.
            Err(mut error) => match error.take_message().filter(|_| is_kept) {
                Some(unsent) => request = unsent,
                None => return Err(format!("send: {}", error.into_error())),
            },
        }
    };
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
