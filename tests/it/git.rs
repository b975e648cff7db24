//! The mirror against real Git servers, over https and ssh, and against servers that are none.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use driftless::git::{
    Access, Credentials, GitError, Limits, Mirror, Remote, RemoteRefs, TlsProblem,
};
use driftless::tree::Files as _;
use tempfile::TempDir;

use crate::support::git::GitServer;
use crate::support::wait::wait_blocking;
use crate::support::wire::{Proxy, WebServer, response};

static GO_ON: AtomicBool = AtomicBool::new(false);

/// A mirror in a folder of its own.
struct Fixture {
    folder: TempDir,
    mirror: Mirror,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mirror = Mirror::open_or_create(folder.path()).expect("a mirror can be made");
        Self { folder, mirror }
    }

    fn list(&self, remote: &Remote) -> Result<RemoteRefs, GitError> {
        self.mirror.list_remote(remote, &GO_ON)
    }

    fn update(&self, remote: &Remote) -> Result<u64, GitError> {
        let wanted = self.list(remote)?;
        self.mirror.fetch(remote, &wanted, &GO_ON)
    }

    fn refs(&self) -> Vec<(String, String)> {
        let refs = self.mirror.refs().expect("the mirror is whole");
        refs.0
            .iter()
            .map(|one| (one.name.clone(), one.commit.clone()))
            .collect()
    }

    fn commit(&self, name: &str) -> Option<String> {
        let found = self.refs().into_iter().find(|(full, _)| full == name);
        found.map(|(_, commit)| commit)
    }

    /// That nothing of a failed fetch is left: neither a pack nor a folder.
    fn assert_clean(&self, packs: usize) {
        let entries = |path: &Path| -> Vec<PathBuf> {
            std::fs::read_dir(path)
                .expect("a readable folder")
                .map(|entry| entry.expect("a readable entry").path())
                .collect()
        };
        let top = entries(self.folder.path());
        let is_left = |path: &PathBuf| path.display().to_string().contains("quarantine");
        assert!(!top.iter().any(is_left), "{top:?}");
        let found = entries(&self.folder.path().join("objects/pack"));
        let is_pack = |path: &&PathBuf| path.extension().is_some_and(|kind| kind == "pack");
        assert_eq!(found.iter().filter(is_pack).count(), packs);
        assert_eq!(found.len(), 2 * packs, "{found:?}");
    }
}

fn remote(url: &str, access: Access) -> Remote {
    Remote {
        url: url.parse().expect("a valid URL"),
        access,
        allow_file: false,
        limits: Limits::default(),
    }
}

/// As the agent makes it of the Secret.
fn to(server: &GitServer, name: &str) -> Remote {
    let url = server.url(name);
    let data = server
        .secret()
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into_bytes()))
        .collect();
    let access = Access::from_secret(&url.parse().expect("a valid URL"), &data);
    remote(&url, access.expect("a valid Secret"))
}

/// Text that does not compress.
fn noise(length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut text = String::new();
    while text.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        write!(text, "{state:016x}").expect("a String takes everything");
    }
    text
}

#[test]
fn both_transports_follow_what_the_server_has() {
    for server in [GitServer::https(), GitServer::ssh()] {
        let repo = server.repo("shop");
        let remote = to(&server, "shop");
        let fixture = Fixture::new();
        assert!(fixture.list(&remote).expect("it answers").is_empty());
        fixture.update(&remote).expect("an empty repository is one");

        let first = repo.commit(&[("base/api.yaml", "a: 1\n"), ("large", &noise(400_000))]);
        repo.annotated_tag("v1.0");
        let received = fixture.update(&remote).expect("it is fetched");
        assert!(received > 150_000, "{received}");
        assert_eq!(fixture.commit("refs/heads/main"), Some(first.clone()));
        assert_eq!(fixture.commit("refs/tags/v1.0"), Some(first.clone()));
        let files = fixture.mirror.commit(&first).expect("the commit is there");
        let content = files.read("base/api.yaml").expect("it can be read");
        assert_eq!(content.as_deref(), Some(&b"a: 1\n"[..]));

        // Only what is new comes.
        let second = repo.commit(&[("base/api.yaml", "a: 2\n")]);
        let hotfix = repo.commit_on("hotfix/a", &[("fix", "x")]);
        let received = fixture.update(&remote).expect("it is fetched");
        assert!(received < 2_000, "{received}");
        let contains = |a: &str, b: &str| fixture.mirror.contains(a, b).expect("whole");
        assert!(contains(&second, &first) && contains(&hotfix, &second));
        assert_eq!(fixture.update(&remote).expect("nothing is new"), 0);

        // A branch that is deleted, and one that is rewritten.
        repo.delete_branch("hotfix/a");
        repo.set("main", &first);
        let third = repo.commit(&[("base/api.yaml", "a: 3\n")]);
        let received = fixture.update(&remote).expect("it is fetched");
        assert!(received < 2_000, "{received}");
        assert_eq!(fixture.commit("refs/heads/hotfix/a"), None);
        assert_eq!(fixture.commit("refs/heads/main"), Some(third.clone()));
        assert!(!contains(&third, &second));
    }
}

