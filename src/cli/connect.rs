//! Which cluster and namespace a command is about, by the flags and files that kubectl takes.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Which cluster.
#[derive(Args, Clone, Debug, Default)]
pub struct Server {
    /// The kubeconfig file [default: those in KUBECONFIG, else ~/.kube/config, else the pod's own account]
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// The context in it
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,
}

/// Which cluster, and which namespace.
#[derive(Args, Clone, Debug, Default)]
pub struct Target {
    #[command(flatten)]
    pub server: Server,
    /// The namespace [default: the context's]
    #[arg(short, long, value_name = "NAME", help_heading = "Cluster")]
    pub namespace: Option<String>,
}

impl Server {
    /// How to reach it.
    pub async fn config(&self) -> Result<Config> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        if let Some(file) = &self.kubeconfig {
            let read = Kubeconfig::read_from(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            return Config::from_custom_kubeconfig(read, &options)
                .await
                .with_context(|| format!("cannot use {}", file.display()));
        }
        let from_files = Config::from_kubeconfig(&options).await;
        let asked = self.context.is_some()
            || std::env::var_os("KUBECONFIG").is_some_and(|files| !files.is_empty());
        match from_files {
            Ok(config) => Ok(config),
            Err(error) if asked => Err(error).context("cannot use the kubeconfig"),
            Err(error) => Config::incluster()
                .map_err(|_| error)
                .context("there is no kubeconfig (KUBECONFIG, ~/.kube/config), and this is no pod"),
        }
    }
}

impl Target {
    /// A client, and the namespace that is meant.
    pub async fn connect(&self) -> Result<(Client, String)> {
        let config = self.server.config().await?;
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("cannot set up the connection")?;
        Ok((client, namespace))
    }
}
