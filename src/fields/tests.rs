use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn object(value: Value) -> Object {
    Object::from_value(value).unwrap()
}

fn entry(manager: &str, operation: &str, fields: Value) -> Value {
    json!({"manager": manager, "operation": operation, "apiVersion": "v1", "time": "2026-11-21T12:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields})
}

/// A ConfigMap as it is live, with these entries.
fn live(entries: Vec<Value>) -> Object {
    object(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "one", "namespace": "shop", "managedFields": entries},
    }))
}

fn deployment() -> Object {
    object(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "api", "namespace": "shop", "labels": {"app": "api"}},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [
                {"name": "api", "image": "api:1", "ports": [{"containerPort": 80}], "args": ["a", "b"]},
            ]}},
        },
    }))
}

/// What the API server records for [`deployment`].
fn deployment_fields() -> Value {
    json!({
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {
            "f:replicas": {},
            "f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"api\"}": {
                    ".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                },
            }}},
        },
    })
}

fn lost(fields: &Value) -> Vec<String> {
    missing(&deployment().0, fields)
        .iter()
        .map(|path| human(path))
        .collect()
}

/// As the API server leaves it: a node without children goes too.
fn without(pointer: &str) -> Value {
    let mut fields = deployment_fields();
    let mut pointer = pointer;
    loop {
        let (parent, child) = pointer.rsplit_once('/').unwrap();
        let map = fields.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        map.remove(child).unwrap();
        if !map.is_empty() {
            return fields;
        }
        pointer = parent;
    }
}

#[test]
fn what_was_applied_is_not_missing() {
    assert_eq!(lost(&deployment_fields()), Vec::<String>::new());
}

#[test]
fn what_others_took_is_named_down_to_the_field() {
    let container = "/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"api\"}";
    for (pointer, expected) in [
        ("/f:spec/f:replicas".to_owned(), "spec.replicas"),
        (
            "/f:metadata/f:labels/f:app".to_owned(),
            "metadata.labels.app",
        ),
        (
            format!("{container}/f:image"),
            "spec.template.spec.containers[name=\"api\"].image",
        ),
        (
            format!("{container}/f:ports/k:{{\"containerPort\":80,\"protocol\":\"TCP\"}}"),
            "spec.template.spec.containers[name=\"api\"].ports",
        ),
        ("/f:metadata/f:labels".to_owned(), "metadata.labels.app"),
    ] {
        let found = lost(&without(&pointer));
        assert_eq!(found.len(), 1, "{pointer}: {found:?}");
        assert!(found[0].starts_with(expected), "{pointer}: {found:?}");
    }
}

#[test]
fn our_own_entry_is_the_apply_without_a_subresource() {
    let status = json!({"manager": "driftless", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}});
    let update = entry("driftless", "Update", json!({"f:data": {}}));
    let own = entry("driftless", "Apply", json!({"f:data": {"f:a": {}}}));
    assert!(fingerprint(&live(vec![status.clone(), update.clone()])).is_none());
    let first = fingerprint(&live(vec![status, update, own.clone()])).unwrap();
    assert_eq!(
        Some(&first),
        fingerprint(&live(vec![own.clone()])).as_ref(),
        "others' entries do not matter"
    );
    let mut later = own.clone();
    later["time"] = json!("2026-11-21T12:00:01Z");
    assert_ne!(
        Some(&first),
        fingerprint(&live(vec![later])).as_ref(),
        "the time does"
    );
    let mut fewer = own;
    fewer["fieldsV1"] = json!({});
    assert_ne!(
        Some(&first),
        fingerprint(&live(vec![fewer])).as_ref(),
        "the fields do"
    );
}

fn desired() -> Object {
    object(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": "shop"}, "data": {"a": "1"}}),
    )
}

fn own() -> Value {
    entry("driftless", "Apply", json!({"f:data": {"f:a": {}}}))
}

fn paths(list: &[(String, Vec<Vec<String>>)]) -> Vec<String> {
    list.iter()
        .flat_map(|(manager, paths)| {
            paths
                .iter()
                .map(move |path| format!("{manager}: {}", human(path)))
        })
        .collect()
}

