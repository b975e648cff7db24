use std::time::Duration;

use serde_json::json;

use super::*;

fn names() -> Names {
    Names {
        namespace: "shop".to_owned(),
        workload: "api".to_owned(),
        service: "web".to_owned(),
        ..Names::default()
    }
}

fn run<'a>(names: &'a Names, owner: Option<(&'a Id, &'a str)>) -> Run<'a> {
    Run {
        check: "Smoke.1",
        names,
        change: "0123456789",
        ips: vec!["10.0.0.1", "10.0.0.2"],
        began: "2026-11-01T00:00:00.25Z",
        owner,
        timeout: Duration::from_secs(600),
    }
}

fn pod(containers: Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

#[test]
fn a_job_goes_with_the_canary_and_knows_its_names() {
    let canary = Id {
        group: "apps".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some("shop".to_owned()),
        name: "api-canary".to_owned(),
    };
    let template = json!({
        "metadata": {"labels": {"team": "shop"}},
        "spec": {"suspend": true, "template": {"spec": {
            "containers": [{
                "name": "smoke", "image": "smoke:1", "args": ["http://{{service}}.{{namespace}}/{{other}}"],
                "env": [{"name": "ROLLOUT_CANARY_IPS", "value": "mine"}],
            }],
            "initContainers": [{"name": "wait", "image": "smoke:1"}],
        }}},
    });
    let names = names();
    let job = run(&names, Some((&canary, "u-1"))).job(&template);
    insta::assert_yaml_snapshot!(job.0);
}

#[test]
fn what_a_template_says_itself_stands() {
    let mut template = pod(json!([{"name": "smoke"}]));
    template["spec"]["backoffLimit"] = json!(2);
    template["spec"]["activeDeadlineSeconds"] = json!(5);
    template["spec"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    let job = run(&names(), None).job(&template);
    for (pointer, expected) in [
        ("/spec/backoffLimit", json!(2)),
        ("/spec/activeDeadlineSeconds", json!(5)),
        ("/spec/template/spec/restartPolicy", json!("OnFailure")),
    ] {
        assert_eq!(job.at(pointer), Some(&expected), "{pointer}");
    }
    assert_eq!(job.at("/metadata/ownerReferences"), None);
}

#[test]
fn each_run_has_a_name_of_its_own_that_fits_a_label() {
    let names = Names {
        workload: "a".repeat(80),
        ..names()
    };
    let first = run(&names, None);
    let second = Run {
        began: "2026-11-01T00:00:01Z",
        ..first.clone()
    };
    assert_ne!(first.name(), second.name());
    assert_eq!(first.name().len(), 63);
}

#[test]
fn templates_come_from_the_policy_or_a_cron_job() {
    let cron_job = Object::from_value(json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "smoke", "namespace": "shop"},
        "spec": {"schedule": "@yearly", "suspend": true, "jobTemplate": pod(json!([{"name": "smoke"}]))},
    }))
    .unwrap();
    let desired = Desired::new(vec![cron_job.into()], String::new());
    let of = |check: JobCheck| template(&check, Some("shop"), &desired);
    let named = |name: &str| JobCheck {
        cron_job: Some(name.to_owned()),
        ..JobCheck::default()
    };
    let own = |template: Value| JobCheck {
        template: Some(template),
        ..JobCheck::default()
    };
    assert_eq!(of(named("smoke")), Ok(pod(json!([{"name": "smoke"}]))));
    assert!(of(named("other")).unwrap_err().contains("shop/other"));
    assert!(of(own(pod(json!([])))).unwrap_err().contains("containers"));
    for wrong in [
        json!({"spec": "x"}),
        pod(json!(["x"])),
        pod(json!([{"name": 1}])),
    ] {
        assert!(of(own(wrong)).unwrap_err().contains("JobTemplateSpec"));
    }
}

#[test]
fn how_a_job_ended() {
    let job = |conditions: Value| {
        Object::from_value(json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "status": {"conditions": conditions},
        }))
        .unwrap()
    };
    let failed = job(json!([
        {"type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded"},
        {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"},
    ]));
    assert_eq!(ended(&job(json!([])), true, None), None);
    let complete = json!([{"type": "Complete", "status": "True"}]);
    assert_eq!(ended(&job(complete), false, None), Some(Ended::Complete));
    assert_eq!(
        ended(&failed, true, Some("container smoke: exit code 1")),
        Some(Ended::Failed(
            "BackoffLimitExceeded: container smoke: exit code 1".to_owned()
        ))
    );
    assert_eq!(
        ended(&failed, false, None),
        Some(Ended::NeverRan(
            "BackoffLimitExceeded: Job has reached the specified backoff limit".to_owned()
        ))
    );
}

#[test]
fn a_pod_that_only_waits_has_not_run() {
    let pod = |state: Value| {
        Object::from_value(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": {"containerStatuses": [{"name": "a", "state": state}]},
        }))
        .unwrap()
    };
    assert!(!has_run(&[]));
    assert!(!has_run(&[pod(
        json!({"waiting": {"reason": "ImagePullBackOff"}})
    )]));
    assert!(has_run(&[pod(json!({"running": {}}))]));
    assert!(has_run(&[pod(json!({"terminated": {"exitCode": 1}}))]));
}
