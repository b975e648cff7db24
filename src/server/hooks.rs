//! `POST /hooks/<namespace>/<repository>`: a signed hint that the repository has changed. It asks for a look, at most once
//! a second per repository, and does nothing else; the body is never parsed. Strangers learn nothing: an unknown repository,
//! one without a webhook and a wrong signature get the same answer.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::signature::Check;
use crate::metrics::Webhook;

/// The largest body; Git servers send up to 25 MB. It is hashed as it comes, not kept.
const BODY_LIMIT: usize = 25 << 20;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Two requests for one repository are at least this far apart.
const PACE: Duration = Duration::from_secs(1);
/// A token is read again after this time, so that strangers cannot make the agent ask the API server at will.
const TOKEN_TIME: Duration = Duration::from_secs(5);

/// Which Repository a webhook is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    pub namespace: String,
    pub repository: String,
}

/// When a token was read, and what it was.
type Read = (Instant, Option<Vec<u8>>);
type Lookup = dyn Fn(&Name) -> Option<String> + Send + Sync;
type Token =
    dyn Fn(String, String) -> BoxFuture<'static, anyhow::Result<Option<Vec<u8>>>> + Send + Sync;
type Request = dyn Fn(Name) -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync;

/// What webhooks need of the cluster, and the pace of each repository.
pub struct Hooks {
    secret: Box<Lookup>,
    token: Box<Token>,
    request: Arc<Request>,
    /// By namespace and Secret.
    tokens: Mutex<HashMap<(String, String), Read>>,
    paces: Mutex<HashMap<Name, Pace>>,
}

#[derive(Clone, Copy)]
struct Pace {
    asked: Instant,
    /// Another request follows when the time has come.
    due: bool,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    Accepted,
    Coalesced,
    Refused,
    TooLarge,
    TooSlow,
    Failed,
}

impl Received {
    pub fn counted_as(self) -> Webhook {
        match self {
            Self::Accepted => Webhook::Accepted,
            Self::Coalesced => Webhook::Coalesced,
            Self::Refused | Self::TooSlow => Webhook::Refused,
            Self::TooLarge => Webhook::TooLarge,
            Self::Failed => Webhook::Failed,
        }
    }

    pub fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::Accepted => (StatusCode::ACCEPTED, "accepted"),
            Self::Coalesced => (StatusCode::ACCEPTED, "coalesced"),
            Self::Refused => (StatusCode::UNAUTHORIZED, "refused"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body took too long"),
            Self::Failed => (StatusCode::SERVICE_UNAVAILABLE, "try again later"),
        }
    }
}

impl Hooks {
    /// `secret`: the name of the Secret in a Repository's `spec.webhook`. `token`: the key `token` of the Secret of that
    /// namespace and name. `request`: asks for a look at the repository.
    pub fn new<T, R>(
        secret: impl Fn(&Name) -> Option<String> + Send + Sync + 'static,
        token: impl Fn(String, String) -> T + Send + Sync + 'static,
        request: impl Fn(Name) -> R + Send + Sync + 'static,
    ) -> Self
    where
        T: Future<Output = anyhow::Result<Option<Vec<u8>>>> + Send + 'static,
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        Self {
            secret: Box::new(secret),
            token: Box::new(move |namespace, name| Box::pin(token(namespace, name))),
            request: Arc::new(move |name| Box::pin(request(name))),
            tokens: Mutex::default(),
            paces: Mutex::default(),
        }
    }

    pub(super) async fn receive(
        self: &Arc<Self>,
        name: Name,
        headers: &HeaderMap,
        body: Body,
    ) -> Received {
        let token = self.token_of(&name).await;
        // Without a token the body is read all the same: neither answer nor time tells which it was.
        let mut check = Check::new(token.as_deref().unwrap_or_default(), headers);
        match tokio::time::timeout(BODY_TIME, feed(&mut check, headers, body)).await {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => return refusal,
            Err(_) => return Received::TooSlow,
        }
        if token.is_none() || !check.passes() {
            tracing::info!(
                namespace = name.namespace,
                name = name.repository,
                "refused a webhook: no such repository, no webhook, or a wrong signature"
            );
            return Received::Refused;
        }
        self.ask(name).await
    }

    /// The token, never an empty one.
    async fn token_of(&self, name: &Name) -> Option<Vec<u8>> {
        let secret = (self.secret)(name)?;
        let key = (name.namespace.clone(), secret);
        let known = lock(&self.tokens).get(&key).cloned();
        if let Some((read, token)) = known
            && read.elapsed() < TOKEN_TIME
        {
            return token;
        }
        let token = match (self.token)(key.0.clone(), key.1.clone()).await {
            Ok(token) => token
                .map(|token| token.trim_ascii_end().to_vec())
                .filter(|token| !token.is_empty()),
            Err(error) => {
                tracing::warn!(
                    repository = format!("{}/{}", name.namespace, name.repository),
                    error = format!("{error:#}"),
                    "cannot read the token of the webhook"
                );
                None
            }
        };
        let mut tokens = lock(&self.tokens);
        tokens.retain(|_, (read, _)| read.elapsed() < TOKEN_TIME);
        tokens.insert(key, (Instant::now(), token.clone()));
        token
    }

    async fn ask(self: &Arc<Self>, name: Name) -> Received {
        let now = Instant::now();
        {
            let mut paces = lock(&self.paces);
            paces.retain(|_, pace| pace.due || pace.asked + PACE > now);
            if let Some(pace) = paces.get_mut(&name) {
                // The push may be newer than what the last request made the agent see: one more follows.
                if !pace.due {
                    pace.due = true;
                    tokio::spawn(self.clone().ask_later(name, pace.asked + PACE));
                }
                return Received::Coalesced;
            }
            let pace = Pace {
                asked: now,
                due: false,
            };
            paces.insert(name.clone(), pace);
        }
        match (self.request)(name.clone()).await {
            Ok(()) => Received::Accepted,
            Err(error) => {
                lock(&self.paces).remove(&name);
                failed(&name, &error);
                Received::Failed
            }
        }
    }

    async fn ask_later(self: Arc<Self>, name: Name, at: Instant) {
        tokio::time::sleep_until(at).await;
        let pace = Pace {
            asked: Instant::now(),
            due: false,
        };
        lock(&self.paces).insert(name.clone(), pace);
        if let Err(error) = (self.request)(name.clone()).await {
            failed(&name, &error);
        }
    }
}

fn failed(name: &Name, error: &anyhow::Error) {
    tracing::warn!(
        repository = format!("{}/{}", name.namespace, name.repository),
        error = format!("{error:#}"),
        "cannot ask for a look after a webhook"
    );
}

async fn feed(check: &mut Check, headers: &HeaderMap, body: Body) -> Result<(), Received> {
    let announced = headers
        .get("content-length")
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_LIMIT) {
        return Err(Received::TooLarge);
    }
    let mut size = 0_usize;
    let mut chunks = pin!(body.into_data_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Received::Refused)?;
        size = size.saturating_add(chunk.len());
        if size > BODY_LIMIT {
            return Err(Received::TooLarge);
        }
        check.update(&chunk);
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
