//! From pods to verdicts, one difference a time.

use super::*;

fn deployment() -> Object {
    object(json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "api", "namespace": "shop", "uid": "d", "generation": 3,
            "annotations": {"deployment.kubernetes.io/revision": "2"}},
        "spec": {"replicas": 1}, "status": {"observedGeneration": 3, "replicas": 1}}))
}

fn replica_set(name: &str, revision: &str) -> Object {
    object(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": name, "uid": name, "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"uid": "d", "controller": true}]}}))
}

fn pod(owner: &str, container: &Value) -> Object {
    let mut status = container.clone();
    status["name"] = json!("main");
    object(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("{owner}-1"), "ownerReferences": [{"uid": owner}]},
        "spec": {"nodeName": "n", "containers": [{"name": "main", "image": "registry.example/api:1"}]},
        "status": {"phase": "Running", "containerStatuses": [status]}}))
}

fn ended(code: i64, reason: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "message": "hunter2",
        "startedAt": "2026-11-21T12:00:00Z", "finishedAt": "2026-11-21T12:00:05Z"}})
}

/// A container between two runs.
fn crashed(code: i64, reason: &str, restarts: i64) -> Value {
    json!({"restartCount": restarts, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended(code, reason)})
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"restartCount": 0, "state": {"waiting": {"reason": reason, "message": message}}})
}

/// The findings of a Deployment with one pod of its newest template.
fn found(container: &Value) -> Vec<Finding> {
    let sets = [replica_set("old", "1"), replica_set("new", "2")];
    findings(
        &deployment(),
        &[pod("new", container)],
        &sets,
        at("12:01:00"),
    )
}

