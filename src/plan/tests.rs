use serde_json::{Value, json};

use super::*;
use crate::desired::{KindInfo, Kinds, Scope, Source, desired};
use crate::object::ADOPT_ANNOTATION;

/// One environment with one object, and what the cluster has of it.
struct Scene {
    owner: Owner,
    desired: Desired,
    live: BTreeMap<Id, LiveState>,
    inventory: Inventory,
    memory: BTreeMap<Id, Applied>,
    autoscaled: BTreeSet<Id>,
    drift: Drift,
    damper: Damper,
    recorded: bool,
    rolled_out: BTreeSet<String>,
    reapply: bool,
}

const OWNER: &str = "0123456789abcdef";

fn deployment(more: Value) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "api"},
        "spec": {"replicas": 2, "paused": false},
    });
    merge(&mut object, more);
    object
}

fn merge(value: &mut Value, more: Value) {
    match (value, more) {
        (Value::Object(map), Value::Object(more)) => {
            for (key, more) in more {
                merge(map.entry(key).or_insert(Value::Null), more);
            }
        }
        (value, more) => *value = more,
    }
}

impl Scene {
    fn of(object: Value) -> Self {
        let owner = Owner {
            id: OWNER.to_owned(),
            name: "shop/dev".to_owned(),
        };
        let mut kinds = Kinds::default();
        for (group, kind) in [("apps", "Deployment"), ("batch", "Job"), ("", "ConfigMap")] {
            kinds.insert(KindInfo {
                group: group.to_owned(),
                kind: kind.to_owned(),
                versions: vec!["v1".to_owned()],
                plural: String::new(),
                namespaced: true,
                listable: true,
            });
        }
        let scope = Scope {
            owner: &owner,
            namespace: Some("shop"),
            create_namespace: false,
            service_account: "deployer",
            prune: &crate::api::PruneSpec::default(),
            kinds: &kinds,
        };
        let sources = vec![Source {
            object: Object::from_value(object).unwrap(),
            origin: String::new(),
        }];
        Self {
            desired: desired(sources, &scope).unwrap(),
            owner,
            live: BTreeMap::new(),
            inventory: Inventory::default(),
            memory: BTreeMap::new(),
            autoscaled: BTreeSet::new(),
            drift: Drift::Repair,
            damper: Damper::default(),
            recorded: false,
            rolled_out: BTreeSet::new(),
            reapply: false,
        }
    }

    fn id(&self) -> Id {
        self.desired.objects[0].id.clone()
    }

    /// It is live as we applied it, and we remember that.
    fn applied(mut self) -> Self {
        let id = self.id();
        let live = self.as_applied();
        self.memory.insert(
            id.clone(),
            Applied {
                digest: self.desired.objects[0].digest.clone(),
                fingerprint: crate::fields::fingerprint(&live).unwrap(),
                uid: "uid-1".to_owned(),
                resource_version: None,
            },
        );
        self.live.insert(id, LiveState::Present(live));
        self
    }

    /// The live object after our apply.
    fn as_applied(&self) -> Object {
        let mut object = self.desired.objects[0].object.clone();
        let fields = fields_of(&object);
        let metadata = object.0["metadata"].as_object_mut().unwrap();
        metadata.insert("uid".to_owned(), json!("uid-1"));
        metadata.insert("resourceVersion".to_owned(), json!("7"));
        metadata.insert("managedFields".to_owned(), json!([
            {"manager": "driftless", "operation": "Apply", "apiVersion": "apps/v1", "time": "2026-11-21T12:00:00Z", "fieldsV1": fields},
        ]));
        object
    }

    /// Changes the live object.
    fn with(mut self, change: impl FnOnce(&mut Object)) -> Self {
        let id = self.id();
        let mut object = match self.live.remove(&id) {
            Some(LiveState::Present(object)) => object,
            _ => self.as_applied(),
        };
        change(&mut object);
        self.live.insert(id, LiveState::Present(object));
        self
    }

    fn live(mut self, live: LiveState) -> Self {
        self.live.insert(self.id(), live);
        self
    }

    fn plan(&self) -> Plan {
        plan(&PlanInput {
            desired: &self.desired,
            live: &self.live,
            inventory: &self.inventory,
            memory: &self.memory,
            autoscaled: &self.autoscaled,
            owner: &self.owner,
            drift: self.drift,
            damper: &self.damper,
            hand_tools: &HandTools::default(),
            now: Timestamp::from_second(1_000_000).unwrap(),
            reapply: self.reapply,
            recorded: self.recorded,
            rolled_out: &self.rolled_out,
        })
    }

