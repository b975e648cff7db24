//! The environments as a table. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::super::output::{BAD, BOLD, DIM, GOOD, WAITS, styled, table};
use crate::api::{Environment, EnvironmentStatus, RevisionStatus};
use crate::status::find_condition;

/// Longer messages are cut; `status NAME` has them whole.
const MESSAGE: usize = 100;

pub(super) fn text(environments: &[Environment], namespaces: bool, now: Timestamp) -> String {
    let mut header = vec!["NAME", "READY", "HEALTHY", "REVISION", "AGE", "MESSAGE"];
    if namespaces {
        header.insert(0, "NAMESPACE");
    }
    let mut rows = vec![header.into_iter().map(|name| styled(name, BOLD)).collect()];
    for environment in environments {
        let status = environment.status.clone().unwrap_or_default();
        let mut row = vec![
            environment.name_any(),
            state(find_condition(&status.conditions, "Ready")),
            state(find_condition(&status.conditions, "Healthy")),
            status
                .revision
                .as_ref()
                .map_or_else(|| "-".to_owned(), revision),
            environment
                .metadata
                .creation_timestamp
                .as_ref()
                .map_or_else(String::new, |time| ago(time.0, now)),
            message(environment, &status),
        ];
        if namespaces {
            row.insert(0, environment.namespace().unwrap_or_default());
        }
        rows.push(row);
    }
    table(&rows)
}

fn message(environment: &Environment, status: &EnvironmentStatus) -> String {
    let Some(ready) = find_condition(&status.conditions, "Ready") else {
        return "the agent has not looked at it yet".to_owned();
    };
    let line = ready.message.lines().next().unwrap_or_default();
    let mut text: String = line.chars().take(MESSAGE).collect();
    if text.len() < line.len() {
        text.push('…');
    }
    if is_behind(environment, status) {
        text = format!(
            "{} {text}",
            styled("(before the last change of its spec)", DIM)
        );
    }
    text
}

/// Whether the status is about an older spec.
pub(super) fn is_behind(environment: &Environment, status: &EnvironmentStatus) -> bool {
    let generation = environment.metadata.generation;
    status
        .observed_generation
        .is_some_and(|observed| Some(observed) < generation)
}

pub(super) fn state(condition: Option<&Condition>) -> String {
    match condition {
        None => styled("-", DIM),
        Some(condition) => {
            let style = match condition.status.as_str() {
                "True" => GOOD,
                "False" if condition.reason == "Progressing" => WAITS,
                "False" => BAD,
                _ => WAITS,
            };
            styled(&condition.status, style)
        }
    }
}

/// `main@3f2c1ab`, `v1.2.0@3f2c1ab`, `3f2c1ab`.
pub(super) fn revision(revision: &RevisionStatus) -> String {
    let name = revision
        .reference
        .strip_prefix("refs/heads/")
        .or_else(|| revision.reference.strip_prefix("refs/tags/"))
        .unwrap_or(&revision.reference);
    if name.is_empty() {
        revision.short.clone()
    } else {
        format!("{name}@{}", revision.short)
    }
}

/// How long ago, in the largest unit that says something: `45s`, `12m`, `3h`, `2d`.
pub(super) fn ago(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(time).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
