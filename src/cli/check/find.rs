//! Which files of a checkout hold objects of our kinds. Reads; must not judge them beyond their kind.

use std::collections::BTreeSet;

use super::Problem;
use crate::api::{GROUP, VERSION};
use crate::kustomize::nearest;
use crate::tree::{EntryKind, Files, join};
use crate::yaml::{Document, Limits, NodeId, Tree, read};

/// Folders below each other, at most.
const DEPTH: usize = 64;
const KINDS: [&str; 4] = ["Repository", "Environment", "RolloutPolicy", "Approval"];

/// One of our objects, as a file has it.
pub(super) struct Found {
    pub file: String,
    pub kind: String,
    document: Document,
    /// A kustomization merges it into another: what is required may stand there.
    pub partial: bool,
}

impl Found {
    pub fn tree(&self) -> &Tree {
        &self.document.tree
    }

    pub fn root(&self) -> NodeId {
        self.document.root
    }

    /// `Environment shop/production`, as far as it says.
    pub fn title(&self) -> String {
        let tree = self.tree();
        let part = |name: &str| {
            tree.at(self.root(), &["metadata", name])
                .map(|id| tree.text(id))
        };
        match (part("namespace"), part("name")) {
            (Some(namespace), Some(name)) => format!("{} {namespace}/{name}", self.kind),
            (None, Some(name)) => format!("{} {name}", self.kind),
            (_, None) => self.kind.clone(),
        }
    }

    /// The path that an Environment names, and on which line.
    pub fn path(&self) -> (String, u32) {
        let tree = self.tree();
        match tree.at(self.root(), &["spec", "path"]) {
            Some(id) => (tree.text(id).to_owned(), tree.node(id).place.line),
            None => (".".to_owned(), self.document.line()),
        }
    }

    /// Where an Environment's objects lie that name no namespace.
    pub fn target_namespace(&self) -> Option<String> {
        let tree = self.tree();
        let id = tree.at(self.root(), &["spec", "namespace"])?;
        Some(tree.text(id).to_owned())
    }
}

/// Our objects in all manifests below the root. What cannot be read is a problem where it may be ours.
pub(super) fn objects(files: &dyn Files, problems: &mut Vec<Problem>) -> Vec<Found> {
    let mut paths = Vec::new();
    walk(files, "", DEPTH, &mut paths, problems);
    let mut found = Vec::new();
    let mut patches = BTreeSet::new();
    for path in &paths {
        let text = match files.read(path) {
            Ok(Some(text)) => text,
            Ok(None) => continue,
            Err(error) => {
                problems.push(Problem {
                    file: path.clone(),
                    line: 0,
                    message: error.to_string(),
                });
                continue;
            }
        };
        let ours = contains(&text, GROUP.as_bytes());
        let kustomization = is_kustomization(path);
        if !ours && !kustomization {
            continue;
        }
        match read(&text, path, &Limits::default()) {
            Ok(documents) if kustomization => documents
                .iter()
                .for_each(|document| patches.extend(patched(document, path))),
            Ok(documents) => found.extend(
                documents
                    .into_iter()
                    .filter_map(|document| known(document, path, problems)),
            ),
            // A broken kustomization is told when it is rendered.
            Err(_) if kustomization => {}
            Err(errors) => problems.extend(errors.0.into_iter().map(|problem| Problem {
                file: path.clone(),
                line: problem.place.line,
                message: problem.message,
            })),
        }
    }
    for object in &mut found {
        object.partial = patches.contains(&object.file);
    }
    found
}

fn walk(
    files: &dyn Files,
    folder: &str,
    depth: usize,
    paths: &mut Vec<String>,
    problems: &mut Vec<Problem>,
) {
    let entries = match files.list(folder) {
        Ok(entries) => entries.unwrap_or_default(),
        Err(error) => {
            problems.push(Problem {
                file: folder.to_owned(),
                line: 0,
                message: error.to_string(),
            });
            return;
        }
    };
    for entry in entries {
        let path = if folder.is_empty() {
            entry.name.clone()
        } else {
            format!("{folder}/{}", entry.name)
        };
        let manifest = || {
            [".yaml", ".yml", ".json"]
                .iter()
                .any(|ending| entry.name.ends_with(ending))
        };
        match entry.kind {
            EntryKind::Directory if depth > 0 && !entry.name.starts_with('.') => {
                walk(files, &path, depth - 1, paths, problems);
            }
            EntryKind::File if manifest() || is_kustomization(&path) => paths.push(path),
            EntryKind::Directory | EntryKind::File => {}
        }
    }
}

fn is_kustomization(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(
        name,
        "kustomization.yaml" | "kustomization.yml" | "Kustomization"
    )
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// The files that a kustomization merges into others.
fn patched(document: &Document, file: &str) -> Vec<String> {
    let Document { tree, root, .. } = document;
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let list = |field: &str| {
        tree.get(*root, field)
            .map_or(&[][..], |list| tree.elements(list))
    };
    let with_path = list("patches")
        .iter()
        .filter_map(|patch| tree.get(*patch, "path"));
    let names = with_path.chain(list("patchesStrategicMerge").iter().copied());
    names
        .filter_map(|name| join(folder, tree.text(name)))
        .collect()
}

/// The document, if it is of one of our kinds; of our group but no such kind, it is a problem.
fn known(document: Document, file: &str, problems: &mut Vec<Problem>) -> Option<Found> {
    let tree = &document.tree;
    let text = |name: &str| {
        tree.get(document.root, name)
            .map(|id| (tree.text(id).to_owned(), tree.node(id).place.line))
    };
    let (api_version, line) = text("apiVersion")?;
    let (group, version) = api_version.split_once('/')?;
    if group != GROUP {
        return None;
    }
    let mut problem = |line: u32, message: String| {
        problems.push(Problem {
            file: file.to_owned(),
            line,
            message,
        });
    };
    if version != VERSION {
        problem(
            line,
            format!("there is no version {version:?} of {GROUP}; there is {VERSION}"),
        );
        return None;
    }
    let Some((kind, line)) = text("kind") else {
        problem(document.line(), "kind: is missing".to_owned());
        return None;
    };
    if !KINDS.contains(&kind.as_str()) {
        let known = nearest(&kind, &KINDS)
            .map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
        problem(
            line,
            format!("there is no kind {kind} in {GROUP}/{VERSION}{known}"),
        );
        return None;
    }
    Some(Found {
        file: file.to_owned(),
        kind,
        document,
        partial: false,
    })
}