#[test]
fn gravity() {
    use Gravity::{Named, Verdict, Waiting};
    use Reason::*;
    let exec = "failed to create shim task: exec: \"/app\": stat /app: no such file or directory";
    let no_start =
        json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": exec}});
    let mut long_run = crashed(1, "Error", 9);
    long_run["lastState"]["terminated"]["startedAt"] = json!("2026-11-21T11:00:00Z");
    for (container, expected) in [
        (crashed(1, "Error", 0), Some((CrashLoopBackOff, Named))),
        (crashed(1, "Error", 2), Some((CrashLoopBackOff, Named))),
        (crashed(1, "Error", 3), Some((CrashLoopBackOff, Verdict))),
        (
            crashed(0, "Completed", 3),
            Some((CrashLoopBackOff, Verdict)),
        ),
        (long_run, Some((CrashLoopBackOff, Named))),
        (crashed(127, "Error", 0), Some((CrashLoopBackOff, Named))),
        (crashed(127, "Error", 1), Some((CrashLoopBackOff, Verdict))),
        (crashed(137, "OOMKilled", 1), Some((OOMKilled, Named))),
        (crashed(137, "OOMKilled", 2), Some((OOMKilled, Verdict))),
        (
            json!({"state": ended(1, "Error"), "restartCount": 1}),
            Some((Error, Named)),
        ),
        (
            json!({"state": no_start}),
            Some((RunContainerError, Verdict)),
        ),
        (
            waiting("RunContainerError", "context deadline exceeded"),
            Some((RunContainerError, Named)),
        ),
        (
            waiting("InvalidImageName", "m"),
            Some((InvalidImageName, Verdict)),
        ),
        (waiting("ErrImagePull", "m"), Some((ErrImagePull, Waiting))),
        (
            waiting("ErrImageNeverPull", "m"),
            Some((ErrImageNeverPull, Waiting)),
        ),
        (
            waiting("CreateContainerConfigError", "secret \"s\" not found"),
            Some((CreateContainerConfigError, Waiting)),
        ),
        (
            waiting(
                "CreateContainerConfigError",
                "container has runAsNonRoot and image will run as root",
            ),
            Some((CreateContainerConfigError, Verdict)),
        ),
        (
            waiting("CreateContainerError", "context deadline exceeded"),
            Some((CreateContainerError, Waiting)),
        ),
        (
            waiting("CreateContainerError", "no command specified"),
            Some((CreateContainerError, Verdict)),
        ),
        (
            waiting("SomethingNew", "m"),
            Some((ContainerCreating, Waiting)),
        ),
        (waiting("PodInitializing", ""), None),
        (
            json!({"ready": false, "state": {"running": {"startedAt": "2026-11-21T12:00:50Z"}}}),
            None,
        ),
        (
            json!({"ready": false, "state": {"running": {"startedAt": "2026-11-21T12:00:00Z"}}}),
            Some((ContainersNotReady, Named)),
        ),
        (
            json!({"ready": true, "restartCount": 1, "lastState": ended(1, "Error"),
            "state": {"running": {"startedAt": "2026-11-21T12:00:40Z"}}}),
            Some((Restarted, Named)),
        ),
        (
            json!({"ready": true, "restartCount": 1, "lastState": ended(1, "Error"),
            "state": {"running": {"startedAt": "2026-11-21T12:00:30Z"}}}),
            None,
        ),
    ] {
        let found = found(&container);
        let got = found
            .first()
            .map(|finding| (finding.reason, finding.gravity));
        assert_eq!(got, expected, "{container}");
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}

#[test]
fn only_the_newest_template_counts() {
    let crash = crashed(1, "Error", 9);
    let sets = [replica_set("old", "1"), replica_set("new", "2")];
    let pods = [pod("old", &crash), pod("elsewhere", &crash)];
    let now = at("12:01:00");
    assert_eq!(findings(&deployment(), &pods, &sets, now), []);
    let newest = [pod("new", &crash)];
    assert_eq!(findings(&deployment(), &newest, &sets, now).len(), 1);
    // Until its controller has seen the newest generation, the revision it names is the old template's.
    let mut unseen = deployment();
    unseen.0["metadata"]["generation"] = json!(4);
    assert_eq!(findings(&unseen, &newest, &sets, now), []);
    let mut paused = deployment();
    paused.0["spec"]["paused"] = json!(true);
    assert_eq!(findings(&paused, &newest, &sets, now), []);
    // A pod that is being deleted is history.
    let mut deleted = pod("new", &crash);
    deleted.0["metadata"]["deletionTimestamp"] = json!("2026-11-21T12:00:59Z");
    assert_eq!(findings(&deployment(), &[deleted], &sets, now), []);
}

#[test]
fn a_daemon_set_that_returned_to_an_older_template() {
    let daemons = object(json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "d", "uid": "d", "generation": 3,
            "annotations": {"deprecated.daemonset.template.generation": "3"}},
        "status": {"observedGeneration": 3}}));
    let of = |hash: &str, count: &str| {
        let mut pod = pod("d", &crashed(1, "Error", 9));
        pod.0["metadata"]["labels"] =
            json!({"controller-revision-hash": hash, "pod-template-generation": count});
        pod.0["metadata"]["name"] = json!(format!("{hash}{count}"));
        pod
    };
    let pods = [of("a", "1"), of("b", "2"), of("a", "3")];
    let names: Vec<String> = findings(&daemons, &pods, &[], at("12:01:00"))
        .into_iter()
        .map(|finding| finding.pod)
        .collect();
    assert_eq!(names, ["a1", "a3"]);
    assert_eq!(findings(&daemons, &pods[1..2], &[], at("12:01:00")), []);
}

