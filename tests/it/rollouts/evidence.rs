//! Evidence of every kind, from real servers: Prometheus, any JSON, Jobs, and the pods themselves.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::HeaderMap, http::StatusCode, routing::get};
use driftless::api::{EnvironmentStatus, Outcome, RolloutPhase as Phase, RolloutStatus};
use serde_json::{Value, json};

use super::prometheus::Prometheus;
use super::shop::{self, SHOP, Shop};
use super::table;
use crate::main_job::{sight::Sight, stage::Stage};
use crate::need_node;
use crate::support::node::push_image;

/// The share of 5xx, held against that of the stable side.
fn errors(url: &str) -> Value {
    let series = r#"namespace="{{namespace}}",pod=~"{{pods}}""#;
    let rate =
        |more: &str| format!("sum(rate(http_requests_total{{{series}{more}}}[{{{{window}}}}]))");
    json!({"name": "errors", "prometheus": {
        "url": url, "window": "5s", "minRequests": 20,
        "query": format!("({} or vector(0)) / {}", rate(r#",code=~"5..""#), rate("")),
        "requests": format!("sum(increase(http_requests_total{{{series}}}[{{{{window}}}}]))"),
        "compare": {"maxDifference": 0.05},
    }})
}

fn rollout(status: &EnvironmentStatus) -> RolloutStatus {
    status.rollouts.first().cloned().unwrap_or_default()
}

/// The value and the message of the newest change that was taken back.
fn taken_back(status: &EnvironmentStatus) -> String {
    let newest = status.history.first().expect("it is told");
    assert_eq!(newest.outcome, Outcome::TakenBack, "{newest:?}");
    newest.message.clone().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_prometheus_holds_and_what_it_measures_decides() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    let mut prometheus = Prometheus::start(&stage, "");
    // Long enough to stop it between the first verdict, when a window has passed, and the end of the first.
    let steps = json!([{"weight": 25, "for": "10s"}, {"weight": 50, "for": "3s"}]);
    let policy = shop::policy(steps, json!({"checks": [errors(&prometheus.url())]}));
    let shop = Shop::with_policy(stage, policy).await;
    let stage = &shop.stage;

    // Nobody to ask: it holds where it is.
    let second = shop.push("2", &[]).await;
    stage
        .until(SHOP, "the first weight has evidence", |status| {
            let rollout = rollout(status);
            rollout.in_effect_since.is_some()
                && rollout
                    .checks
                    .first()
                    .is_some_and(|check| !check.verdict.is_empty())
        })
        .await;
    prometheus.stop();
    let holds = |status: &EnvironmentStatus| {
        let rollout = rollout(status);
        rollout
            .message
            .starts_with("holds: check errors: NoData: cannot connect to 127.0.0.1")
    };
    let held = stage.until(SHOP, "it holds", holds).await;
    let weight = rollout(&held).weight;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let still = stage.status(SHOP).await;
    assert!(holds(&still), "{:?}", rollout(&still));
    assert_eq!(
        (rollout(&still).weight, rollout(&still).phase),
        (weight, Phase::Analysing)
    );

    // Asked again, it goes on by itself.
    prometheus.start_again();
    shop.over(&second).await;

    // A bad one is told from the stable side.
    let stable = shop::stable_pods(stage);
    shop.push("3", &[("FAIL_RATE", "0.5")]).await;
    shop.at(Phase::Failed).await;
    assert_eq!(shop::stable_pods(stage), stable);
    let status = stage.status(SHOP).await;
    let why = taken_back(&status);
    assert!(
        why.contains("check errors failed 3 times at 25 %: canary 0.")
            && why.contains("stable 0: the difference 0."),
        "{why}"
    );
    let events = stage.namespace.kubectl(&[
        "get",
        "events",
        "--field-selector",
        "reason=RolloutAborted",
        "-o",
        "jsonpath={.items[*].message}",
    ]);
    assert!(events.contains("is more than 0.05"), "{events}");

    let samples = shop.close_but_for(|sample| sample.is_of("3")).await;
    assert!(samples.iter().any(|sample| sample.is_of("2")));
}

/// A server of JSON that wants to be told who asks.
struct Stats {
    errors: Arc<AtomicU64>,
    asked: Arc<Mutex<BTreeSet<String>>>,
    url: String,
}

impl Stats {
    async fn start() -> Self {
        let errors = Arc::<AtomicU64>::default();
        let asked = Arc::<Mutex<BTreeSet<String>>>::default();
        let state = (errors.clone(), asked.clone());
        let answer = async |State((errors, asked)): State<(
            Arc<AtomicU64>,
            Arc<Mutex<BTreeSet<String>>>,
        )>,
                            headers: HeaderMap| {
            let token = headers
                .get("authorization")
                .and_then(|value| value.to_str().ok());
            let token = token.unwrap_or_default().to_owned();
            let known = token == TOKEN;
            asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(token.clone());
            let errors = errors.load(Ordering::Relaxed);
            if known {
                (
                    StatusCode::OK,
                    json!({"errors": errors, "token": token}).to_string(),
                )
            } else {
                (StatusCode::UNAUTHORIZED, "who are you?".to_owned())
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let url = format!(
            "http://{}/stats",
            listener.local_addr().expect("it is bound")
        );
        let routes = Router::new().route("/stats", get(answer)).with_state(state);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { errors, asked, url }
    }
}

const TOKEN: &str = "Bearer 5e7a1d-not-to-be-told";

/// What asks the canary's pods.
fn curl(image: &str) -> Value {
    json!([{
        "name": "curl", "image": image, "args": ["--silent", "--fail", "http://{$(ROLLOUT_CANARY_IPS)}:8080/"],
    }])
}

/// A Job with it, as a CronJob that never runs.
fn smoke(image: &str) -> Value {
    let pod = json!({"restartPolicy": "Never", "containers": curl(image)});
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "smoke"},
        "spec": {"schedule": "@yearly", "suspend": true, "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    })
}

/// What of Jobs of checks is left.
fn jobs(stage: &Stage) -> String {
    stage.namespace.kubectl(&[
        "get",
        "jobs,pods",
        "-l",
        "driftless.dev/check",
        "-o",
        "name",
    ])
}

/// The application with its Job, and whatever checks.
struct Checked {
    stage: Stage,
    image: String,
    curl: String,
}

impl Checked {
    async fn open(stage: Stage) -> Self {
        let checked = Self {
            stage,
            image: shop::image(),
            curl: push_image("curl:1", Path::new("/usr/bin/curl")),
        };
        let first = checked.push("1", &[], json!([])).await;
        checked.stage.environment(SHOP, SHOP, json!({})).await;
        checked.stage.ready(SHOP, &first).await;
        checked
    }

    async fn push(&self, version: &str, env: &[(&str, &str)], checks: Value) -> String {
        self.push_with_steps(version, env, checks, json!([{"weight": 50, "for": "1s"}]))
            .await
    }

    async fn push_with_steps(
        &self,
        version: &str,
        env: &[(&str, &str)],
        checks: Value,
        steps: Value,
    ) -> String {
        let policy = shop::policy(steps, json!({"checks": checks, "failureLimit": 2}));
        let objects = [
            shop::api(&self.image, 2, version, env),
            shop::service(),
            smoke(&self.curl),
            policy,
        ];
        self.stage.push_objects(SHOP, &objects).await
    }

    async fn over(&self, commit: &str) {
        self.stage.ready(SHOP, commit).await;
        self.stage
            .until(
                SHOP,
                "the rollout is over, and nothing of it is left",
                |status| {
                    status.rollouts.is_empty()
                        && shop::leftovers(&self.stage).is_empty()
                        && jobs(&self.stage).is_empty()
                },
            )
            .await;
    }

    /// Why the change was taken back.
    async fn failed(&self, commit: &str) -> String {
        let status = self
            .stage
            .until(
                SHOP,
                "it is taken back, and nothing of it is left",
                |status| {
                    shop::phase(status) == Some(Phase::Failed)
                        && rollout(status).commit == commit
                        && shop::leftovers(&self.stage).is_empty()
                        && jobs(&self.stage).is_empty()
                },
            )
            .await;
        taken_back(&status)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_json_and_jobs_decide() {
    let Some(node) = need_node!() else { return };
    let stage = Stage::new(node).await;
    stage
        .namespace
        .secret("stats", &[("token", format!("{TOKEN}\n"))]);
    let stats = Stats::start().await;
    let checked = Checked::open(stage).await;
    let stage = &checked.stage;
    let fast = json!({"name": "fast", "http": {"path": "/", "requests": 5, "latency": {"percentile": 80, "max": "500ms"}}});
    let answers = json!({"name": "answers", "http": {
        "path": "/", "method": "POST", "headers": [{"name": "X-Test", "value": "a"}], "expect": 200, "body": "^version [0-9]",
    }});
    let header = json!([{"name": "Authorization", "valueFrom": {"secretKeyRef": {"name": "stats", "key": "token"}}}]);
    let few = json!({"name": "few", "json": {"url": stats.url, "headers": header, "condition": "self.errors < 3 && self.token != ''"}});
    let smoke = json!({"name": "smoke", "job": {"cronJob": "smoke"}});

    // A good version passes all of them.
    let all = json!([fast.clone(), answers, few.clone(), smoke]);
    let steps = json!([{"weight": 50, "for": "1s"}, {"pause": true}]);
    let second = checked.push_with_steps("2", &[], all, steps).await;
    let passed = stage
        .until(SHOP, "every check has passed", |status| {
            let checks = rollout(status).checks;
            shop::phase(status) == Some(Phase::Paused)
                && checks.len() == 4
                && checks.iter().all(|check| check.verdict == "Pass")
        })
        .await;
    let values: Vec<_> = rollout(&passed)
        .checks
        .into_iter()
        .map(|check| check.value)
        .collect();
    assert!(
        values[0].starts_with("200, p80 ") && values[0].ends_with(" ms"),
        "{values:?}"
    );
    assert_eq!(values[1], "200");
    assert!(values[2].starts_with("errors = 0 ("), "{values:?}");
    assert_eq!(values[3], "complete");
    shop::say(stage, "promote").await;
    checked.over(&second).await;

    // Each of them takes a bad one back, and says with what.
    let template = json!({"spec": {"template": {"spec": {"containers": curl(&checked.curl)}}}});
    let smoke = json!([{"name": "smoke", "job": {"template": template}}]);
    let third = checked.push("3", &[("FAIL_RATE", "1")], smoke).await;
    let why = checked.failed(&third).await;
    assert!(
        why.contains("check smoke failed 2 times at 50 %: Job api-smoke-"),
        "{why}"
    );
    assert!(
        why.contains("BackoffLimitExceeded: ") && why.contains("code 22"),
        "{why}"
    );

    let fourth = checked
        .push("4", &[("LATENCY", "600ms")], json!([fast]))
        .await;
    let why = checked.failed(&fourth).await;
    assert!(
        why.contains("2 of 2 requests took longer than 500ms, up to 6"),
        "{why}"
    );

    stats.errors.store(7, Ordering::Relaxed);
    let fifth = checked.push("5", &[], json!([few])).await;
    let why = checked.failed(&fifth).await;
    assert!(
        why.contains("errors = 7 (self.errors < 3 && self.token != '': false)"),
        "{why}"
    );

    // Only the server was told the secret.
    let asked = stats
        .asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    assert_eq!(asked, BTreeSet::from([TOKEN.to_owned()]));
    let told = format!("{:?}{}", stage.status(SHOP).await, stage.agent.log());
    assert!(!told.contains("5e7a1d"), "a secret was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_its_agent_and_not_its_rollout() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let mut checked = Checked::open(Stage::new(node).await).await;
    let sight = Sight::of(&checked.stage.cluster, &["Job"]).await;
    let runs = |mark: usize| -> BTreeSet<String> {
        let seen = sight.since(mark).into_iter();
        let seen = seen.filter(|sighting| sighting.kind == "Job" && sighting.object.is_some());
        seen.map(|sighting| sighting.name).collect()
    };
    let running = async |mark: usize| {
        sight
            .expect(
                mark,
                Duration::from_secs(60),
                "a pod of the Job runs",
                |sighting| *sighting.at("/status/ready") == json!(1),
            )
            .await
    };
    let smoke = json!([{"name": "smoke", "interval": "5m", "job": {"cronJob": "smoke"}}]);

    // Killed in the middle of the Job, the agent finds it again, and makes no other.
    let second = checked.push("2", &[("LATENCY", "6s")], smoke.clone()).await;
    running(0).await;
    checked.stage.agent.kill();
    checked.stage.agent.restart();
    checked.over(&second).await;
    assert_eq!(runs(0).len(), 1, "{:?}", runs(0));

    // Nobody wants the change any more: the Job goes with the canary, though nobody saw its end.
    let mark = sight.mark();
    checked.push("3", &[("LATENCY", "1m")], smoke).await;
    running(mark).await;
    checked.stage.agent.kill();
    checked.stage.agent.restart();
    let reverted = checked.push("2", &[("LATENCY", "6s")], json!([])).await;
    checked.over(&reverted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_is_killed_takes_the_change_back() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let checked = Checked::open(Stage::new(node).await).await;
    let mut api = shop::api(&checked.image, 2, "2", &[]);
    api["spec"]["template"]["spec"]["initContainers"] = json!([{
        "name": "proxy", "image": checked.image, "restartPolicy": "Always",
        "env": [{"name": "PORT", "value": "8081"}, {"name": "CRASH_AFTER", "value": "4s"}],
    }]);
    let policy = shop::policy(json!([{"weight": 50, "for": "1m"}]), json!({"checks": []}));
    let objects = [api, shop::service(), policy];
    let second = checked.stage.push_objects(SHOP, &objects).await;
    let why = checked.failed(&second).await;
    assert!(
        why.contains("the canary failed: ") && why.contains("proxy"),
        "{why}"
    );
}