#[test]
fn one_request_at_rest_and_two_for_a_commit() {
    let server = GitServer::https();
    let repo = server.repo("shop");
    let remote = to(&server, "shop");
    let fixture = Fixture::new();
    let update = || fixture.mirror.update(&remote, &GO_ON).expect("it answers");
    // Apache notes a request after its answer.
    let requests = |count: usize| {
        wait_blocking(Duration::from_secs(5), "the requests are noted", || {
            (server.requests().len() == count).then_some(())
        });
    };
    for number in 1..4 {
        let commit = repo.commit(&[("a", &number.to_string())]);
        let before = server.requests().len();
        let told = update();
        assert_eq!(fixture.commit("refs/heads/main"), Some(commit));
        requests(before + 2);
        assert_eq!(update(), told);
        requests(before + 3);
    }
    let ssh = GitServer::ssh();
    let commit = ssh.repo("shop").commit(&[("a", "1")]);
    let fixture = Fixture::new();
    let told = fixture.mirror.update(&to(&ssh, "shop"), &GO_ON);
    assert_eq!(
        told.expect("it answers").0["refs/heads/main"].target(),
        commit
    );
}

#[test]
fn a_fetch_of_a_ref_that_has_moved_is_told() {
    let server = GitServer::https();
    let repo = server.repo("shop");
    let remote = to(&server, "shop");
    let fixture = Fixture::new();
    repo.commit(&[("a", "1")]);
    let wanted = fixture.list(&remote).expect("it answers");
    repo.empty("main");
    let error = fixture.mirror.fetch(&remote, &wanted, &GO_ON).unwrap_err();
    assert!(matches!(error, GitError::Moved { .. }), "{error}");
    assert_eq!(fixture.refs(), []);
}

#[test]
fn https_credentials() {
    let server = GitServer::https();
    server.repo("shop").commit(&[("a", "1")]);
    let fixture = Fixture::new();
    let ca = Some(server.ca().into_bytes());
    let with = |credentials| {
        let access = Access {
            credentials,
            ca: ca.clone(),
        };
        fixture.list(&remote(&server.url("shop"), access))
    };

    server.add_user("x-access-token", "a-token");
    let refs = with(Credentials::Token("a-token".to_owned())).expect("the token is taken");
    assert_eq!(refs.len(), 1);
    let wrong = with(Credentials::Token("hunter2".to_owned())).unwrap_err();
    assert!(matches!(wrong, GitError::AuthRefused { .. }), "{wrong}");
    assert!(!format!("{wrong} {wrong:?}").contains("hunter2"));
    let wrong = with(Credentials::Basic {
        username: "git".to_owned(),
        password: "hunter2".to_owned(),
    })
    .unwrap_err();
    assert!(wrong.to_string().contains("401"), "{wrong}");
    let none = with(Credentials::None).unwrap_err();
    assert!(matches!(none, GitError::AuthNeeded { .. }), "{none}");

    let missing = fixture.list(&to(&server, "missing")).unwrap_err();
    assert!(matches!(missing, GitError::NotFound { .. }), "{missing}");
}

