//! What cannot be rolled out is refused: by the definition, and by the plan, before anything is written.

use serde_json::{Value, json};

use super::shop::{self, SHOP};
use crate::main_job::stage::{Stage, condition};
use crate::need_node;

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_refuses_what_cannot_run_in_two_versions() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let image = shop::image();
    let canary = || shop::policy(json!([{"weight": 50}]), json!({}));
    let pod = "/spec/template/spec";
    let host_path = json!([{"name": "logs", "hostPath": {"path": "/tmp"}}]);
    let claim = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    let port = json!([{"containerPort": 8080, "hostPort": 8080}]);
    let headless = json!({"selector": {"app": "api"}, "clusterIP": "None"});
    let set = |into: &str, value: Value| (into.to_owned(), value);
    let cases = [
        (
            set("/spec/strategy", json!({"type": "Recreate"})),
            "Recreate",
        ),
        (
            set(&format!("{pod}/hostNetwork"), json!(true)),
            "hostNetwork",
        ),
        (
            set(&format!("{pod}/containers/0/ports"), port),
            "hostPort 8080",
        ),
        (
            set(&format!("{pod}/volumes"), host_path.clone()),
            "a hostPath would be shared",
        ),
        (
            set(&format!("{pod}/volumes"), claim),
            "would write to the claim data",
        ),
        (set("service", headless), "is headless"),
    ];
    stage.environment(SHOP, SHOP, json!({})).await;
    for ((place, value), reason) in cases {
        let mut api = shop::api(&image, 1, "1", &[]);
        let mut service = shop::service();
        if place == "service" {
            service["spec"] = value;
        } else {
            let (parent, field) = place.rsplit_once('/').expect("a path");
            api.pointer_mut(parent).expect("it is there")[field] = value;
        }
        stage.push_objects(SHOP, &[api, service, canary()]).await;
        stage
            .until(SHOP, reason, |status| {
                let (_, why, message) = condition(status, "Ready");
                why == "Refused" && message.contains(reason)
            })
            .await;
    }
    let written = stage
        .namespace
        .kubectl(&["get", "deployments,services", "-o", "name"]);
    assert_eq!(written, "", "nothing was written");

    // The owner's word lifts what only the owner can know.
    let mut api = shop::api(&image, 1, "1", &[]);
    api["spec"]["template"]["spec"]["volumes"] = host_path;
    let shared = shop::policy(json!([{"weight": 50}]), json!({"sharedVolumes": true}));
    let commit = stage
        .push_objects(SHOP, &[api, shop::service(), shared])
        .await;
    stage.ready(SHOP, &commit).await;

    // What the definition knows, the API server says.
    let tried = |spec: Value| {
        let mut policy = shop::strategy(json!({"canary": {"steps": [{"weight": 50}]}}));
        for (key, value) in spec.as_object().expect("a map") {
            policy["spec"][key] = value.clone();
        }
        let spec = policy["spec"].as_object_mut().expect("a map");
        spec.retain(|_, value| !value.is_null());
        let words = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
        node.try_kubectl(&words, &policy.to_string())
    };
    let kind = |kind: &str| json!({"kind": kind, "name": "api"});
    let route = json!({"httpRoute": {"name": "api"}});
    let good = [
        json!({"workload": kind("StatefulSet")}),
        json!({"canary": null, "blueGreen": {}}),
        json!({"canary": null, "blueGreen": {"previewService": "next", "for": "1m", "pause": true, "keep": "1h"}}),
        json!({"traffic": route}),
    ];
    for spec in good {
        tried(spec).expect("it is taken");
    }
    let bad = [
        (json!({"workload": kind("DaemonSet")}), "supported values"),
        (
            json!({"blueGreen": {}}),
            "exactly one of spec.canary and spec.blueGreen",
        ),
        (
            json!({"canary": null}),
            "exactly one of spec.canary and spec.blueGreen",
        ),
        (
            json!({"workload": kind("StatefulSet"), "canary": null, "blueGreen": {}}),
            "rolled out by its partition",
        ),
        (
            json!({"workload": kind("StatefulSet"), "traffic": route}),
            "rolled out by its partition",
        ),
        (
            json!({"canary": null, "blueGreen": {}, "traffic": route}),
            "every route follows them",
        ),
        (
            json!({"canary": null, "blueGreen": {"pause": false}}),
            "pause is true or absent",
        ),
    ];
    for (spec, reason) in bad {
        let error = tried(spec.clone()).expect_err("it is refused");
        assert!(error.contains(reason), "{spec}: {error}");
    }
}