#[test]
fn what_hand_tools_added_is_told_apart_from_what_others_added() {
    let live = live(vec![
        own(),
        entry(
            "kubectl-edit",
            "Update",
            json!({"f:data": {"f:a": {}, "f:b": {}}, "f:metadata": {"f:finalizers": {".": {}, "v:\"x\"": {}}}}),
        ),
        entry(
            "istiod",
            "Update",
            json!({"f:metadata": {"f:annotations": {"f:istio.io/rev": {}}}}),
        ),
        entry(
            "kube-controller-manager",
            "Update",
            json!({"f:metadata": {"f:annotations": {"f:anything": {}}}}),
        ),
        json!({"manager": "kubectl", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {"f:x": {}}}}),
    ]);
    let added = additions(&live, &desired(), &HandTools::default(), &json!({}));
    assert_eq!(
        paths(&added.taken),
        [
            "kubectl-edit: data.b",
            "kubectl-edit: metadata.finalizers[=\"x\"]"
        ]
    );
    assert_eq!(
        paths(&added.foreign),
        ["istiod: metadata.annotations[\"istio.io/rev\"]"]
    );
}

#[test]
fn what_git_says_and_what_is_exempt_is_no_addition() {
    // A field that another took from us is drift, not an addition.
    let live = live(vec![
        entry("driftless", "Apply", json!({})),
        entry(
            "kubectl-patch",
            "Update",
            json!({"f:data": {"f:a": {}}, "f:spec": {"f:replicas": {}}}),
        ),
    ]);
    let mut exempt = json!({});
    pointer_tree(&mut exempt, &["spec", "replicas"]);
    let added = additions(&live, &desired(), &HandTools::default(), &exempt);
    assert_eq!(added, Additions::default());
}

#[test]
fn taking_over_gives_us_the_fields_and_leaves_what_is_exempt() {
    let mut exempt = json!({});
    pointer_tree(&mut exempt, &["spec", "replicas"]);
    let live = live(vec![
        own(),
        entry(
            "kubectl-edit",
            "Update",
            json!({"f:data": {"f:b": {}}, "f:spec": {"f:replicas": {}}}),
        ),
        entry("istiod", "Update", json!({"f:data": {"f:c": {}}})),
    ]);
    let taken = take_over(&live, &HandTools::default(), &exempt).unwrap();
    let of = |manager: &str| {
        taken
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["manager"] == manager)
            .map(|entry| entry["fieldsV1"].clone())
    };
    assert_eq!(
        of("driftless"),
        Some(json!({"f:data": {"f:a": {}, "f:b": {}}}))
    );
    assert_eq!(
        of("kubectl-edit"),
        Some(json!({"f:spec": {"f:replicas": {}}}))
    );
    assert_eq!(of("istiod"), Some(json!({"f:data": {"f:c": {}}})));
    assert_eq!(
        take_over(&self::live(vec![own()]), &HandTools::default(), &exempt),
        None
    );
}

#[test]
fn who_changed_a_field_is_who_owns_it_now() {
    let live = live(vec![
        entry("driftless", "Apply", json!({})),
        entry("somebody", "Update", json!({"f:data": {"f:a": {}}})),
        entry("another", "Update", json!({"f:data": {"f:z": {}}})),
    ]);
    assert_eq!(
        who(&live, &[vec!["f:data".to_owned(), "f:a".to_owned()]]),
        ["somebody"]
    );
}

fn fields_tree() -> impl Strategy<Value = Value> {
    let leaf = Just(json!({}));
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop::collection::btree_map("(f:[a-c]|v:[0-3]|k:\\{\"n\":[0-2]\\}|\\.)", inner, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    })
}

proptest! {
    #[test]
    fn splitting_loses_nothing(fields in fields_tree(), exempt in fields_tree()) {
        let (kept, given) = tree::split(&fields, &exempt);
        let mut whole = kept.clone();
        tree::merge(&mut whole, &given);
        let mut all = fields.clone();
        tree::merge(&mut all, &whole);
        prop_assert_eq!(&all, &fields, "nothing is added");
        // Every leaf of the tree is in one of the two.
        let nothing = json!({});
        for path in tree::added(&fields, &nothing, &nothing, &nothing) {
            prop_assert!(tree::has(&kept, &path) || tree::has(&given, &path));
        }
    }

    #[test]
    fn nothing_is_added_to_what_we_own(fields in fields_tree()) {
        let nothing = json!({});
        prop_assert!(tree::added(&fields, &fields, &nothing, &nothing).is_empty());
    }
}

