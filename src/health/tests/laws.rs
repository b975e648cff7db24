//! What holds for every input.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

/// Words that the rules look for, so that random objects get past the first look.
const KEYS: &[&str] = &[
    "status",
    "spec",
    "metadata",
    "conditions",
    "type",
    "reason",
    "message",
    "replicas",
    "containerStatuses",
    "initContainerStatuses",
    "state",
    "lastState",
    "waiting",
    "terminated",
    "running",
    "exitCode",
    "restartCount",
    "startedAt",
    "finishedAt",
    "observedGeneration",
    "generation",
    "ownerReferences",
    "uid",
    "labels",
    "phase",
    "containers",
    "name",
    "volumes",
    "lastTransitionTime",
];
const WORDS: &[&str] = &[
    "True",
    "False",
    "Ready",
    "Progressing",
    "Stalled",
    "ReplicaFailure",
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "Failed",
    "Pending",
    "2026-11-21T12:00:00Z",
    "9999-12-31T23:59:59Z",
    "-009999-01-02T01:59:59Z",
    "u",
    "",
    "OOMKilled",
    "StartError",
    "exec: not found",
];

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
        ".{0,400}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(
                prop::sample::select(KEYS).prop_map(str::to_owned),
                inner,
                0..6
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn kinds() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(
        &[
            ("apps/v1", "Deployment"),
            ("apps/v1", "StatefulSet"),
            ("apps/v1", "DaemonSet"),
            ("apps/v1", "ReplicaSet"),
            ("batch/v1", "Job"),
            ("v1", "Pod"),
            ("v1", "Service"),
            ("v1", "PersistentVolumeClaim"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            ("autoscaling/v2", "HorizontalPodAutoscaler"),
            ("example.com/v1", "Widget"),
            ("", ""),
        ][..],
    )
}

prop_compose! {
    fn objects()((version, kind) in kinds(), metadata in anything(), spec in anything(), status in anything()) -> Object {
        object(json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, "status": status}))
    }
}

/// A pod with one container in any state, owned by the workload with the UID `u`.
fn pods() -> impl Strategy<Value = Object> {
    (anything(), anything(), anything(), 0..9_i64).prop_map(|(state, last, status, restarts)| {
        let mut status = if status.is_object() {
            status
        } else {
            json!({})
        };
        status["containerStatuses"] =
            json!([{"name": "main", "state": state, "lastState": last, "restartCount": restarts}]);
        object(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "ownerReferences": [{"uid": "u"}]}, "status": status}))
    })
}

/// What looks like CEL often enough to be evaluated.
fn expressions() -> impl Strategy<Value = String> {
    const TOKENS: &[&str] = &[
        "self",
        ".status",
        ".x",
        "[0]",
        "['a']",
        ".?x",
        "has(self.x)",
        ".all(x, ",
        ".exists(x, ",
        ".map(x, ",
        ".filter(x, ",
        "x",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        " + ",
        " - ",
        " * ",
        " / ",
        " % ",
        " && ",
        " || ",
        " == ",
        " < ",
        " in ",
        " ? ",
        " : ",
        "!",
        "-",
        "1",
        "0",
        "9223372036854775807",
        "1.5",
        "18446744073709551615u",
        "'a'",
        "b'a'",
        "true",
        "null",
        "size(",
        ".size()",
        "int(",
        "uint(",
        "double(",
        "string(",
        "type(",
        "dyn(",
        ".matches(",
        ".contains(",
        ".startsWith(",
        "bytes(",
        "timestamp(",
        "duration(",
        "max(",
        "optional.of(",
        ".orValue(",
        "base64.decode(",
    ];
    vec(prop::sample::select(TOKENS), 1..12).prop_map(|tokens| tokens.concat())
}

fn times() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        Just(Timestamp::MIN),
        Just(Timestamp::MAX),
        (-377_705_023_201_i64..=253_402_207_200).prop_map(|s| Timestamp::from_second(s).unwrap()),
    ]
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        (0_u64..600).prop_map(Duration::from_secs)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What a tenant writes as a check can fail, but not the agent.
    #[test]
    fn any_expression_gets_an_answer(source in expressions(), status in anything()) {
        let check = HealthCheck {
            api_version: "example.com/v1".into(), kind: "Widget".into(), current: source.clone(), failed: Some(source),
        };
        if let Ok(checks) = Checks::compile(&[check]) {
            assess(&object(widget(&status)), &checks);
        }
    }
}

proptest! {
    /// Nothing that an API server could send makes the agent panic, loop, or say nothing; messages stay short lines.
    #[test]
    fn any_object_gets_an_answer(
        workload in objects(), pods in vec(prop_oneof![objects(), pods()], 0..3),
        started in times(), now in times(), timeout in durations(), grace in durations(),
    ) {
        let health = assess(&workload, &Checks::default());
        let mut found = findings(&workload, &pods, &pods, now);
        let mut job = workload.clone();
        job.0.insert("kind".into(), json!("Job"));
        job.0.insert("apiVersion".into(), json!("batch/v1"));
        job.0.insert("metadata".into(), json!({"uid": "u", "name": "j"}));
        found.extend(findings(&job, &pods, &pods, now));
        for finding in &found {
            prop_assert!(finding.message.chars().count() <= 301);
            prop_assert!(!finding.message.contains('\n'));
        }
        match settle(&workload, health, &found, Progress { started, now, timeout, grace }) {
            Settled::Healthy => {}
            Settled::Progressing { failures, recheck_at } => {
                prop_assert!(!failures.is_empty());
                prop_assert!(recheck_at.is_none_or(|time| time > now));
            }
            Settled::Failed { failures } => prop_assert!(!failures.is_empty()),
        }
    }

    /// A verdict is never taken back by waiting, and what only waits never becomes one before its time.
    #[test]
    fn time_only_makes_it_worse(
        gravities in vec(prop::sample::select(&[Gravity::Named, Gravity::Waiting][..]), 0..4),
        timeout in 1_i64..600, grace in 1_i64..600, waited in 0_i64..1200,
    ) {
        let workload = object(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}}));
        let started = at("12:00:00");
        let found: Vec<Finding> = gravities.iter().map(|&gravity| Finding {
            pod: "p".into(), container: None, reason: Reason::Unschedulable, message: String::new(), gravity, since: None,
        }).collect();
        let after = |seconds: i64| settle(
            &workload,
            Health::InProgress { reason: Reason::RolloutInProgress, message: String::new() },
            &found,
            Progress {
                started,
                now: started + jiff::SignedDuration::from_secs(seconds),
                timeout: Duration::from_secs(timeout.unsigned_abs()),
                grace: Duration::from_secs(grace.unsigned_abs()),
            },
        );
        let limit = if gravities.contains(&Gravity::Waiting) { grace } else { timeout };
        let failed = matches!(after(waited), Settled::Failed { .. });
        prop_assert_eq!(failed, waited >= limit);
    }
}