#[test]
fn refusals_of_pods() {
    let refused = |message: &str| {
        let mut set = replica_set("new", "2");
        set.0.insert(
            "status".into(),
            json!({"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]}),
        );
        let found = findings(&deployment(), &[], &[set], at("12:01:00"));
        (found[0].reason, found[0].gravity)
    };
    assert_eq!(
        refused("pods \"x\" is forbidden: exceeded quota: few"),
        (Reason::ExceededQuota, Gravity::Waiting)
    );
    assert_eq!(
        refused("admission webhook \"w\" denied the request"),
        (Reason::FailedCreate, Gravity::Waiting)
    );
    assert_eq!(
        refused("pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\""),
        (Reason::FailedCreate, Gravity::Verdict)
    );
}

fn settled(object: &Object, health: Health, found: &[Finding], seconds: i64) -> Settled {
    let started = at("12:00:00");
    settle(
        object,
        health,
        found,
        Progress {
            started,
            now: started + jiff::SignedDuration::from_secs(seconds),
            timeout: Duration::from_mins(2),
            grace: Duration::from_mins(5),
        },
    )
}

fn is_failed(settled: &Settled) -> bool {
    matches!(settled, Settled::Failed { .. })
}

fn progressing() -> Health {
    Health::InProgress {
        reason: Reason::RolloutInProgress,
        message: "0 of 1 pods are ready".to_owned(),
    }
}

#[test]
fn what_can_heal_has_its_grace_and_what_cannot_has_none() {
    let pull = found(&waiting("ErrImagePull", "not found"));
    assert!(!is_failed(&settled(
        &deployment(),
        progressing(),
        &pull,
        200
    )));
    assert!(is_failed(&settled(
        &deployment(),
        progressing(),
        &pull,
        300
    )));
    assert!(!is_failed(&settled(&deployment(), progressing(), &[], 119)));
    assert!(is_failed(&settled(&deployment(), progressing(), &[], 120)));
    let crash = found(&crashed(1, "Error", 3));
    assert!(is_failed(&settled(&deployment(), progressing(), &crash, 1)));
    // Trouble that began late has its own grace.
    let mut late = pull.clone();
    late[0].since = Some(at("12:04:00"));
    assert!(!is_failed(&settled(
        &deployment(),
        progressing(),
        &late,
        530
    )));
    assert!(is_failed(&settled(
        &deployment(),
        progressing(),
        &late,
        540
    )));
}

#[test]
fn between_two_restarts_is_not_healthy() {
    let mut restarted = json!({"ready": true, "restartCount": 1, "lastState": ended(1, "Error")});
    restarted["state"] = json!({"running": {"startedAt": "2026-11-21T12:00:50Z"}});
    let found = found(&restarted);
    let Settled::Progressing { recheck_at, .. } =
        settled(&deployment(), Health::Current, &found, 60)
    else {
        panic!("it restarted ten seconds ago");
    };
    assert_eq!(recheck_at, Some(at("12:01:20")));
    assert_eq!(
        settled(&deployment(), Health::Current, &[], 60),
        Settled::Healthy
    );
    let job = object(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}}));
    assert_eq!(settled(&job, Health::Current, &found, 60), Settled::Healthy);
}

#[test]
fn a_progress_deadline_is_a_verdict_only_about_this_content() {
    let passed = |time: &str| {
        let mut late = deployment();
        late.0["status"]["conditions"] = json!([{"type": "Progressing", "status": "False",
            "reason": "ProgressDeadlineExceeded", "message": "timed out", "lastUpdateTime": time}]);
        let health = assess(&late, &Checks::default());
        assert!(matches!(health, Health::Failed { .. }));
        (late, health)
    };
    let (stale, health) = passed("2026-11-21T11:59:59Z");
    assert!(!is_failed(&settled(&stale, health, &[], 60)));
    let (fresh, health) = passed("2026-11-21T12:00:30Z");
    assert!(is_failed(&settled(&fresh, health.clone(), &[], 60)));
    let pull = found(&waiting("ErrImagePull", "not found"));
    assert!(!is_failed(&settled(&fresh, health, &pull, 60)));
}

#[test]
fn alike_pods_are_one_failure() {
    let sets = [replica_set("new", "2")];
    let pods: Vec<Object> = (0..1000)
        .map(|n| {
            let mut pod = pod("new", &waiting("ErrImagePull", "not found"));
            pod.0["metadata"]["name"] = json!(format!("new-{n:04}"));
            pod
        })
        .collect();
    let found = findings(&deployment(), &pods, &sets, at("12:01:00"));
    assert_eq!(found.len(), 1000);
    let Settled::Progressing { failures, .. } = settled(&deployment(), progressing(), &found, 60)
    else {
        panic!("an image may still come");
    };
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].object, "Deployment.apps shop/api");
    assert_eq!(
        failures[0].message,
        "pod new-0000 and 999 others: image registry.example/api:1: not found"
    );
}