#[test]
fn each_repository_trusts_its_own_authority_only() {
    let (one, two) = (GitServer::https(), GitServer::https());
    let fixture = Fixture::new();
    for server in [&one, &two] {
        server.repo("shop").commit(&[("a", "1")]);
        fixture
            .list(&to(server, "shop"))
            .expect("its own is trusted");
    }
    for ca in [Some(two.ca().into_bytes()), None] {
        let mut crossed = to(&one, "shop");
        crossed.access.ca = ca;
        let error = fixture.list(&crossed).unwrap_err();
        let expected = TlsProblem::UnknownAuthority;
        assert!(
            matches!(&error, GitError::Tls { problem, .. } if *problem == expected),
            "{error}"
        );
    }
    let before = one.requests().len();
    let mut rubbish = to(&one, "shop");
    rubbish.access.ca =
        Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec());
    let error = fixture.list(&rubbish).unwrap_err();
    assert!(error.to_string().contains("ca.crt"), "{error}");
    assert_eq!(one.requests().len(), before, "nothing was asked");
}

/// What a repository behind this server answers.
fn ask(server: &WebServer) -> GitError {
    let access = Access {
        credentials: Credentials::Token("hunter2".to_owned()),
        ca: Some(server.ca().into_bytes()),
    };
    let url = server.url("/shop.git");
    let listed = Fixture::new().list(&remote(&url, access));
    let error = listed.expect_err("it is no repository");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    error
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let server = WebServer::start(&["git.example.com"], |_| {
        response("200 OK", "text/plain", "")
    });
    let error = ask(&server);
    let wrong = matches!(
        &error,
        GitError::Tls {
            problem: TlsProblem::WrongName { .. },
            ..
        }
    );
    assert!(wrong, "{error}");
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn what_is_no_git_server_is_never_an_empty_repository() {
    let advertisement = "application/x-git-upload-pack-advertisement";
    let page = "<!DOCTYPE html><form action=/login></form>";
    for (status, kind, body, words) in [
        ("200 OK", "text/html; charset=utf-8", page, "login page"),
        ("200 OK", "application/json", "{}", "application/json"),
        ("200 OK", "text/plain", "", "text/plain"),
        ("200 OK", advertisement, page, "not Git's protocol"),
        ("200 OK", advertisement, "", "in the middle"),
        (
            "200 OK",
            advertisement,
            "001e# service=git-upload-pack\n0000",
            "in the middle",
        ),
        ("204 No Content", advertisement, "", "204"),
        ("404 Not Found", "text/html", page, "no such repository"),
        (
            "403 Forbidden",
            "text/html",
            page,
            "refused the credentials",
        ),
        ("429 Too Many Requests", "text/plain", "", "not available"),
        (
            "503 Service Unavailable",
            "text/html",
            page,
            "not available",
        ),
    ] {
        let server = WebServer::start(&["127.0.0.1"], move |_| response(status, kind, body));
        let error = ask(&server).to_string();
        assert!(error.contains(words), "{error} / {words}");
    }
}

#[test]
fn redirects_stay_on_the_host() {
    let other = WebServer::start(&["127.0.0.1"], |_| response("200 OK", "text/plain", ""));
    let target = other.url("/shop.git/info/refs?service=git-upload-pack&token=secret");
    for location in [
        target.as_str(),
        "http://127.0.0.1/shop.git/info/refs?service=git-upload-pack",
        "//example.com/info/refs?service=git-upload-pack",
        "/login",
        "/shop.git/info/refs?service=git-upload-pack",
    ] {
        let moved =
            format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = WebServer::start(&["127.0.0.1"], move |_| moved.clone().into_bytes());
        let error = ask(&server);
        let refused = matches!(error, GitError::Redirect { .. } | GitError::NotGit { .. });
        assert!(refused && !error.to_string().contains("secret"), "{error}");
    }
    assert_eq!(other.requests(), [""; 0], "no credentials left the host");

    let zero = "0".repeat(40);
    let line = format!("{zero} capabilities^{{}}\0side-band-64k\n");
    let body = format!(
        "001e# service=git-upload-pack\n0000{:04x}{line}0000",
        line.len() + 4
    );
    let server = WebServer::start(&["127.0.0.1"], move |request| {
        if request.starts_with("GET /new.git/") {
            return response(
                "200 OK",
                "application/x-git-upload-pack-advertisement",
                &body,
            );
        }
        let location = "/new.git/info/refs?service=git-upload-pack";
        format!("HTTP/1.1 301 Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
            .into_bytes()
    });
    let access = Access {
        credentials: Credentials::None,
        ca: Some(server.ca().into_bytes()),
    };
    let refs = Fixture::new().list(&remote(&server.url("/old.git"), access));
    assert!(refs.expect("it is followed").is_empty());
}

/// The same server, reached through a proxy.
fn through(proxy: &Proxy, server: &GitServer) -> Remote {
    let mut remote = to(server, "shop");
    let (own, other) = (server.port().to_string(), proxy.port().to_string());
    let url = server.url("shop").replacen(&own, &other, 1);
    remote.url = url.parse().expect("a valid URL");
    if let Credentials::Ssh { known_hosts, .. } = &mut remote.access.credentials {
        *known_hosts = known_hosts.replace(&own, &other);
    }
    remote
}

#[test]
fn a_connection_that_is_cut_or_stalls_leaves_the_mirror_as_it_was() {
    for server in [GitServer::https(), GitServer::ssh()] {
        let repo = server.repo("shop");
        let proxy = Proxy::start(server.port());
        let mut remote = through(&proxy, &server);
        let fixture = Fixture::new();
        let first = repo.commit(&[("a", "1")]);
        fixture
            .update(&remote)
            .expect("the proxy lets everything through");

        let second = repo.commit(&[("large", &noise(2_000_000))]);
        let wanted = fixture.list(&remote).expect("it answers");
        proxy.cut_after(200_000);
        let error = fixture.mirror.fetch(&remote, &wanted, &GO_ON).unwrap_err();
        assert!(matches!(error, GitError::Connection { .. }), "{error}");
        assert_eq!(fixture.commit("refs/heads/main"), Some(first.clone()));
        fixture.assert_clean(1);

        remote.limits.idle = Duration::from_secs(1);
        proxy.stall_after(200_000);
        let begin = Instant::now();
        let error = fixture.mirror.fetch(&remote, &wanted, &GO_ON).unwrap_err();
        assert!(
            matches!(error, GitError::Timeout { seconds: 1, .. }),
            "{error}"
        );
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{:?}",
            begin.elapsed()
        );

        remote.limits.idle = Duration::from_secs(30);
        let cancel = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(500));
                cancel.store(true, Ordering::Relaxed);
            });
            let error = fixture.mirror.fetch(&remote, &wanted, &cancel).unwrap_err();
            assert!(matches!(error, GitError::Cancelled { .. }), "{error}");
        });
        assert_eq!(fixture.commit("refs/heads/main"), Some(first.clone()));
        fixture.assert_clean(1);

        proxy.pass();
        fixture.update(&remote).expect("it is fetched");
        assert_eq!(fixture.commit("refs/heads/main"), Some(second));
        fixture.assert_clean(2);
    }
}

