//! The application that is rolled out: the demo application, behind a Service, with a policy.

use std::path::Path;

use driftless::api::{EnvironmentStatus, RolloutPhase};
use serde_json::{Value, json};

use super::load::{self, Load};
use crate::{
    main_job::stage::{Stage, is_ready},
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
    let mut policy = json!({
        "apiVersion": "driftless.dev/v1alpha1", "kind": "RolloutPolicy", "metadata": {"name": "api"},
        "spec": {
            "workload": {"kind": "Deployment", "name": "api"}, "canary": {"steps": steps},
            "checks": [{"name": "answers", "http": {"path": "/", "expect": 200}}],
            "checkInterval": "1s", "failureLimit": 3, "settle": "1s",
        },
    });
    if let (Some(into), Value::Object(from)) = (policy["spec"].as_object_mut(), spec) {
        into.extend(from);
    }
    policy
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

/// The application under load, in an Environment with a policy.
pub struct Shop {
    pub stage: Stage,
    pub image: String,
    policy: Value,
    pub load: Load,
}

impl Shop {
    /// Version 1, ready, under load.
    pub async fn open(stage: Stage, steps: Value) -> Self {
        let image = image();
        let policy = policy(steps, json!({}));
        let objects = [api(&image, 3, "1", &[]), service(), policy.clone()];
        Self::of(stage, &objects, policy, json!({})).await
    }

    /// These objects, ready, under load; with what else the Environment's spec says.
    pub async fn of(stage: Stage, objects: &[Value], policy: Value, spec: Value) -> Self {
        let image = image();
        let first = stage.push_objects(SHOP, objects).await;
        stage.environment(SHOP, SHOP, spec).await;
        stage.ready(SHOP, &first).await;
        let address =
            stage
                .namespace
                .kubectl(&["get", "service", "api", "-o", "jsonpath={.spec.clusterIP}"]);
        let address = format!("{address}:80");
        load::answers(&address).await;
        let load = Load::start(&address, "api", 200);
        Self {
            stage,
            image,
            policy,
            load,
        }
    }

    pub async fn push(&self, version: &str, env: &[(&str, &str)]) -> String {
        let objects = [
            api(&self.image, 3, version, env),
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
        self.stage
            .until(SHOP, "the rollout is over", |status| {
                status.rollouts.is_empty() && is_ready(status, commit)
            })
            .await;
        self.stage
            .until(SHOP, "nothing of it is left", |_| {
                leftovers(&self.stage).is_empty()
            })
            .await;
    }

    pub async fn say(&self, word: &str) {
        let text = format!("{} {word}", jiff::Timestamp::now());
        self.stage
            .cluster
            .merge(
                "kubectl",
                "Environment",
                SHOP,
                json!({"metadata": {"annotations": {"driftless.dev/rollout": text}}}),
            )
            .await;
    }

    /// Ends the load; no request may have failed.
    pub async fn close(self) {
        self.close_but_for(|_| false).await;
    }

    /// Ends the load; no request may have failed but those that `excused` takes: answers of a bad version.
    pub async fn close_but_for(self, excused: impl Fn(&load::Sample) -> bool) -> Vec<load::Sample> {
        let samples = self.load.end().await;
        let failed: Vec<_> = samples
            .iter()
            .filter(|sample| sample.failed() && !excused(sample))
            .collect();
        assert!(
            failed.is_empty(),
            "{} of {}: {:?}",
            failed.len(),
            samples.len(),
            &failed[..failed.len().min(5)]
        );
        samples
    }
}
