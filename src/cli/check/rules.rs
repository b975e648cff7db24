//! What the definitions' CEL rules say, and what the agent would find only at work: expressions, ranges and patterns that
//! cannot be read, tags that no rule can give. Pure.

mod evidence;

use globset::Glob;

use super::find::Found;
use crate::api::{
    CanarySpec, Environment, FollowRule, Repository, RolloutPolicy, RolloutPolicySpec, TrafficSpec,
    WorkloadKind,
};
use crate::git::{Choice, Range};
use crate::health::Checks;
use crate::images;
use crate::yaml::{NodeId, to_value};

/// Line and message of everything that is wrong; nothing if the object does not hold to its schema.
pub(super) fn validate(object: &Found) -> Vec<(u32, String)> {
    let Ok(value) = to_value(object.tree(), object.root()) else {
        return Vec::new();
    };
    let problems = match object.kind.as_str() {
        "Repository" => {
            serde_json::from_value(value).map(|repository| self::repository(&repository))
        }
        "Environment" => {
            serde_json::from_value(value).map(|environment| self::environment(&environment))
        }
        "RolloutPolicy" => serde_json::from_value(value).map(|policy| self::policy(&policy)),
        _ => Ok(vec![(
            "kind".to_owned(),
            "an Approval is made by a person (driftless approve) and never taken from Git"
                .to_owned(),
        )]),
    };
    problems
        .unwrap_or_default()
        .into_iter()
        .map(|(field, message)| (line(object, &field), format!("{field}: {message}")))
        .collect()
}

/// A field, such as `spec.follow[0]`, and what is wrong with it.
type Problems = Vec<(String, String)>;

/// The line of the deepest part of the field that is there.
fn line(object: &Found, field: &str) -> u32 {
    let tree = object.tree();
    let mut at: NodeId = object.root();
    for name in field
        .split(['.', '['])
        .map(|part| part.trim_end_matches(']'))
    {
        let index = name.parse::<usize>().ok();
        let element = index.and_then(|index| tree.elements(at).get(index).copied());
        match element.or_else(|| tree.get(at, name)) {
            Some(next) => at = next,
            None => break,
        }
    }
    tree.node(at).place.line
}

