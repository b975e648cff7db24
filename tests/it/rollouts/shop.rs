//! The application that is rolled out: the demo application, behind a Service, with a policy.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use driftless::api::{EnvironmentStatus, RolloutPhase};
use serde_json::{Value, json};

use super::load::{self, Load};
use super::table;
use crate::{
    main_job::stage::{PATIENCE, Stage, condition, is_ready},
    support::node::push_image,
};

/// The name of the Environment, and of its path.
pub const SHOP: &str = "shop";

/// The demo application as an image of the node.
pub fn image() -> String {
    push_image("shop:1", Path::new(env!("CARGO_BIN_EXE_demo-app")))
}

/// The Deployment, of this version, with further environment variables.
pub fn api(image: &str, replicas: u32, version: &str, env: &[(&str, &str)]) -> Value {
    let mut variables = vec![json!({"name": "VERSION", "value": version})];
    variables.extend(
        env.iter()
            .map(|(name, value)| json!({"name": name, "value": value})),
    );
    if !env.iter().any(|(name, _)| *name == "DRAIN") {
        variables.push(json!({"name": "DRAIN", "value": "5s"}));
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "api"}},
            "template": {
                "metadata": {"labels": {"app": "api"}},
                "spec": {"terminationGracePeriodSeconds": 15, "containers": [{
                    "name": "api", "image": image, "env": variables,
                    "ports": [{"containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
                }]},
            },
        },
    })
}

pub fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "api"},
        "spec": {"selector": {"app": "api"}, "ports": [{"port": 80, "targetPort": 8080}]},
    })
}

/// A policy for it, with what else `spec` says.
pub fn policy(steps: Value, spec: Value) -> Value {
    let mut policy = strategy(json!({"canary": {"steps": steps}}));
    extend(&mut policy["spec"], spec);
    policy
}

/// A policy with this strategy, and with what else `spec` says.
pub fn strategy(spec: Value) -> Value {
    let mut policy = json!({
        "apiVersion": "driftless.dev/v1alpha1", "kind": "RolloutPolicy", "metadata": {"name": "api"},
        "spec": {
            "workload": {"kind": "Deployment", "name": "api"},
            "checks": [{"name": "answers", "http": {"path": "/", "expect": 200}}],
            "checkInterval": "1s", "failureLimit": 3, "settle": "2s",
        },
    });
    extend(&mut policy["spec"], spec);
    policy
}

fn extend(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

/// The phase of the one rollout; `None` where there is none.
pub fn phase(status: &EnvironmentStatus) -> Option<RolloutPhase> {
    status.rollouts.first().map(|rollout| rollout.phase)
}

/// What of the rollout is left in the cluster: nothing may be.
pub fn leftovers(stage: &Stage) -> String {
    stage.namespace.kubectl(&[
        "get",
        "deployments,services,ingresses,pods",
        "-l",
        "driftless.dev/track=canary",
        "-o",
        "name",
    ])
}

/// Waits until nothing of it is left.
pub async fn nothing_left(stage: &Stage) {
    stage
        .until(SHOP, "nothing of it is left", |_| {
            leftovers(stage).is_empty()
        })
        .await;
}

/// Waits until this commit is applied, its rollout is over, and nothing of that is left.
pub async fn over(stage: &Stage, commit: &str) {
    stage
        .until(SHOP, "the rollout is over", |status| {
            status.rollouts.is_empty() && is_ready(status, commit)
        })
        .await;
    nothing_left(stage).await;
}

/// Waits until the change is taken back, and the Environment says so.
pub async fn taken_back(stage: &Stage) -> EnvironmentStatus {
    stage.until(SHOP, "it is taken back", is_taken_back).await
}

/// Whether the Environment says that its change was taken back.
pub fn is_taken_back(status: &EnvironmentStatus) -> bool {
    phase(status) == Some(RolloutPhase::Failed) && condition(status, "Ready").1 == "RolloutFailed"
}

/// Where a Service is met inside of the cluster.
pub fn address(stage: &Stage, service: &str) -> String {
    let jsonpath = "jsonpath={.spec.clusterIP}";
    let address = stage
        .namespace
        .kubectl(&["get", "service", service, "-o", jsonpath]);
    format!("{address}:80")
}

/// UIDs and restarts of the pods of the stable side; not of those on their way out.
pub fn stable_pods(stage: &Stage) -> Vec<String> {
    let pods = stage.namespace.kubectl(&[
        "get",
        "pods",
        "-l",
        "app=api,driftless.dev/track!=canary",
        "-o",
        "json",
    ]);
    let pods: Value = serde_json::from_str(&pods).expect("kubectl prints JSON");
    let pods = pods["items"].as_array().into_iter().flatten();
    let mut pods: Vec<String> = pods
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(|pod| {
            format!(
                "{} {}",
                pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]
            )
        })
        .collect();
    pods.sort();
    pods
}

