//! Objects on their way through a build, with what they were called before.

mod annotations;

use super::context::Context;
use super::error::{BuildError, Result};
use super::id::{Gvk, ResId};
use super::node;
use crate::yaml::{Kind, NodeId, Tag, Tree};
pub use annotations::{ALLOW_KIND_CHANGE, ALLOW_NAME_CHANGE, HELM_GENERATED};

/// Where an object comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub file: String,
    /// From 1; 0 for what was generated.
    pub line: usize,
}

/// What a generator does with an object that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behavior {
    #[default]
    Unspecified,
    Create,
    Replace,
    Merge,
}

impl Behavior {
    pub fn of(text: &str) -> Self {
        match text {
            "create" => Self::Create,
            "replace" => Self::Replace,
            "merge" => Self::Merge,
            _ => Self::Unspecified,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Merge => "merge",
        }
    }
}

/// A name that an object had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    pub name: String,
    pub namespace: String,
    pub kind: String,
}

/// An object and what kustomize notes about it.
#[derive(Clone, Debug)]
pub struct Resource {
    pub root: NodeId,
    pub previous: Vec<Previous>,
    pub prefixes: Vec<String>,
    pub suffixes: Vec<String>,
    /// Of a generated object.
    pub behavior: Option<Behavior>,
    pub needs_hash: bool,
    pub allow_name_change: bool,
    pub allow_kind_change: bool,
    /// It was renamed while it had no name, so that names before and after do not fit together.
    pub was_nameless: bool,
    /// The vars that take their value from this object.
    pub vars: Vec<String>,
    pub origin: Origin,
}

impl Resource {
    pub fn new(root: NodeId, origin: Origin) -> Self {
        Self {
            root,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            behavior: None,
            needs_hash: false,
            allow_name_change: false,
            allow_kind_change: false,
            was_nameless: false,
            vars: Vec::new(),
            origin,
        }
    }

    /// A deep copy.
    #[must_use]
    pub fn copy(&self, tree: &mut Tree) -> Self {
        Self {
            root: tree.copy(self.root),
            ..self.clone()
        }
    }

    /// Whether the object was deleted.
    pub fn is_gone(&self, tree: &Tree) -> bool {
        tree.node(self.root).is_empty()
    }

    /// Deletes the object; the set that holds it lets it go later.
    pub fn delete(&self, tree: &mut Tree) {
        let node = tree.node_mut(self.root);
        node.kind = Kind::Empty;
        node.tag = Tag::None;
        node.items.clear();
    }

    pub fn gvk(&self, tree: &Tree) -> Gvk {
        Gvk::new(
            node::api_version(tree, self.root),
            node::kind(tree, self.root),
        )
    }

    pub fn id(&self, context: &Context<'_>) -> ResId {
        let tree = &context.tree;
        let (api_version, kind) = (
            node::api_version(tree, self.root),
            node::kind(tree, self.root),
        );
        ResId {
            gvk: Gvk::new(api_version, kind),
            name: node::name(tree, self.root).to_owned(),
            namespace: node::namespace(tree, self.root).to_owned(),
            cluster_scoped: context.schemas.is_cluster_scoped(api_version, kind),
        }
    }

    /// What the object was called before, the oldest first.
    pub fn previous_ids(&self, tree: &Tree) -> Vec<ResId> {
        let gvk = self.gvk(tree);
        let ids = self.previous.iter().map(|previous| ResId {
            gvk: Gvk {
                kind: previous.kind.clone().into(),
                ..gvk.clone()
            },
            name: previous.name.clone(),
            namespace: previous.namespace.clone(),
            cluster_scoped: false,
        });
        ids.collect()
    }

