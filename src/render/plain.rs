//! A directory of manifests without a kustomization: every YAML and JSON file in it and below it. Must not change the
//! objects.

use std::collections::HashMap;

use serde_json::Value;

use crate::kustomize::{
    BuildError, BuildErrors, BuildOptions, FILE_NAMES, Origin, Problems, Resource, SOPS_REFUSAL,
    is_sops_encrypted,
};
use crate::object::{Id, Object};
use crate::tree::{EntryKind, Files};
use crate::yaml::{self, Place, exceeded, to_value};

/// The objects in a directory, in the order of the files' paths.
pub fn manifests(
    files: &dyn Files,
    directory: &str,
    options: &BuildOptions,
) -> Result<Vec<Resource>, BuildErrors> {
    let mut reader = Reader {
        files,
        options,
        problems: Problems::default(),
        resources: Vec::new(),
        bytes: 0,
        nodes: 0,
        count: 0,
    };
    reader.directory(directory, 0)?;
    let Reader {
        mut problems,
        resources,
        ..
    } = reader;
    let mut seen: HashMap<Id, Origin> = HashMap::new();
    for resource in &resources {
        let id = resource.object.id();
        if let Some(first) = seen.get(&id) {
            problems.add(
                resource
                    .origin
                    .place(BuildError::new(format!("{id} is also in {first}"))),
            );
        } else {
            seen.insert(id, resource.origin.clone());
        }
    }
    problems.finish()?;
    if resources.is_empty() {
        let shown = if directory.is_empty() { "." } else { directory };
        return Err(BuildError::new(format!(
            "the directory `{shown}` has no manifests: no file named *.yaml, *.yml or *.json has an object in it"
        ))
        .into());
    }
    Ok(resources)
}

struct Reader<'f> {
    files: &'f dyn Files,
    options: &'f BuildOptions,
    problems: Problems,
    resources: Vec<Resource>,
    bytes: usize,
    nodes: usize,
    count: usize,
}

fn is_manifest(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    ["yaml", "yml", "json"].contains(&extension)
}

impl Reader<'_> {
    fn directory(&mut self, path: &str, depth: usize) -> Result<(), BuildErrors> {
        let limits = self.options.limits;
        if depth > limits.layers {
            let message = exceeded(
                &format!("more than {} directories below each other", limits.layers),
                "--max-layers",
            );
            return Err(BuildError::new(message).in_file(path).into());
        }
        // What starts with a dot belongs to tools, not to the cluster.
        let entries = self.files.list(path)?.unwrap_or_default();
        for entry in entries
            .into_iter()
            .filter(|entry| !entry.name.starts_with('.'))
        {
            let below = if path.is_empty() {
                entry.name.clone()
            } else {
                format!("{path}/{}", entry.name)
            };
            match entry.kind {
                EntryKind::Directory => self.directory(&below, depth + 1)?,
                EntryKind::File if FILE_NAMES.contains(&entry.name.as_str()) => self.problems.add(
                    BuildError::new(
                        "a kustomization below a plain directory: name it in a kustomization of its own, or point an environment at it",
                    )
                    .in_file(&below),
                ),
                EntryKind::File if is_manifest(&entry.name) => self.file(&below)?,
                EntryKind::File => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str) -> Result<(), BuildErrors> {
        let limits = self.options.limits;
        let Some(content) = self.files.read(path)? else {
            return Ok(());
        };
        self.count += 1;
        self.bytes += content.len();
        let problem = if self.count > limits.files {
            exceeded(
                &format!("more than {} files are read", limits.files),
                "--max-files",
            )
        } else if self.bytes > limits.bytes {
            exceeded(
                &format!("more than {} bytes are read", limits.bytes),
                "--max-bytes",
            )
        } else {
            let yaml_limits = yaml::Limits {
                bytes: limits.bytes,
                nodes: limits.nodes,
                spent: self.nodes,
                depth: limits.depth,
            };
            let documents = yaml::read(&content, path, &yaml_limits).map_err(BuildErrors::from);
            for document in self.problems.keep(documents).unwrap_or_default() {
                self.nodes += document.tree.size();
                self.document(&document, path);
            }
            return Ok(());
        };
        Err(BuildError::new(problem).in_file(path).into())
    }

    fn document(&mut self, document: &yaml::Document, path: &str) {
        let tree = &document.tree;
        let place = |line: u32| Place { line, column: 0 };
        let line = document.line();
        if is_sops_encrypted(tree, document.root) {
            self.problems
                .add(BuildError::new(SOPS_REFUSAL).in_file(path).at(place(line)));
            return;
        }
        let value =
            to_value(tree, document.root).map_err(|error| BuildErrors::from(error).in_file(path));
        let Some(value) = self.problems.keep(value) else {
            return;
        };
        let is_list = value
            .get("kind")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.ends_with("List"));
        match value {
            Value::Object(mut map)
                if is_list
                    && map
                        .get("items")
                        .is_some_and(|items| items.is_array() || items.is_null()) =>
            {
                let items = tree
                    .get(document.root, "items")
                    .map_or(&[][..], |items| tree.elements(items));
                let Some(Value::Array(values)) = map.remove("items") else {
                    return;
                };
                for (value, item) in values.into_iter().zip(items) {
                    self.object(value, path, tree.node(*item).place.line);
                }
            }
            value => self.object(value, path, line),
        }
    }

    fn object(&mut self, value: Value, path: &str, line: u32) {
        let refusal = |why: &str| {
            BuildError::new(format!("not a Kubernetes object: {why}"))
                .in_file(path)
                .at(Place { line, column: 0 })
        };
        let Some(object) = Object::from_value(value) else {
            self.problems.add(refusal("a map is expected"));
            return;
        };
        let missing: Vec<&str> = [
            (object.api_version(), "no `apiVersion`"),
            (object.kind(), "no `kind`"),
            (object.name(), "no `metadata.name`"),
        ]
        .into_iter()
        .filter(|(text, _)| text.is_empty())
        .map(|(_, what)| what)
        .collect();
        if !missing.is_empty() {
            self.problems
                .add(refusal(&format!("there is {}", missing.join(", "))));
            return;
        }
        self.resources.push(Resource {
            object,
            origin: Origin {
                file: path.to_owned(),
                line: line as usize,
            },
        });
    }
}
