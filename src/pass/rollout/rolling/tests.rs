use serde_json::{Value, json};

use super::*;
use crate::api::{RenderSettings, RevisionStatus};
use crate::desired::Desired;
use crate::inventory::Entry;

fn workload(name: &str) -> Id {
    Id {
        group: "apps".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some("shop".to_owned()),
        name: name.to_owned(),
    }
}

fn record(name: &str, phase: Phase) -> RolloutStatus {
    RolloutStatus {
        workload: workload(name).to_string(),
        change: format!("{name}-0123456789"),
        phase,
        ..RolloutStatus::default()
    }
}

fn rolling(records: Vec<RolloutStatus>, course: Course, looked: bool) -> Rolling {
    let running = Arc::new(Running {
        revision: RevisionStatus::default(),
        desired: Desired::default(),
        settings: RenderSettings::default(),
    });
    let policies = ["api", "worker"].map(|name| (workload(name), Policy::gone(&workload(name))));
    Rolling {
        taken: running.clone(),
        running,
        roles: Roles::default(),
        policies: policies.into(),
        changes: BTreeMap::new(),
        commit: String::new(),
        records,
        looked,
        told_before: 0,
        left: BTreeSet::new(),
        course,
    }
}

/// What of the rollouts of both workloads nobody asks for any more.
fn departed() -> Vec<Departed> {
    let part = |api_version: &str, kind: &str, name: &str, labels: Value| {
        let part = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "shop", "labels": labels}});
        let live = Object::from_value(part).unwrap();
        Departed {
            owned: true,
            ..Departed::new(
                &live.id(),
                &Entry::default(),
                LiveState::Present(live),
                &crate::desired::Owner {
                    id: "0123".to_owned(),
                    name: "shop/shop".to_owned(),
                },
            )
        }
    };
    let of = |name: &str| json!({TRACK_LABEL: "canary", ROLLOUT_LABEL: name});
    vec![
        part("apps/v1", "Deployment", "api-canary", of("old")),
        part("v1", "Service", "front-canary", of("api-012345")),
        part("apps/v1", "Deployment", "worker-canary", of("old")),
        part(
            "v1",
            "ConfigMap",
            "settings-5d4f",
            json!({ROLLOUT_LABEL: "5d4f"}),
        ),
    ]
}

fn gone(rolling: &Rolling) -> Vec<String> {
    let (parts, rest) = sort_out(rolling, departed(), true);
    assert!(rest.is_empty());
    parts.into_iter().map(|one| one.id.name).collect()
}

#[test]
fn one_that_goes_back_keeps_its_own_parts_and_no_others() {
    let one = |api, worker, looked| {
        let records = vec![record("api", api), record("worker", worker)];
        gone(&rolling(records, Course::On, looked))
    };
    let (restoring, removing) = (Phase::Restoring, Phase::Removing);
    assert_eq!(
        one(removing, restoring, true),
        ["api-canary", "front-canary"]
    );
    assert_eq!(one(restoring, removing, true), ["worker-canary"]);
    let all = [
        "api-canary",
        "front-canary",
        "worker-canary",
        "settings-5d4f",
    ];
    assert_eq!(one(removing, removing, true), all);
    // Blue/green that starts anew: its pods go before the Services select all again.
    assert_eq!(one(Phase::Narrowing, removing, true), all);
    // Who asks for it is not known: what has no traffic goes all the same.
    assert_eq!(one(Phase::Analysing, removing, false), ["worker-canary"]);
}

#[test]
fn an_ingress_that_nobody_asks_for_loses_its_weight_with_itself() {
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {
        "name": "api-canary", "namespace": "shop", "labels": {TRACK_LABEL: "canary", ROLLOUT_LABEL: "api-012345"},
    }});
    let ingress = Object::from_value(ingress).unwrap();
    let keeps = |phase, looked| {
        let rolling = rolling(vec![record("api", phase)], Course::On, looked);
        rolling.keeps(&ingress.id(), &ingress)
    };
    assert!(!keeps(Phase::Aborting, true));
    assert!(!keeps(Phase::Aborting, false));
    assert!(keeps(Phase::Restoring, true), "the canary serves on");
    assert!(keeps(Phase::Analysing, false));
}

#[test]
fn what_gives_the_stable_side_back_waits_for_nothing() {
    let records = |phase| vec![record("api", phase), record("worker", Phase::Analysing)];
    let of_a_set = |phase, canary_replicas| {
        let mut records = records(phase);
        records[0].strategy = RolloutStrategy::Partition;
        records[0].canary_replicas = canary_replicas;
        rolling(records, Course::On, true)
    };
    for rolling in [
        rolling(records(Phase::Restoring), Course::On, true),
        of_a_set(Phase::Aborting, 1),
        of_a_set(Phase::Removing, 1),
    ] {
        assert!(rolling.is_urgent(&workload("api")));
        assert!(!rolling.is_urgent(&workload("worker")));
        assert!(!rolling.is_urgent(&workload("other")));
    }
    // The workload itself never ran the change, or does not any more.
    for rolling in [
        rolling(records(Phase::Aborting), Course::On, true),
        rolling(records(Phase::Removing), Course::On, true),
        of_a_set(Phase::Removing, 0),
    ] {
        assert!(!rolling.is_urgent(&workload("api")));
    }
    let promoting = rolling(records(Phase::Promoting), Course::On, true);
    assert!(!promoting.is_urgent(&workload("api")));
}

#[test]
fn before_what_git_wants_is_known_nothing_goes_on() {
    let held = |course, looked| rolling(Vec::new(), course, looked).held().is_some();
    assert!(held(Course::On, false) && !held(Course::On, true));
    assert!(held(Course::Suspended, false) && !held(Course::Ending, false));
    assert!(rolling(Vec::new(), Course::On, true).knows_changes());
    assert!(!rolling(Vec::new(), Course::Ending, true).knows_changes());
}
