use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::desired::{DesiredObject, Owner};
use crate::inventory::Entry;
use crate::object::{ENVIRONMENT_LABEL, Object, PRUNE_ANNOTATION};

const ALL: Evidence = Evidence {
    applied: true,
    healthy: true,
    rewritten: false,
    inventory_trusted: true,
};

fn owner() -> Owner {
    Owner {
        id: "0123456789abcdef".to_owned(),
        name: "shop/dev".to_owned(),
    }
}

fn id(kind: &str, name: &str) -> Id {
    let group = match kind {
        "StatefulSet" | "Deployment" => "apps",
        "CustomResourceDefinition" => "apiextensions.k8s.io",
        "Widget" => "example.com",
        _ => "",
    };
    Id {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: Some("shop".to_owned()),
        name: name.to_owned(),
    }
}

fn live(id: &Id, owner: &str, never: bool) -> LiveState {
    let mut object = Object::from_value(json!({
        "apiVersion": "v1", "kind": id.kind,
        "metadata": {"name": id.name, "namespace": "shop", "uid": format!("uid-{}-{}", id.kind, id.name), "labels": {ENVIRONMENT_LABEL: owner}},
    }))
    .unwrap();
    if never {
        object.set_metadata_entry("annotations", PRUNE_ANNOTATION, "never");
    }
    LiveState::Present(object)
}

fn departed(id: &Id, live: LiveState) -> Departed {
    Departed::new(
        id,
        &Entry {
            version: "v1".to_owned(),
            ..Entry::default()
        },
        live,
        &owner(),
    )
}

fn gone(kind: &str, name: &str) -> Departed {
    let id = id(kind, name);
    departed(&id, live(&id, &owner().id, false))
}

fn desired_of(ids: &[Id]) -> Desired {
    let objects = ids.iter().map(|id| DesiredObject {
        id: id.clone(),
        ..Object::from_value(json!({"kind": id.kind, "metadata": {"name": id.name}}))
            .unwrap()
            .into()
    });
    Desired::new(objects.collect(), "hash".to_owned())
}

/// An inventory of what departed and `stay` ConfigMaps that are desired.
fn scene(departed: &[Departed], stay: usize) -> (Desired, Inventory) {
    let staying: Vec<Id> = (0..stay)
        .map(|number| id("ConfigMap", &format!("stay-{number}")))
        .collect();
    let mut inventory = Inventory::default();
    for id in staying.iter().chain(departed.iter().map(|one| &one.id)) {
        inventory.entries.insert(id.clone(), Entry::default());
    }
    (desired_of(&staying), inventory)
}

fn run(departed: &[Departed], stay: usize, evidence: Evidence, approved: Option<&str>) -> Gate {
    let (desired, inventory) = scene(departed, stay);
    gate(
        departed,
        &desired,
        &inventory,
        &PruneSpec::default(),
        evidence,
        approved,
        GatePurpose::Prune,
    )
}

fn reasons(gate: &Gate) -> Vec<&str> {
    gate.held.iter().map(|held| held.reason.as_str()).collect()
}

#[test]
fn what_departed_goes_when_everything_else_is_well() {
    let gate = run(&[gone("ConfigMap", "old")], 3, ALL, None);
    assert_eq!(gate.delete.len(), 1);
    assert!(gate.held.is_empty() && gate.deletions.is_none());
}

#[test]
fn without_evidence_nothing_goes() {
    for evidence in [
        Evidence {
            applied: false,
            ..ALL
        },
        Evidence {
            healthy: false,
            ..ALL
        },
        Evidence {
            inventory_trusted: false,
            ..ALL
        },
    ] {
        let gate = run(&[gone("ConfigMap", "old")], 30, evidence, None);
        assert!(gate.wait && gate.delete.is_empty() && gate.forget.is_empty());
    }
}

#[test]
fn an_empty_render_deletes_nothing_even_of_one_object() {
    let gate = run(&[gone("ConfigMap", "old")], 0, ALL, None);
    assert!(reasons(&gate)[0].contains("empty render"), "{gate:?}");
}

