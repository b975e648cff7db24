use std::fmt::Write as _;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::*;
use crate::api::{HeldObject, Inventory, RolloutStatus};

/// Every metric with a value.
fn exercised() -> Metrics {
    let metrics = Metrics::default();
    metrics.leads(true);
    metrics.passed("shop/production", true, Duration::from_millis(40));
    metrics.rendered("shop/production");
    metrics.applied("shop/production");
    metrics.deleted("shop/production");
    metrics.drift_repaired("shop/production");
    let status = EnvironmentStatus {
        conditions: vec![Condition {
            type_: "Ready".to_owned(),
            status: "True".to_owned(),
            reason: String::new(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
        }],
        inventory: Inventory {
            count: 7,
            ..Inventory::default()
        },
        held: vec![HeldObject::default()],
        rollouts: vec![rollout("api", 25), rollout("web", 50)],
        ..EnvironmentStatus::default()
    };
    metrics.environment("shop/production", &status);
    metrics.rollout_went_on("shop/production", "RolloutStepped");
    // One of them is over.
    let after = EnvironmentStatus {
        rollouts: vec![rollout("api", 40)],
        ..status
    };
    metrics.environment("shop/production", &after);
    metrics.looked("shop/shop", true, Duration::from_millis(90));
    metrics.webhook(Webhook::TooLarge);
    metrics
}

fn rollout(name: &str, weight: u32) -> RolloutStatus {
    RolloutStatus {
        workload: format!("Deployment.apps shop/{name}"),
        weight,
        ..RolloutStatus::default()
    }
}

#[test]
fn the_exposition_holds_every_metric() {
    insta::assert_snapshot!(exercised().exposition());
}

#[test]
fn what_is_gone_has_no_values() {
    let metrics = exercised();
    metrics.forget("shop/production");
    metrics.forget_repository("shop/shop");
    let text = metrics.exposition();
    assert!(!text.contains("shop/"), "{text}");
}

/// Name, type, labels and meaning of each metric, as a table.
fn table() -> String {
    let text = exercised().exposition();
    let mut table = "| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for line in text.lines() {
        let Some((name, help)) = line
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let kind = text
            .lines()
            .find_map(|line| {
                line.strip_prefix("# TYPE ")?
                    .strip_prefix(name)?
                    .strip_prefix(' ')
            })
            .unwrap();
        let sample = text
            .lines()
            .find(|line| !line.starts_with('#') && line.starts_with(name))
            .unwrap();
        let labels: Vec<_> = sample
            .split_once('{')
            .map_or("", |(_, labels)| labels)
            .split(',')
            .filter_map(|pair| pair.split_once('=').map(|(label, _)| label))
            .filter(|label| *label != "le")
            .map(|label| format!("`{label}`"))
            .collect();
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        writeln!(
            table,
            "| `{name}{suffix}` | {kind} | {} | {} |",
            labels.join(", "),
            help.trim_end_matches('.')
        )
        .unwrap();
    }
    table
}

#[test]
fn the_documents_list_every_metric() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let document = std::fs::read_to_string(path).unwrap();
    let start = document.find("| metric |").expect("the table");
    let end = document[start..]
        .find("\n\n")
        .map_or(document.len(), |end| start + end + 1);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let updated = format!("{}{}{}", &document[..start], table(), &document[end..]);
        std::fs::write(path, updated).unwrap();
        return;
    }
    assert_eq!(
        &document[start..end],
        table(),
        "run the tests with UPDATE_DOCS=1"
    );
}