    fn action(&self) -> Option<Action> {
        self.plan()
            .waves
            .into_iter()
            .flat_map(|wave| wave.actions)
            .next()
    }
}

/// `fieldsV1` of maps and scalars.
fn fields_of(object: &Object) -> Value {
    fn below(value: &Value) -> Value {
        match value {
            Value::Object(map) if !map.is_empty() => Value::Object(
                map.iter()
                    .map(|(key, value)| (format!("f:{key}"), below(value)))
                    .collect(),
            ),
            _ => json!({}),
        }
    }
    let mut map = object.0.clone();
    map.remove("apiVersion");
    map.remove("kind");
    let metadata = map["metadata"].as_object_mut().unwrap();
    metadata.remove("name");
    metadata.remove("namespace");
    below(&Value::Object(map))
}

fn remove(object: &mut Object, pointer: &str, key: &str) {
    let mut value = Value::Object(object.0.clone());
    value
        .pointer_mut(pointer)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(key)
        .unwrap();
    *object = Object::from_value(value).unwrap();
}

fn insert(object: &mut Object, pointer: &str, key: &str, new: Value) {
    let mut value = Value::Object(object.0.clone());
    let map = value.pointer_mut(pointer).unwrap();
    match map {
        Value::Object(map) => {
            map.insert(key.to_owned(), new);
        }
        Value::Array(list) => list.push(new),
        _ => panic!("no map or list at {pointer}"),
    }
    *object = Object::from_value(value).unwrap();
}

