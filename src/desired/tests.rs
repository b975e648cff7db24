use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn kinds() -> Kinds {
    let mut kinds = Kinds::default();
    for (group, kind, plural, namespaced) in [
        ("", "ConfigMap", "configmaps", true),
        ("", "Secret", "secrets", true),
        ("", "Namespace", "namespaces", false),
        ("apps", "Deployment", "deployments", true),
        (
            "rbac.authorization.k8s.io",
            "ClusterRole",
            "clusterroles",
            false,
        ),
        (
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            false,
        ),
        ("driftless.dev", "Approval", "approvals", true),
    ] {
        kinds.insert(KindInfo {
            group: group.to_owned(),
            kind: kind.to_owned(),
            versions: vec!["v1".to_owned(), "v1alpha1".to_owned()],
            plural: plural.to_owned(),
            namespaced,
            listable: true,
        });
    }
    kinds
}

fn owner() -> Owner {
    Owner {
        id: "0123456789abcdef".to_owned(),
        name: "shop/dev".to_owned(),
    }
}

fn source(value: Value) -> Source {
    Source {
        object: Object::from_value(value).unwrap(),
        origin: "app/a.yaml:1".to_owned(),
    }
}

fn run(values: Vec<Value>) -> Result<Desired, Vec<Problem>> {
    run_with(
        values,
        Some("shop"),
        false,
        "deployer",
        &PruneSpec::default(),
    )
}

fn run_with(
    values: Vec<Value>,
    namespace: Option<&str>,
    create_namespace: bool,
    service_account: &str,
    prune: &PruneSpec,
) -> Result<Desired, Vec<Problem>> {
    let scope = Scope {
        owner: &owner(),
        namespace,
        create_namespace,
        service_account,
        prune,
        kinds: &kinds(),
    };
    desired(values.into_iter().map(source).collect(), &scope)
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

fn messages(result: Result<Desired, Vec<Problem>>) -> Vec<String> {
    result
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn objects_get_their_namespace_and_their_owner_but_pod_templates_do_not() {
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"},
        "spec": {"template": {"metadata": {"labels": {"app": "api"}}}},
    });
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "reader", "namespace": "shop"},
    });
    let desired = run(vec![deployment, role]).unwrap();
    let [role, deployment] = desired.objects.as_slice() else {
        panic!("two objects")
    };
    assert_eq!(
        role.object.namespace(),
        None,
        "cluster-scoped, and in an earlier wave"
    );
    assert_eq!(deployment.id.to_string(), "Deployment.apps shop/api");
    assert_eq!(
        deployment.object.label(ENVIRONMENT_LABEL),
        Some("0123456789abcdef")
    );
    assert_eq!(
        deployment.object.annotation(ENVIRONMENT_ANNOTATION),
        Some("shop/dev")
    );
    assert_eq!(
        deployment.object.at("/spec/template/metadata/labels"),
        Some(&json!({"app": "api"}))
    );
}

#[test]
fn what_the_server_sets_is_dropped_and_string_data_becomes_data() {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "keys", "uid": "1", "creationTimestamp": null, "labels": {"a": null, "b": "c"}},
        "data": {"old": "eA=="}, "stringData": {"new": "y"}, "status": {"x": 1},
    });
    let desired = run(vec![secret]).unwrap();
    let object = &desired.objects[0].object;
    assert_eq!(
        object.at("/data"),
        Some(&json!({"old": "eA==", "new": "eQ=="}))
    );
    assert_eq!(object.at("/metadata/uid"), None);
    assert_eq!(object.at("/metadata/creationTimestamp"), None);
    assert_eq!(object.at("/metadata/labels/a"), None);
    assert!(!object.0.contains_key("stringData") && !object.0.contains_key("status"));
}

#[test]
fn every_problem_is_told_with_its_place() {
    let told = messages(run_with(
        vec![
            map("one"),
            map("one"),
            json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-", "namespace": "a"}}),
            json!({"apiVersion": "driftless.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "yes", "namespace": "a"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "w", "annotations": {"driftless.dev/wave": "soon"}, "namespace": "a"}}),
        ],
        None,
        false,
        "deployer",
        &PruneSpec::default(),
    ));
    insta::assert_yaml_snapshot!(told);
}

#[test]
fn the_same_object_twice_names_both_places() {
    let told = messages(run(vec![map("one"), map("one")]));
    assert_eq!(
        told,
        ["app/a.yaml:1: ConfigMap shop/one: is there twice; the first is at app/a.yaml:1"]
    );
}

#[test]
fn a_namespace_that_is_asked_for_comes_first_and_is_not_gits() {
    let desired = run_with(
        vec![map("one")],
        Some("shop"),
        true,
        "deployer",
        &PruneSpec::default(),
    )
    .unwrap();
    assert_eq!(desired.objects[0].id.to_string(), "Namespace shop");
    assert_eq!(
        desired.objects[0].object.annotation(PRUNE_ANNOTATION),
        Some("never")
    );
    assert!(!desired.is_empty());
    let empty = run_with(
        vec![],
        Some("shop"),
        true,
        "deployer",
        &PruneSpec::default(),
    )
    .unwrap();
    assert!(empty.is_empty());
}

#[test]
fn definitions_of_the_same_revision_make_their_kinds_known() {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"},
                 "versions": [{"name": "v1", "served": true}]},
    });
    let widget =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    let sources: Vec<Source> = [definition, widget].into_iter().map(source).collect();
    let kinds = kinds().with_definitions(&sources);
    let prune = PruneSpec::default();
    let owner = owner();
    let scope = Scope {
        owner: &owner,
        namespace: Some("shop"),
        create_namespace: false,
        service_account: "d",
        prune: &prune,
        kinds: &kinds,
    };
    let desired = desired(sources, &scope).unwrap();
    assert!(desired.objects[0].wave < desired.objects[1].wave);
}

