//! One case a time: what the fixtures cannot show.

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "the cases read better")]
fn is(value: Value, expected: &str) {
    let got = match health_of(value.clone()) {
        Health::Current => "Current".to_owned(),
        Health::Terminating => "Terminating".to_owned(),
        Health::InProgress { reason, .. } => format!("InProgress {reason}"),
        Health::Failed { reason, .. } => format!("Failed {reason}"),
    };
    assert_eq!(got, expected, "{value}");
}

fn of(kind: &str, spec: &Value, status: &Value) -> Value {
    let version = match kind {
        "Job" => "batch/v1",
        "HorizontalPodAutoscaler" => "autoscaling/v2",
        "Service" | "PersistentVolumeClaim" | "Pod" | "Namespace" | "Node" => "v1",
        "CustomResourceDefinition" => "apiextensions.k8s.io/v1",
        "APIService" => "apiregistration.k8s.io/v1",
        _ => "apps/v1",
    };
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "generation": 2},
        "spec": spec, "status": status})
}

#[test]
fn custom_kinds() {
    let ready = |status: &str| json!({"conditions": [{"type": "Ready", "status": status, "reason": "R", "message": "m"}]});
    is(widget(&json!(null)), "Current");
    is(widget(&json!({})), "Current");
    is(widget(&json!({"conditions": null})), "Current");
    is(
        widget(&json!({"conditions": [{"type": "Synced", "status": "False"}]})),
        "Current",
    );
    is(widget(&ready("True")), "Current");
    is(widget(&ready("False")), "InProgress NotReady");
    is(widget(&ready("Unknown")), "InProgress NotReady");
    is(
        widget(&json!({"observedGeneration": 1})),
        "InProgress NotObserved",
    );
    is(widget(&json!({"observedGeneration": "1"})), "Current");
    is(
        widget(
            &json!({"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]}),
        ),
        "InProgress NotObserved",
    );
    is(
        widget(&json!({"observedGeneration": 2, "conditions": [
            {"type": "Ready", "status": "True"}, {"type": "Reconciling", "status": "True"}]})),
        "InProgress Reconciling",
    );
    is(
        widget(&json!({"conditions": [{"type": "Stalled", "status": "True"}]})),
        "Failed Stalled",
    );
    let mut deleted = widget(&ready("True"));
    deleted["metadata"]["deletionTimestamp"] = json!("2026-11-21T12:00:00Z");
    is(deleted, "Terminating");
}

#[test]
fn our_own_kinds_have_to_be_looked_at() {
    let of = |kind: &str, status: Value| json!({"apiVersion": "driftless.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "status": status});
    is(of("Environment", json!(null)), "InProgress NotObserved");
    is(of("Repository", json!({})), "InProgress NotObserved");
    is(
        of(
            "Environment",
            json!({"conditions": [{"type": "Ready", "status": "True"}]}),
        ),
        "Current",
    );
    is(of("Approval", json!(null)), "Current");
}

#[test]
fn a_workload_without_a_status_is_not_healthy() {
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"] {
        is(
            of(kind, &json!({"replicas": 0}), &json!(null)),
            "InProgress NotObserved",
        );
        is(
            of(
                kind,
                &json!({"replicas": 0}),
                &json!({"observedGeneration": 2}),
            ),
            "Current",
        );
    }
    is(
        of(
            "Deployment",
            &json!(null),
            &json!({"observedGeneration": 2}),
        ),
        "InProgress RolloutInProgress",
    );
}

#[test]
fn a_deployment_waits_for_its_old_pods() {
    let counts = |replicas: i64, updated: i64| {
        json!({"observedGeneration": 2, "replicas": replicas, "updatedReplicas": updated,
            "readyReplicas": updated, "availableReplicas": updated})
    };
    is(
        of("Deployment", &json!({"replicas": 2}), &counts(2, 2)),
        "Current",
    );
    is(
        of("Deployment", &json!({"replicas": 2}), &counts(3, 2)),
        "InProgress RolloutInProgress",
    );
    is(
        of("Deployment", &json!({"replicas": 2}), &counts(2, 1)),
        "InProgress RolloutInProgress",
    );
    is(
        of(
            "Deployment",
            &json!({"replicas": 2, "paused": true}),
            &counts(2, 0),
        ),
        "InProgress DeploymentPaused",
    );
    is(
        of(
            "Deployment",
            &json!({"replicas": 2, "paused": true}),
            &counts(2, 2),
        ),
        "Current",
    );
}

#[test]
fn stateful_sets_by_strategy() {
    let status = |updated: i64, ready: i64| {
        json!({"observedGeneration": 2, "replicas": 3, "readyReplicas": ready, "availableReplicas": ready,
            "updatedReplicas": updated, "currentRevision": "a", "updateRevision": "b"})
    };
    let spec = |strategy: Value| json!({"replicas": 3, "updateStrategy": strategy});
    let partition =
        |n: i64| spec(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": n}}));
    let on_delete = spec(json!({"type": "OnDelete"}));
    is(
        of("StatefulSet", &spec(json!(null)), &status(1, 3)),
        "InProgress RolloutInProgress",
    );
    is(of("StatefulSet", &partition(2), &status(1, 3)), "Current");
    is(
        of("StatefulSet", &partition(1), &status(1, 3)),
        "InProgress RolloutInProgress",
    );
    is(of("StatefulSet", &partition(9), &status(0, 3)), "Current");
    is(of("StatefulSet", &on_delete, &status(0, 3)), "Current");
    is(
        of("StatefulSet", &on_delete, &status(0, 2)),
        "InProgress RolloutInProgress",
    );
}

#[test]
fn jobs() {
    let condition = |kind: &str, reason: &str| json!({"conditions": [{"type": kind, "status": "True", "reason": reason}]});
    is(of("Job", &json!({}), &json!({})), "InProgress JobRunning");
    is(of("Job", &json!({"suspend": true}), &json!({})), "Current");
    is(of("Job", &json!({}), &condition("Complete", "")), "Current");
    is(
        of("Job", &json!({}), &condition("SuccessCriteriaMet", "")),
        "Current",
    );
    is(
        of(
            "Job",
            &json!({}),
            &condition("FailureTarget", "BackoffLimitExceeded"),
        ),
        "Failed BackoffLimitExceeded",
    );
    is(
        of("Job", &json!({}), &condition("Failed", "PodFailurePolicy")),
        "Failed JobFailed",
    );
}

#[test]
fn the_rest_of_the_built_in_kinds() {
    is(
        of(
            "Service",
            &json!({"type": "LoadBalancer"}),
            &json!({"loadBalancer": {}}),
        ),
        "InProgress LoadBalancerPending",
    );
    is(
        of(
            "Service",
            &json!({"type": "LoadBalancer"}),
            &json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}),
        ),
        "Current",
    );
    is(
        of("Service", &json!({"type": "ExternalName"}), &json!(null)),
        "Current",
    );
    is(
        of(
            "PersistentVolumeClaim",
            &json!({}),
            &json!({"phase": "Pending"}),
        ),
        "Current",
    );
    is(
        of(
            "PersistentVolumeClaim",
            &json!({}),
            &json!({"phase": "Lost"}),
        ),
        "Failed VolumeLost",
    );
    let mut chosen = of(
        "PersistentVolumeClaim",
        &json!({}),
        &json!({"phase": "Pending"}),
    );
    chosen["metadata"]["annotations"] = json!({"volume.kubernetes.io/selected-node": "node"});
    is(chosen, "InProgress ProvisioningPending");
    is(
        of("Namespace", &json!({}), &json!({"phase": "Terminating"})),
        "Terminating",
    );
    is(
        of("Namespace", &json!({}), &json!({"phase": "Active"})),
        "Current",
    );
    is(
        of("CustomResourceDefinition", &json!({}), &json!(null)),
        "InProgress NotEstablished",
    );
    is(
        of("APIService", &json!({}), &json!(null)),
        "InProgress APIUnavailable",
    );
    is(
        of("Pod", &json!({}), &json!(null)),
        "InProgress RolloutInProgress",
    );
    is(
        of(
            "Pod",
            &json!({}),
            &json!({"phase": "Failed", "reason": "Evicted"}),
        ),
        "Failed Evicted",
    );
}

fn check(current: &str, failed: Option<&str>) -> HealthCheck {
    HealthCheck {
        api_version: "example.com".to_owned(),
        kind: "Widget".to_owned(),
        current: current.to_owned(),
        failed: failed.map(str::to_owned),
    }
}

#[test]
fn checks_in_cel() {
    let status =
        json!({"phase": "Ok", "count": 3, "secret": "hunter2", "parents": [{"accepted": true}]});
    let cases = [
        ("self.status.phase == 'Ok'", None, "Current"),
        ("self.status.phase == 'Bad'", None, "InProgress CheckNotMet"),
        ("true", Some("self.status.count > 2"), "Failed CheckFailed"),
        ("self.status.parents.all(p, p.accepted)", None, "Current"),
        (
            "has(self.status.missing) && self.status.missing",
            None,
            "InProgress CheckNotMet",
        ),
        ("self.status.missing == 'x'", None, "InProgress CheckError"),
        ("self.status.count", None, "InProgress CheckError"),
        ("other.status", None, "InProgress CheckError"),
        (
            "true",
            Some("self.status.missing == 'x'"),
            "InProgress CheckError",
        ),
        ("self.status.secret + 1 == 2", None, "InProgress CheckError"),
        (
            "self.status[self.status.secret] == 2",
            None,
            "InProgress CheckError",
        ),
        (
            "self.status.secret.size() / 0 == 1",
            None,
            "InProgress CheckError",
        ),
    ];
    for (current, failed, expected) in cases {
        let checks = Checks::compile(&[check(current, failed)]).unwrap();
        let health = assess(&object(widget(&status)), &checks);
        let text = format!("{health:?}");
        assert!(!text.contains("hunter2"), "{text}");
        let word = match health {
            Health::Current => "Current".to_owned(),
            Health::InProgress { reason, .. } => format!("InProgress {reason}"),
            Health::Failed { reason, .. } => format!("Failed {reason}"),
            Health::Terminating => "Terminating".to_owned(),
        };
        assert_eq!(word, expected, "{current} {failed:?}: {text}");
    }
    // All checks of a kind have to hold, and other versions and kinds are not meant.
    let mut other = check("false", None);
    other.api_version = "example.com/v2".to_owned();
    let checks = Checks::compile(&[check("true", None), other.clone()]).unwrap();
    assert_eq!(assess(&object(widget(&status)), &checks), Health::Current);
    other.api_version = "example.com/v1".to_owned();
    let checks = Checks::compile(&[check("true", None), other]).unwrap();
    assert_ne!(assess(&object(widget(&status)), &checks), Health::Current);
    // An old generation is not asked.
    let checks = Checks::compile(&[check("true", None)]).unwrap();
    let old = assess(&object(widget(&json!({"observedGeneration": 1}))), &checks);
    assert!(matches!(
        old,
        Health::InProgress {
            reason: Reason::NotObserved,
            ..
        }
    ));
}

#[test]
fn every_expression_that_is_not_cel_is_named() {
    let errors = Checks::compile(&[
        check("self.status ==", Some("1 +")),
        check("true", None),
        check("true", Some("(((")),
    ])
    .err()
    .unwrap();
    let places: Vec<_> = errors
        .iter()
        .map(|error| (error.index, error.field))
        .collect();
    assert_eq!(places, [(0, "current"), (0, "failed"), (2, "failed")]);
    let text = errors[0].to_string();
    assert!(
        text.contains("Widget") && text.contains("self.status =="),
        "{text}"
    );
}

/// An expression from a tenant can neither overflow the stack nor keep the agent busy.
#[test]
fn expressions_are_bounded() {
    let long = |part: &str| part.repeat(4096 / part.len());
    for source in [
        long("("),
        long("!"),
        long("-"),
        long("["),
        long("{'a':"),
        format!("true{}", " || true".repeat(500)),
        format!("self{}", ".a".repeat(2000)),
        format!("self{}", "[0]".repeat(1300)),
        format!("self{}", ".all(x, x)".repeat(400)),
        format!("1{}", "+1".repeat(2000)),
        format!("{}true", "true ? true : ".repeat(290)),
        format!("{}true", "!".repeat(4000)),
        format!("{}1 == 1", "-".repeat(4000)),
        format!("{}1 == 1", "- ".repeat(2000)),
        format!("true{}", " == true".repeat(500)),
        format!("{}true{}", "(".repeat(2000), ")".repeat(2000)),
        format!("{}true{}", "[1].all(x,".repeat(300), ")".repeat(300)),
        format!("{}true{}", "!(".repeat(30), ")".repeat(30)),
        format!("self{}", "[0]".repeat(30)),
        "\u{0}\u{1F600}'".to_owned(),
    ] {
        if let Ok(checks) = Checks::compile(&[check(&source, None)]) {
            assess(&object(widget(&json!({"a": [1]}))), &checks);
        }
    }
    let nested = "self.status.l.all(a, self.status.l.all(b, self.status.l.all(c, true)))";
    let checks = Checks::compile(&[check(nested, None)]).unwrap();
    let many = json!({"l": vec![0; 5000]});
    assert!(matches!(
        assess(&object(widget(&many)), &checks),
        Health::InProgress {
            reason: Reason::CheckError,
            ..
        }
    ));
}
