//! Every knob of `driftless run`, by flag and by environment variable. [`Arguments`] is what was typed; [`Run`] is what the
//! program needs: after the conversion nothing validates again.

mod budgets;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::agent::Settings;
use crate::api::HumanDuration;
use crate::fields::HandTools;
use crate::git;
use crate::kustomize;
use crate::server;
use crate::telemetry::Format;

pub use budgets::Budgets;

/// Where the agent's own namespace stands in a pod.
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
const DEFAULT_NAMESPACE: &str = "driftless-system";

/// What was typed.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The agent's own namespace: its lease and its state [default: that of the pod, else driftless-system]
    #[arg(short, long, env = "DRIFTLESS_NAMESPACE")]
    pub namespace: Option<String>,
    /// The name of this replica in the lease [default: the host's name and the time of the start]
    #[arg(long, env = "DRIFTLESS_IDENTITY")]
    pub identity: Option<String>,
    /// Where probes, metrics and webhooks are answered
    #[arg(long, env = "DRIFTLESS_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Where the mirrors of the repositories lie; they can be lost at any time [default: a folder in the user's cache]
    #[arg(long, value_name = "DIR", env = "DRIFTLESS_DATA")]
    pub data: Option<PathBuf>,
    /// Take repositories from file:// URLs: whoever may write a Repository then reads what the agent can
    #[arg(long, env = "DRIFTLESS_ALLOW_FILE_REPOSITORIES")]
    pub allow_file_repositories: bool,

    /// How long a Git server may take to answer a connection
    #[arg(
        long,
        value_name = "TIME",
        env = "DRIFTLESS_GIT_CONNECT_TIMEOUT",
        default_value = "10s"
    )]
    pub git_connect_timeout: HumanDuration,
    /// How long a Git server may send nothing
    #[arg(
        long,
        value_name = "TIME",
        env = "DRIFTLESS_GIT_IDLE_TIMEOUT",
        default_value = "15s"
    )]
    pub git_idle_timeout: HumanDuration,
    /// How long one listing or fetch may take
    #[arg(
        long,
        value_name = "TIME",
        env = "DRIFTLESS_GIT_TIMEOUT",
        default_value = "2m"
    )]
    pub git_timeout: HumanDuration,
    /// The largest pack that is fetched at once
    #[arg(
        long,
        value_name = "SIZE",
        env = "DRIFTLESS_GIT_MAX_PACK",
        default_value = "256MiB"
    )]
    pub git_max_pack: Bytes,
    /// The largest list of refs
    #[arg(
        long,
        value_name = "SIZE",
        env = "DRIFTLESS_GIT_MAX_REFS",
        default_value = "64MiB"
    )]
    pub git_max_refs: Bytes,

    /// Environments that are rendered at once [default: one per processor]
    #[arg(long, value_name = "N", env = "DRIFTLESS_PARALLEL_RENDERS")]
    pub parallel_renders: Option<usize>,
    /// Requests to the API server that one environment makes at once
    #[arg(
        long,
        value_name = "N",
        env = "DRIFTLESS_PARALLEL_REQUESTS",
        default_value_t = 16
    )]
    pub parallel_requests: usize,
    /// Field managers of hand tools, as globs: what they add to an object is removed, what others add is told
    #[arg(
        long,
        value_name = "GLOBS",
        env = "DRIFTLESS_HAND_TOOLS",
        default_value = "kubectl*",
        value_delimiter = ','
    )]
    pub hand_tools: Vec<String>,

    /// Connections to the server at once; more wait
    #[arg(
        long,
        value_name = "N",
        env = "DRIFTLESS_MAX_CONNECTIONS",
        default_value_t = 256
    )]
    pub max_connections: usize,

    /// How log lines look
    #[arg(long, value_enum, env = "DRIFTLESS_LOG_FORMAT", default_value_t = Format::Text)]
    pub log_format: Format,
    /// What is logged: error, warn, info, debug or trace, or MODULE=LEVEL separated by commas
    #[arg(
        long,
        value_name = "FILTER",
        env = "DRIFTLESS_LOG",
        default_value = "info"
    )]
    pub log: String,

    #[command(flatten)]
    pub budgets: Budgets,
}

/// What the agent reads for one environment, where nothing else is said. It renders several at once, in a pod with a
/// limit of memory.
const FILES: usize = 20_000;
const RENDER: kustomize::Limits = kustomize::Limits {
    bytes: 64 << 20,
    nodes: 2_000_000,
    ..kustomize::Limits::DEFAULT
};

/// What the program needs.
#[derive(Clone)]
pub struct Run {
    pub settings: Settings,
    pub listen: SocketAddr,
    pub server: server::Limits,
}

