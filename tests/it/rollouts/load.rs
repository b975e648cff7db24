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
        let (text, _, _) = exchange(address, "api", None).await.ok()?;
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
    let (text, ok, sender) = exchange(address, host, connection).await?;
    // `version 2, blue`
    let version = text
        .strip_prefix("version ")
        .and_then(|rest| rest.split(',').next())
        .unwrap_or_default()
        .to_owned();
    Ok((version, ok, sender))
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

/// The body, whether the status is good, and the connection.
async fn exchange(
    address: &str,
    host: &str,
    connection: Option<Kept>,
) -> Result<(String, bool, Kept), String> {
    let mut request = Request::get("/")
        .header("host", host)
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
