//! Real Git servers on the loopback: git http-backend behind Apache with TLS and basic auth, and sshd. Each test has its own.

use std::{path::PathBuf, process::Command};

use tempfile::TempDir;

use super::{
    process::{Process, free_port, project, wait_for_port},
    repo::GitRepo,
};

/// The user that may read and push over https.
pub const USER: &str = "git";

/// A running server and its folder; both are gone when it is dropped.
pub struct GitServer {
    transport: &'static str,
    port: u16,
    // Before the folder: it ends before its files are removed.
    process: Process,
    folder: TempDir,
}

impl GitServer {
    /// `https`, with a certificate authority of its own, user and password.
    pub fn https() -> Self {
        Self::start("https")
    }

    /// `ssh`, with generated host and client keys.
    pub fn ssh() -> Self {
        Self::start("ssh")
    }

    fn start(transport: &'static str) -> Self {
        let folder = TempDir::with_prefix("driftless-git-").expect("a temporary folder");
        let port = free_port();
        let process = serve(transport, &folder, port);
        Self {
            transport,
            port,
            process,
            folder,
        }
    }

    /// Stops answering, as a server that is down; [`GitServer::resume`] brings it back on the same port.
    pub fn stop(&mut self) {
        self.process.kill();
    }

    pub fn resume(&mut self) {
        self.process = serve(self.transport, &self.folder, self.port);
    }

    /// The bare repository `NAME.git`, made on first use with `main` as its HEAD.
    pub fn repo(&self, name: &str) -> GitRepo {
        GitRepo::at(&self.path(name))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("repos/{name}.git"))
    }

    /// What an agent is configured with; holds no credentials.
    pub fn url(&self, name: &str) -> String {
        match self.transport {
            "https" => format!("https://127.0.0.1:{}/{name}.git", self.port),
            _ => format!(
                "ssh://{}@127.0.0.1:{}{}",
                user(),
                self.port,
                self.path(name).display()
            ),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// https: the authority that signed its certificate, PEM.
    pub fn ca(&self) -> String {
        self.read("ca.crt")
    }

    pub fn password(&self) -> String {
        self.read("password").trim().to_owned()
    }

    /// ssh: the client's private key, in OpenSSH's format.
    pub fn identity(&self) -> String {
        self.read("identity")
    }

    /// ssh: the line of the server's host key.
    pub fn known_hosts(&self) -> String {
        self.read("known_hosts")
    }

    /// https: lets another user in.
    pub fn add_user(&self, user: &str, password: &str) {
        let output = Command::new("openssl")
            .args(["passwd", "-apr1", password])
            .output()
            .expect("openssl starts");
        let hash = String::from_utf8_lossy(&output.stdout);
        self.append("users", &format!("{user}:{hash}"));
    }

    /// ssh: lets another key in, in the form of its `.pub` file.
    pub fn authorize(&self, public: &str) {
        self.append("identity.pub", public);
    }

    /// ssh: the fingerprint of the host key, as `ssh-keygen -l` shows it.
    pub fn host_fingerprint(&self) -> String {
        let output = Command::new("ssh-keygen")
            .args(["-l", "-f"])
            .arg(self.folder.path().join("host.pub"))
            .output()
            .expect("ssh-keygen starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let shown = text.split(' ').nth(1).expect("a fingerprint");
        shown.to_owned()
    }

    /// ssh: [`GitServer::known_hosts`] with a hashed name, as `ssh-keygen -H` writes it.
    pub fn hashed_known_hosts(&self) -> String {
        let copy = self.folder.path().join("known_hosts.hashed");
        std::fs::write(&copy, self.known_hosts()).expect("the folder can be written");
        let done = Command::new("ssh-keygen")
            .args(["-q", "-H", "-f"])
            .arg(&copy)
            .output()
            .expect("ssh-keygen starts");
        assert!(done.status.success());
        self.read("known_hosts.hashed")
    }

    /// ssh: gives the server another host key, as an attacker between would have, and returns the old `known_hosts`.
    pub fn change_host_key(&mut self) -> String {
        let old = self.known_hosts();
        self.stop();
        for file in ["host", "host.pub"] {
            std::fs::remove_file(self.folder.path().join(file)).expect("the host key is there");
        }
        self.resume();
        old
    }

    /// https: the requests so far, as `SECONDS USER STATUS METHOD PATH PROTOCOL`; how to count what an agent asks for.
    pub fn requests(&self) -> Vec<String> {
        self.read("access.log").lines().map(str::to_owned).collect()
    }

    /// The `data` of the Secret that a Repository's `credentials` names, as text.
    pub fn secret(&self) -> Vec<(&'static str, String)> {
        match self.transport {
            "https" => vec![
                ("username", USER.into()),
                ("password", self.password()),
                ("ca.crt", self.ca()),
            ],
            _ => vec![
                ("identity", self.identity()),
                ("known_hosts", self.known_hosts()),
            ],
        }
    }

    /// `git` as a client of this server, with its credentials; `git push` over the real transport.
    pub fn client(&self) -> Command {
        let mut git = super::repo::git();
        let folder = self.folder.path().display();
        if self.transport == "https" {
            let password = self.password();
            let helper = format!("!f() {{ echo username={USER}; echo password={password}; }}; f");
            git.env("GIT_SSL_CAINFO", format!("{folder}/ca.crt"));
            git.args(["-c", &format!("credential.helper={helper}")]);
        } else {
            let known = format!("UserKnownHostsFile={folder}/known_hosts");
            git.env(
                "GIT_SSH_COMMAND",
                format!("ssh -i {folder}/identity -o {known}"),
            );
        }
        git
    }

    fn append(&self, file: &str, text: &str) {
        let path = self.folder.path().join(file);
        let opened = std::fs::File::options().append(true).open(path);
        opened
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .expect("the file can be written");
    }

    fn read(&self, file: &str) -> String {
        let path = self.folder.path().join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

fn serve(transport: &str, folder: &TempDir, port: u16) -> Process {
    let log = folder.path().join("server.log");
    let mut command = Command::new(project("tests/cluster/git.sh"));
    let process = Process::start(
        command
            .arg(transport)
            .arg(folder.path())
            .arg(port.to_string()),
        &log,
    );
    wait_for_port(port, &log);
    process
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id starts");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
