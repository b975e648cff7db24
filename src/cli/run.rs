//! `driftless run`: the agent and its server, until the first SIGTERM or SIGINT.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Outcome;
use super::connect::Server as ClusterServer;
use crate::agent::{Agent, hooks};
use crate::cluster::Cluster;
use crate::config::{Arguments, Run};
use crate::metrics::Metrics;
use crate::server::{Server, router, serve};
use crate::telemetry;

pub async fn run(cluster: &ClusterServer, arguments: Arguments) -> Result<Outcome> {
    telemetry::init(arguments.log_format, &arguments.log)?;
    let Run {
        settings,
        listen,
        server,
    } = Run::new(arguments)?;
    let stop = stop_on_signals()?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        namespace = settings.namespace,
        identity = settings.holder,
        %listen,
        "driftless starts"
    );
    let metrics = Arc::new(Metrics::default());
    let Some(cluster) = connected(cluster, &stop).await? else {
        return Ok(Outcome::Done);
    };
    let cluster = Arc::new(cluster);
    let agent = Agent::new(settings, cluster.clone(), metrics.clone());
    let handle = agent.handle();
    let routes = router(Server {
        metrics,
        ready: handle.ready.clone(),
        hooks: Arc::new(hooks::hooks(&handle, cluster)),
    });
    let served = CancellationToken::new();
    let serving = {
        let served = served.clone();
        tokio::spawn(async move { serve(listener, routes, server, served.cancelled()).await })
    };
    agent.run(stop).await;
    served.cancel();
    serving.await.context("the server ended abnormally")?;
    tracing::info!("driftless has ended");
    Ok(Outcome::Done)
}

fn stop_on_signals() -> Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop; what is being written ends first");
        stopped.cancel();
    });
    Ok(stop)
}

/// Connects, and tries again while the API server does not answer; `None` if told to stop meanwhile.
async fn connected(server: &ClusterServer, stop: &CancellationToken) -> Result<Option<Cluster>> {
    let config = server.config().await?;
    let mut pause = Duration::from_millis(500);
    loop {
        let result = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            result = Cluster::connect(config.clone()) => result,
        };
        match result {
            Ok(cluster) => return Ok(Some(cluster)),
            Err(error) => {
                tracing::warn!(%error, "the cluster does not answer yet; it is tried again");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(30)),
        }
    }
}
