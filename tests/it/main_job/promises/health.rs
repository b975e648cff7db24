//! The culprit is named while it is sick.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    main_job::{
        manifests::{config_map, deployment},
        stage::{Stage, condition},
    },
    need_node,
};

fn of_image(image: &str) -> Value {
    let mut object = deployment("web");
    object["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_image_is_named_within_seconds_and_healed_by_the_revert() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let map = config_map("settings", json!({"a": "1"}));
    let commit = stage
        .push_objects("shop", &[deployment("web"), map.clone()])
        .await;
    stage.environment("shop", "shop", json!({})).await;
    stage.ready("shop", &commit).await;

    let broken = "127.0.0.1:5000/no-such-image:1";
    let pushed = Instant::now();
    stage.push_objects("shop", &[of_image(broken), map]).await;
    let named = stage
        .until("shop", "the image is named", |status| {
            status
                .failures
                .iter()
                .any(|failure| failure.message.contains(broken) || failure.reason.contains("Image"))
        })
        .await;
    let took = pushed.elapsed();
    let failure = &named.failures[0];
    assert!(failure.object.contains("Deployment.apps"), "{failure:?}");
    assert_eq!(failure.container.as_deref(), Some("main"), "{failure:?}");
    assert!(
        ["ErrImagePull", "ImagePullBackOff"].contains(&failure.reason.as_str()),
        "{failure:?}"
    );
    assert_ne!(condition(&named, "Ready").0, "True");
    assert!(took < Duration::from_secs(15), "{took:?}");

    let revert = stage.revert().await;
    let healed = stage.ready("shop", &revert).await;
    assert!(healed.failures.is_empty(), "{healed:#?}");
}
