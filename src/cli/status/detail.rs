//! One environment in detail: what it is, what it waits for, its objects as a tree, its history. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use kube::ResourceExt;

use super::super::output::{BAD, BOLD, DIM, GOOD, WAITS, styled, table};
use super::live::State;
use super::table::{ago, is_behind, revision, state};
use crate::api::{
    Environment, EnvironmentStatus, Outcome, RolloutPhase, RolloutStatus, RolloutStrategy,
};
use crate::object::Id;
use crate::status::find_condition;

pub(super) fn text(
    environment: &Environment,
    objects: &BTreeMap<Id, State>,
    now: Timestamp,
) -> String {
    let status = environment.status.clone().unwrap_or_default();
    let mut text = head(environment, &status);
    rollouts(&mut text, &status, now);
    waiting(&mut text, environment, &status);
    failures(&mut text, &status);
    tree(&mut text, &status, objects);
    history(&mut text, &status, now);
    text
}

fn head(environment: &Environment, status: &EnvironmentStatus) -> String {
    let spec = &environment.spec;
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![format!("  {name}"), value]);
    for type_ in ["Ready", "Healthy"] {
        let condition = find_condition(&status.conditions, type_);
        let message = condition.map_or("the agent has not looked at it yet", |condition| {
            &condition.message
        });
        row(type_, format!("{}  {message}", state(condition)));
    }
    if is_behind(environment, status) {
        row(
            "",
            styled("This is about the spec before its last change.", WAITS),
        );
    }
    if spec.suspend {
        row(
            "Suspended",
            styled(
                "nothing is applied, repaired or deleted; driftless resume ends it",
                WAITS,
            ),
        );
    }
    row(
        "Revision",
        status.revision.as_ref().map_or_else(
            || "none yet".to_owned(),
            |it| format!("{}  {}", revision(it), styled(&it.commit, DIM)),
        ),
    );
    row(
        "Source",
        format!(
            "{} in {}, written as {}",
            spec.path, spec.repository, spec.service_account
        ),
    );
    if let Some(namespace) = &spec.namespace {
        row("Namespace", namespace.clone());
    }
    let title = format!(
        "{}/{}",
        environment.namespace().unwrap_or_default(),
        environment.name_any()
    );
    format!("{}\n{}", styled(title, BOLD), table(&rows))
}

fn section(text: &mut String, title: &str) {
    let _ = writeln!(text, "\n{}", styled(title, BOLD));
}

/// A bar per workload, its evidence, and what it waits for.
fn rollouts(text: &mut String, status: &EnvironmentStatus, now: Timestamp) {
    if status.rollouts.is_empty() {
        return;
    }
    section(text, "Rollouts");
    for rollout in &status.rollouts {
        let weight = rollout.achieved_weight.unwrap_or(rollout.weight).min(100);
        let full = usize::try_from(weight / 5).unwrap_or_default();
        let style = match rollout.phase {
            RolloutPhase::Failed | RolloutPhase::Aborting | RolloutPhase::Restoring => BAD,
            RolloutPhase::Removing if rollout.taken_back => BAD,
            RolloutPhase::Proved
            | RolloutPhase::Switched
            | RolloutPhase::Promoting
            | RolloutPhase::Finishing => GOOD,
            _ => WAITS,
        };
        let since = rollout
            .since
            .as_ref()
            .map_or_else(String::new, |since| format!(", for {}", ago(since.0, now)));
        let _ = writeln!(
            text,
            "  {}  {} to {}",
            rollout.workload,
            styled(format!("{:?}", rollout.phase), style),
            rollout.commit.get(..7).unwrap_or(&rollout.commit),
        );
        let step = (rollout.step + 1).min(rollout.steps.max(1));
        let _ = writeln!(
            text,
            "    {}{} {weight:>3} %   step {step} of {}, {}{since}{}",
            styled("█".repeat(full), style),
            styled("░".repeat(20 - full), DIM),
            rollout.steps,
            sides(rollout),
            left(rollout, now),
        );
        for check in &rollout.checks {
            let (mark, style) = match check.verdict.as_str() {
                "Pass" => ("✓", GOOD),
                "Fail" => ("✗", BAD),
                _ => ("…", WAITS),
            };
            let _ = writeln!(
                text,
                "    {} {}: {} (passed {}, failed {})",
                styled(mark, style),
                check.name,
                check.value,
                check.passed,
                check.failed,
            );
        }
        if !rollout.message.is_empty() {
            let _ = writeln!(text, "    {}", rollout.message);
        }
    }
}

/// How many pods run what.
fn sides(rollout: &RolloutStatus) -> String {
    let (stable, canary) = (rollout.stable_replicas, rollout.canary_replicas);
    match rollout.strategy {
        RolloutStrategy::Canary => format!("stable {stable} pods, canary {canary}"),
        RolloutStrategy::BlueGreen => format!("stable {stable} pods, green {canary}"),
        RolloutStrategy::Partition => {
            let changed = match rollout.phase {
                RolloutPhase::Starting
                | RolloutPhase::Analysing
                | RolloutPhase::Paused
                | RolloutPhase::Proved => canary,
                RolloutPhase::Promoting | RolloutPhase::Finishing => stable,
                _ => 0,
            };
            format!("the change on {changed} of {stable} pods")
        }
    }
}

