//! The HTTP server: probes, metrics, and webhooks. Must not know a cluster; what it needs of one is passed in.

mod hooks;
mod listener;
mod signature;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use axum::routing::{get, post};
use tokio::sync::watch;

pub use hooks::{Hooks, Name};
pub use listener::{Limits, serve};

use crate::metrics::{CONTENT_TYPE, Metrics};

/// What the routes answer from.
pub struct Server {
    pub metrics: Arc<Metrics>,
    /// Whether the watches have told what there is.
    pub ready: watch::Receiver<bool>,
    pub hooks: Arc<Hooks>,
}

/// The routes.
pub fn router(server: Server) -> Router {
    Router::new()
        .route("/healthz", get(async || text(StatusCode::OK, "ok\n")))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/hooks/{namespace}/{repository}", post(hook))
        .with_state(Arc::new(server))
}

async fn readyz(State(server): State<Arc<Server>>) -> Response<Body> {
    if *server.ready.borrow() {
        text(StatusCode::OK, "ok\n")
    } else {
        text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the watches have not told yet what there is\n",
        )
    }
}

async fn metrics(State(server): State<Arc<Server>>) -> Response<Body> {
    answer(StatusCode::OK, CONTENT_TYPE, server.metrics.exposition())
}

async fn hook(
    State(server): State<Arc<Server>>,
    Path((namespace, repository)): Path<(String, String)>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let name = Name {
        namespace,
        repository,
    };
    let outcome = server.hooks.receive(name, &parts.headers, body).await;
    server.metrics.webhook(outcome.counted_as());
    let (status, message) = outcome.answer();
    answer(
        status,
        "application/json",
        format!("{{\"status\":\"{message}\"}}\n"),
    )
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", text)
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
