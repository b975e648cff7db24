//! The commands against a real API server and a real agent, by what they print and how they end.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::need_node;
use crate::support::agent::{Agent, grant_tenant, install};
use crate::support::git::GitServer;
use crate::support::node::{Namespace, Node};

/// Exit code, and all that was printed.
fn driftless(node: &Node, words: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_driftless"))
        .args(words)
        .env("KUBECONFIG", node.kubeconfig())
        .output()
        .expect("the program starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).expect("UTF-8");
    (output.status.code().expect("it ended by itself"), text)
}

const CONFIG: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {colour: green}\n";
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: web}\nstringData: {token: hunter2, other: same}\n";

/// A repository, an account with rights, and an Environment `dev` of the path `dev`.
fn environment(node: &'static Node, server: &GitServer) -> Namespace {
    let namespace = node.namespace("cli");
    let name = &namespace.name;
    server
        .repo("shop")
        .commit(&[("dev/web.yaml", CONFIG), ("dev/secret.yaml", SECRET)]);
    namespace.secret("git", &server.secret());
    grant_tenant(node, name);
    namespace.kubectl(&["create", "serviceaccount", "deployer"]);
    let account = format!("{name}:deployer");
    namespace.kubectl(&[
        "create",
        "rolebinding",
        "deployer",
        "--clusterrole=admin",
        "--serviceaccount",
        &account,
    ]);
    let objects = [
        json!({"apiVersion": "driftless.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "shop", "namespace": name},
            "spec": {"url": server.url("shop"), "interval": "1h", "credentials": {"secret": "git"}}}),
        json!({"apiVersion": "driftless.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "dev", "namespace": name},
            "spec": {"repository": "shop", "follow": [{"branches": ["main"]}], "path": "dev", "namespace": name,
                "serviceAccount": "deployer"}}),
    ];
    for object in objects {
        node.apply(&object.to_string());
    }
    namespace
}

fn checkout(folder: &Path, config: &str, secret: &str) {
    std::fs::create_dir_all(folder.join("dev")).expect("a folder");
    std::fs::write(folder.join("dev/web.yaml"), config).expect("a file");
    std::fs::write(folder.join("dev/secret.yaml"), secret).expect("a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_follows_an_environment() {
    let Some(node) = need_node!() else { return };
    let _agent = Agent::start(node).await;
    let server = GitServer::https();
    let namespace = environment(node, &server);
    let name = namespace.name.as_str();

    let (code, text) = driftless(
        node,
        &["sync", "dev", "-n", name, "--wait", "--timeout=60s"],
    );
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("is applied and healthy"), "{text}");

    let (code, text) = driftless(node, &["status", "-n", name]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("dev") && text.contains("True") && text.contains("main@"),
        "{text}"
    );
    let (code, text) = driftless(node, &["status", "dev", "-n", name]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("✓ ConfigMap web") && text.contains("healthy"),
        "{text}"
    );
    assert!(
        !text.contains('\u{1b}'),
        "colours without a terminal: {text}"
    );
    let (_, text) = driftless(node, &["status", "dev", "-n", name, "-o", "json"]);
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["status"]["inventory"]["count"], 2, "{text}");
    let (code, text) = driftless(node, &["status", "prod", "-n", name]);
    assert_eq!(code, 2);
    assert!(text.contains("there is dev"), "{text}");

    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_str().expect("UTF-8");
    checkout(folder.path(), CONFIG, SECRET);
    let diff = ["diff", root, "--environment", "dev", "-n", name];
    let (code, text) = driftless(node, &diff);
    assert_eq!((code, text.as_str()), (0, ""));
    checkout(
        folder.path(),
        &CONFIG.replace("green", "blue"),
        &SECRET.replace("hunter2", "hunter3"),
    );
    let (code, text) = driftless(node, &diff);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("-   colour: green") && text.contains("+   colour: blue"),
        "{text}"
    );
    assert!(text.contains("+   token: '*** (changed)'"), "{text}");
    assert!(
        !text.contains("aHVudGVy") && !text.contains("hunter"),
        "{text}"
    );
    assert_eq!(
        namespace.kubectl(&["get", "configmap", "web", "-o", "jsonpath={.data.colour}"]),
        "green"
    );

    assert_eq!(driftless(node, &["suspend", "dev", "-n", name]).0, 0);
    assert_eq!(
        namespace.kubectl(&[
            "get",
            "environment",
            "dev",
            "-o",
            "jsonpath={.spec.suspend}"
        ]),
        "true"
    );
    assert_eq!(driftless(node, &["resume", "dev", "-n", name]).0, 0);
    let (code, text) = driftless(node, &["approve", "dev", "-n", name, "--yes"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("holds nothing back"), "{text}");
}