#[test]
fn more_than_half_and_more_than_the_limit_are_held_whole() {
    let three: Vec<Departed> = ["a", "b", "c"].map(|name| gone("ConfigMap", name)).into();
    assert!(reasons(&run(&three, 2, ALL, None))[0].contains("more than half"));
    assert!(
        run(&three, 3, ALL, None).held.is_empty(),
        "half is not more than half, and three are at most five"
    );
    let seven: Vec<Departed> = (0..7)
        .map(|number| gone("ConfigMap", &format!("old-{number}")))
        .collect();
    assert_eq!(
        run(&seven, 25, ALL, None).held.len(),
        7,
        "7 of 32 are more than 20 %"
    );
    assert_eq!(
        run(&seven, 29, ALL, None).delete.len(),
        7,
        "7 of 36 are not"
    );
}

#[test]
fn protected_kinds_and_custom_resources_whose_definition_goes_hold_themselves() {
    let gate = run(
        &[
            gone("ConfigMap", "old"),
            gone("StatefulSet", "db"),
            gone("CustomResourceDefinition", "widgets.example.com"),
            gone("Widget", "w"),
        ],
        30,
        ALL,
        None,
    );
    assert_eq!(gate.delete.len(), 1);
    assert_eq!(gate.held.len(), 3, "{:?}", reasons(&gate));
    let policy = PruneSpec {
        protect: vec!["ConfigMap".to_owned()],
        ..PruneSpec::default()
    };
    assert!(is_protected(&id("ConfigMap", "x"), &policy.protect));
    assert!(!is_protected(
        &id("ConfigMap", "x"),
        &["ConfigMap.example.com".to_owned()]
    ));
}

#[test]
fn a_rewritten_history_holds_everything() {
    let gate = run(
        &[gone("ConfigMap", "old")],
        30,
        Evidence {
            rewritten: true,
            ..ALL
        },
        None,
    );
    assert!(reasons(&gate)[0].contains("history"));
}

#[test]
fn an_approval_admits_exactly_what_was_held() {
    let set = [gone("StatefulSet", "db"), gone("ConfigMap", "old")];
    let held = run(&set, 30, ALL, None);
    let hash = held.deletions.unwrap();
    let open = run(&set, 30, ALL, Some(&hash));
    assert!(open.held.is_empty() && open.delete.len() == 2);
    let other = run(
        &[gone("StatefulSet", "db"), gone("StatefulSet", "db2")],
        30,
        ALL,
        Some(&hash),
    );
    assert!(other.delete.is_empty() && other.held.len() == 2);
}

#[test]
fn what_is_gone_foreign_or_said_to_stay_is_only_forgotten() {
    let (a, b, c, d) = (
        id("ConfigMap", "a"),
        id("ConfigMap", "b"),
        id("ConfigMap", "c"),
        id("ConfigMap", "d"),
    );
    let gate = run(
        &[
            departed(&a, LiveState::Absent),
            departed(&b, live(&b, "ffffffffffffffff", false)),
            departed(&c, live(&c, &owner().id, true)),
            departed(&d, LiveState::Unknown("forbidden".to_owned())),
        ],
        30,
        ALL,
        None,
    );
    assert_eq!(gate.forget, [a, b, c]);
    assert!(gate.delete.is_empty() && gate.wait);
}

#[test]
fn definitions_and_namespaces_go_last() {
    let set = [
        gone("CustomResourceDefinition", "widgets.example.com"),
        gone("Deployment", "api"),
        gone("ConfigMap", "old"),
    ];
    let hash = run(&set, 30, ALL, None).deletions;
    let gate = run(&set, 30, ALL, hash.as_deref());
    let kinds: Vec<&str> = gate.delete.iter().map(|one| one.id.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["Deployment", "ConfigMap", "CustomResourceDefinition"]
    );
}