fn by_hand(object: &mut Object, fields: Value) {
    insert(
        object,
        "/metadata/managedFields",
        "",
        json!(
            {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-11-21T12:01:00Z", "fieldsV1": fields}
        ),
    );
}

#[test]
fn the_plan_of_an_applied_state_is_empty() {
    let scene = Scene::of(deployment(json!({}))).applied();
    assert!(scene.action().is_none());
    let plan = scene.live(LiveState::AsApplied).plan();
    assert!(plan.waves[0].actions.is_empty() && plan.drifts.is_empty() && plan.refusals.is_empty());
    assert_eq!(
        plan.waves[0].objects.len(),
        1,
        "its health is looked at all the same"
    );
}

#[test]
fn what_is_absent_is_created_and_what_could_not_be_read_is_left() {
    let scene = Scene::of(deployment(json!({}))).live(LiveState::Absent);
    assert_eq!(scene.action().unwrap().reason, Reason::Create);
    assert!(
        scene
            .live(LiveState::Unknown("timeout".to_owned()))
            .action()
            .is_none()
    );
}

#[test]
fn a_field_that_another_took_is_drift_that_names_both() {
    let scene = Scene::of(deployment(json!({}))).applied().with(|object| {
        remove(
            object,
            "/metadata/managedFields/0/fieldsV1/f:spec",
            "f:replicas",
        );
        by_hand(object, json!({"f:spec": {"f:replicas": {}}}));
    });
    let action = scene.action().unwrap();
    assert_eq!(
        action.reason,
        Reason::Drift {
            fields: vec!["spec.replicas".to_owned()],
            managers: vec!["kubectl-edit".to_owned()],
            deleted: false
        }
    );
    assert!(action.force);
}

#[test]
fn what_a_rollout_changes_is_no_drift_where_nobody_remembers_it() {
    // It was recorded before the agent went away, and never written.
    let written = |scene: Scene| {
        let mut scene = scene.applied().with(|live| {
            remove(
                live,
                "/metadata/managedFields/0/fieldsV1/f:spec",
                "f:replicas",
            )
        });
        scene.memory.clear();
        scene.recorded = true;
        scene.drift = Drift::Report;
        scene
    };
    let none = written(Scene::of(deployment(json!({"spec": {"replicas": 2}}))));
    assert_eq!(none.plan().drifts.len(), 1);
    let rolled_out = Scene {
        rolled_out: [none.id().to_string()].into(),
        ..none
    };
    let label = json!({"metadata": {"labels": {crate::rollout::ROLLOUT_LABEL: "5d4f"}}, "spec": {"replicas": 2}});
    let marked = written(Scene::of(deployment(label)));
    for scene in [rolled_out, marked] {
        assert!(scene.plan().drifts.is_empty());
        assert_eq!(scene.action().unwrap().reason, Reason::Change);
    }
}

#[test]
fn what_was_deleted_is_drift_and_created_again() {
    let mut scene = Scene::of(deployment(json!({})))
        .applied()
        .live(LiveState::Absent);
    assert!(matches!(
        scene.action().unwrap().reason,
        Reason::Drift { deleted: true, .. }
    ));
    scene.drift = Drift::Report;
    let plan = scene.plan();
    assert!(plan.waves[0].actions.is_empty());
    assert!(plan.drifts[0].deleted);
}

#[test]
fn what_hand_tools_added_is_taken_over_to_be_removed() {
    let scene = Scene::of(deployment(json!({}))).applied().with(|object| {
        by_hand(object, json!({"f:spec": {"f:minReadySeconds": {}}}));
    });
    let action = scene.action().unwrap();
    assert!(action.take_over.is_some());
    assert_eq!(
        action.reason,
        Reason::Drift {
            fields: vec!["spec.minReadySeconds".to_owned()],
            managers: vec!["kubectl-edit".to_owned()],
            deleted: false
        }
    );
}

#[test]
fn a_rollout_restart_is_an_operation_and_stays() {
    let scene = Scene::of(deployment(json!({}))).applied().with(|object| {
        by_hand(
            object,
            json!({"f:spec": {"f:template": {"f:metadata": {"f:annotations": {
                ".": {}, "f:kubectl.kubernetes.io/restartedAt": {},
            }}}}}),
        );
    });
    assert!(scene.action().is_none());
}

#[test]
fn annotations_for_the_agent_on_the_live_object_stay() {
    let scene = Scene::of(deployment(json!({}))).applied().with(|object| {
        insert(
            object,
            "/metadata/annotations",
            "driftless.dev/prune",
            json!("never"),
        );
        by_hand(
            object,
            json!({"f:metadata": {"f:annotations": {"f:driftless.dev/prune": {}}}}),
        );
    });
    assert!(scene.action().is_none());
}

/// Somebody else has the replicas.
fn scaled() -> Scene {
    Scene::of(deployment(json!({}))).applied().with(|object| {
        remove(
            object,
            "/metadata/managedFields/0/fieldsV1/f:spec",
            "f:replicas",
        );
        by_hand(object, json!({"f:spec": {"f:replicas": {}}}));
    })
}

#[test]
fn replicas_belong_to_the_autoscaler_and_are_handed_over_first() {
    let mut scene = Scene::of(deployment(json!({}))).applied().with(|object| {
        insert(object, "/spec", "replicas", json!(5));
    });
    scene.autoscaled.insert(scene.id());
    scene.reapply = true;
    let action = scene.action().unwrap();
    assert_eq!(action.body.at("/spec/replicas"), None);
    let given = action.hand_over.unwrap();
    assert_eq!(
        given.at("/spec/replicas"),
        Some(&json!(5)),
        "the live value, not Git's"
    );
    assert_eq!(given.name(), "api");
    // The autoscaler may come first, and take what is still ours.
    let mut scene = scaled();
    scene.autoscaled.insert(scene.id());
    assert_eq!(scene.plan().drifts, []);
    assert_eq!(scene.action().unwrap().reason, Reason::Reapply);
    // Once it is not ours, scaling is nobody's drift.
    let mut scene = scaled();
    scene.autoscaled.insert(scene.id());
    let id = scene.id();
    let LiveState::Present(live) = &scene.live[&id] else {
        panic!("it is live")
    };
    scene.memory.get_mut(&id).unwrap().fingerprint = crate::fields::fingerprint(live).unwrap();
    assert!(scene.action().is_none());
}

#[test]
fn ignored_fields_have_their_first_value_from_git_and_are_left_out_later() {
    let ignore = json!({"metadata": {"annotations": {IGNORE: "/spec/replicas, /metadata/labels"}}});
    let created = Scene::of(deployment(ignore.clone()))
        .live(LiveState::Absent)
        .action()
        .unwrap()
        .body;
    assert_eq!(created.at("/spec/replicas"), Some(&json!(2)));
    // What we own after that is let go, with its live value.
    let action = Scene::of(deployment(ignore))
        .applied()
        .with(|object| insert(object, "/spec", "replicas", json!(7)))
        .action()
        .unwrap();
    assert_eq!(action.reason, Reason::Reapply);
    assert_eq!(action.body.at("/spec/replicas"), None);
    assert_eq!(action.body.at("/spec/paused"), Some(&json!(false)));
    assert_eq!(
        action.hand_over.unwrap().at("/spec/replicas"),
        Some(&json!(7))
    );
}

#[test]
fn a_field_of_a_list_item_can_be_ignored() {
    let mut scene = Scene::of(deployment(json!({
        "metadata": {"annotations": {IGNORE: "/spec/template/spec/containers/1/image"}},
        "spec": {"template": {"spec": {"containers": [
            {"name": "one", "image": "one:1"}, {"name": "two", "image": "two:1"},
        ]}}},
    })))
    .applied()
    .with(|object| {
        let one = json!({".": {}, "f:name": {}, "f:image": {}});
        insert(
            object,
            "/metadata/managedFields/0/fieldsV1/f:spec/f:template/f:spec",
            "f:containers",
            json!({"k:{\"name\":\"one\"}": one, "k:{\"name\":\"two\"}": one}),
        );
        let live = json!([{"name": "two", "image": "two:live"}, {"name": "one", "image": "one:1"}]);
        insert(object, "/spec/template/spec", "containers", live);
    });
    scene.reapply = true;
    let action = scene.action().unwrap();
    assert_eq!(
        action
            .hand_over
            .unwrap()
            .at("/spec/template/spec/containers"),
        Some(&json!([{"name": "two", "image": "two:live"}]))
    );
    assert_eq!(
        action.body.at("/spec/template/spec/containers"),
        Some(&json!([{"name": "one", "image": "one:1"}, {"name": "two"}]))
    );
}

const IGNORE: &str = crate::object::IGNORE_ANNOTATION;

#[test]
fn an_object_of_another_environment_is_not_stolen() {
    let scene = Scene::of(deployment(json!({}))).with(|object| {
        object.set_metadata_entry("labels", ENVIRONMENT_LABEL, "ffffffffffffffff");
        object.set_metadata_entry(
            "annotations",
            crate::object::ENVIRONMENT_ANNOTATION,
            "team-b/prod",
        );
    });
    let plan = scene.plan();
    assert!(plan.waves[0].actions.is_empty());
    assert_eq!(plan.refusals[0].reason, RefusalReason::OwnedElsewhere);
    assert!(plan.refusals[0].message.contains("team-b/prod"));
}

/// A live object that belongs to nobody, by these managers.
fn stray(scene: Scene, change: impl FnOnce(&mut Object), managers: &[&str]) -> Scene {
    let managers = managers.to_vec();
    scene.with(move |object| {
        remove(object, "/metadata/labels", ENVIRONMENT_LABEL);
        let entries: Vec<Value> = managers
            .iter()
            .map(|manager| json!({"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}))
            .collect();
        insert(object, "/metadata", "managedFields", json!(entries));
        change(object);
    })
}

#[test]
fn adoption_refuses_what_another_tool_owns_unless_asked() {
    for (key, name, value) in [
        ("annotations", "meta.helm.sh/release-name", "shop"),
        (
            "annotations",
            "argocd.argoproj.io/tracking-id",
            "shop:apps/Deployment:shop/api",
        ),
        ("labels", "argocd.argoproj.io/instance", "shop"),
        ("labels", "kustomize.toolkit.fluxcd.io/name", "shop"),
        ("labels", "helm.toolkit.fluxcd.io/name", "shop"),
        ("labels", "app.kubernetes.io/managed-by", "Helm"),
    ] {
        let mark = |object: &mut Object| object.set_metadata_entry(key, name, value);
        let plan = stray(Scene::of(deployment(json!({}))), mark, &["helm"]).plan();
        assert_eq!(plan.refusals.len(), 1, "{name}");
        assert_eq!(plan.refusals[0].reason, RefusalReason::ForeignOwner);
        let asked = deployment(json!({"metadata": {"annotations": {ADOPT_ANNOTATION: "true"}}}));
        let action = stray(Scene::of(asked), mark, &["helm"]).action().unwrap();
        assert_eq!(
            (action.reason, action.force),
            (Reason::Adopt, true),
            "{name}"
        );
    }
}

#[test]
fn adoption_takes_fields_of_hand_tools_and_asks_about_those_of_others() {
    let plain = || Scene::of(deployment(json!({})));
    assert!(
        stray(plain(), |_| {}, &["kubectl-client-side-apply"])
            .action()
            .unwrap()
            .force
    );
    assert!(
        !stray(plain(), |_| {}, &["kubectl-create", "some-operator"])
            .action()
            .unwrap()
            .force
    );
}

#[test]
fn without_its_label_the_very_object_that_we_applied_is_still_ours() {
    let unlabelled = |object: &mut Object| {
        remove(object, "/metadata/labels", ENVIRONMENT_LABEL);
        remove(
            object,
            "/metadata/managedFields/0/fieldsV1/f:metadata",
            "f:labels",
        );
    };
    let action = Scene::of(deployment(json!({})))
        .applied()
        .with(unlabelled)
        .action()
        .unwrap();
    assert!(
        matches!(action.reason, Reason::Drift { .. }),
        "{:?}",
        action.reason
    );
    // After a restart the inventory's UID says so.
    let mut scene = Scene::of(deployment(json!({}))).with(unlabelled);
    let entry = Entry {
        version: "v1".to_owned(),
        uid: Some("uid-1".to_owned()),
        finished: None,
    };
    scene.inventory.entries.insert(scene.id(), entry);
    scene.recorded = true;
    assert!(matches!(
        scene.action().unwrap().reason,
        Reason::Drift { .. }
    ));
}

#[test]
fn what_is_being_deleted_is_waited_for() {
    let scene = Scene::of(deployment(json!({}))).applied().with(|object| {
        insert(
            object,
            "/metadata",
            "deletionTimestamp",
            json!("2026-11-21T12:00:00Z"),
        );
    });
    let plan = scene.plan();
    assert!(plan.waves[0].actions.is_empty());
    assert_eq!(plan.refusals[0].reason, RefusalReason::Terminating);
}

#[test]
fn a_job_that_has_run_under_this_content_does_not_run_again() {
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": {"x": 1}});
    let mut scene = Scene::of(job).live(LiveState::Absent);
    let digest = scene.desired.objects[0].digest.clone();
    let entry = Entry {
        finished: Some(digest),
        ..Entry::default()
    };
    scene.inventory.entries.insert(scene.id(), entry);
    assert!(scene.action().is_none());
    scene
        .inventory
        .entries
        .get_mut(&scene.id())
        .unwrap()
        .finished = Some("another content".to_owned());
    assert_eq!(scene.action().unwrap().reason, Reason::Create);
}

#[test]
fn a_field_that_is_fought_over_rests() {
    let mut scene = scaled();
    for second in 999_980..=999_982 {
        scene.damper.record(
            &scene.id(),
            "spec.replicas",
            Timestamp::from_second(second).unwrap(),
        );
    }
    let plan = scene.plan();
    assert!(plan.waves[0].actions.is_empty());
    assert_eq!(plan.contested[0].managers, ["kubectl-edit"]);
}

#[test]
fn what_git_no_longer_has_departed() {
    let mut scene = Scene::of(deployment(json!({}))).applied();
    let old = Id {
        group: String::new(),
        kind: "ConfigMap".to_owned(),
        namespace: Some("shop".to_owned()),
        name: "old".to_owned(),
    };
    scene.inventory.entries.insert(scene.id(), Entry::default());
    scene
        .inventory
        .entries
        .insert(old.clone(), Entry::default());
    let plan = scene.plan();
    assert_eq!(plan.departed.len(), 1);
    assert_eq!(plan.departed[0].id, old);
    assert!(
        matches!(plan.departed[0].live, LiveState::Unknown(_)),
        "what was not read is not absent"
    );
}

#[test]
fn an_object_that_is_deleted_again_and_again_rests() {
    let mut scene = Scene::of(deployment(json!({})))
        .applied()
        .live(LiveState::Absent);
    for second in 999_980..=999_982 {
        let Reason::Drift { fields, .. } = scene.action().unwrap().reason else {
            panic!("it is drift");
        };
        let now = Timestamp::from_second(second).unwrap();
        scene.damper.record(&scene.id(), &fields[0], now);
    }
    let plan = scene.plan();
    assert!(plan.waves[0].actions.is_empty());
    assert_eq!(plan.contested.len(), 1);
}

#[test]
fn fields_of_others_that_git_does_not_set_are_no_conflict() {
    let scene = stray(Scene::of(deployment(json!({}))), |_| {}, &[]);
    let scene = scene.with(|object| {
        insert(
            object,
            "/metadata",
            "managedFields",
            json!([
                {"manager": "kubectl-create", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "istiod", "operation": "Update", "fieldsV1": {"f:spec": {"f:minReadySeconds": {}}}},
            ]),
        );
    });
    assert!(scene.action().unwrap().force);
}

#[test]
fn a_copied_label_owns_nothing() {
    let scene = Scene::of(deployment(json!({})));
    let live = |managers: Value| {
        let mut object = scene.as_applied();
        insert(&mut object, "/metadata", "managedFields", managers);
        Departed::new(
            &scene.id(),
            &Entry::default(),
            LiveState::Present(object),
            &scene.owner,
        )
    };
    let by = |manager: &str, operation: &str| json!([{"manager": manager, "operation": operation, "fieldsV1": {"f:metadata": {"f:labels": {}}}}]);
    assert!(live(by("driftless", "Apply")).owned);
    assert!(!live(by("strimzi", "Update")).owned);
}