fn repository(repository: &Repository) -> Problems {
    let mut problems = Problems::new();
    let url = &repository.spec.url;
    let mut wrong = |field: &str, message: &str| {
        problems.push((format!("spec.{field}"), message.to_owned()));
    };
    let parsed = url::Url::parse(url);
    let known = ["https://", "ssh://", "file://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    let printable = !url.chars().any(|c| c.is_whitespace() || c.is_control());
    if !known || !printable || parsed.is_err() {
        wrong("url", "must be an https://, ssh:// or file:// URL");
    }
    if let Ok(parsed) = parsed
        && (parsed.password().is_some()
            || (!parsed.username().is_empty() && parsed.scheme() != "ssh"))
    {
        wrong(
            "url",
            "must not contain credentials; put them into a Secret and name it in spec.credentials.secret",
        );
    }
    if repository.spec.interval.0.as_secs() < 1 {
        wrong("interval", "must be at least 1s");
    }
    problems
}

fn policy(policy: &RolloutPolicy) -> Problems {
    let RolloutPolicySpec {
        workload,
        canary,
        blue_green,
        traffic,
        checks,
        ..
    } = &policy.spec;
    let mut problems = Problems::new();
    let mut wrong = |field: &str, message: &str| {
        problems.push((format!("spec.{field}"), message.to_owned()));
    };
    if canary.is_some() == blue_green.is_some() {
        wrong(
            "canary",
            "give exactly one of spec.canary and spec.blueGreen",
        );
    }
    if workload.kind == WorkloadKind::StatefulSet && (canary.is_none() || traffic.is_some()) {
        wrong(
            "workload",
            "a StatefulSet is rolled out by its partition: give spec.canary, and no spec.traffic",
        );
    }
    if let Some(blue_green) = blue_green {
        if traffic.is_some() && workload.kind == WorkloadKind::Deployment {
            wrong(
                "traffic",
                "spec.blueGreen switches the workload's Services, and every route follows them: give no spec.traffic",
            );
        }
        if blue_green.pause == Some(false) {
            wrong("blueGreen.pause", "pause is true or absent");
        }
    }
    if let Some(canary) = canary {
        for (field, message) in weights(canary) {
            wrong(&field, message);
        }
    }
    if let Some(traffic) = traffic {
        for (field, message) in self::traffic(traffic) {
            wrong(field, message);
        }
    }
    for (index, check) in checks.iter().enumerate() {
        let field = format!("checks[{index}]");
        if checks[..index].iter().any(|other| other.name == check.name) {
            wrong(&field, "another check has this name");
        }
        for (part, message) in evidence::rules(check) {
            wrong(&format!("{field}{part}"), message);
        }
    }
    problems
}

fn traffic(traffic: &TrafficSpec) -> Vec<(&'static str, &'static str)> {
    let TrafficSpec {
        http_route,
        grpc_route,
        ingress_nginx,
        alb,
        istio,
        traefik,
        match_,
    } = traffic;
    let given = [
        http_route.is_some(),
        grpc_route.is_some(),
        ingress_nginx.is_some(),
        alb.is_some(),
        istio.is_some(),
        traefik.is_some(),
    ];
    let mut problems = Vec::new();
    if given.iter().filter(|given| **given).count() != 1 {
        problems.push((
            "traffic",
            "give exactly one of httpRoute, grpcRoute, ingressNginx, alb, istio and traefik",
        ));
    }
    if match_.is_some() && (alb.is_some() || traefik.is_some()) {
        problems.push((
            "traffic",
            "match: the weights of alb and traefik say nothing of requests",
        ));
    }
    if match_
        .as_ref()
        .is_some_and(|it| it.header.is_none() && it.cookie.is_none())
    {
        problems.push(("traffic.match", "give header, cookie, or both"));
    }
    problems
}

fn weights(canary: &CanarySpec) -> Vec<(String, &'static str)> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, message| problems.push((field.to_owned(), message));
    if canary.steps.is_empty() != canary.step_weight.is_some() {
        wrong(
            "canary",
            "give either steps, or stepWeight (with maxWeight and interval)",
        );
    }
    if canary.step_weight.is_none() && (canary.max_weight.is_some() || canary.interval.is_some()) {
        wrong("canary", "maxWeight and interval belong to stepWeight");
    }
    for (index, step) in canary.steps.iter().enumerate() {
        let field = format!("canary.steps[{index}]");
        if step.weight.is_some() == step.pause.is_some() {
            wrong(&field, "a step is either a weight or a pause");
        }
        if step.for_.is_some() && step.weight.is_none() {
            wrong(&field, "for belongs to a weight");
        }
        if step.pause == Some(false) {
            wrong(&field, "pause is true or absent");
        }
    }
    problems
}

fn environment(environment: &Environment) -> Problems {
    let spec = &environment.spec;
    let mut problems = Problems::new();
    let mut wrong =
        |field: &str, message: String| problems.push((format!("spec.{field}"), message));
    if spec.create_namespace && spec.namespace.is_none() {
        wrong(
            "createNamespace",
            "spec.createNamespace needs spec.namespace".to_owned(),
        );
    }
    if spec.path.split('/').any(|part| part == "..") {
        wrong("path", "must not leave the repository".to_owned());
    }
    for (index, rule) in spec.follow.iter().enumerate() {
        for message in follow(rule) {
            wrong(&format!("follow[{index}]"), message);
        }
        if let Some(message) = tags(environment, rule) {
            wrong("images", format!("{message} (follow rule {index})"));
        }
    }
    if let Err(errors) = Checks::compile(&spec.health.checks) {
        for error in errors {
            wrong("health", error.to_string());
        }
    }
    problems
}

fn follow(rule: &FollowRule) -> Vec<String> {
    let FollowRule {
        branches,
        semver,
        tags,
        commit,
        diverge: _,
    } = rule;
    let given = [
        branches.is_some(),
        semver.is_some(),
        tags.is_some(),
        commit.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        return vec!["give exactly one of branches, semver, tags and commit".to_owned()];
    }
    let mut problems = Vec::new();
    if let Some(range) = semver
        && let Err(error) = range.parse::<Range>()
    {
        problems.push(error.to_string());
    }
    for pattern in branches.iter().chain(tags.iter()).flatten() {
        if let Err(error) = Glob::new(pattern) {
            problems.push(format!(
                "the pattern {pattern:?} cannot be read: {}",
                error.kind()
            ));
        }
    }
    problems
}

/// What the images' templates lack where this rule decides.
fn tags(environment: &Environment, rule: &FollowRule) -> Option<String> {
    let reference = match rule {
        FollowRule {
            branches: Some(_), ..
        } => "refs/heads/branch",
        FollowRule {
            commit: Some(_), ..
        } => "",
        _ => "refs/tags/v1.0.0",
    };
    let choice = Choice {
        rule: 0,
        reference: reference.to_owned(),
        version: None,
        commit: "0".repeat(40),
    };
    images::resolve(&environment.spec.images, &choice)
        .err()
        .map(|error| error.to_string())
}