    /// What the object was called before, as far as it had this name.
    pub fn previous_named<'r>(
        &'r self,
        tree: &'r Tree,
        name: &'r str,
    ) -> impl Iterator<Item = ResId> + 'r {
        let named = self
            .previous
            .iter()
            .filter(move |previous| previous.name == name);
        named.map(move |previous| ResId {
            gvk: Gvk {
                kind: previous.kind.clone().into(),
                ..self.gvk(tree)
            },
            name: previous.name.clone(),
            namespace: previous.namespace.clone(),
            cluster_scoped: false,
        })
    }

    pub fn original_id(&self, context: &Context<'_>) -> ResId {
        match self.previous.first() {
            Some(first) => ResId {
                gvk: Gvk {
                    kind: first.kind.clone().into(),
                    ..self.gvk(&context.tree)
                },
                name: first.name.clone(),
                namespace: first.namespace.clone(),
                cluster_scoped: false,
            },
            None => self.id(context),
        }
    }

    /// Remembers what the object is called now.
    pub fn store_previous_id(&mut self, context: &mut Context<'_>) -> Result<()> {
        let id = self.id(context);
        let nameless = id.name.is_empty() || id.gvk.kind.is_empty();
        if self.was_nameless || (nameless && !self.previous.is_empty()) {
            let words = node::describe(&context.tree, self.root);
            let error = BuildError::new(format!(
                "missing kind or metadata.name in object {words}, which had them before"
            ));
            return Err(self.origin.place(error).into());
        }
        if nameless {
            self.was_nameless = true;
            return Ok(());
        }
        self.previous.push(Previous {
            namespace: id.effective_namespace().to_owned(),
            name: id.name,
            kind: id.gvk.kind.into_owned(),
        });
        // kustomize notes it in the annotations, and makes a map of them for that.
        let tree = &mut context.tree;
        let annotations = tree.at(self.root, &["metadata", "annotations"]);
        match tree.get(self.root, "metadata") {
            Some(metadata) if annotations.is_some_and(|it| tree.kind(it) != Kind::Map) => {
                node::clear(tree, metadata, "annotations")
            }
            _ => Ok(()),
        }
    }

    /// Forgets what the object was called and how it was made.
    pub fn forget_build_state(&mut self) {
        self.previous.clear();
        self.was_nameless = false;
        self.prefixes.clear();
        self.suffixes.clear();
        self.needs_hash = false;
        self.behavior = None;
        self.allow_name_change = false;
        self.allow_kind_change = false;
    }

    /// Takes labels, annotations, name, namespace and history of `other`; own labels and annotations win.
    pub fn copy_metadata_from(&mut self, tree: &mut Tree, other: &Resource) -> Result<()> {
        for field in ["labels", "annotations"] {
            let mut merged: std::collections::BTreeMap<String, String> =
                node::metadata_map(tree, other.root, field)
                    .into_iter()
                    .collect();
            merged.extend(node::metadata_map(tree, self.root, field));
            let merged: Vec<(String, String)> = merged.into_iter().collect();
            node::set_metadata_map(tree, self.root, field, &merged)?;
        }
        self.previous.clone_from(&other.previous);
        self.was_nameless = other.was_nameless;
        self.prefixes.clone_from(&other.prefixes);
        self.suffixes.clone_from(&other.suffixes);
        self.allow_name_change = other.allow_name_change;
        self.allow_kind_change = other.allow_kind_change;
        self.vars.clone_from(&other.vars);
        self.needs_hash = self.needs_hash && other.needs_hash;
        self.behavior = other.behavior;
        let (name, namespace) = (
            node::name(tree, other.root).to_owned(),
            node::namespace(tree, other.root).to_owned(),
        );
        node::set_at(tree, self.root, &["metadata", "name"], &name)?;
        node::set_namespace(tree, self.root, &namespace)
    }
}

impl Origin {
    pub fn place(&self, error: BuildError) -> BuildError {
        if self.file.is_empty() {
            return error;
        }
        let line = u32::try_from(self.line).unwrap_or(0);
        error
            .in_file(&self.file)
            .at(crate::yaml::Place { line, column: 0 })
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => f.write_str("a generator"),
            (file, 0) => f.write_str(file),
            (file, line) => write!(f, "{file}:{line}"),
        }
    }
}