/// How much longer the step takes at least, or the old side is still there to go back to.
fn left(rollout: &RolloutStatus, now: Timestamp) -> String {
    let (until, what) = match rollout.phase {
        RolloutPhase::Analysing => (&rollout.until, "at least"),
        RolloutPhase::Switched => (&rollout.kept_until, "the old side is kept for"),
        _ => (&None, ""),
    };
    until
        .as_ref()
        .filter(|until| until.0 > now)
        .map_or_else(String::new, |until| {
            format!("; {what} {} more", ago(now, until.0))
        })
}

fn waiting(text: &mut String, environment: &Environment, status: &EnvironmentStatus) {
    if let Some(next) = &status.next {
        section(text, "Next");
        let _ = writeln!(
            text,
            "  {} waits for {}",
            revision(&next.revision),
            next.waiting_for.join(", ")
        );
    }
    if !status.held.is_empty() {
        section(text, "Held");
        for held in &status.held {
            let object = if held.object.is_empty() {
                "the revision"
            } else {
                &held.object
            };
            let _ = writeln!(
                text,
                "  {} {} {object}: {}",
                styled("!", WAITS),
                held.action,
                held.reason
            );
        }
        let namespace = environment.namespace().unwrap_or_default();
        let _ = writeln!(
            text,
            "  {}",
            styled(
                format!(
                    "driftless approve {} -n {namespace}",
                    environment.name_any()
                ),
                DIM
            )
        );
    }
}

fn failures(text: &mut String, status: &EnvironmentStatus) {
    if status.failures.is_empty() {
        return;
    }
    section(text, "Failures");
    for failure in &status.failures {
        let container = failure
            .container
            .as_ref()
            .map_or_else(String::new, |name| format!(", container {name}"));
        let object = if failure.object.is_empty() {
            "the revision"
        } else {
            &failure.object
        };
        let _ = writeln!(
            text,
            "  {} {object}{container}: {}: {}",
            styled("✗", BAD),
            failure.reason,
            failure.message
        );
    }
}

/// Namespaces, and in them the objects by kind and name; cluster-scoped ones first.
fn tree(text: &mut String, status: &EnvironmentStatus, objects: &BTreeMap<Id, State>) {
    section(text, &format!("Objects ({})", status.inventory.count));
    if status.inventory.count == 0 {
        let _ = writeln!(text, "  none yet");
        return;
    }
    let mut namespaces: BTreeMap<Option<&str>, Vec<(&Id, &State)>> = BTreeMap::new();
    for (id, state) in objects {
        namespaces
            .entry(id.namespace.as_deref())
            .or_default()
            .push((id, state));
    }
    for (namespace, mut members) in namespaces {
        let _ = writeln!(text, "  {}", namespace.unwrap_or("(cluster)"));
        members.sort_by_key(|(id, _)| (&id.kind, &id.group, &id.name));
        let last = members.len().saturating_sub(1);
        for (index, (id, state)) in members.into_iter().enumerate() {
            let branch = if index == last { "└─" } else { "├─" };
            let group = if id.group.is_empty() {
                String::new()
            } else {
                format!(".{}", id.group)
            };
            let kind = styled(format!("{}{group}", id.kind), DIM);
            let (mark, message) = match state {
                State::Healthy => (styled("✓", GOOD), String::new()),
                State::Waits(message) => (styled("…", WAITS), message.clone()),
                State::Failed(message) => (styled("✗", BAD), message.clone()),
                State::Missing => (styled("✗", BAD), "it is not there".to_owned()),
                State::Unknown(message) => (styled("?", WAITS), message.clone()),
            };
            let message = if message.is_empty() {
                message
            } else {
                format!(": {message}")
            };
            let _ = writeln!(text, "  {branch} {mark} {kind} {}{message}", id.name);
        }
    }
    let shown = i64::try_from(objects.len()).unwrap_or(i64::MAX);
    if shown < status.inventory.count {
        let _ = writeln!(text, "  … and {} more", status.inventory.count - shown);
    }
}

fn history(text: &mut String, status: &EnvironmentStatus, now: Timestamp) {
    section(text, "History");
    if status.history.is_empty() {
        let _ = writeln!(text, "  nothing was applied yet");
        return;
    }
    let mut rows = Vec::new();
    for entry in &status.history {
        let outcome = match entry.outcome {
            Outcome::Healthy => styled("healthy", GOOD),
            Outcome::Failed => styled("failed", BAD),
            Outcome::Progressing => styled("progressing", WAITS),
            Outcome::Superseded => styled("superseded", DIM),
            Outcome::TakenBack => styled("taken back", BAD),
        };
        let applied = entry
            .applied_at
            .as_ref()
            .or(entry.taken_back_at.as_ref())
            .map_or_else(String::new, |time| format!("{} ago", ago(time.0, now)));
        let mut words = Vec::new();
        if let (Some(applied), Some(healthy)) = (&entry.applied_at, &entry.healthy_at) {
            let seconds = healthy.0.duration_since(applied.0).as_secs().max(0);
            words.push(format!("healthy after {seconds}s"));
        }
        words.extend(
            entry
                .approved_by
                .as_ref()
                .map(|by| format!("approved by {by}")),
        );
        words.extend(entry.message.clone());
        rows.push(vec![
            format!("  {}", revision(&entry.revision)),
            outcome,
            applied,
            words.join("; "),
        ]);
    }
    text.push_str(&table(&rows));
}
