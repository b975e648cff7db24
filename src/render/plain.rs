//! A directory of manifests without a kustomization: every YAML and JSON file in and below it.

use serde_json::Value;

use super::{Rendered, is_kustomization, one, place};
use crate::kustomize::{BuildError, BuildErrors, BuildOptions, Origin, Resource};
use crate::object::Object;
use crate::tree::{EntryKind, FileError, Files, join};
use crate::yaml::{Limits, Place, read, to_value};

pub(super) fn render(
    files: &dyn Files,
    path: &str,
    options: &BuildOptions,
) -> Result<Rendered, BuildErrors> {
    let mut manifests = Vec::new();
    let mut problems = Vec::new();
    find(
        files,
        path,
        options.limits.depth,
        &mut manifests,
        &mut problems,
    );
    if manifests.is_empty() && problems.is_empty() {
        let message = "has no manifests (*.yaml, *.yml, *.json) and no kustomization; to want nothing, say so by a kustomization with `resources: []`";
        return Err(one(BuildError::new(message).in_file(place(path))));
    }
    let mut rendered = Rendered::default();
    let mut limits = Limits {
        nodes: options.limits.nodes,
        depth: options.limits.depth,
        ..Limits::default()
    };
    let mut bytes = options.limits.bytes;
    for file in manifests {
        match files.read(&file) {
            Ok(Some(text)) => {
                bytes = match bytes.checked_sub(text.len()) {
                    Some(left) => left,
                    None => {
                        let message = format!(
                            "with it, more than the limit of {} bytes is read",
                            options.limits.bytes
                        );
                        problems.push(BuildError::new(message).in_file(&file));
                        break;
                    }
                };
                manifest(&text, &file, &mut limits, &mut rendered, &mut problems);
            }
            Ok(None) => {
                problems.push(BuildError::new("was listed, but is not there").in_file(&file))
            }
            Err(error) => problems.push(unreadable(&error)),
        }
    }
    if problems.is_empty() && rendered.resources.is_empty() {
        let message = "its manifests hold no objects, only comments or empty documents; to want nothing, say so by a kustomization with `resources: []`";
        problems.push(BuildError::new(message).in_file(place(path)));
    }
    if problems.is_empty() {
        Ok(rendered)
    } else {
        Err(BuildErrors(problems))
    }
}

fn unreadable(error: &FileError) -> BuildError {
    BuildError::new(error.to_string())
}

/// The manifests in and below a directory, sorted by path. Names that begin with a dot are no manifests.
fn find(
    files: &dyn Files,
    path: &str,
    depth: usize,
    found: &mut Vec<String>,
    problems: &mut Vec<BuildError>,
) {
    if depth == 0 {
        problems.push(BuildError::new("is nested too deep").in_file(path));
        return;
    }
    let entries = match files.list(path) {
        Ok(Some(entries)) => entries,
        Ok(None) => return,
        Err(error) => {
            problems.push(unreadable(&error));
            return;
        }
    };
    for entry in entries
        .into_iter()
        .filter(|entry| !entry.name.starts_with('.'))
    {
        let Some(below) = join(path, &entry.name) else {
            continue;
        };
        match entry.kind {
            EntryKind::Directory => match is_kustomization(files, &below) {
                Ok(false) => find(files, &below, depth - 1, found, problems),
                Ok(true) => {
                    let message = "is a kustomization below a directory that is none; add a kustomization.yaml above that names it, or point spec.path at it";
                    problems.push(BuildError::new(message).in_file(&below));
                }
                Err(error) => problems.push(unreadable(&error)),
            },
            EntryKind::File if is_manifest(&entry.name) => found.push(below),
            EntryKind::File => {}
        }
    }
}

fn is_manifest(name: &str) -> bool {
    [".yaml", ".yml", ".json"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

fn manifest(
    text: &[u8],
    file: &str,
    limits: &mut Limits,
    rendered: &mut Rendered,
    problems: &mut Vec<BuildError>,
) {
    let documents = match read(text, file, limits) {
        Ok(documents) => documents,
        Err(errors) => {
            problems.extend(errors.0.into_iter().map(|problem| {
                BuildError::new(problem.message)
                    .in_file(file)
                    .at(problem.place)
            }));
            return;
        }
    };
    for document in documents {
        let start = document.tree.node(document.root).place;
        limits.nodes = limits.nodes.saturating_sub(document.tree.size());
        match to_value(&document.tree, document.root) {
            Ok(value) => objects(value, file, start, rendered, problems),
            Err(error) => {
                problems.push(BuildError::new(error.message).in_file(file).at(error.place))
            }
        }
    }
}

/// A document is one object, or a List of them.
fn objects(
    value: Value,
    file: &str,
    start: Place,
    rendered: &mut Rendered,
    problems: &mut Vec<BuildError>,
) {
    let problem = |message: &str| BuildError::new(message).in_file(file).at(start);
    let Some(mut object) = Object::from_value(value) else {
        problems.push(problem(
            "is not an object with apiVersion, kind and metadata.name",
        ));
        return;
    };
    if object.at("/sops/mac").is_some() {
        problems.push(problem("the file is encrypted with SOPS and cannot be decrypted here; it is not applied as text"));
        return;
    }
    if object.kind().ends_with("List") && object.name().is_empty() && object.0.contains_key("items")
    {
        match object.0.remove("items") {
            Some(Value::Array(items)) if !items.is_empty() => {
                for item in items {
                    objects(item, file, start, rendered, problems);
                }
            }
            _ => problems.push(problem("is a List whose items are missing or empty")),
        }
        return;
    }
    for (field, text) in [
        ("apiVersion", object.api_version()),
        ("kind", object.kind()),
    ] {
        if text.is_empty() {
            problems.push(problem(&format!("has no {field}")));
            return;
        }
    }
    if object.name().is_empty() && object.at("/metadata/generateName").is_none() {
        problems.push(problem(&format!(
            "is a {} without metadata.name",
            object.kind()
        )));
        return;
    }
    let line = usize::try_from(start.line).unwrap_or_default();
    rendered.resources.push(Resource {
        object,
        origin: Origin {
            file: file.to_owned(),
            line,
        },
    });
}
