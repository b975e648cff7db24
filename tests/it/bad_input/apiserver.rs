//! An API server in trouble: a proxy before the real one that is down, slow, or refuses.

use std::{
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use kube::{Client, Config, client::Body, config::AuthInfo};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

use crate::support::node::Node;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Each answer comes so much later.
    Slow(Duration),
    /// Every request is answered with this code.
    Refuses(u16),
    /// Of ten requests two are answered with this code, and one is lost after it was done.
    Flaky(u16),
    /// After so many writes and deletions of objects the next wait for ever.
    Stuck(usize),
}

/// The proxy, without TLS: the agent's token passes through.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

struct Shared {
    client: Client,
    mood: Mutex<Mood>,
    requests: AtomicUsize,
    /// Writes and deletions of objects, no dry runs, since the mood was set.
    changes: AtomicUsize,
    stuck: AtomicBool,
}

impl Proxy {
    pub async fn start(node: &Node) -> Self {
        let mut config: Config = node.config().await;
        config.auth_info = AuthInfo::default();
        config.default_retry = false;
        config.read_timeout = None;
        let shared = Arc::new(Shared {
            client: Client::try_from(config).expect("a client for the node"),
            mood: Mutex::new(Mood::Well),
            requests: AtomicUsize::new(0),
            changes: AtomicUsize::new(0),
            stuck: AtomicBool::new(false),
        });
        let mut proxy = Self {
            port: 0,
            shared,
            serving: None,
        };
        proxy.up().await;
        proxy
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn set(&self, mood: Mood) {
        self.shared.changes.store(0, Ordering::SeqCst);
        self.shared.stuck.store(false, Ordering::SeqCst);
        *self
            .shared
            .mood
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// Whether a write waits in [`Mood::Stuck`].
    pub fn is_stuck(&self) -> bool {
        self.shared.stuck.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Connections are refused, and those that there are break.
    pub async fn down(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Aborted: its connections are closed when it has ended.
            let _ = serving.await;
        }
    }

    pub async fn up(&mut self) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let listener = TcpListener::bind(address).await.expect("the port is free");
        self.port = listener.local_addr().expect("it is bound").port();
        let shared = self.shared.clone();
        self.serving = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let shared = shared.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(shared.clone(), request));
                    // What goes wrong with one connection is what the client sees.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        }));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, kube::Error> {
    let number = shared.requests.fetch_add(1, Ordering::SeqCst);
    let mood = *shared.mood.lock().unwrap_or_else(PoisonError::into_inner);
    let watches = request
        .uri()
        .query()
        .is_some_and(|query| query.contains("watch="));
    let change = is_change(&request);
    match mood {
        Mood::Slow(pause) => tokio::time::sleep(pause).await,
        Mood::Refuses(code) => return Ok(refusal(code)),
        Mood::Flaky(code) if matches!(number % 10, 0 | 3) && !watches => return Ok(refusal(code)),
        Mood::Stuck(limit) if change && shared.changes.fetch_add(1, Ordering::SeqCst) >= limit => {
            shared.stuck.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        Mood::Well | Mood::Flaky(_) | Mood::Stuck(_) => {}
    }
    let (mut parts, body) = request.into_parts();
    parts.headers.remove("host");
    let response = shared
        .client
        .send(Request::from_parts(parts, Body::from(collect(body).await)))
        .await?;
    if matches!(mood, Mood::Flaky(_)) && number % 10 == 5 && !watches {
        // It was done; the answer is lost with the connection.
        return Err(kube::Error::Service("the connection is lost".into()));
    }
    Ok(response)
}

/// A write or deletion of an object of an environment: no dry run, and none of our own kinds, leases or Events.
fn is_change(request: &Request<Incoming>) -> bool {
    let path = request.uri().path();
    let dry = request
        .uri()
        .query()
        .is_some_and(|query| query.contains("dryRun"));
    let own = ["driftless.dev", "coordination.k8s.io", "events.k8s.io"]
        .iter()
        .any(|group| path.contains(group));
    matches!(request.method().as_str(), "PATCH" | "POST" | "DELETE") && !dry && !own
}

async fn collect(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) =
        std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    bytes
}

fn refusal(code: u16) -> Response<Body> {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "the API server is in trouble", "reason": reason, "code": code,
    });
    let mut response = Response::builder()
        .status(code)
        .header("content-type", "application/json");
    // As the real one: only who is turned away is told when to come again.
    if code == 429 {
        response = response.header("retry-after", "1");
    }
    response
        .body(Body::from(status.to_string().into_bytes()))
        .expect("a constant answer can be built")
}
