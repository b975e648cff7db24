//! `driftless run`: the agent.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::agent::{Agent, Settings};
use crate::cluster::Cluster;
use crate::fields::HandTools;
use crate::git::Limits;
use crate::metrics::Metrics;

#[derive(Args)]
pub struct Arguments {
    #[arg(long, default_value = "driftless-system")]
    namespace: String,
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: String,
    #[arg(long, default_value = "/tmp/driftless")]
    data: PathBuf,
    #[arg(long)]
    allow_file_repositories: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        tracing_subscriber::fmt()
            .with_env_filter("info,driftless=debug")
            .with_writer(std::io::stderr)
            .init();
        let cluster = Arc::new(Cluster::connect(kube::Config::infer().await?).await?);
        let settings = Settings {
            namespace: arguments.namespace.clone(),
            holder: format!(
                "{}-{}",
                std::env::var("HOSTNAME").unwrap_or_default(),
                std::process::id()
            ),
            data: arguments.data.clone(),
            allow_file: arguments.allow_file_repositories,
            limits: Limits::default(),
            renders: 2,
            parallel: 16,
            file_limit: 20_000,
            hand_tools: HandTools::default(),
        };
        let agent = Agent::new(settings, cluster, Arc::<Metrics>::default());
        let stop = CancellationToken::new();
        let signal = stop.clone();
        tokio::spawn(async move {
            let mut terminate =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                    .expect("signals");
            tokio::select! { _ = terminate.recv() => {}, _ = tokio::signal::ctrl_c() => {} }
            signal.cancel();
        });
        agent.run(stop).await;
        Ok(())
    })
}
