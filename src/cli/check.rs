//! `driftless check`: a local checkout without a cluster. Our own objects in it hold to their schemas and rules, and every
//! path that an Environment names renders. Lists everything that is wrong, each with its place.

mod find;
mod rules;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::Outcome;
use super::folder::Folder;
use super::output::{BAD, GOOD, Out, styled};
use crate::kustomize::BuildOptions;
use crate::render::render;
use crate::tree::{Files, join};

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
    let Checked {
        objects,
        paths,
        rendered,
        problems,
    } = check(&folder, &arguments.path);
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
fn check(files: &dyn Files, asked: &[String]) -> Checked {
    let mut checked = Checked::default();
    let found = find::objects(files, &mut checked.problems);
    let mut paths: BTreeSet<String> = asked.iter().cloned().collect();
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
        if asked.is_empty() && object.kind == "Environment" && !object.partial {
            paths.extend(object.path());
        }
    }
    for path in &paths {
        match join("", path) {
            None => checked.problems.push(Problem {
                file: String::new(),
                line: 0,
                message: format!("the path {path:?} leaves the checkout"),
            }),
            Some(path) => renders(files, &path, &mut checked),
        }
    }
    checked.problems.sort();
    checked.problems.dedup();
    checked
}

fn renders(files: &dyn Files, path: &str, checked: &mut Checked) {
    checked.paths += 1;
    match render(files, path, &BuildOptions::default()) {
        Ok(rendered) => checked.rendered += rendered.resources.len(),
        Err(errors) => checked
            .problems
            .extend(errors.0.into_iter().map(|error| Problem {
                file: error.file.clone().unwrap_or_default(),
                line: error.line,
                message: {
                    // The place stands in front already.
                    let bare = crate::kustomize::BuildError {
                        file: None,
                        line: 0,
                        column: 0,
                        ..error
                    };
                    bare.to_string()
                },
            })),
    }
}
