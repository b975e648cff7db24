//! What `deploy/` grants and refuses, on a real API server.

use crate::need_node;
use crate::support::agent::{NAMESPACE, grant_account, install};
use crate::support::node::{Namespace, Node};

/// Whether the agent's own account may do this.
fn agent_may(node: &Node, verb: &str, resource: &str, namespace: &str) -> bool {
    let account = format!("--as=system:serviceaccount:{NAMESPACE}:driftless");
    let asked = node.try_kubectl(
        &[
            "auth",
            "can-i",
            verb,
            resource,
            "--namespace",
            namespace,
            &account,
        ],
        "",
    );
    asked.is_ok_and(|answer| answer.trim() == "yes")
}

#[test]
fn the_agent_reads_everything_and_writes_nothing_of_a_tenant() {
    let Some(node) = need_node!() else { return };
    install(node);
    for resource in [
        "pods",
        "secrets",
        "deployments.apps",
        "customresourcedefinitions",
    ] {
        assert!(
            agent_may(node, "watch", resource, "default"),
            "watch {resource}"
        );
        for verb in ["create", "update", "patch", "delete"] {
            assert!(
                !agent_may(node, verb, resource, "default"),
                "{verb} {resource}"
            );
        }
    }
    for resource in ["users", "groups", "serviceaccounts"] {
        assert!(
            !agent_may(node, "impersonate", resource, "default"),
            "impersonate {resource}"
        );
    }
    for verb in ["bind", "escalate"] {
        assert!(!agent_may(node, verb, "clusterroles", "default"), "{verb}");
    }
    assert!(agent_may(node, "update", "leases", NAMESPACE));
    assert!(!agent_may(node, "update", "leases", "default"));
    assert!(agent_may(
        node,
        "patch",
        "environments/status.driftless.dev",
        "default"
    ));
    assert!(!agent_may(
        node,
        "create",
        "approvals.driftless.dev",
        "default"
    ));
}

#[test]
fn a_tenant_grants_impersonation_in_its_own_namespace_only() {
    let Some(node) = need_node!() else { return };
    install(node);
    let (tenant, other) = (node.namespace("tenant"), node.namespace("tenant"));
    grant_account(node, &tenant.name, "deployer");
    let may = |account: &str, namespace: &str| {
        agent_may(
            node,
            "impersonate",
            &format!("serviceaccounts/{account}"),
            namespace,
        )
    };
    assert!(may("deployer", &tenant.name));
    assert!(!may("default", &tenant.name));
    assert!(!may("deployer", &other.name));
    assert!(!agent_may(node, "impersonate", "users", &tenant.name));
}

#[test]
fn the_deployment_meets_the_restricted_pod_security_level() {
    let Some(node) = need_node!() else { return };
    install(node);
    let deployment = crate::support::process::project("deploy/deployment.yaml");
    let file = deployment.to_str().expect("UTF-8");
    node.kubectl(&[
        "apply",
        "--dry-run=server",
        "--warnings-as-errors",
        "--filename",
        file,
    ]);
}

fn approval(namespace: &Namespace, name: &str, by: &str) -> String {
    format!(
        r#"{{"apiVersion": "driftless.dev/v1alpha1", "kind": "Approval",
            "metadata": {{"name": "{name}", "namespace": "{}"}},
            "spec": {{"environment": "production", "environmentUID": "1", "by": "{by}",
                      "commit": "3f2c000000000000000000000000000000000000", "expires": "2099-01-01T00:00:00Z"}}}}"#,
        namespace.name
    )
}

#[test]
fn only_who_may_approve_does_and_only_in_their_own_name() {
    let Some(node) = need_node!() else { return };
    install(node);
    let namespace = node.namespace("approvals");
    // Both may create Approvals; alice may also approve.
    namespace.kubectl(&[
        "create",
        "role",
        "create",
        "--verb=create,update,get,patch",
        "--resource=approvals.driftless.dev",
    ]);
    namespace.kubectl(&[
        "create",
        "rolebinding",
        "create",
        "--role=create",
        "--user=alice",
        "--user=mallory",
    ]);
    namespace.kubectl(&[
        "create",
        "rolebinding",
        "approve",
        "--clusterrole=driftless-approve",
        "--user=alice",
    ]);
    let create = |user: &str, name: &str, by: &str| {
        let arguments = ["create", "--filename", "-", &format!("--as={user}")];
        node.try_kubectl(&arguments, &approval(&namespace, name, by))
    };
    create("alice", "hers", "alice").expect("she may, in her name");
    let error = create("alice", "his", "bob").expect_err("not in another's name");
    assert!(
        error.contains("spec.by must be the user who approves: alice"),
        "{error}"
    );
    let error = create("mallory", "none", "mallory").expect_err("he may not approve");
    assert!(
        error.contains("the verb approve on environments.driftless.dev/production is not granted"),
        "{error}"
    );

    let patch = [
        "patch",
        "approval",
        "hers",
        "--type=merge",
        "--patch",
        r#"{"spec":{"environment":"staging"}}"#,
    ];
    let mut arguments = vec!["--namespace", &namespace.name];
    arguments.extend(patch);
    let error = node
        .try_kubectl(&arguments, "")
        .expect_err("not even by an administrator");
    assert!(error.contains("an Approval cannot be changed"), "{error}");
}
