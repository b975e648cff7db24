//! Agents that the harness does not start: behind the proxy, or with other rights.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::{
    agent::{NAMESPACE, token},
    node::Node,
    process::{Process, free_port, wait_for_port},
};

/// One process of the agent with a kubeconfig of its own.
pub struct Lone {
    process: Process,
    folder: TempDir,
    namespace: String,
    flags: Vec<String>,
}

impl Lone {
    /// With the rights of the installed agent, and the API server at `server`.
    pub fn at(node: &Node, server: &str, flags: &[&str]) -> Self {
        let kubeconfig = format!(
            "{{apiVersion: v1, kind: Config, current-context: node, clusters: [{{name: node, cluster: {{server: '{server}'}}}}],
              users: [{{name: agent, user: {{token: '{}'}}}}], contexts: [{{name: node, context: {{cluster: node, user: agent}}}}]}}",
            token(node)
        );
        Self::with(kubeconfig, NAMESPACE, flags)
    }

    /// With all rights, in another namespace than the installed one.
    pub fn almighty(node: &Node, namespace: &str, flags: &[&str]) -> Self {
        let kubeconfig = std::fs::read_to_string(node.kubeconfig())
            .expect("the node has written its kubeconfig");
        Self::with(kubeconfig, namespace, flags)
    }

    fn with(kubeconfig: String, namespace: &str, flags: &[&str]) -> Self {
        let folder = TempDir::with_prefix("driftless-agent-").expect("a temporary folder");
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig)
            .expect("a file can be written");
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        let process = start(&folder, namespace, &flags);
        Self {
            process,
            folder,
            namespace: namespace.to_owned(),
            flags,
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Starts again after [`Lone::kill`], in the same folder.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = start(&self.folder, &self.namespace, &self.flags);
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for Lone {
    /// SIGTERM first: the Lease is given back.
    fn drop(&mut self) {
        if self.process.is_running() {
            self.process.signal("TERM");
            let start = Instant::now();
            while self.process.is_running() && start.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn start(folder: &TempDir, namespace: &str, flags: &[String]) -> Process {
    let log = folder.path().join("log");
    let port = free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
    command
        .args([
            "run",
            "--namespace",
            namespace,
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--data",
        ])
        .arg(folder.path().join("data"))
        .args(flags)
        .env("KUBECONFIG", folder.path().join("kubeconfig"))
        .env("HOME", folder.path())
        .env("TMPDIR", folder.path());
    let process = Process::start(&mut command, &log);
    wait_for_port(port, &log);
    process
}
