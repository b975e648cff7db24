//! Shows that what the tests stand on works: the node runs pods, both Git servers take and give commits.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use crate::{
    need_node,
    support::{git::GitServer, repo::git, wait::wait_until},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_node_keeps_objects_and_namespaces_are_unique() {
    let Some(node) = need_node!() else { return };
    let (one, two) = (node.namespace("harness"), node.namespace("harness"));
    assert_ne!(one.name, two.name);
    one.kubectl(&["create", "configmap", "map", "--from-literal=key=value"]);
    let maps: Api<ConfigMap> = Api::namespaced(node.client().await, &one.name);
    let seen = wait_until(Duration::from_secs(5), "the map is there", || async {
        maps.get_opt("map").await.ok().flatten()
    });
    assert_eq!(seen.await.data.expect("it has data")["key"], "value");
    assert!(
        two.kubectl(&["get", "configmap", "map", "--ignore-not-found"])
            .is_empty()
    );
}

#[test]
fn both_transports_serve_what_was_committed_and_take_pushes() {
    for server in [GitServer::https(), GitServer::ssh()] {
        let repo = server.repo("shop");
        let commit = repo.commit(&[("base/api.yaml", "a: 1\n"), ("README.md", "shop\n")]);
        repo.annotated_tag("v1.0");
        let work = tempfile::tempdir().expect("a temporary folder");
        let run = |mut command: std::process::Command| {
            let output = command
                .current_dir(work.path())
                .output()
                .expect("git starts");
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let client = |arguments: &[&str]| {
            let mut command = server.client();
            command.args(arguments);
            command
        };
        run(client(&["clone", "--quiet", &server.url("shop"), "."]));
        assert_eq!(run(client(&["rev-parse", "v1.0^{}"])), commit);
        run(client(&[
            "commit",
            "--quiet",
            "--allow-empty",
            "--message",
            "more",
        ]));
        run(client(&["push", "--quiet", "origin", "HEAD:main"]));
        assert_eq!(
            run(client(&["rev-parse", "HEAD"])),
            repo.tip("main").expect("main is there").to_string()
        );
    }
}

#[test]
fn strangers_are_turned_away() {
    let (https, mut ssh) = (GitServer::https(), GitServer::ssh());
    https.repo("shop").commit(&[("a", "a")]);
    ssh.repo("shop").commit(&[("a", "a")]);
    let ls = |mut command: std::process::Command, url: &str| {
        command
            .args(["ls-remote", url])
            .output()
            .expect("git starts")
    };

    assert!(
        !ls(git(), &https.url("shop")).status.success(),
        "an unknown authority"
    );
    let mut nobody = git();
    nobody.env("GIT_SSL_NO_VERIFY", "1");
    assert!(
        !ls(nobody, &https.url("shop")).status.success(),
        "no password"
    );
    assert!(
        https
            .requests()
            .iter()
            .any(|line| line.contains(" - 401 GET /shop.git/info/refs"))
    );

    assert!(ls(ssh.client(), &ssh.url("shop")).status.success());
    let known = ssh.change_host_key();
    assert_ne!(known, ssh.known_hosts());
}
