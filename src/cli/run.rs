//! `driftless run`: the agent.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::agent::{Agent, Settings, hooks};
use crate::cluster::Cluster;
use crate::fields::HandTools;
use crate::git::Limits;
use crate::metrics::Metrics;
use crate::server::{Limits as ServerLimits, Server, router, serve};
use crate::telemetry::{Format, init};

#[derive(Args)]
pub struct Arguments {
    /// The namespace of the agent.
    #[arg(long, env = "DRIFTLESS_NAMESPACE", default_value = "driftless-system")]
    namespace: String,
    /// Where probes, metrics and webhooks are served.
    #[arg(long, env = "DRIFTLESS_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Where Git mirrors lie; they can be lost at any time.
    #[arg(long, env = "DRIFTLESS_DATA", default_value = "/tmp/driftless")]
    data: PathBuf,
    /// Allow file:// repositories.
    #[arg(long, env = "DRIFTLESS_ALLOW_FILE_REPOSITORIES")]
    allow_file_repositories: bool,
    /// What is logged: a level, or module=level separated by commas.
    #[arg(long, env = "DRIFTLESS_LOG", default_value = "info")]
    log: String,
    /// How it is logged.
    #[arg(long, env = "DRIFTLESS_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: Format,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    init(arguments.log_format, &arguments.log)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(agent(arguments))
}

async fn agent(arguments: &Arguments) -> Result<()> {
    // Whoever installed one before installed this one: there is no other in the program.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stop = CancellationToken::new();
    let signals = stop.clone();
    tokio::spawn(async move {
        if signalled().await.is_ok() {
            signals.cancel();
        }
    });
    let config = kube::Config::infer().await.context("cannot find the cluster")?;
    let cluster = Arc::new(Cluster::connect(config).await?);
    let metrics = Arc::new(Metrics::default());
    let settings = Settings {
        namespace: arguments.namespace.clone(),
        holder: holder(),
        data: arguments.data.clone(),
        allow_file: arguments.allow_file_repositories,
        limits: Limits::default(),
        renders: std::thread::available_parallelism().map_or(2, usize::from),
        parallel: 16,
        file_limit: 20_000,
        hand_tools: HandTools::default(),
    };
    let listener = tokio::net::TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let agent = Agent::new(settings, cluster.clone(), metrics.clone());
    let handle = agent.handle();
    let server = Server {
        metrics,
        ready: handle.ready.clone(),
        hooks: Arc::new(hooks::hooks(&handle, cluster)),
    };
    let closing = stop.clone().cancelled_owned();
    let served = tokio::spawn(serve(listener, router(server), ServerLimits::default(), closing));
    agent.run(stop).await;
    served.await.context("the server ended abnormally")?;
    Ok(())
}

async fn signalled() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    tracing::info!("asked to stop; what is being written ends first");
    Ok(())
}

/// The pod's name, and what makes this run another than the one before in the same pod.
fn holder() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "driftless".to_owned());
    let started = jiff::Timestamp::now().as_millisecond();
    format!("{host}-{started:x}")
}
