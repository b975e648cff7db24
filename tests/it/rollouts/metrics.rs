//! The usual queries, on what Traefik measures of live requests. It takes minutes to build, so `make test-rollouts` does;
//! elsewhere this is reported as skipped.

use driftless::api::RolloutPhase as Phase;
use serde_json::json;

use super::load::{self, Load};
use super::prometheus::Prometheus;
use super::router;
use super::shop::{self, SHOP};
use super::table;
use crate::support::process::free_port;

#[tokio::test(flavor = "multi_thread")]
async fn what_traefik_measures_decides() {
    if table::is_left_out() {
        return;
    }
    let metrics = free_port();
    let measures = [
        format!("--entrypoints.metrics.address=127.0.0.1:{metrics}"),
        "--metrics.prometheus.entrypoint=metrics".to_owned(),
        "--metrics.prometheus.addserviceslabels=true".to_owned(),
    ];
    let opened = router::open_with("what_traefik_measures_decides", &measures).await;
    let Some((stage, router)) = opened else {
        return;
    };
    let prometheus = Prometheus::start(
        &stage,
        &format!(
            "- {{job_name: traefik, static_configs: [{{targets: ['127.0.0.1:{metrics}']}}]}}\n"
        ),
    );
    let usual = |name: &str, builtin: &str, bounds: serde_json::Value| {
        let mut check = json!({"url": prometheus.url(), "builtin": builtin, "router": "Traefik", "window": "10s", "minRequests": 20});
        if let (Some(into), serde_json::Value::Object(from)) = (check.as_object_mut(), bounds) {
            into.extend(from);
        }
        json!({"name": name, "prometheus": check})
    };
    let compared = json!({"min": 0.9, "compare": {"minDifference": -0.05}});
    let checks = json!([
        usual("success", "successRate", compared),
        usual("latency", "latency", json!({"percentile": 90, "max": 1})),
    ]);
    let steps = json!([{"weight": 30, "for": "15s"}]);
    let policy = shop::policy(
        steps,
        json!({"checks": checks, "traffic": {"httpRoute": {"name": "api"}}, "settle": "2s"}),
    );
    let image = shop::image();
    let objects = |version: &str, env: &[(&str, &str)]| {
        [
            shop::api(&image, 3, version, env),
            shop::service(),
            router.http_route(),
            policy.clone(),
        ]
    };
    let first = stage.push_objects(SHOP, &objects("1", &[])).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;
    let (address, host) = (router.address(), router.host());
    load::answers_as(&address, host).await;
    let load = Load::start(&address, host, 200);

    let second = stage.push_objects(SHOP, &objects("2", &[])).await;
    let passed = stage
        .until(SHOP, "both have passed", |status| {
            status.rollouts.first().is_some_and(|rollout| {
                rollout.checks.len() == 2
                    && rollout.checks.iter().all(|check| check.verdict == "Pass")
            })
        })
        .await;
    let values: Vec<_> = passed.rollouts[0]
        .checks
        .iter()
        .map(|check| check.value.as_str())
        .collect();
    assert_eq!(values[0], "canary 1, stable 1");
    assert!(
        values[1].parse::<f64>().is_ok_and(|seconds| seconds > 0.0),
        "{values:?}"
    );
    stage
        .until(SHOP, "the rollout is over", |status| {
            status.rollouts.is_empty()
        })
        .await;
    stage.ready(SHOP, &second).await;

    // Nothing but 5xx: the good ones are 0, and not unknown.
    stage
        .push_objects(SHOP, &objects("3", &[("FAIL_RATE", "1")]))
        .await;
    let failed = stage
        .until(SHOP, "it is taken back", |status| {
            shop::phase(status) == Some(Phase::Failed)
        })
        .await;
    let why = failed.history[0].message.clone().unwrap_or_default();
    assert!(
        why.contains("check success failed 3 times at 30 %: canary 0, stable 1 is less than 0.9"),
        "{why}"
    );
    let samples = load.end().await;
    table::none_failed(&table::of_this_test(), &samples, |sample| sample.is_of("3"));
}