#[test]
fn the_definitions_refuse_what_cannot_be_meant() {
    let Some(node) = need_node!() else { return };
    install(node);
    let url = "https://git.example.com/shop.git";
    let environment = |more: Value| {
        let mut spec = json!({"repository": "shop", "follow": [{"branches": ["main"]}], "serviceAccount": "deployer"});
        for (key, value) in more.as_object().expect("a map") {
            spec[key] = value.clone();
        }
        json!({"apiVersion": "driftless.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "e", "namespace": "default"}, "spec": spec})
    };
    let repository = |spec: Value| json!({"apiVersion": "driftless.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "r", "namespace": "default"}, "spec": spec});
    let tried = |object: &Value| {
        let words = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
        ];
        node.try_kubectl(&words, &object.to_string())
    };
    let good = [
        repository(json!({"url": url})),
        repository(
            json!({"url": "ssh://git@git.example.com:22/shop.git", "interval": "1d", "webhook": {"secret": "a.b"}}),
        ),
        environment(
            json!({"follow": [{"semver": ">=1"}, {"tags": ["r-*"]}, {"commit": "a".repeat(40)}]}),
        ),
        environment(
            json!({"path": "a/x..y", "namespace": "shop", "createNamespace": true, "prune": {"limit": "0%"}}),
        ),
    ];
    for object in &good {
        tried(object).unwrap_or_else(|error| panic!("{object}: {error}"));
    }
    let bad = [
        (repository(json!({"url": "http://x/y"})), "must be an https"),
        (
            repository(json!({"url": "https://u:p@x/y"})),
            "must not contain credentials",
        ),
        (
            repository(json!({"url": "ssh://u:p@x/y"})),
            "must not contain credentials",
        ),
        (
            repository(json!({"url": url, "interval": "500ms"})),
            "at least 1s",
        ),
        (
            repository(json!({"url": url, "interval": "soon"})),
            "should match",
        ),
        (
            repository(json!({"url": url, "webook": {"secret": "x"}})),
            "webook",
        ),
        (environment(json!({"follow": []})), "at least 1 items"),
        (environment(json!({"follow": [{}]})), "exactly one of"),
        (
            environment(json!({"follow": [{"branches": ["a"], "tags": ["b"]}]})),
            "exactly one of",
        ),
        (
            environment(json!({"follow": [{"commit": "abc"}]})),
            "should match",
        ),
        (
            environment(json!({"path": "a/../b"})),
            "must not leave the repository",
        ),
        (
            environment(json!({"createNamespace": true})),
            "needs spec.namespace",
        ),
        (
            environment(json!({"serviceAccount": "other:deployer"})),
            "should match",
        ),
        (
            environment(json!({"prune": {"limit": "101%"}})),
            "should match",
        ),
        (environment(json!({"drift": "ignore"})), "supported values"),
        (
            environment(json!({"health": {"timeout": "5 m"}})),
            "should match",
        ),
        (environment(json!({"rollback": "never"})), "rollback"),
    ];
    for (object, reason) in &bad {
        let error = tried(object).expect_err("it is refused");
        assert!(error.contains(reason), "{object}: {error}");
    }
}
