//! What all cases of one test share: the agent, one Git server, the witness.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use kube::Client;
use tempfile::TempDir;

use super::witness::Witness;
use crate::support::{
    agent::{Agent, Replica},
    git::GitServer,
    node::Node,
};

/// How long anything may take: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// The value of the Secret that every case has in Git. It must be seen nowhere but in the Secret itself.
pub const CANARY: &str = "canary-5f0e7a1c-do-not-tell";

/// The flags of the agents here: everything that they have to say.
pub const FLAGS: [&str; 2] = ["--log", "debug"];

pub struct World {
    /// Where the agent keeps its mirrors.
    pub data: TempDir,
    pub node: &'static Node,
    pub client: Client,
    pub agent: Agent,
    pub server: GitServer,
    pub witness: Witness,
    /// What the agents that are gone had to say.
    pub said: String,
    /// Their metrics at their ends.
    pub metrics: String,
}

impl World {
    pub async fn new(node: &'static Node) -> Self {
        let data = TempDir::with_prefix("driftless-data-").expect("a temporary folder");
        let mirrors = data.path().to_str().expect("UTF-8");
        let agent = Agent::start_with(node, &[&FLAGS[..], &["--data", mirrors]].concat()).await;
        let client = node.client().await;
        let witness = Witness::new(&client).await;
        Self {
            data,
            node,
            client,
            agent,
            server: GitServer::https(),
            witness,
            said: String::new(),
            metrics: String::new(),
        }
    }

    /// A name that no other case has, also of another run on the same node.
    pub fn unique(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        format!(
            "bad-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// Ends the agent as a pod ends, and starts it again: all that it remembered is gone.
    pub fn restart(&mut self) {
        self.stop();
        self.agent.restart();
    }

    /// Ends the agent as a pod ends.
    pub fn stop(&mut self) {
        if self.agent.replica().process.is_running() {
            self.metrics.push_str(&get(&self.agent.url(), "/metrics"));
        }
        end(self.agent.replica());
        self.said.push_str(&self.agent.log());
    }

    /// Everything that the agents of this test have said so far.
    pub fn log(&self) -> String {
        format!("{}{}", self.said, self.agent.log())
    }
}

impl Drop for World {
    /// A replica that ends by itself gives the Lease back; the next test's need not wait for it.
    fn drop(&mut self) {
        end(self.agent.replica());
    }
}

/// The answer to a GET, with its head.
fn get(url: &str, path: &str) -> String {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("the agent listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("the agent reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the agent answers");
    String::from_utf8_lossy(&answer).into_owned()
}

/// SIGTERM, and the end that follows, without a judgement.
fn end(replica: &mut Replica) {
    if !replica.process.is_running() {
        return;
    }
    replica.process.signal("TERM");
    let start = Instant::now();
    while replica.process.is_running() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks `check` until it gives a value; an error that says what was seen last after [`PATIENCE`].
pub async fn patiently<T, F, Fut>(what: &str, mut check: F) -> Result<T, String>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let start = Instant::now();
    loop {
        match check().await {
            Ok(value) => return Ok(value),
            Err(seen) if start.elapsed() >= PATIENCE => {
                return Err(format!("not within {PATIENCE:?}: {what}; {seen}"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
