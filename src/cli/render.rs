//! `driftless render`: `kustomize build` with its flags, for scripts that had the other.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::kustomize::{
    Build, BuildError, BuildErrors, BuildOptions, LoadRestrictor, Reorder, build, is_cluster_scoped,
};
use crate::object::Object;
use crate::tree::join;
use crate::yaml::to_yaml;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::checkout::Checkout;

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
pub struct Arguments {
    /// The directory with the kustomization.
    #[arg(default_value = ".")]
    directory: String,
    /// Whether files outside of a kustomization's own directory may be loaded.
    #[arg(long, value_enum, default_value = "LoadRestrictionsRootOnly")]
    load_restrictor: Restrictor,
    /// The order of the objects, where the kustomization has no `sortOptions`.
    #[arg(long, value_enum)]
    reorder: Option<Order>,
    /// Add the label app.kubernetes.io/managed-by.
    #[arg(long)]
    enable_managedby_label: bool,
    /// Write to this file, or each object to a file of its own in this directory.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Accepted without effect: no containers are run.
    #[arg(long, hide = true)]
    as_current_user: bool,
    /// Refused: no plugins are executed.
    #[arg(long, hide = true)]
    enable_alpha_plugins: bool,
    /// Refused: no programs are executed.
    #[arg(long, hide = true)]
    enable_exec: bool,
    /// Refused: no charts are rendered.
    #[arg(long, hide = true)]
    enable_helm: bool,
    #[arg(long, hide = true)]
    helm_command: Option<String>,
    #[arg(long, hide = true)]
    helm_api_versions: Vec<String>,
    #[arg(long, hide = true)]
    helm_kube_version: Option<String>,
    #[arg(long, hide = true)]
    helm_debug: bool,
    /// Refused: there is no network.
    #[arg(long, hide = true)]
    network: bool,
    #[arg(long, hide = true)]
    network_name: Option<String>,
    #[arg(long, hide = true)]
    mount: Vec<String>,
    #[arg(short, long, hide = true)]
    env: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Restrictor {
    #[value(name = "LoadRestrictionsRootOnly", alias = "")]
    RootOnly,
    #[value(name = "LoadRestrictionsNone", alias = "none")]
    None,
}

#[derive(Clone, Copy, ValueEnum)]
enum Order {
    Legacy,
    None,
}

impl Arguments {
    /// The flags of `kustomize build` that cannot be honoured, each with the reason.
    fn refuse(&self) -> Result<()> {
        let executes = "nothing is executed here: run it before you commit";
        let charts = "Helm charts are not rendered inside of a kustomization: use `helm template` and commit the result";
        let containers = "no containers are run";
        let refused = [
            (self.enable_alpha_plugins, "enable-alpha-plugins", executes),
            (self.enable_exec, "enable-exec", executes),
            (self.enable_helm, "enable-helm", charts),
            (self.helm_command.is_some(), "helm-command", charts),
            (
                !self.helm_api_versions.is_empty(),
                "helm-api-versions",
                charts,
            ),
            (
                self.helm_kube_version.is_some(),
                "helm-kube-version",
                charts,
            ),
            (self.helm_debug, "helm-debug", charts),
            (self.network, "network", containers),
            (self.network_name.is_some(), "network-name", containers),
            (!self.mount.is_empty(), "mount", containers),
            (!self.env.is_empty(), "env", containers),
        ];
        for (given, flag, reason) in refused {
            if given {
                bail!("--{flag}: {reason}");
            }
        }
        Ok(())
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    arguments.refuse()?;
    let options = BuildOptions {
        load_restrictor: match arguments.load_restrictor {
            Restrictor::RootOnly => LoadRestrictor::RootOnly,
            Restrictor::None => LoadRestrictor::None,
        },
        reorder: arguments.reorder.map(|order| match order {
            Order::Legacy => Reorder::Legacy,
            Order::None => Reorder::None,
        }),
        enable_managedby_label: arguments.enable_managedby_label,
        ..BuildOptions::default()
    };
    let directory = absolute(&arguments.directory)?;
    let build = build(&Checkout, &directory, &options).map_err(shown)?;
    for warning in &build.warnings {
        let _ = writeln!(std::io::stderr(), "Warning: {warning}");
    }
    match &arguments.output {
        Some(path) if path.is_dir() => write_each(&build, path),
        Some(path) => fs::write(path, build.to_yaml())
            .with_context(|| format!("cannot write {}", path.display())),
        None => {
            let written = std::io::stdout().write_all(build.to_yaml().as_bytes());
            written.context("cannot write to the standard output")
        }
    }
}

/// Errors with paths as the user sees them: from the working directory, or from the root.
fn shown(errors: BuildErrors) -> BuildErrors {
    let here = std::env::current_dir().unwrap_or_default();
    let path = |path: String| {
        let full = PathBuf::from(format!("/{path}"));
        full.strip_prefix(&here).map_or_else(
            |_| full.display().to_string(),
            |below| below.display().to_string(),
        )
    };
    errors.each(|error| BuildError {
        file: error.file.map(path),
        chain: error.chain.into_iter().map(path).collect(),
        ..error
    })
}

/// The real directory, as a path from the root without the slash in front.
fn absolute(directory: &str) -> Result<String> {
    let real =
        fs::canonicalize(directory).with_context(|| format!("`{directory}` is not a directory"))?;
    let Some(text) = real.to_str() else {
        bail!("`{}` is not UTF-8", real.display());
    };
    join("", text).with_context(|| format!("`{text}` is not a path"))
}

/// Each object in a file of its own, named as kustomize names it: by group, version, kind and name, and by the
/// namespace where there are several.
fn write_each(build: &Build, directory: &Path) -> Result<()> {
    let namespace_of = |object: &Object| {
        let scoped = !is_cluster_scoped(object.api_version(), object.kind());
        scoped.then(|| object.namespace().unwrap_or("default").to_owned())
    };
    let objects = build.resources.iter().map(|resource| &resource.object);
    let namespaces: BTreeSet<String> = objects.clone().filter_map(namespace_of).collect();
    for object in objects {
        let mut parts = Vec::new();
        parts.extend(namespace_of(object).filter(|_| namespaces.len() > 1));
        let own = [
            object.group(),
            object.version(),
            object.kind(),
            object.name(),
        ];
        parts.extend(
            own.into_iter()
                .filter(|part| !part.is_empty())
                .map(str::to_owned),
        );
        let file = format!("{}.yaml", parts.join("_").to_lowercase());
        if file.contains('/') {
            bail!("`{file}` cannot be the name of a file");
        }
        let path = directory.join(file);
        let text = to_yaml(&Value::Object(object.0.clone()));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