#[test]
fn a_server_that_is_down_or_silent_is_told() {
    for mut server in [GitServer::https(), GitServer::ssh()] {
        server.repo("shop").commit(&[("a", "1")]);
        let mut remote = to(&server, "shop");
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = silent.local_addr().expect("it is bound").port();
        let mut deaf = to(&server, "shop");
        let url = server
            .url("shop")
            .replacen(&server.port().to_string(), &port.to_string(), 1);
        deaf.url = url.parse().expect("a valid URL");
        deaf.limits.connect = Duration::from_secs(1);
        let begin = Instant::now();
        let error = Fixture::new().list(&deaf).unwrap_err();
        assert!(matches!(error, GitError::Timeout { .. }), "{error}");
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{:?}",
            begin.elapsed()
        );

        server.stop();
        let error = Fixture::new().list(&remote).unwrap_err();
        assert!(matches!(error, GitError::Connect { .. }), "{error}");
        server.resume();
        Fixture::new().list(&remote).expect("it is back");
        remote.limits.total = Duration::ZERO;
        let error = Fixture::new().list(&remote).unwrap_err();
        assert!(matches!(error, GitError::Timeout { .. }), "{error}");
    }
}

#[test]
fn ssh_host_keys_fail_closed() {
    let mut server = GitServer::ssh();
    server.repo("shop").commit(&[("a", "1")]);
    let fixture = Fixture::new();
    let with = |server: &GitServer, lines: &str| {
        let mut remote = to(server, "shop");
        if let Credentials::Ssh { known_hosts, .. } = &mut remote.access.credentials {
            lines.clone_into(known_hosts);
        }
        fixture.list(&remote)
    };
    let shown = server.host_fingerprint();
    let unknown = with(&server, "# nobody\n").unwrap_err();
    assert!(
        matches!(unknown, GitError::HostKeyUnknown { .. }),
        "{unknown}"
    );
    assert!(unknown.to_string().contains(&shown), "{unknown} / {shown}");
    // The line of another port is about another host.
    let elsewhere = server
        .known_hosts()
        .replace(&server.port().to_string(), "22");
    assert!(matches!(
        with(&server, &elsewhere),
        Err(GitError::HostKeyUnknown { .. })
    ));
    let hashed = server.hashed_known_hosts();
    assert!(hashed.starts_with("|1|"), "{hashed}");
    with(&server, &hashed).expect("a hashed name is a name");

    let old = server.change_host_key();
    let changed = with(&server, &old).unwrap_err();
    assert!(
        matches!(changed, GitError::HostKeyMismatch { .. }),
        "{changed}"
    );
    for fingerprint in [shown, server.host_fingerprint()] {
        assert!(
            changed.to_string().contains(&fingerprint),
            "{changed} / {fingerprint}"
        );
    }
    let changed = with(&server, &hashed).unwrap_err();
    assert!(
        matches!(changed, GitError::HostKeyMismatch { .. }),
        "{changed}"
    );
    with(&server, &format!("{old}{}", server.known_hosts())).expect("either key is known");
    let revoked = format!("{0}@revoked {0}", server.known_hosts());
    assert!(matches!(
        with(&server, &revoked),
        Err(GitError::HostKeyRevoked { .. })
    ));
}

