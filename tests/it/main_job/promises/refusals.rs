//! All refusals at once, and nothing written; rights that are missing are named.

use serde_json::json;

use crate::{
    main_job::{
        manifests::{config_map, role, service},
        stage::{Stage, condition},
    },
    need_node,
};

#[tokio::test(flavor = "multi_thread")]
async fn all_refusals_are_told_at_once_and_nothing_is_written() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let good = config_map("good", json!({"a": "1"}));
    let commit = stage
        .push_objects("shop", std::slice::from_ref(&good))
        .await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &commit).await;

    let mut port = service("port");
    port["spec"]["ports"][0]["port"] = 99999.into();
    let mut verbless = role("verbless");
    verbless["rules"][0]["verbs"] = json!([]);
    let badly_named = config_map("Not_A_Name", json!({"a": "1"}));
    let changed = config_map("good", json!({"a": "2"}));
    stage
        .push_objects(
            "shop",
            &[
                changed,
                port,
                verbless,
                badly_named,
                config_map("new", json!({})),
            ],
        )
        .await;
    let refused = stage
        .until("shop", "three refusals", |status| {
            status.failures.len() >= 3
        })
        .await;
    for name in ["port", "verbless", "Not_A_Name"] {
        assert!(
            refused
                .failures
                .iter()
                .any(|failure| failure.object.contains(name)),
            "{name}: {refused:#?}"
        );
    }
    assert_eq!(condition(&refused, "Ready").0, "False");
    assert_eq!(stage.cluster.at("ConfigMap", "good", "/data/a").await, "1");
    assert_eq!(stage.cluster.get("ConfigMap", "new").await, None);
    assert_eq!(
        refused.revision.map(|revision| revision.commit),
        Some(commit),
        "the one before it is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_without_rights_is_named() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    stage.cluster.create(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "powerless"}})).await;
    stage
        .push_objects(
            "shop",
            &[config_map("settings", json!({"a": "1"})), service("web")],
        )
        .await;
    stage
        .environment("shop", "shop", json!({"serviceAccount": "powerless"}))
        .await;
    let refused = stage
        .until("shop", "both are refused", |status| {
            status.failures.len() >= 2
        })
        .await;
    for failure in &refused.failures {
        assert!(failure.message.contains("powerless"), "{failure:?}");
    }
    assert_eq!(stage.cluster.get("ConfigMap", "settings").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_not_granted_to_the_agent_says_so() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    stage
        .cluster
        .delete("RoleBinding", "driftless-impersonation")
        .await;
    stage
        .push_objects("shop", &[config_map("settings", json!({"a": "1"}))])
        .await;
    stage.environment("shop", "shop", json!({})).await;
    let refused = stage
        .until("shop", "it is refused", |status| {
            !status.failures.is_empty()
        })
        .await;
    let message = &refused.failures[0].message;
    assert!(
        message.contains("deployer") && message.contains("driftless install --tenant"),
        "{message}"
    );
    assert_eq!(stage.cluster.get("ConfigMap", "settings").await, None);

    // Granted, and it goes on by itself.
    crate::support::agent::grant_tenant(node, &stage.namespace.name);
    stage
        .until("shop", "it is applied", |status| {
            condition(status, "Ready").0 == "True"
        })
        .await;
}