impl Run {
    /// Takes what was typed, and asks the machine for what was not.
    pub fn new(arguments: Arguments) -> Result<Self> {
        let Arguments {
            namespace,
            identity,
            listen,
            data,
            allow_file_repositories,
            git_connect_timeout,
            git_idle_timeout,
            git_timeout,
            git_max_pack,
            git_max_refs,
            parallel_renders,
            parallel_requests,
            hand_tools,
            max_connections,
            log_format: _,
            log: _,
            budgets,
        } = arguments;
        let parallel_renders = parallel_renders
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
        for (flag, number) in [
            ("--parallel-renders", parallel_renders),
            ("--parallel-requests", parallel_requests),
            ("--max-connections", max_connections),
        ] {
            ensure!(number > 0, "{flag}: must be at least 1");
        }
        Ok(Self {
            settings: Settings {
                namespace: namespace.unwrap_or_else(|| pod_namespace(Path::new(POD_NAMESPACE))),
                holder: identity.unwrap_or_else(holder),
                data: data.map_or_else(default_cache, Ok)?,
                allow_file: allow_file_repositories,
                limits: git::Limits {
                    connect: git_connect_timeout.0,
                    idle: git_idle_timeout.0,
                    total: git_timeout.0,
                    pack: git_max_pack.0,
                    refs: git_max_refs.0,
                },
                renders: parallel_renders,
                parallel: parallel_requests,
                file_limit: budgets.max_files.unwrap_or(FILES),
                render: budgets.limits(&RENDER)?,
                hand_tools: HandTools::new(&hand_tools).context("--hand-tools")?,
            },
            listen,
            server: server::Limits {
                connections: max_connections,
                header_time: Duration::from_secs(10),
                drain_time: Duration::from_secs(5),
            },
        })
    }
}

fn pod_namespace(file: &Path) -> String {
    let namespace = std::fs::read_to_string(file).unwrap_or_default();
    match namespace.trim() {
        "" => DEFAULT_NAMESPACE.to_owned(),
        namespace => namespace.to_owned(),
    }
}

fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "driftless",
        host => host,
    };
    // Another run in the same pod is another replica: it does not go on with the lease of the one before.
    format!("{host}-{:x}", jiff::Timestamp::now().as_millisecond())
}

fn default_cache() -> Result<PathBuf> {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = from("XDG_CACHE_HOME").or_else(|| Some(from("HOME")?.join(".cache")));
    cache
        .map(|cache| cache.join("driftless").join("mirrors"))
        .context(
            "there is no home directory for the mirrors of the repositories; say where with --data",
        )
}

/// A number of bytes, as people write it: `512`, `64KiB`, `256MiB`, `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim() {
            "" | "B" => 0,
            "KiB" | "Ki" => 10,
            "MiB" | "Mi" => 20,
            "GiB" | "Gi" => 30,
            other => return Err(format!("{other:?} is no unit; write KiB, MiB or GiB")),
        };
        let number: u64 = number
            .parse()
            .map_err(|_| "not a number of bytes".to_owned())?;
        let bytes = number.checked_mul(1 << shift).ok_or("too large")?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn run(words: &[&str]) -> Result<Run> {
        let line = Line::try_parse_from([&["driftless"], words].concat())?;
        Run::new(line.arguments)
    }

    #[test]
    fn every_flag_arrives() {
        let run = run(&[
            "--namespace=gitops",
            "--identity=one",
            "--listen=127.0.0.1:9",
            "--data=/c",
            "--allow-file-repositories",
            "--git-connect-timeout=1s",
            "--git-idle-timeout=2s",
            "--git-timeout=3s",
            "--git-max-pack=4KiB",
            "--git-max-refs=5",
            "--parallel-renders=6",
            "--parallel-requests=7",
            "--max-files=8",
            "--max-bytes=2KiB",
            "--max-nodes=11",
            "--max-depth=12",
            "--max-layers=13",
            "--hand-tools=kubectl*,k9s",
            "--max-connections=10",
        ])
        .unwrap();
        let settings = &run.settings;
        assert_eq!(
            (settings.namespace.as_str(), settings.holder.as_str()),
            ("gitops", "one")
        );
        assert_eq!(run.listen.to_string(), "127.0.0.1:9");
        assert_eq!(settings.data, Path::new("/c"));
        assert!(settings.allow_file);
        let limits = &settings.limits;
        assert_eq!(
            [limits.connect, limits.idle, limits.total].map(|time| time.as_secs()),
            [1, 2, 3]
        );
        assert_eq!((limits.pack, limits.refs), (4096, 5));
        assert_eq!(
            (settings.renders, settings.parallel, settings.file_limit),
            (6, 7, 8)
        );
        let render = kustomize::Limits {
            files: 8,
            bytes: 2048,
            nodes: 11,
            depth: 12,
            layers: 13,
        };
        assert_eq!(settings.render, render);
        assert!(settings.hand_tools.is("k9s") && !settings.hand_tools.is("helm"));
        assert_eq!(run.server.connections, 10);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for words in [
            ["--parallel-renders=0"],
            ["--max-files=-1"],
            ["--git-max-pack=1TB"],
            ["--git-timeout=soon"],
            ["--listen=8080"],
            ["--hand-tools=a["],
            ["--log-format=xml"],
            ["--git-max-pack=99999999999GiB"],
        ] {
            assert!(run(&words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_pod_knows_its_namespace() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("namespace");
        assert_eq!(pod_namespace(&file), DEFAULT_NAMESPACE);
        std::fs::write(&file, "gitops\n").unwrap();
        assert_eq!(pod_namespace(&file), "gitops");
    }
}