#[test]
fn ssh_keys() {
    let server = GitServer::ssh();
    server.repo("shop").commit(&[("a", "1")]);
    let fixture = Fixture::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let generate = |kind: &str, passphrase: &str| {
        let path = folder.path().join(format!("{kind}{passphrase}"));
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", passphrase, "-f"])
            .arg(&path)
            .status()
            .expect("ssh-keygen starts");
        assert!(made.success());
        let read = |path: &Path| std::fs::read_to_string(path).expect("the key is there");
        (read(&path), read(&path.with_extension("pub")))
    };
    let with = |key: &str, word: Option<&str>| {
        let mut remote = to(&server, "shop");
        if let Credentials::Ssh {
            identity,
            passphrase,
            ..
        } = &mut remote.access.credentials
        {
            key.clone_into(identity);
            *passphrase = word.map(str::to_owned);
        }
        fixture.list(&remote)
    };

    let (stranger, _) = generate("ed25519", "");
    let refused = with(&stranger, None).unwrap_err();
    assert!(matches!(refused, GitError::AuthRefused { .. }), "{refused}");
    let unreadable = with("-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n", None).unwrap_err();
    assert!(
        matches!(unreadable, GitError::Identity { .. }),
        "{unreadable}"
    );
    assert!(!format!("{unreadable:?}").contains("hunter2"));
    for (kind, passphrase) in [
        ("ed25519", "words"),
        ("rsa", ""),
        ("rsa", "words"),
        ("ecdsa", ""),
    ] {
        let (private, public) = generate(kind, passphrase);
        server.authorize(&public);
        with(&private, Some(passphrase).filter(|word| !word.is_empty()))
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        if !passphrase.is_empty() {
            let error = with(&private, Some("wrong")).unwrap_err();
            assert!(matches!(error, GitError::Identity { .. }), "{error}");
        }
    }
    let missing = fixture.list(&to(&server, "missing")).unwrap_err();
    assert!(matches!(missing, GitError::NotFound { .. }), "{missing}");
}
