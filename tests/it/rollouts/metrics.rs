//! The usual queries, on what Traefik measures of live requests. It takes minutes to build, so `make test-rollouts` does;
//! elsewhere this is reported as skipped.

use std::{env, io::Write as _, path::PathBuf, process::Command};

use driftless::api::RolloutPhase as Phase;
use serde_json::json;

use super::load::{self, Load};
use super::prometheus::Prometheus;
use super::shop::{self, SHOP};
use super::table;
use crate::main_job::stage::Stage;
use crate::need_node;
use crate::support::process::{Process, free_port, wait_for_port};

/// Traefik with a Gateway, on these ports for requests and for its metrics.
fn traefik(stage: &Stage, programs: &std::path::Path, port: u16, metrics: u16) -> Process {
    let definitions = programs.join("gateway-api");
    let definitions = definitions.to_str().expect("a path that is text");
    stage
        .node
        .kubectl(&["apply", "--server-side", "-f", definitions]);
    stage.node.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd",
        "httproutes.gateway.networking.k8s.io",
        "gateways.gateway.networking.k8s.io",
    ]);
    let log = stage.node.state().join("traefik-measured.log");
    let mut command = Command::new(programs.join("traefik"));
    command
        .env("KUBECONFIG", stage.node.kubeconfig())
        .arg(format!("--entrypoints.web.address=:{port}"))
        .arg(format!("--entrypoints.metrics.address=127.0.0.1:{metrics}"))
        .arg("--metrics.prometheus.entrypoint=metrics")
        .arg("--metrics.prometheus.addserviceslabels=true")
        .arg("--providers.kubernetesgateway=true");
    let process = Process::start(&mut command, &log);
    wait_for_port(port, &log);
    stage.node.apply(&format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: traefik}}
spec: {{controllerName: traefik.io/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web, namespace: {}}}
spec:
  gatewayClassName: traefik
  listeners: [{{name: web, protocol: HTTP, port: {port}}}]
",
        stage.namespace.name
    ));
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn what_traefik_measures_decides() {
    if table::is_left_out() {
        return;
    }
    let programs = env::var_os("BIN").map(PathBuf::from);
    let Some(programs) = programs.filter(|programs| programs.join("traefik").exists()) else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: what_traefik_measures_decides (no Traefik; make test-rollouts builds it)"
        );
        return;
    };
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let (port, metrics) = (free_port(), free_port());
    let _traefik = traefik(&stage, &programs, port, metrics);
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
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "api"},
        "spec": {"parentRefs": [{"name": "web"}], "hostnames": ["measured.example.com"], "rules": [
            {"backendRefs": [{"name": "api", "port": 80}]},
        ]},
    });
    let image = shop::image();
    let objects = |version: &str, env: &[(&str, &str)]| {
        [
            shop::api(&image, 3, version, env),
            shop::service(),
            route.clone(),
            policy.clone(),
        ]
    };
    let first = stage.push_objects(SHOP, &objects("1", &[])).await;
    stage.environment(SHOP, SHOP, json!({})).await;
    stage.ready(SHOP, &first).await;
    let address = format!("127.0.0.1:{port}");
    load::answers_as(&address, "measured.example.com").await;
    let load = Load::start(&address, "measured.example.com", 200);

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
    let failed: Vec<_> = samples
        .iter()
        .filter(|sample| sample.failed() && !sample.is_of("3"))
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {}: {:?}",
        failed.len(),
        samples.len(),
        &failed[..failed.len().min(5)]
    );
}