fn any_departed() -> impl Strategy<Value = Departed> {
    let kind = prop::sample::select(vec![
        "ConfigMap",
        "Deployment",
        "StatefulSet",
        "Namespace",
        "CustomResourceDefinition",
        "Widget",
    ]);
    (kind, 0..40_u8, 0..4_u8, any::<bool>()).prop_map(|(kind, name, state, never)| {
        let id = id(kind, &format!("o{name}"));
        let live = match state {
            0 => LiveState::Absent,
            1 => LiveState::Unknown("timeout".to_owned()),
            2 => live(&id, "ffffffffffffffff", never),
            _ => live(&id, &owner().id, never),
        };
        departed(&id, live)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_deletion_without_evidence_approval_or_within_the_limit(
        set in prop::collection::vec(any_departed(), 0..40),
        stay in 0..60_usize,
        applied in any::<bool>(), healthy in any::<bool>(), rewritten in any::<bool>(), trusted in any::<bool>(),
        guess in any::<bool>(),
    ) {
        let mut seen = BTreeSet::new();
        let set: Vec<Departed> = set.into_iter().filter(|one| seen.insert(one.id.clone())).collect();
        let evidence = Evidence { applied, healthy, rewritten, inventory_trusted: trusted };
        let (desired, inventory) = scene(&set, stay);
        let policy = PruneSpec::default();
        let wrong = guess.then_some("0000");
        let gate = gate(&set, &desired, &inventory, &policy, evidence, wrong, GatePurpose::Prune);
        for one in &gate.delete {
            prop_assert!(applied && healthy && trusted && !rewritten);
            prop_assert!(!desired.contains(&one.id));
            prop_assert!(one.owned && !one.prune_never && one.uid.is_some());
            prop_assert!(!is_protected(&one.id, &[]));
        }
        let all = inventory.entries.len();
        prop_assert!(gate.delete.len() <= (all / 5).max(ALWAYS));
        prop_assert!(gate.delete.len() * 2 <= all);
        prop_assert!(gate.delete.is_empty() || !desired.is_empty());
        // Everything that is not deleted, held or waited for was gone, foreign or said to stay.
        for id in &gate.forget {
            let one = set.iter().find(|one| one.id == *id).unwrap();
            prop_assert!(matches!(one.live, LiveState::Absent) || !one.owned || one.prune_never);
        }
    }
}

#[test]
fn while_anything_is_unread_nothing_goes() {
    let mut all: Vec<Departed> = (0..3)
        .map(|number| gone("ConfigMap", &format!("old-{number}")))
        .collect();
    let unread = id("ConfigMap", "unread");
    all.push(departed(&unread, LiveState::Unknown("timeout".to_owned())));
    let gate = run(&all, 30, ALL, None);
    assert!(gate.wait && gate.delete.is_empty() && gate.held.is_empty());
}

#[test]
fn what_comes_new_does_not_hide_how_much_goes() {
    let four: Vec<Departed> = ["a", "b", "c", "d"]
        .map(|name| gone("ConfigMap", name))
        .into();
    let mut before = Inventory::default();
    for one in &four {
        before.entries.insert(one.id.clone(), Entry::default());
    }
    // A prefix was added to all names, and some more came.
    let names: Vec<Id> = (0..9)
        .map(|number| id("ConfigMap", &format!("new-{number}")))
        .collect();
    let desired = desired_of(&names);
    let union = before.union(&desired).union(&desired);
    let decide = |inventory: &Inventory, departed: &[Departed]| {
        let policy = PruneSpec::default();
        gate(
            departed,
            &desired,
            inventory,
            &policy,
            ALL,
            None,
            GatePurpose::Prune,
        )
    };
    let held = decide(&union, &four);
    assert!(reasons(&held)[0].contains("4 of 4 objects"), "{held:?}");
    // Once everything is gone, what is there counts again.
    let mut after = union;
    after.entries.retain(|id, _| desired.contains(id));
    assert_eq!(after.union(&desired).before, None);
}

#[test]
fn a_generated_name_that_changed_with_its_content_is_no_loss() {
    let old = gone("ConfigMap", "settings-5h2bc8tkmf");
    let other = gone("ConfigMap", "settings-of-api");
    let desired = desired_of(&[id("ConfigMap", "settings-2h9g45mkb7")]);
    let mut inventory = Inventory::default();
    inventory.entries.insert(old.id.clone(), Entry::default());
    let inventory = inventory.union(&desired);
    let decide = |departed: &[Departed]| {
        let policy = PruneSpec::default();
        gate(
            departed,
            &desired,
            &inventory,
            &policy,
            ALL,
            None,
            GatePurpose::Prune,
        )
    };
    assert_eq!(decide(&[old]).delete.len(), 1);
    assert_eq!(decide(&[other]).held.len(), 1);
}

#[test]
fn later_waves_go_first() {
    let late = gone("ConfigMap", "a");
    let mut early = gone("ConfigMap", "b");
    if let LiveState::Present(object) = &mut early.live {
        object.set_metadata_entry("annotations", WAVE_ANNOTATION, "-1");
    }
    let gate = run(&[early, late], 10, ALL, None);
    let names: Vec<&str> = gate.delete.iter().map(|one| one.id.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}
