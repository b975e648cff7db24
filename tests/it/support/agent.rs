//! The agent as a process on the node, with the rights that its installation grants.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::{
    node::Node,
    process::{Process, free_port, wait_for_port},
};

/// The agent's own namespace, as `driftless install` names it.
pub const NAMESPACE: &str = "driftless-system";

/// Who uses the agent: many tests share one, or one test has its own. An agent sees the whole cluster, so there is one at
/// a time.
fn turns() -> Arc<RwLock<()>> {
    static TURNS: OnceLock<Arc<RwLock<()>>> = OnceLock::new();
    TURNS.get_or_init(Arc::default).clone()
}

/// The agent that tests share; it runs from the first use on.
static SHARED: Mutex<Option<Replica>> = Mutex::new(None);

/// The agent that tests share which do nothing to it.
pub struct SharedAgent {
    _turn: OwnedRwLockReadGuard<()>,
    url: String,
}

impl SharedAgent {
    /// Waits for tests that have an agent of their own.
    pub async fn get(node: &'static Node) -> Self {
        let turn = turns().read_owned().await;
        install(node);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let url = shared
            .get_or_insert_with(|| Replica::start(node, &[]))
            .url();
        Self { _turn: turn, url }
    }

    /// `http://127.0.0.1:PORT`: probes, metrics and webhooks.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// An agent of one test, which may kill it, or start it with flags of its own.
pub struct Agent {
    _turn: OwnedRwLockWriteGuard<()>,
    replica: Replica,
    node: &'static Node,
}

impl Agent {
    /// Installs the agent's part of the cluster (once per node) and starts the compiled program.
    pub async fn start(node: &'static Node) -> Self {
        Self::start_with(node, &[]).await
    }

    /// With flags after `run`.
    pub async fn start_with(node: &'static Node, flags: &[&str]) -> Self {
        let turn = turns().write_owned().await;
        drop(SHARED.lock().unwrap_or_else(PoisonError::into_inner).take());
        install(node);
        Self {
            _turn: turn,
            replica: Replica::start(node, flags),
            node,
        }
    }

    /// A second replica beside this one, as the Deployment has it.
    pub fn second(&self, flags: &[&str]) -> Replica {
        Replica::start(self.node, flags)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.replica.process.kill();
    }

    /// Starts again with the same flags after [`Agent::kill`] or an end of its own.
    pub fn restart(&mut self) {
        self.replica.process.kill();
        let flags = self.replica.flags.clone();
        self.replica = Replica::start(
            self.node,
            &flags.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }

    /// Starts again after [`Agent::kill`] as a container does: what it had on its disk is still there.
    pub fn resume(&mut self) {
        self.replica.process = self.replica.run(self.node);
    }

    pub fn replica(&mut self) -> &mut Replica {
        &mut self.replica
    }

    /// `http://127.0.0.1:PORT`: probes, metrics and webhooks.
    pub fn url(&self) -> String {
        self.replica.url()
    }

    pub fn log(&self) -> String {
        self.replica.log()
    }
}

impl Drop for Agent {
    /// Shows the log of a test that failed.
    #[expect(clippy::print_stderr, reason = "libtest shows it with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the agent's log\n{}", self.log());
        }
    }
}

/// One process of the agent.
pub struct Replica {
    pub process: Process,
    folder: TempDir,
    port: u16,
    flags: Vec<String>,
}

impl Replica {
    fn start(node: &Node, flags: &[&str]) -> Self {
        let folder = TempDir::with_prefix("driftless-agent-").expect("a temporary folder");
        let port = free_port();
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        let process = run(node, folder.path(), port, &flags);
        Self {
            process,
            folder,
            port,
            flags,
        }
    }

    fn run(&self, node: &Node) -> Process {
        run(node, self.folder.path(), self.port, &self.flags)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends as a pod does: SIGTERM, and up to 30 s.
    pub fn stop(&mut self) {
        self.process.terminate(Duration::from_secs(30));
    }
}

impl Drop for Replica {
    /// Asks it to end, so that it gives its lease back to the next one.
    fn drop(&mut self) {
        if self.process.is_running() {
            self.process.signal("TERM");
            let deadline = Instant::now() + Duration::from_secs(5);
            while self.process.is_running() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn run(node: &Node, folder: &Path, port: u16, flags: &[String]) -> Process {
    let log = folder.join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
    command
        .args([
            "run",
            "--namespace",
            NAMESPACE,
            "--listen",
            &format!("127.0.0.1:{port}"),
        ])
        .args(flags)
        .env("KUBECONFIG", kubeconfig(node, folder))
        .env("HOME", folder)
        .env("TMPDIR", folder)
        .env("DRIFTLESS_DATA", folder.join("data"));
    let process = Process::start(&mut command, &log);
    wait_for_port(port, &log);
    process
}

/// Everything that `driftless install` prints but the Deployment: the tests start the program themselves.
pub fn install(node: &Node) {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let yaml = installation(&["--image", "none"]);
        let documents: Vec<_> = yaml
            .split("\n---\n")
            .filter(|document| !document.contains("kind: Deployment\n"))
            .collect();
        node.apply(&documents.join("\n---\n"));
        node.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=20s",
        ]);
    });
}

/// A token of the agent's service account.
pub fn token(node: &Node) -> String {
    let token = node.kubectl(&[
        "create",
        "token",
        "driftless",
        "--namespace",
        NAMESPACE,
        "--duration=8h",
    ]);
    token.trim().to_owned()
}

/// A kubeconfig with a token of the agent's service account: its own rights, not the administrator's.
fn kubeconfig(node: &Node, folder: &Path) -> PathBuf {
    let path = folder.join("kubeconfig");
    std::fs::copy(node.kubeconfig(), &path).expect("the kubeconfig can be copied");
    let file = path.to_str().expect("UTF-8");
    node.kubectl(&[
        "config",
        "--kubeconfig",
        file,
        "set-credentials",
        "agent",
        "--token",
        &token(node),
    ]);
    node.kubectl(&[
        "config",
        "--kubeconfig",
        file,
        "set-context",
        "node",
        "--user",
        "agent",
    ]);
    path
}

/// What a namespace with environments needs, as `driftless install --tenant` prints it: the account `deployer`, its rights,
/// and the agent's right to act as it.
pub fn grant_tenant(node: &Node, namespace: &str) {
    grant(node, &["--tenant", namespace]);
}

/// What `driftless install --tenant NAMESPACE --service-account ACCOUNT` prints: that one account, and nothing more.
pub fn grant_account(node: &Node, namespace: &str, account: &str) {
    grant(node, &["--tenant", namespace, "--service-account", account]);
}

fn grant(node: &Node, flags: &[&str]) {
    node.apply(&installation(flags));
}

/// What `driftless install` prints.
fn installation(flags: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_driftless"))
        .args(["install", "--namespace", NAMESPACE])
        .args(flags)
        .output()
        .expect("the program starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
