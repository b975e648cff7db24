//! Whose an object is, and who may take it.

use serde_json::{Value, json};

use crate::{
    main_job::{
        manifests::{annotated, config_map, labelled},
        stage::Stage,
    },
    need_node,
};

const ADOPT: &str = "driftless.dev/adopt";

#[tokio::test(flavor = "multi_thread")]
async fn what_another_tool_owns_is_taken_only_when_asked_to() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let cluster = &stage.cluster;
    let map = |name: &str| config_map(name, json!({"from": "elsewhere"}));
    let helm = annotated(map("helm"), "meta.helm.sh/release-name", "shop");
    let argo = annotated(
        map("argo"),
        "argocd.argoproj.io/tracking-id",
        "shop:/ConfigMap:shop/argo",
    );
    let flux = labelled(map("flux"), "kustomize.toolkit.fluxcd.io/name", "shop");
    for object in [helm, argo, flux, map("nobody")] {
        cluster.create(object).await;
    }
    let names = ["helm", "argo", "flux", "nobody"];
    let wanted = |name: &str| config_map(name, json!({"from": "git"}));
    stage.push_objects("shop", &names.map(wanted)).await;
    stage.environment("shop", "shop", json!({})).await;
    let refused = stage
        .until("shop", "three are refused", |status| {
            status.failures.len() >= 3
        })
        .await;
    for (name, owner) in [("helm", "Helm"), ("argo", "Argo CD"), ("flux", "Flux")] {
        let told = refused
            .failures
            .iter()
            .any(|failure| failure.object.ends_with(name) && failure.message.contains(owner));
        assert!(told, "{name}: {refused:#?}");
    }
    for name in names {
        assert_eq!(
            cluster.at("ConfigMap", name, "/data/from").await,
            "elsewhere",
            "{name}: nothing was written"
        );
    }

    let commit = stage
        .push_objects(
            "shop",
            &names.map(|name| annotated(wanted(name), ADOPT, "true")),
        )
        .await;
    stage.ready("shop", &commit).await;
    for name in names {
        assert_eq!(
            cluster.at("ConfigMap", name, "/data/from").await,
            "git",
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_environment_owns_is_refused() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let map = |from: &str| config_map("settings", json!({"from": from}));
    stage.push_objects("one", &[map("one")]).await;
    let commit = stage
        .push_objects("two", &[map("two"), config_map("other", json!({"a": "1"}))])
        .await;
    stage.environment("one", "one", json!({})).await;
    stage.ready("one", &commit).await;
    stage.environment("two", "two", json!({})).await;
    let refused = stage
        .until("two", "it is refused", |status| !status.failures.is_empty())
        .await;
    let failure = &refused.failures[0];
    assert!(failure.object.ends_with("/settings"), "{failure:?}");
    assert!(
        failure
            .message
            .contains(&format!("{}/one", stage.namespace.name)),
        "{failure:?}"
    );
    assert_eq!(
        stage
            .cluster
            .at("ConfigMap", "settings", "/data/from")
            .await,
        "one"
    );
    assert_eq!(
        stage.cluster.get("ConfigMap", "other").await,
        None,
        "nothing was written"
    );

    // The label alone does not move it either.
    let status: Value = stage
        .cluster
        .at(
            "ConfigMap",
            "settings",
            "/metadata/annotations/driftless.dev~1environment",
        )
        .await;
    assert_eq!(status, format!("{}/one", stage.namespace.name));
    stage.ready("one", &commit).await;
}