/// A JSON value with a few keys, the same for the same seed whatever their order.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,6}".prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_hash_ignores_the_order_of_documents(names in prop::collection::btree_set("[a-z]{1,8}", 1..8), seed in any::<u64>()) {
        let objects: Vec<Value> = names.iter().map(|name| map(name)).collect();
        let mut shuffled = objects.clone();
        let turn = usize::try_from(seed % objects.len() as u64).unwrap();
        shuffled.rotate_left(turn);
        prop_assert_eq!(run(objects).unwrap().hash, run(shuffled).unwrap().hash);
    }

    #[test]
    fn the_hash_changes_with_any_value(value in json_value(), other in json_value()) {
        let with = |value: &Value| {
            let mut object = map("one");
            object["spec"] = value.clone();
            run(vec![object]).unwrap().hash
        };
        let same = normal::normal(source(json!({"spec": value})).object) == normal::normal(source(json!({"spec": other})).object);
        prop_assert_eq!(with(&value) == with(&other), same);
    }

    #[test]
    fn the_canonical_text_ignores_the_order_of_keys(map in prop::collection::btree_map("[a-z\"\\\\]{1,6}", json_value(), 0..6)) {
        let forwards = Value::Object(map.clone().into_iter().collect());
        let backwards: String = map.iter().rev().map(|(key, value)| format!("{}:{value}", json!(key))).collect::<Vec<_>>().join(",");
        let backwards: Value = serde_json::from_str(&format!("{{{backwards}}}")).unwrap();
        prop_assert_eq!(digest(&forwards), digest(&backwards));
    }

    #[test]
    fn nothing_that_is_rendered_makes_it_panic(values in prop::collection::vec(json_value(), 0..4), kind in "[A-Za-z]{0,10}", metadata in json_value()) {
        let values = values.into_iter().map(|value| json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": value, "stringData": value}));
        let _ = run(values.collect());
    }
}

#[test]
fn the_hash_changes_with_the_namespace_the_account_and_the_prune_settings() {
    let hash = |namespace, account, prune: &PruneSpec| {
        run_with(vec![map("one")], Some(namespace), false, account, prune)
            .unwrap()
            .hash
    };
    let plain = PruneSpec::default();
    let base = hash("shop", "deployer", &plain);
    assert_ne!(base, hash("other", "deployer", &plain));
    assert_ne!(base, hash("shop", "other", &plain));
    for other in [
        PruneSpec {
            enabled: false,
            ..plain.clone()
        },
        PruneSpec {
            limit: "30%".to_owned(),
            ..plain.clone()
        },
        PruneSpec {
            protect: vec!["Job".to_owned()],
            ..plain.clone()
        },
    ] {
        assert_ne!(base, hash("shop", "deployer", &other), "{other:?}");
    }
}

#[test]
fn names_that_cannot_stand_in_a_url_are_refused() {
    for (name, namespace) in [
        ("a/b", "shop"),
        ("..", "shop"),
        ("a?b", "shop"),
        ("a b", "shop"),
        ("a", "shop/secrets/x"),
        ("a", ".."),
        ("a", "Shop"),
    ] {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace},
        });
        assert_eq!(messages(run(vec![object])).len(), 1, "{namespace}/{name}");
    }
}

#[test]
fn nulls_say_nothing_but_in_custom_kinds_and_maps_of_texts() {
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": null},
        "data": {"empty": null}, "binaryData": null,
    });
    let found = run(vec![config]).unwrap();
    assert_eq!(
        found.objects[0].object.at("/data"),
        Some(&json!({"empty": ""}))
    );
    assert!(!found.objects[0].object.0.contains_key("binaryData"));
    let custom = Object::from_value(json!({
        "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
        "metadata": {"name": "a", "annotations": null}, "spec": {"values": {"key": null}},
    }))
    .unwrap();
    let custom = normal::normal(custom).unwrap();
    assert_eq!(custom.at("/spec/values/key"), Some(&Value::Null));
    assert_eq!(custom.at("/metadata/annotations"), None);
}

#[test]
fn a_kind_that_is_not_said_and_labels_that_are_no_map_are_told() {
    let told = messages(run(vec![
        json!({"kind": "ConfigMap", "metadata": {"name": "a"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "labels": ["x"]}}),
    ]));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].ends_with("has no apiVersion"), "{told:?}");
    assert!(
        told[1].ends_with("metadata.labels is not a map"),
        "{told:?}"
    );
}
