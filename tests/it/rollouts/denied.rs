//! Admission policies of the cluster that deny what a rollout writes: the status says who does and why, the stable side serves
//! on, and with the policy goes what held the rollout.

use driftless::api::{EnvironmentStatus, RolloutPhase as Phase};
use serde_json::{Value, json};

use super::shop::{self, SHOP, Shop};
use super::table;
use crate::main_job::stage::{PATIENCE, Stage};
use crate::need_node;
use crate::support::{node::Node, wait::wait_until};

/// What every denial says.
const WHY: &str = "not in this namespace";

/// An admission policy in the namespace of a stage.
pub struct Denial {
    node: &'static Node,
    name: String,
}

impl Denial {
    /// Denies these resources `unless` the expression holds. It is in force when the probe, which it denies, is.
    pub async fn of(stage: &Stage, resource: &str, unless: &str, mut probe: Value) -> Self {
        let namespace = &stage.namespace.name;
        let name = format!("{namespace}-denies-{resource}");
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": [resource],
                }]},
                "validations": [{"expression": unless, "message": WHY}],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": namespace},
            }}},
        });
        stage.node.apply(&policy.to_string());
        stage.node.apply(&binding.to_string());
        probe["metadata"]["namespace"] = json!(namespace);
        wait_until(PATIENCE, "the policy is in force", || async {
            let create = ["create", "--dry-run=server", "-f", "-"];
            let tried = stage.node.try_kubectl(&create, &probe.to_string());
            tried.is_err_and(|error| error.contains(WHY)).then_some(())
        })
        .await;
        Self {
            node: stage.node,
            name,
        }
    }

    /// Denies canaries by their names.
    async fn of_canaries(stage: &Stage, resource: &str, mut probe: Value) -> Self {
        probe["metadata"]["name"] = json!("probe-canary");
        let unless = "!object.metadata.name.endsWith('-canary')";
        Self::of(stage, resource, unless, probe).await
    }

    /// Denies Deployments of this version, but for canaries.
    async fn of_promotions(stage: &Stage, version: &str) -> Self {
        let mut probe = shop::api("none", 1, version, &[]);
        probe["metadata"]["name"] = json!("probe");
        let unless = format!(
            "object.metadata.name.endsWith('-canary') || object.spec.template.spec.containers[0].env[0].value != '{version}'"
        );
        Self::of(stage, "deployments", &unless, probe).await
    }

    pub fn lift(self) {
        for kind in [
            "validatingadmissionpolicybinding",
            "validatingadmissionpolicy",
        ] {
            self.node.kubectl(&["delete", kind, &self.name]);
        }
    }

    /// Waits until the rollout is held in this phase, and says in the words of the policy that it denies this object.
    async fn holds(&self, stage: &Stage, phase: Phase, object: &str) {
        let told = |status: &EnvironmentStatus| {
            let message = &status.rollouts[0].message;
            self.is_told(message, object)
                && status.failures.iter().any(|failure| {
                    failure.object.ends_with(object) && failure.message.contains(&self.name)
                })
        };
        let is_held =
            |status: &EnvironmentStatus| shop::phase(status) == Some(phase) && told(status);
        stage
            .until(SHOP, &format!("{phase:?} is held"), is_held)
            .await;
    }

    /// Waits until the change is taken back because of this, with nothing left.
    async fn takes_back(&self, stage: &Stage, object: &str) {
        let failed = shop::taken_back(stage).await;
        let message = &failed.rollouts[0].message;
        assert!(
            message.starts_with("longer than maxHold: ") && self.is_told(message, object),
            "{message}"
        );
        shop::nothing_left(stage).await;
    }

    fn is_told(&self, message: &str, object: &str) -> bool {
        [&format!("{object}: Denied: "), &self.name, WHY]
            .iter()
            .all(|words| message.contains(*words))
    }
}

/// Half of the traffic, then a pause; what cannot be written is waited for as long.
fn paused(max_hold: &str) -> Value {
    shop::policy(
        json!([{"weight": 50, "for": "1s"}, {"pause": true}]),
        json!({"maxHold": {"for": max_hold}}),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_denied_hurts_nobody_and_comes_when_it_may() {
    let Some(node) = need_node!() else { return };
    let image = shop::image();
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "api"},
        "spec": {"defaultBackend": {"service": {"name": "api", "port": {"number": 80}}}},
    });
    let objects = |version: &str, policy: Value| {
        [
            shop::api(&image, 3, version, &[]),
            shop::service(),
            ingress.clone(),
            policy,
        ]
    };
    let first = objects("1", paused("1h"));
    let shop = Shop::of(Stage::new(node).await, &first, Value::Null, json!({})).await;
    let stage = &shop.stage;
    let pods = shop::stable_pods(stage);

    // Its Deployment, until it may come.
    let probe = shop::api("none", 1, "2", &[]);
    let denial = Denial::of_canaries(stage, "deployments", probe).await;
    let second = stage.push_objects(SHOP, &objects("2", paused("1h"))).await;
    denial.holds(stage, Phase::Starting, "/api-canary").await;
    assert_eq!(shop::stable_pods(stage), pods);
    denial.lift();
    shop.at(Phase::Paused).await;
    assert_eq!(shop::stable_pods(stage), pods);
    shop.say("promote").await;
    shop.over(&second).await;

    // Its Service, which comes first, for longer than the policy waits.
    let pods = shop::stable_pods(stage);
    let denial = Denial::of_canaries(stage, "services", shop::service()).await;
    let mut routed = paused("5s");
    routed["spec"]["traffic"] = json!({"ingressNginx": {"name": "api"}});
    stage.push_objects(SHOP, &objects("3", routed)).await;
    denial.holds(stage, Phase::Narrowing, "/api-canary").await;
    denial.takes_back(stage, "/api-canary").await;
    assert_eq!(shop::stable_pods(stage), pods);
    let selector = stage.cluster.at("Service", "api", "/spec/selector").await;
    assert_eq!(selector, json!({"app": "api"}), "as Git has it");
    denial.lift();
    shop.say("retry").await;
    shop.at(Phase::Paused).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_is_denied_waits_and_then_goes_back() {
    if table::is_left_out() {
        return;
    }
    let Some(node) = need_node!() else { return };
    let mut shop = Shop::with_policy(Stage::new(node).await, paused("1h")).await;
    let pods = shop::stable_pods(&shop.stage);

    // The policy goes before the patience of the rollout does.
    let second = shop.push("2", &[]).await;
    shop.at(Phase::Paused).await;
    let denial = Denial::of_promotions(&shop.stage, "2").await;
    shop.say("promote").await;
    denial.holds(&shop.stage, Phase::Promoting, "/api").await;
    assert_eq!(shop::stable_pods(&shop.stage), pods);
    denial.lift();
    shop.over(&second).await;

    // The policy stays.
    let pods = shop::stable_pods(&shop.stage);
    shop.policy = paused("5s");
    shop.push("3", &[]).await;
    shop.at(Phase::Paused).await;
    let denial = Denial::of_promotions(&shop.stage, "3").await;
    shop.say("promote").await;
    denial.holds(&shop.stage, Phase::Promoting, "/api").await;
    denial.takes_back(&shop.stage, "/api").await;
    assert_eq!(shop::stable_pods(&shop.stage), pods);
    shop.answers("2").await;
    denial.lift();
    shop.close().await;
}
