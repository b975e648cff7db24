//! What a real API server (1.36) answered, and what it means.

use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Deserialize)]
struct Answer {
    case: String,
    is: String,
    code: u16,
    reason: String,
    message: String,
    causes: Vec<(String, String, String)>,
}

fn name(outcome: &DryRunOutcome) -> &'static str {
    match outcome {
        DryRunOutcome::Ok => "Ok",
        DryRunOutcome::Conflict { .. } => "Conflict",
        DryRunOutcome::Immutable { .. } => "Immutable",
        DryRunOutcome::Invalid { .. } => "Invalid",
        DryRunOutcome::Denied { .. } => "Denied",
        DryRunOutcome::Forbidden { .. } => "Forbidden",
        DryRunOutcome::NotGranted { .. } => "NotGranted",
        DryRunOutcome::NotFound { .. } => "NotFound",
        DryRunOutcome::Terminating { .. } => "Terminating",
        DryRunOutcome::Other { .. } => "Other",
    }
}

#[test]
fn answers_of_a_real_api_server_are_understood() {
    let answers: Vec<Answer> = serde_json::from_str(include_str!("answers.json")).unwrap();
    assert!(answers.len() > 30);
    for answer in answers {
        let Answer {
            case,
            is,
            code,
            reason,
            message,
            causes,
        } = answer;
        let outcome = classify(code, &reason, &message, &causes);
        assert_eq!(name(&outcome), is, "{case}: {message}");
    }
}

fn action(kind: &str, group: &str, replace: bool, force: bool) -> Action {
    let version = if group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{group}/v1")
    };
    let mut body =
        json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": "n", "name": "x"}});
    if replace {
        body["metadata"]["annotations"] = json!({REPLACE_ANNOTATION: "true"});
    }
    let body = Object::from_value(body).unwrap();
    Action {
        id: body.id(),
        force,
        body,
        hand_over: None,
        take_over: None,
        reason: if force { Reason::Change } else { Reason::Adopt },
        digest: String::new(),
    }
}

fn job(condition: Option<&str>) -> LiveState {
    let mut job =
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, "status": {}});
    if let Some(condition) = condition {
        job["status"]["conditions"] = json!([{"type": condition, "status": "True"}]);
    }
    LiveState::Present(Object::from_value(job).unwrap())
}

fn text() -> String {
    "words".to_owned()
}

#[test]
fn only_an_immutable_field_replaces_and_only_where_git_asks_for_it() {
    let immutable = DryRunOutcome::Immutable { message: text() };
    let live = LiveState::Absent;
    let asked = action("Deployment", "apps", true, true);
    assert_eq!(after_dry_run(&asked, &immutable, &live), Verdict::Replace);
    let silent = action("Deployment", "apps", false, true);
    assert!(matches!(
        after_dry_run(&silent, &immutable, &live),
        Verdict::Refuse(Refusal { reason: RefusalReason::Immutable, message, .. })
            if message.contains(REPLACE_ANNOTATION)
    ));
    for outcome in [
        DryRunOutcome::Invalid { message: text() },
        DryRunOutcome::Denied { message: text() },
        DryRunOutcome::Forbidden { message: text() },
        DryRunOutcome::NotGranted { message: text() },
        DryRunOutcome::NotFound { message: text() },
        DryRunOutcome::Terminating { message: text() },
        DryRunOutcome::Other { message: text() },
    ] {
        for (kind, group) in [("Deployment", "apps"), ("Job", "batch")] {
            let action = action(kind, group, true, true);
            assert!(
                matches!(
                    after_dry_run(&action, &outcome, &job(Some("Complete"))),
                    Verdict::Refuse(_)
                ),
                "{outcome:?} must not delete a {kind}"
            );
        }
    }
}

#[test]
fn a_job_makes_room_when_it_has_finished() {
    let immutable = DryRunOutcome::Immutable { message: text() };
    let action = action("Job", "batch", false, true);
    for (condition, verdict) in [
        (None, Verdict::WaitForJob),
        (Some("Suspended"), Verdict::WaitForJob),
        (Some("Complete"), Verdict::Replace),
        (Some("Failed"), Verdict::Replace),
    ] {
        assert_eq!(
            after_dry_run(&action, &immutable, &job(condition)),
            verdict,
            "{condition:?}"
        );
    }
}

#[test]
fn an_adoption_does_not_take_fields_of_others() {
    let conflict = DryRunOutcome::Conflict { message: text() };
    let adoption = action("ConfigMap", "", false, false);
    assert!(matches!(
        after_dry_run(&adoption, &conflict, &LiveState::Absent),
        Verdict::Refuse(Refusal { reason: RefusalReason::Conflict, message, .. })
            if message.contains("driftless.dev/adopt")
    ));
    let later = action("ConfigMap", "", false, true);
    assert_eq!(
        after_dry_run(&later, &conflict, &LiveState::Absent),
        Verdict::GoForced
    );
}
