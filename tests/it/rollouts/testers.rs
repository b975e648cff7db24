//! Requests of testers, who say by a header or a cookie that they want the canary, through Traefik.

use std::collections::BTreeMap;

use driftless::api::RolloutPhase as Phase;
use serde_json::{Value, json};

use super::load;
use super::router::{self, Router};
use super::shop::{self, SHOP};
use super::table;

const REQUESTS: usize = 40;
const HEADER: (&str, &str) = ("x-canary", "always");
const COOKIE: (&str, &str) = ("cookie", "session=4711; canary=always");
const NOBODY: (&str, &str) = ("cookie", "session=4711; canary=alwaysnot");

/// All of them are answered by this version.
fn all(version: &str) -> BTreeMap<String, usize> {
    [(version.to_owned(), REQUESTS)].into()
}

async fn testers_meet_the_canary(test: &str, traffic: Value, route: fn(&Router) -> Value) {
    let Some((stage, router)) = router::open(test).await else {
        return;
    };
    let image = shop::image();
    let steps = json!([{"pause": true}, {"weight": 20}, {"pause": true}]);
    let mut traffic = traffic;
    traffic["match"] = json!({"header": {"name": "X-Canary"}, "cookie": {"name": "canary"}});
    let policy = shop::policy(
        steps,
        json!({"traffic": traffic, "settle": "1s", "checks": []}),
    );
    let objects = |version: &str| {
        [
            shop::api(&image, 2, version, &[]),
            shop::service(),
            route(&router),
            policy.clone(),
        ]
    };
    let first = stage.push_objects(SHOP, &objects("1")).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;
    let (address, host) = (router.address(), router.host());
    load::answers_as(&address, host).await;
    let who = |header| load::versions_for(&address, host, header, REQUESTS);
    assert_eq!(who(HEADER).await, all("1"), "there is no canary");

    stage.push_objects(SHOP, &objects("2")).await;
    stage
        .until(SHOP, "it is paused without any weight", |status| {
            shop::phase(status) == Some(Phase::Paused)
        })
        .await;
    load::answered_by(&address, host, HEADER, "2").await;
    assert_eq!(who(HEADER).await, all("2"), "by header, at weight 0");
    assert_eq!(who(COOKIE).await, all("2"), "by cookie, at weight 0");
    assert_eq!(who(NOBODY).await, all("1"), "others, at weight 0");

    shop::say(&stage, "promote").await;
    stage
        .until(SHOP, "it is paused at 20 %", |status| {
            status
                .rollouts
                .first()
                .is_some_and(|rollout| rollout.phase == Phase::Paused && rollout.weight == 20)
        })
        .await;
    assert_eq!(who(HEADER).await, all("2"), "by header, at 20 %");
    assert_eq!(who(COOKIE).await, all("2"), "by cookie, at 20 %");
    assert!(
        who(NOBODY)
            .await
            .get("1")
            .is_some_and(|stable| *stable > REQUESTS / 2),
        "others have their share"
    );

    shop::say(&stage, "abort").await;
    stage
        .until(SHOP, "it is taken back", |status| {
            shop::phase(status) == Some(Phase::Failed)
        })
        .await;
    load::answered_by(&address, host, HEADER, "1").await;
    assert_eq!(who(HEADER).await, all("1"), "the canary is gone");
    assert_eq!(shop::leftovers(&stage), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn testers_meet_the_canary_of_an_http_route() {
    if table::is_left_out() {
        return;
    }
    testers_meet_the_canary(
        "testers_meet_the_canary_of_an_http_route",
        json!({"httpRoute": {"name": "api"}}),
        Router::http_route,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn testers_meet_the_canary_of_an_ingress() {
    if table::is_left_out() {
        return;
    }
    testers_meet_the_canary(
        "testers_meet_the_canary_of_an_ingress",
        json!({"ingressNginx": {"name": "api"}}),
        Router::ingress,
    )
    .await;
}