#[test]
fn what_a_real_api_server_recorded_of_an_apply_misses_nothing() {
    let recorded: Vec<Value> = serde_json::from_str(include_str!("tests/recorded.json")).unwrap();
    assert!(recorded.len() >= 8);
    for mut one in recorded {
        let desired = object(one["desired"].take());
        let mut live = desired.clone();
        live.0["metadata"]["managedFields"] = one["managedFields"].take();
        let own = own_fields(&live).unwrap();
        let lost: Vec<String> = missing(&desired.0, own)
            .iter()
            .map(|path| human(path))
            .collect();
        assert_eq!(lost, Vec::<String>::new(), "{}", desired.id());
        let added = additions(&live, &desired, &HandTools::default(), &json!({}));
        assert_eq!(added, Additions::default());
        // Without any one of its fields it does.
        for path in tree::added(own, &json!({}), &json!({}), &json!({})) {
            let mut fewer = own.clone();
            let mut path = path.as_slice();
            // As the API server leaves it: a node without children goes too.
            while let Some((last, above)) = path.split_last() {
                let parent = above
                    .iter()
                    .fold(&mut fewer, |fields, step| &mut fields[step.as_str()])
                    .as_object_mut()
                    .unwrap();
                parent.remove(last);
                if !parent.is_empty() {
                    break;
                }
                path = above;
            }
            let value = value_at(&desired, path);
            let says_nothing = value.is_none_or(|value| value == json!({}) || value == json!([]));
            assert!(
                says_nothing || !missing(&desired.0, &fewer).is_empty(),
                "{}: {}",
                desired.id(),
                human(path)
            );
        }
    }
}

#[test]
fn empty_maps_and_lists_are_recorded_or_not() {
    let desired = object(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": {}},
        "spec": {"securityContext": {}, "volumes": []},
    }));
    assert_eq!(missing(&desired.0, &json!({})), Vec::<Vec<String>>::new());
}

#[test]
fn a_restart_stays_whole_when_the_rest_is_taken_over() {
    let restarted =
        json!({"f:template": {"f:metadata": {"f:annotations": {".": {}, "f:restartedAt": {}}}}});
    let mut exempt = json!({});
    pointer_tree(
        &mut exempt,
        &["template", "metadata", "annotations", "restartedAt"],
    );
    let alone = live(vec![
        own(),
        entry("kubectl-rollout", "Update", restarted.clone()),
    ]);
    assert_eq!(take_over(&alone, &HandTools::default(), &exempt), None);
    let both = live(vec![
        own(),
        entry("kubectl-rollout", "Update", restarted.clone()),
        entry(
            "kubectl-label",
            "Update",
            json!({"f:metadata": {"f:labels": {"f:x": {}}}}),
        ),
    ]);
    let taken = take_over(&both, &HandTools::default(), &exempt).unwrap();
    assert_eq!(taken[0]["manager"], "kubectl-rollout");
    assert_eq!(taken[0]["fieldsV1"], restarted);
    assert_eq!(taken.as_array().unwrap().len(), 2);
}

#[test]
fn of_another_version_only_the_metadata_is_taken() {
    let mut edit = entry(
        "kubectl-patch",
        "Update",
        json!({"f:metadata": {"f:labels": {"f:x": {}}}, "f:spec": {"f:behavior": {}}}),
    );
    edit["apiVersion"] = json!("v2");
    let live = live(vec![own(), edit]);
    let added = additions(&live, &desired(), &HandTools::default(), &json!({}));
    assert_eq!(paths(&added.taken), ["kubectl-patch: metadata.labels.x"]);
    assert_eq!(paths(&added.foreign), ["kubectl-patch: spec.behavior"]);
    let taken = take_over(&live, &HandTools::default(), &json!({})).unwrap();
    assert_eq!(taken[0]["fieldsV1"], json!({"f:spec": {"f:behavior": {}}}));
    assert_eq!(
        taken[1]["fieldsV1"],
        json!({"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:x": {}}}})
    );
}

#[test]
fn ports_of_one_number_are_told_apart_by_their_protocol() {
    let desired =
        object(json!({"spec": {"ports": [{"port": 53}, {"port": 53, "protocol": "UDP"}]}}));
    let udp = json!({"f:spec": {"f:ports": {"k:{\"port\":53,\"protocol\":\"UDP\"}": {"f:port": {}, "f:protocol": {}}}}});
    assert_eq!(missing(&desired.0, &udp).len(), 1);
}
