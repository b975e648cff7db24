//! Child processes that end with the test that started them.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use super::wait::wait_blocking;

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` with both its outputs appended to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("the log can be written");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { child }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL: no chance to clean up.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, as the kubelet asks a pod to end; waits for up to `limit`.
    pub fn terminate(&mut self, limit: Duration) {
        self.signal("TERM");
        wait_blocking(limit, "the process ends after SIGTERM", || {
            (!self.is_running()).then_some(())
        });
    }

    /// Sends the signal `name` (`TERM`, `STOP`, `CONT`).
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let done = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .expect("kill starts");
        assert!(done.success(), "kill -s {name} {id}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of the loopback that nothing listens on. It is not one that the kernel gives to connections, and no other test
/// of this process gets it: who stops may start there again.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // Runs beside each other begin elsewhere.
    let begin = std::process::id().wrapping_mul(101);
    PORTS
        .map(|_| begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % 10_000)
        .filter_map(|at| u16::try_from(at).ok())
        .map(|at| PORTS.start + at)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("the loopback has a free port")
}

/// Below those of NodePorts and of connections.
const PORTS: Range<u16> = 20_000..30_000;

/// Waits until something accepts connections on `port` of the loopback.
pub fn wait_for_port(port: u16, log: &Path) {
    let what = format!("port {port} answers; see {}", log.display());
    wait_blocking(Duration::from_secs(10), &what, || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
    });
}

/// A file of this repository.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
