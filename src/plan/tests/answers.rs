//! The API server's own words (v1.36), and what follows from them.

use super::*;

fn action_of(object: Value) -> Action {
    Scene::of(object).live(LiveState::Absent).action().unwrap()
}

fn cause(field: &str, reason: &str, message: &str) -> (String, String, String) {
    (field.to_owned(), reason.to_owned(), message.to_owned())
}

#[test]
fn immutable_is_told_from_invalid() {
    for message in [
        "Deployment.apps \"api\" is invalid: spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"x\"}}: field is immutable",
        "Service \"api\" is invalid: spec.clusterIPs[0]: Invalid value: [\"10.96.0.9\"]: may not change once set",
        "StatefulSet.apps \"db\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        "PersistentVolumeClaim \"data\" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        "RoleBinding.rbac.authorization.k8s.io \"x\" is invalid: roleRef: Invalid value: {}: cannot change roleRef",
        "Job.batch \"migrate\" is invalid: spec.template: Invalid value: {}: field is immutable",
        "ConfigMap \"one\" is invalid: data: Forbidden: field is immutable when `immutable` is set",
    ] {
        assert!(matches!(classify(422, "Invalid", message, &[]), DryRunOutcome::Immutable { .. }), "{message}");
    }
    for message in [
        "Deployment.apps \"api\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        "Service \"api\" is invalid: spec.ports: Required value",
        "Deployment.apps \"api\" is invalid: spec.template.metadata.labels: Invalid value: {}: `selector` does not match template `labels`",
    ] {
        assert!(matches!(classify(422, "Invalid", message, &[]), DryRunOutcome::Invalid { .. }), "{message}");
    }
}

#[test]
fn conflicts_admission_and_rights_are_told_apart() {
    let conflict = [cause(".spec.replicas", "FieldManagerConflict", "conflict with \"operator\" using apps/v1")];
    assert!(matches!(classify(409, "Conflict", "Apply failed with 1 conflict", &conflict), DryRunOutcome::Conflict { .. }));
    assert!(matches!(
        classify(403, "Forbidden", "admission webhook \"policy.example.com\" denied the request: no", &[]),
        DryRunOutcome::Denied { .. }
    ));
    assert!(matches!(
        classify(422, "Invalid", "configmaps \"one\" is forbidden: ValidatingAdmissionPolicy 'deny' with binding 'deny' denied request: no", &[]),
        DryRunOutcome::Denied { .. }
    ));
    assert!(matches!(
        classify(403, "Forbidden", "configmaps \"one\" is forbidden: User \"system:serviceaccount:shop:deployer\" cannot patch resource", &[]),
        DryRunOutcome::Forbidden { .. }
    ));
    assert!(matches!(classify(404, "NotFound", "namespaces \"x\" not found", &[]), DryRunOutcome::NotFound { .. }));
}

#[test]
fn an_invalid_manifest_never_deletes_anything() {
    let asked = deployment(json!({"metadata": {"annotations": {REPLACE_ANNOTATION: "true"}}}));
    let action = action_of(asked);
    for outcome in [
        DryRunOutcome::Invalid { message: "no".to_owned() },
        DryRunOutcome::Denied { message: "no".to_owned() },
        DryRunOutcome::Forbidden { message: "no".to_owned() },
        DryRunOutcome::NotFound { message: "no".to_owned() },
        DryRunOutcome::Other { message: "no".to_owned() },
    ] {
        assert!(matches!(after_dry_run(&action, &outcome, &LiveState::Absent), Verdict::Refuse(_)), "{outcome:?}");
    }
}

#[test]
fn an_immutable_field_asks_for_the_annotation() {
    let immutable = DryRunOutcome::Immutable { message: "field is immutable".to_owned() };
    let live = LiveState::Absent;
    let Verdict::Refuse(refusal) = after_dry_run(&action_of(deployment(json!({}))), &immutable, &live) else {
        panic!("it is refused");
    };
    assert!(refusal.message.contains(REPLACE_ANNOTATION));
    let asked = deployment(json!({"metadata": {"annotations": {REPLACE_ANNOTATION: "true"}}}));
    assert_eq!(after_dry_run(&action_of(asked), &immutable, &live), Verdict::Replace);
}

#[test]
fn a_job_whose_content_changed_replaces_its_finished_predecessor_only() {
    let immutable = DryRunOutcome::Immutable { message: "field is immutable".to_owned() };
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": {"x": 1}});
    let action = action_of(job.clone());
    let running = LiveState::Present(Object::from_value(job.clone()).unwrap());
    assert_eq!(after_dry_run(&action, &immutable, &running), Verdict::WaitForJob);
    let mut finished = job;
    merge(&mut finished, json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}}));
    let finished = LiveState::Present(Object::from_value(finished).unwrap());
    assert_eq!(after_dry_run(&action, &immutable, &finished), Verdict::Replace);
}
