//! The node that the tests run on: `tests/cluster/with-node.sh` boots it and names it in `DRIFTLESS_NODE`.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// The node, or `None` after reporting the test as skipped. Use [`need_node!`](crate::need_node), which knows the test's name.
pub fn demand(test: &str) -> Option<&'static Node> {
    static NODE: OnceLock<Option<Node>> = OnceLock::new();
    let node = NODE
        .get_or_init(|| {
            env::var_os("DRIFTLESS_NODE").map(|state| Node {
                state: state.into(),
            })
        })
        .as_ref();
    if node.is_none() {
        assert!(
            env::var_os("DEMAND_NODE").is_none(),
            "no node: run this by `make test` or tests/cluster/with-node.sh"
        );
        // Written past libtest's capture: a test that did not run must be seen.
        let _ = writeln!(std::io::stderr(), "skipped: {test} (no node)");
    }
    node
}

/// `let Some(node) = need_node!() else { return };`
#[macro_export]
macro_rules! need_node {
    () => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here)
            .trim_end_matches("::here")
            .trim_end_matches("::{{closure}}");
        $crate::support::node::demand(name)
    }};
}

/// A real one-node Kubernetes, shared by all tests of this binary.
pub struct Node {
    state: PathBuf,
}

impl Node {
    /// Where the node keeps its state and logs.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The administrator's.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// A client of the administrator, on the caller's runtime: each test has its own.
    pub async fn client(&self) -> Client {
        Client::try_from(self.config().await).expect("a client for the node")
    }

    /// The client configuration of the administrator.
    pub async fn config(&self) -> Config {
        // The crate has two ways to TLS in it; whoever comes first has installed the one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig =
            Kubeconfig::read_from(self.kubeconfig()).expect("the node has written its kubeconfig");
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("a kubeconfig that works")
    }

    /// A new namespace, deleted when dropped.
    pub fn namespace(&'static self, prefix: &str) -> Namespace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{prefix}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.kubectl(&["create", "namespace", &name]);
        // Pods need the account, which a controller makes a moment later.
        self.kubectl(&[
            "wait",
            "--for=create",
            "serviceaccount/default",
            "-n",
            &name,
            "--timeout=20s",
        ]);
        Namespace { node: self, name }
    }

    /// What `kubectl` prints.
    ///
    /// # Panics
    /// If it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments, "")
            .unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
    }

    /// `kubectl apply -f -` of `yaml`, strictly validated.
    pub fn apply(&self, yaml: &str) -> String {
        self.try_kubectl(&["apply", "--validate=strict", "-f", "-"], yaml)
            .unwrap_or_else(|error| panic!("{error}\n{yaml}"))
    }

    /// What `kubectl` prints on its standard output, or on its standard error if it fails.
    pub fn try_kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut child = Command::new("kubectl")
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin
            .write_all(input.as_bytes())
            .map_err(|error| error.to_string())?;
        drop(stdin);
        let output = child
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        if output.status.success() {
            Ok(text(output.stdout))
        } else {
            Err(text(output.stderr))
        }
    }
}

/// A namespace of one test.
pub struct Namespace {
    node: &'static Node,
    pub name: String,
}

impl Namespace {
    /// A Secret with text data.
    pub fn secret(&self, name: &str, data: &[(&str, String)]) {
        let data: serde_json::Map<_, _> = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_str().into()))
            .collect();
        let secret = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": self.name}, "stringData": data,
        });
        self.node.apply(&secret.to_string());
    }

    /// `kubectl` in this namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let mut all = vec!["--namespace", &self.name];
        all.extend(arguments);
        self.node.kubectl(&all)
    }
}

impl Drop for Namespace {
    /// Asks for its deletion and does not wait for it.
    fn drop(&mut self) {
        let _ = self
            .node
            .try_kubectl(&["delete", "namespace", &self.name, "--wait=false"], "");
    }
}

/// Puts `program` (and the libraries it loads) into the registry of the node that the tests run on; gives the reference.
pub fn push_image(name: &str, program: &Path) -> String {
    let reference = format!("127.0.0.1:5000/{name}");
    let output = Command::new(super::process::project("tests/cluster/image.sh"))
        .arg(&reference)
        .arg(program)
        .output()
        .expect("image.sh starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    reference
}
