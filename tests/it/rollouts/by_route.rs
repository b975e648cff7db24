//! Weights in routes, met by live requests through Traefik: the Gateway API, ingress-nginx's annotations, and Traefik's own
//! kinds. Traefik takes minutes to build, so `make test-rollouts` does; elsewhere these are reported as skipped.

use std::time::{Duration, Instant};

use driftless::api::RolloutPhase as Phase;
use serde_json::{Value, json};

use super::load::{self, Load};
use super::router::{self, Router};
use super::shop::{self, SHOP};
use super::table;
use crate::main_job::stage::condition;
use crate::support::wait::wait_until;

/// So many requests are counted at each weight.
const REQUESTS: usize = 4000;

async fn split(name: &str, traffic: Value, routes: fn(&Router) -> Vec<Value>) {
    let Some((stage, router)) = router::open(name).await else {
        return;
    };
    let image = shop::image();
    let steps = json!([{"weight": 20}, {"pause": true}, {"weight": 50}, {"pause": true}]);
    // Traefik gathers changes for 2 s before it follows them.
    let policy = shop::policy(steps, json!({"traffic": traffic, "settle": "4s"}));
    let objects = |version: &str, env: &[(&str, &str)]| {
        let mut objects = routes(&router);
        objects.extend([
            shop::api(&image, 3, version, env),
            shop::service(),
            policy.clone(),
        ]);
        objects
    };
    let first = stage.push_objects(SHOP, &objects("1", &[])).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;
    let (address, host) = (router.address(), router.host());
    load::answers_as(&address, host).await;
    let load = Load::start(&address, host, 400);

    // A good version.
    let second = stage.push_objects(SHOP, &objects("2", &[])).await;
    let mut windows = Vec::new();
    for weight in [20_u32, 50] {
        stage
            .until(SHOP, &format!("it is paused at {weight} %"), |status| {
                status.rollouts.first().is_some_and(|rollout| {
                    rollout.weight == weight && rollout.phase == Phase::Paused
                })
            })
            .await;
        let (begin, before) = (Instant::now(), load.answered());
        // Some of them will lie at the edges.
        wait_until(Duration::from_mins(3), "enough requests", || async {
            (load.answered() >= before + REQUESTS + 500).then_some(())
        })
        .await;
        windows.push((weight, begin, Instant::now()));
        shop::say(&stage, "promote").await;
    }
    stage
        .until(SHOP, "the rollout is over", |status| {
            status.rollouts.is_empty()
        })
        .await;
    stage.ready(SHOP, &second).await;

    // A bad one.
    let stable = shop::stable_pods(&stage);
    stage
        .push_objects(SHOP, &objects("3", &[("FAIL_RATE", "1")]))
        .await;
    let failed = shop::taken_back(&stage).await;
    assert!(
        condition(&failed, "Ready")
            .2
            .contains("check answers failed 3 times")
    );
    assert_eq!(shop::stable_pods(&stage), stable);
    let settled = Instant::now();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let samples = load.end().await;

    let moment = format!("1, 2 by a route: {}", name.replace('_', " "));
    for (weight, begin, end) in windows {
        let window = samples
            .iter()
            .filter(|sample| sample.at >= begin && sample.at + Duration::from_millis(500) < end);
        let all = window.clone().count();
        let canary = window.filter(|sample| sample.is_of("2")).count();
        let share = 100.0 * f64::from(u32::try_from(canary).unwrap_or(0))
            / f64::from(u32::try_from(all).unwrap_or(1));
        table::must(
            &moment,
            &format!("share at a weight of {weight} %"),
            &format!("{share:.1} % of {all} requests"),
            "within 3.0 points, of 4000 and more",
            all >= REQUESTS && (share - f64::from(weight)).abs() < 3.0,
        );
    }
    table::none_failed(&moment, &samples, |sample| sample.is_of("3"));
    assert!(
        samples
            .iter()
            .filter(|sample| sample.is_of("3"))
            .all(|sample| sample.at < settled)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_route_splits_as_its_weights_say() {
    split(
        "an_http_route_splits_as_its_weights_say",
        json!({"httpRoute": {"name": "api"}}),
        |router| vec![router.http_route()],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ingress_nginx_splits_as_its_canary_says() {
    if table::is_left_out() {
        return;
    }
    split(
        "ingress_nginx_splits_as_its_canary_says",
        json!({"ingressNginx": {"name": "api"}}),
        |router| vec![router.ingress()],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_traefik_service_splits_as_its_weights_say() {
    if table::is_left_out() {
        return;
    }
    split(
        "a_traefik_service_splits_as_its_weights_say",
        json!({"traefik": {"name": "api"}}),
        |router| vec![router.traefik_service(), router.ingress_route()],
    )
    .await;
}
