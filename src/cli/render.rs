//! `driftless render`: `kustomize build` with its flags, for scripts that had the other.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::config::Budgets;
use crate::kustomize::{
    Build, BuildError, BuildErrors, BuildOptions, Limits, LoadRestrictor, Reorder, build,
    is_cluster_scoped, is_remote,
};
use crate::object::Object;
use crate::tree::join;
use crate::yaml::to_yaml;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::checkout::Checkout;

#[derive(Args, Debug, Default, PartialEq)]
#[command(
    after_help = "The flags of `kustomize build` mean the same here. Those for what is executed or fetched are refused, each with \
the reason: --enable-alpha-plugins, --enable-exec, --enable-helm, --helm-api-versions, --helm-command, --helm-debug, \
--helm-kube-version, --network, --network-name, --mount, --env. --as-current-user and --stack-trace change nothing."
)]
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
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    enable_managedby_label: Option<GoBool>,
    /// Write to this file, or each object to a file of its own in this directory.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Accepted without effect: no containers are run.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    as_current_user: Option<GoBool>,
    /// Refused: no plugins are executed.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_alpha_plugins: Option<GoBool>,
    /// Refused: no programs are executed.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_exec: Option<GoBool>,
    /// Refused: no charts are rendered.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_helm: Option<GoBool>,
    #[arg(long, hide = true)]
    helm_command: Option<String>,
    #[arg(long, hide = true)]
    helm_api_versions: Vec<String>,
    #[arg(long, hide = true)]
    helm_kube_version: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    helm_debug: Option<GoBool>,
    /// Refused: there is no network.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    network: Option<GoBool>,
    #[arg(long, hide = true)]
    network_name: Option<String>,
    #[arg(long, hide = true)]
    mount: Vec<String>,
    #[arg(short, long, hide = true)]
    env: Vec<String>,
    /// Accepted without effect: errors have their places.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    stack_trace: Option<GoBool>,
    #[command(flatten)]
    budgets: Budgets,
}

/// A flag that may be given as `--flag`, `--flag=true` or `--flag=false`, as programs written in Go take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GoBool(bool);

impl FromStr for GoBool {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Self(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Self(false)),
            _ => Err("true or false is expected"),
        }
    }
}

fn is_on(flag: Option<GoBool>) -> bool {
    flag == Some(GoBool(true))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
enum Restrictor {
    #[default]
    #[value(name = "LoadRestrictionsRootOnly", alias = "")]
    RootOnly,
    #[value(name = "LoadRestrictionsNone", alias = "none")]
    None,
}

// Without clap, of which a render would have to load more.
impl Restrictor {
    fn plain(word: &str) -> Option<Self> {
        match word {
            "LoadRestrictionsRootOnly" => Some(Self::RootOnly),
            "LoadRestrictionsNone" | "none" => Some(Self::None),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Order {
    Legacy,
    None,
}

impl Order {
    fn plain(word: &str) -> Option<Self> {
        match word {
            "legacy" => Some(Self::Legacy),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

impl Arguments {
    /// What the usual words say; `None` if there are others among them, or if something may be wrong.
    pub(super) fn plain(words: &[String]) -> Option<Self> {
        let (mut directory, mut restrictor, mut label) = (None, None, None);
        let mut arguments = Self::default();
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let (flag, joined) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word, None),
            };
            let again = match flag {
                "--enable-managedby-label" => label
                    .replace(joined.unwrap_or("true").parse().ok()?)
                    .is_some(),
                "--load-restrictor" | "--reorder" | "--output" | "-o" => {
                    let value = joined.or_else(|| words.next())?;
                    if value.is_empty() || value.starts_with(['-', '=']) {
                        return None;
                    }
                    match flag {
                        "--load-restrictor" => {
                            restrictor.replace(Restrictor::plain(value)?).is_some()
                        }
                        "--reorder" => arguments.reorder.replace(Order::plain(value)?).is_some(),
                        _ => arguments.output.replace(value.into()).is_some(),
                    }
                }
                _ if word.is_empty() || word.starts_with('-') => return None,
                _ => directory.replace(word).is_some(),
            };
            if again {
                return None;
            }
        }
        Some(Self {
            directory: directory.unwrap_or(".").to_owned(),
            load_restrictor: restrictor.unwrap_or_default(),
            enable_managedby_label: label,
            ..arguments
        })
    }

    /// The flags of `kustomize build` that cannot be honoured, each with the reason.
    fn refuse(&self) -> Result<()> {
        let executes = "nothing is executed here: run it before you commit";
        let charts = "Helm charts are not rendered inside of a kustomization: use `helm template` and commit the result";
        let containers = "no containers are run";
        let refused = [
            (
                is_on(self.enable_alpha_plugins),
                "enable-alpha-plugins",
                executes,
            ),
            (is_on(self.enable_exec), "enable-exec", executes),
            (is_on(self.enable_helm), "enable-helm", charts),
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
            (is_on(self.helm_debug), "helm-debug", charts),
            (is_on(self.network), "network", containers),
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

/// A constant with a name, by which the linker finds it (build/link.rs). If it were not `used`, it would become one with others
/// that have none.
#[used]
static LIMITS: Limits = Limits::DEFAULT;

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
        enable_managedby_label: is_on(arguments.enable_managedby_label),
        limits: arguments.budgets.limits(&LIMITS)?,
    };
    let directory = absolute(&arguments.directory)?;
    let build = build(&Checkout, &directory, &options).map_err(shown)?;
    for warning in &build.warnings {
        let _ = writeln!(std::io::stderr(), "Warning: {}", shown_warning(warning));
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
    let path = |path: String| from(&here, &path);
    let inside = here.display().to_string();
    let inside = inside.trim_start_matches('/');
    errors.each(|error| BuildError {
        file: error.file.map(path),
        message: match inside {
            "" => error.message,
            inside => error
                .message
                .replace(&format!("`{inside}/"), "`")
                .replace(&format!("`{inside}`"), "`.`"),
        },
        chain: error.chain.into_iter().map(path).collect(),
        ..error
    })
}

/// A warning with the path in front of it as the user sees it.
fn shown_warning(warning: &str) -> String {
    match warning.split_once(": ") {
        Some((file, words)) if Path::new(&format!("/{file}")).is_file() => {
            let here = std::env::current_dir().unwrap_or_default();
            format!("{}: {words}", from(&here, file))
        }
        _ => warning.to_owned(),
    }
}

/// A path without the slash in front: from the working directory, or from the root.
fn from(here: &Path, path: &str) -> String {
    let full = PathBuf::from(format!("/{path}"));
    let below = full.strip_prefix(here).unwrap_or(&full);
    below.display().to_string()
}

/// The real directory, as a path from the root without the slash in front.
fn absolute(directory: &str) -> Result<String> {
    if is_remote(directory) && !Path::new(directory).exists() {
        bail!(
            "`{directory}` is a remote address: nothing is read from the network; clone it, and render the directory in the clone"
        );
    }
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