/// A person's word on all rollouts, as `driftless promote` and its like write it.
pub async fn say(stage: &Stage, word: &str) {
    let text = format!("{} {word}", jiff::Timestamp::now());
    let patch = json!({"metadata": {"annotations": {"driftless.dev/rollout": text}}});
    stage
        .cluster
        .merge("kubectl", "Environment", SHOP, patch)
        .await;
}

/// How the application runs: of this image, with so many pods, of this version, with further environment variables.
pub type Workload = fn(&str, u32, &str, &[(&str, &str)]) -> Value;

/// The application under load, in an Environment with a policy.
pub struct Shop {
    pub stage: Stage,
    pub image: String,
    workload: Workload,
    pub policy: Value,
    pub load: Load,
}

impl Shop {
    /// Version 1, ready, under load.
    pub async fn open(stage: Stage, steps: Value) -> Self {
        Self::with_policy(stage, policy(steps, json!({}))).await
    }

    /// The same with a policy of its own.
    pub async fn with_policy(stage: Stage, policy: Value) -> Self {
        Self::open_as(stage, api, policy, json!({})).await
    }

    /// The same, run so, under this policy, in an Environment with what else `spec` says.
    pub async fn open_as(stage: Stage, workload: Workload, policy: Value, spec: Value) -> Self {
        let image = image();
        let objects = [workload(&image, 3, "1", &[]), service(), policy.clone()];
        Self::of_kind(stage, workload, &objects, policy, spec).await
    }

    /// These objects, ready, under load; with what else the Environment's spec says.
    pub async fn of(stage: Stage, objects: &[Value], policy: Value, spec: Value) -> Self {
        Self::of_kind(stage, api, objects, policy, spec).await
    }

    async fn of_kind(
        stage: Stage,
        workload: Workload,
        objects: &[Value],
        policy: Value,
        spec: Value,
    ) -> Self {
        let image = image();
        let first = stage.push_objects(SHOP, objects).await;
        stage.environment(SHOP, SHOP, spec).await;
        stage.ready(SHOP, &first).await;
        let address = address(&stage, "api");
        load::answers(&address).await;
        let load = Load::start(&address, "api", 200);
        Self {
            stage,
            image,
            workload,
            policy,
            load,
        }
    }

    pub async fn push(&self, version: &str, env: &[(&str, &str)]) -> String {
        let objects = [
            (self.workload)(&self.image, 3, version, env),
            service(),
            self.policy.clone(),
        ];
        self.stage.push_objects(SHOP, &objects).await
    }

    pub async fn at(&self, wanted: RolloutPhase) {
        self.stage
            .until(SHOP, &format!("it is {wanted:?}"), |status| {
                phase(status) == Some(wanted)
            })
            .await;
    }

    pub async fn over(&self, commit: &str) {
        over(&self.stage, commit).await;
    }

    /// Kills the agent at the transitions to these phases, until `over`, or with DRIFTLESS_LONG=1 at every one that is recorded
    /// (each kill takes as long as a lease does); phase, step and weight of each transition.
    pub async fn kill_until(
        &mut self,
        at: &[RolloutPhase],
        over: impl Fn(&EnvironmentStatus) -> bool,
    ) -> Vec<(RolloutPhase, u32, u32)> {
        let start = Instant::now();
        let is_long = std::env::var_os("DRIFTLESS_LONG").is_some();
        let mut seen = Vec::new();
        loop {
            let status = self.stage.status(SHOP).await;
            let now = status
                .rollouts
                .first()
                .map(|rollout| (rollout.phase, rollout.step, rollout.weight));
            if !seen.is_empty() && over(&status) {
                return seen;
            }
            if let Some(now) = now
                && seen.last() != Some(&now)
            {
                seen.push(now);
                if is_long || at.contains(&now.0) {
                    self.stage.agent.kill();
                    self.stage.agent.restart();
                }
            }
            assert!(start.elapsed() < PATIENCE * 4, "{seen:?} {status:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn say(&self, word: &str) {
        say(&self.stage, word).await;
    }

    /// That this version answers.
    pub async fn answers(&self, version: &str) {
        let text = load::ask_for_text(&address(&self.stage, "api")).await;
        let wanted = format!("version {version}");
        assert!(text.contains(&wanted), "{text}");
    }

    /// Ends the load; no request may have failed.
    pub async fn close(self) {
        self.close_but_for(|_| false).await;
    }

    /// Ends the load; no request may have failed but those that `excused` takes: answers of a bad version.
    pub async fn close_but_for(self, excused: impl Fn(&load::Sample) -> bool) -> Vec<load::Sample> {
        let samples = self.load.end().await;
        table::none_failed(&table::of_this_test(), &samples, excused);
        samples
    }
}
