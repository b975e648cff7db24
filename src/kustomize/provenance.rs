//! The annotations that say where an object came from and what transformed it (`buildMetadata`).

use super::error::Result;
use super::node;
use crate::yaml::{Kind, Limits, Node, NodeId, Style, Tag, Tree, parse, plain_or_quoted};

pub const ORIGIN: &str = "config.kubernetes.io/origin";
pub const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";

/// What the annotations say: a path, or the generator or transformer that did it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    pub path: String,
    pub configured_in: String,
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub namespace: String,
}

impl Provenance {
    pub fn of_path(path: String) -> Self {
        Self {
            path,
            ..Self::default()
        }
    }

    /// What a builtin that stands in this kustomization file did.
    pub fn of_builtin(configured_in: String, kind: &str) -> Self {
        Self {
            configured_in,
            api_version: "builtin".to_owned(),
            kind: kind.to_owned(),
            ..Self::default()
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let field = |indent: &str, name: &str, value: &str| {
            (!value.is_empty()).then(|| format!("{indent}{name}: {}", plain_or_quoted(value)))
        };
        lines.extend(field("", "path", &self.path));
        lines.extend(field("", "configuredIn", &self.configured_in));
        let by: Vec<String> = [
            ("apiVersion", &self.api_version),
            ("kind", &self.kind),
            ("name", &self.name),
            ("namespace", &self.namespace),
        ]
        .into_iter()
        .filter_map(|(name, value)| field("  ", name, value))
        .collect();
        if !by.is_empty() {
            lines.push("configuredBy:".to_owned());
            lines.extend(by);
        }
        lines
    }

    pub fn text(&self) -> String {
        let lines = self.lines();
        if lines.is_empty() {
            return "{}\n".to_owned();
        }
        lines.join("\n") + "\n"
    }

    fn item(&self) -> String {
        let lines = self.lines();
        if lines.is_empty() {
            return "- {}\n".to_owned();
        }
        format!("- {}\n", lines.join("\n  "))
    }

    fn read(text: &str) -> Option<Self> {
        let document = parse(text, "", &Limits::default()).ok()??;
        let value = |path: &[&str]| {
            let id = document.tree.at(document.root, path);
            id.map_or_else(String::new, |id| document.tree.text(id).to_owned())
        };
        Some(Self {
            path: value(&["path"]),
            configured_in: value(&["configuredIn"]),
            api_version: value(&["configuredBy", "apiVersion"]),
            kind: value(&["configuredBy", "kind"]),
            name: value(&["configuredBy", "name"]),
            namespace: value(&["configuredBy", "namespace"]),
        })
    }
}

/// Where an object says that it came from.
pub fn origin_of(tree: &Tree, object: NodeId) -> Option<Provenance> {
    Provenance::read(node::annotation(tree, object, ORIGIN)?)
}

/// Sets the annotation with the origin.
pub fn set_origin(tree: &mut Tree, object: NodeId, text: &str) -> Result<()> {
    set(tree, object, ORIGIN, text)
}

fn set(tree: &mut Tree, object: NodeId, name: &str, text: &str) -> Result<()> {
    let mut annotations = node::metadata_map(tree, object, "annotations");
    annotations.retain(|(key, _)| key != name);
    annotations.push((name.to_owned(), text.to_owned()));
    node::set_metadata_map(tree, object, "annotations", &annotations)
}

/// Adds the annotation of a file's object.
pub fn annotate_file(tree: &mut Tree, object: NodeId, origin: &Provenance) -> Result<()> {
    let Some(annotations) =
        node::lookup(tree, object, &["metadata", "annotations"], Some(Kind::Map))?
    else {
        return Ok(());
    };
    if tree.node(annotations).is_null() {
        *tree.node_mut(annotations) = Node::of(Kind::Map);
    }
    let text = origin.text();
    let value = tree.add(Node {
        style: Style::Literal,
        ..Node::scalar(text, Tag::Str)
    });
    node::set_field(tree, annotations, ORIGIN, value)
}

/// Records what a transformer did to an object; one without origin was made by it.
pub fn add_transformation(tree: &mut Tree, object: NodeId, by: &Provenance) -> Result<()> {
    if origin_of(tree, object).is_none() {
        return set_origin(tree, object, &by.text());
    }
    let mut text = node::annotation(tree, object, TRANSFORMATIONS)
        .unwrap_or_default()
        .to_owned();
    text.push_str(&by.item());
    set(tree, object, TRANSFORMATIONS, &text)
}

/// `a/b` from `a` and `b`, with `..` taken out.
pub fn join_origin(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
