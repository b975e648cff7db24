//! `driftless check`: a local checkout without a cluster. Our own objects in it hold to their schemas and rules, and every
//! path that an Environment names renders. Lists everything that is wrong, each with its place.

mod find;
mod rules;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::Outcome;
use super::folder::Folder;
use super::output::{BAD, GOOD, Out, styled};
use crate::config::Budgets;
use crate::desired::{Desired, DesiredObject, set_namespace};
use crate::kustomize::{BuildError, BuildOptions, Limits, Resource};
use crate::render::render;
use crate::rollout::policy::policies;
use crate::rollout::reach::blocked;
use crate::tree::{Files, join};

/// As `driftless install` names it.
const AGENT_NAMESPACE: &str = "driftless-system";

/// Check a local checkout: the objects of our kinds in it, and that what Environments name renders
#[derive(Args, Debug)]
#[command(
    after_help = "Without --path, the paths that the Environments in it name are rendered: they are taken to be paths of this \
checkout.

Examples:
  driftless check .
  driftless check . --path overlays/staging --path overlays/production

Exit codes: 0 nothing is wrong; 2 something is."
)]
pub struct Arguments {
    /// The root of the checkout
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Render these paths of it, not those that Environments name
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,
    /// Where the agent runs: the NetworkPolicies must let its requests through to the pods that they check
    #[arg(long, value_name = "NAMESPACE", default_value = AGENT_NAMESPACE)]
    agent_namespace: String,
    #[command(flatten)]
    budgets: Budgets,
}

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    file: String,
    /// From 1; 0 where only the file is known.
    line: u32,
    message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            message,
        } = self;
        match (file.is_empty(), line) {
            (true, _) => f.write_str(message),
            (false, 0) => write!(f, "{file}: {message}"),
            (false, _) => write!(f, "{file}:{line}: {message}"),
        }
    }
}

/// What was looked at.
#[derive(Debug, Default, PartialEq, Eq)]
struct Checked {
    objects: usize,
    paths: usize,
    rendered: usize,
    problems: Vec<Problem>,
}

pub fn run(arguments: &Arguments, out: &mut Out) -> Result<Outcome> {
    let folder = Folder::new(&arguments.dir)?;
    let options = BuildOptions {
        limits: arguments.budgets.limits(&Limits::default())?,
        ..BuildOptions::default()
    };
    let Checked {
        objects,
        paths,
        rendered,
        problems,
    } = check(
        &folder,
        &arguments.path,
        &options,
        &arguments.agent_namespace,
    );
    for problem in &problems {
        writeln!(out, "{} {problem}", styled("✗", BAD))?;
    }
    if problems.is_empty() {
        let ok = styled("✓", GOOD);
        writeln!(
            out,
            "{ok} {}, {} {rendered} objects",
            plural(objects, "object of Driftless", "objects of Driftless"),
            plural(paths, "path renders", "paths render")
        )?;
        return Ok(Outcome::Done);
    }
    writeln!(out, "{}", plural(problems.len(), "problem", "problems"))?;
    Ok(Outcome::Wrong)
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Everything that is wrong, sorted by place.
fn check(files: &dyn Files, asked: &[String], options: &BuildOptions, agent: &str) -> Checked {
    let mut checked = Checked::default();
    let found = find::objects(files, &mut checked.problems);
    // Each path with who names it.
    let nobody = Problem {
        file: String::new(),
        line: 0,
        message: String::new(),
    };
    let mut namespaces = BTreeMap::new();
    let mut paths: BTreeMap<String, Problem> = asked
        .iter()
        .map(|path| (path.clone(), nobody.clone()))
        .collect();
    for object in &found {
        checked.objects += 1;
        let mut problems = schema::validate(object);
        problems.extend(rules::validate(object));
        checked
            .problems
            .extend(problems.into_iter().map(|(line, message)| Problem {
                file: object.file.clone(),
                line,
                message: format!("{}: {message}", object.title()),
            }));
        if object.kind != "Environment" || object.partial {
            continue;
        }
        let (path, line) = object.path();
        if let (Some(path), Some(namespace)) = (join("", &path), object.target_namespace()) {
            namespaces.entry(path).or_insert(namespace);
        }
        if asked.is_empty() {
            let named_by = Problem {
                file: object.file.clone(),
                line,
                message: format!("{}: spec.path: ", object.title()),
            };
            paths.entry(path).or_insert(named_by);
        }
    }
    for (path, named_by) in paths {
        match join("", &path) {
            None => checked.problems.push(Problem {
                message: format!("{}{path:?} leaves the checkout", named_by.message),
                ..named_by
            }),
            Some(path) => {
                let namespace = namespaces.get(&path).map(String::as_str);
                let to = (namespace, agent);
                renders(files, &path, options, to, &named_by, &mut checked);
            }
        }
    }
    if checked.paths == 0 && checked.problems.is_empty() {
        checked.problems.push(Problem {
            message:
                "there is no Environment in it that names a path; say which to render with --path"
                    .to_owned(),
            ..nobody
        });
    }
    checked.problems.sort();
    checked.problems.dedup();
    checked
}

/// Policies that cannot be followed, and NetworkPolicies that keep their checks from what they check.
fn rollouts(resources: Vec<Resource>, namespace: Option<&str>, agent: &str) -> Vec<Problem> {
    let objects = resources.into_iter().map(|resource| {
        let mut object = resource.object;
        // What has none at all is looked up by nobody.
        if object.namespace().is_none() && object.kind() != "Namespace" {
            set_namespace(&mut object, namespace);
        }
        DesiredObject {
            origin: format!("{}:{}", resource.origin.file, resource.origin.line),
            ..object.into()
        }
    });
    let desired = Desired::new(objects.collect(), String::new());
    let problems = match policies(&desired) {
        Err(problems) => problems,
        Ok(policies) => policies
            .values()
            .flat_map(|policy| blocked(policy, &desired, agent))
            .collect(),
    };
    problems
        .into_iter()
        .map(|(id, message)| {
            let origin = desired.get(&id).map_or("", |object| &object.origin);
            let (file, line) = origin.rsplit_once(':').unwrap_or((origin, ""));
            Problem {
                file: file.to_owned(),
                line: line.parse().unwrap_or_default(),
                message: format!("{id}: {message}"),
            }
        })
        .collect()
}

fn renders(
    files: &dyn Files,
    path: &str,
    options: &BuildOptions,
    (namespace, agent): (Option<&str>, &str),
    named_by: &Problem,
    checked: &mut Checked,
) {
    checked.paths += 1;
    let errors = match render(files, path, options) {
        Ok(rendered) => {
            checked.rendered += rendered.resources.len();
            let problems = rollouts(rendered.resources, namespace, agent);
            checked.problems.extend(problems);
            return;
        }
        Err(errors) => errors.0,
    };
    checked
        .problems
        .extend(errors.into_iter().map(|error| match &error.file {
            None => Problem {
                message: format!("{}{error}", named_by.message),
                ..named_by.clone()
            },
            Some(file) => {
                let (file, line) = (file.clone(), error.line);
                // The place stands in front already.
                let bare = BuildError {
                    file: None,
                    line: 0,
                    column: 0,
                    ..error
                };
                Problem {
                    file,
                    line,
                    message: bare.to_string(),
                }
            }
        }));
}
