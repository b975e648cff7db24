//! A small web application to try Driftless on: it greets, tells its version, and fails or slows down where an environment
//! variable says so. README.md lists them.

mod metrics;
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use tokio::signal::unix::{SignalKind, signal};

use metrics::Metrics;
use settings::Settings;

struct App {
    settings: Settings,
    metrics: Metrics,
    started: Instant,
    /// SIGTERM has come.
    draining: AtomicBool,
    requests: AtomicU64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let app = Arc::new(App {
        metrics: Metrics::default(),
        started: Instant::now(),
        draining: AtomicBool::new(false),
        requests: AtomicU64::new(0),
        settings,
    });
    if let Some(after) = app.settings.crash_after {
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            std::process::exit(1);
        });
    }
    let routes = Router::new()
        .route("/ready", get(ready))
        .route("/alive", get(async || "alive\n"))
        .route("/metrics", get(show_metrics))
        .fallback(greet)
        .with_state(app.clone());
    let address = ("0.0.0.0", app.settings.port);
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on port {}", app.settings.port))?;
    let mut terminated = signal(SignalKind::terminate())?;
    axum::serve(listener, routes)
        .with_graceful_shutdown(async move {
            terminated.recv().await;
            app.draining.store(true, Ordering::Relaxed);
            tokio::time::sleep(app.settings.drain).await;
        })
        .await?;
    Ok(())
}

/// Every path that is not another's.
async fn greet(State(app): State<Arc<App>>) -> Response {
    let start = Instant::now();
    tokio::time::sleep(app.settings.latency).await;
    let number = app.requests.fetch_add(1, Ordering::Relaxed);
    let status = if app.settings.fails(number) {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::OK
    };
    app.metrics.request(status.as_u16(), start.elapsed());
    let Settings { version, color, .. } = &app.settings;
    let mut answer = (status, format!("version {version}, {color}\n")).into_response();
    if app.draining.load(Ordering::Relaxed) {
        // A client that keeps its connection would meet its end with a request under way.
        let close = header::HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
    }
    answer
}

async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.draining.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if app.settings.is_ready(app.started.elapsed()) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready yet\n")
    }
}

async fn show_metrics(State(app): State<Arc<App>>) -> Response {
    let text = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, text)], app.metrics.text()).into_response()
}

/// `None` for zero: a switch that is off.
fn positive(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}
