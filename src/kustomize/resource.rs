//! Objects on their way through a build, with what they were called before, and sets of them.

use std::collections::HashSet;

use super::context::Context;
use super::error::{BuildError, Problems, Result, fail};
use super::id::{Gvk, ResId};
use super::node;
use super::selector::{Matcher, Selector};
use crate::yaml::{Kind, NodeId, Tag, Tree};

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
}

/// A name that an object had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    pub name: String,
    pub namespace: String,
    pub kind: String,
}

#[derive(Clone, Debug)]
pub struct Resource {
    pub root: NodeId,
    pub previous: Vec<Previous>,
    pub prefixes: Vec<String>,
    pub suffixes: Vec<String>,
    pub behavior: Behavior,
    pub needs_hash: bool,
    pub allow_name_change: bool,
    pub allow_kind_change: bool,
    /// The vars that take their value from this object.
    pub vars: Vec<String>,
    pub origin: Origin,
}

const INTERNAL: &str = "internal.config.kubernetes.io/";
/// Annotations that never leave a build.
const BUILD_ANNOTATIONS: &[&str] = &[
    "internal.config.kubernetes.io/previousKinds",
    "internal.config.kubernetes.io/previousNames",
    "internal.config.kubernetes.io/prefixes",
    "internal.config.kubernetes.io/suffixes",
    "internal.config.kubernetes.io/previousNamespaces",
    "internal.config.kubernetes.io/allowNameChange",
    "internal.config.kubernetes.io/allowKindChange",
    "internal.config.kubernetes.io/refBy",
    "internal.config.kubernetes.io/generatorBehavior",
    "internal.config.kubernetes.io/needsHashSuffix",
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
    "internal.config.kubernetes.io/helm-generated",
];
pub const HELM_GENERATED: &str = "internal.config.kubernetes.io/helm-generated";

impl Resource {
    pub fn new(root: NodeId, origin: Origin) -> Self {
        Self {
            root,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            behavior: Behavior::default(),
            needs_hash: false,
            allow_name_change: false,
            allow_kind_change: false,
            vars: Vec::new(),
            origin,
        }
    }

    /// Takes over what an earlier build left in the annotations.
    pub fn absorb_annotations(&mut self, tree: &mut Tree) -> Result<()> {
        let annotations = node::metadata_map(tree, self.root, "annotations");
        if !annotations.iter().any(|(key, _)| key.starts_with(INTERNAL)) {
            return Ok(());
        }
        let value = |name: &str| {
            let key = format!("{INTERNAL}{name}");
            annotations
                .iter()
                .find(|(there, _)| *there == key)
                .map(|(_, value)| value.as_str())
        };
        let list = |name: &str| -> Vec<String> {
            value(name).map_or_else(Vec::new, |text| {
                text.split(',').map(str::to_owned).collect()
            })
        };
        let (names, namespaces, kinds) = (
            list("previousNames"),
            list("previousNamespaces"),
            list("previousKinds"),
        );
        if names.len() != namespaces.len() || names.len() != kinds.len() {
            return fail(
                "number of previous names, number of previous namespaces, number of previous kinds not equal",
            );
        }
        self.previous = names
            .into_iter()
            .zip(namespaces)
            .zip(kinds)
            .map(|((name, namespace), kind)| Previous {
                name,
                namespace,
                kind,
            })
            .collect();
        self.prefixes = list("prefixes");
        self.suffixes = list("suffixes");
        self.needs_hash = value("needsHashSuffix") == Some("enabled");
        self.allow_name_change = value("allowNameChange") == Some("enabled");
        self.allow_kind_change = value("allowKindChange") == Some("enabled");
        self.behavior = Behavior::of(value("generatorBehavior").unwrap_or_default());
        let rest: Vec<(String, String)> = annotations
            .iter()
            .filter(|(key, _)| key == HELM_GENERATED || !BUILD_ANNOTATIONS.contains(&key.as_str()))
            .cloned()
            .collect();
        node::set_metadata_map(tree, self.root, "annotations", &rest)
    }

    /// Writes annotations as kustomize leaves them at the end: all of them text, none of its own.
    pub fn clean_annotations(&self, tree: &mut Tree, drop: &[&str]) -> Result<()> {
        if tree.at(self.root, &["metadata", "annotations"]).is_none() {
            return Ok(());
        }
        let mut annotations = node::metadata_map(tree, self.root, "annotations");
        annotations.retain(|(key, _)| {
            !BUILD_ANNOTATIONS.contains(&key.as_str()) && !drop.contains(&key.as_str())
        });
        node::set_metadata_map(tree, self.root, "annotations", &annotations)
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
                kind: previous.kind.clone(),
                ..gvk.clone()
            },
            name: previous.name.clone(),
            namespace: previous.namespace.clone(),
            cluster_scoped: false,
        });
        ids.collect()
    }

    pub fn original_id(&self, context: &Context<'_>) -> ResId {
        match self.previous.first() {
            Some(first) => ResId {
                gvk: Gvk {
                    kind: first.kind.clone(),
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
    pub fn store_previous_id(&mut self, context: &Context<'_>) -> Result<()> {
        let id = self.id(context);
        if id.name.is_empty() || id.gvk.kind.is_empty() {
            let words = node::describe(&context.tree, self.root);
            let error = BuildError::new(format!("missing kind or metadata.name in object {words}"));
            return Err(self.origin.place(error).into());
        }
        self.previous.push(Previous {
            namespace: id.effective_namespace().to_owned(),
            name: id.name,
            kind: id.gvk.kind,
        });
        Ok(())
    }

    /// Forgets what the object was called and how it was made.
    pub fn forget_build_state(&mut self) {
        self.previous.clear();
        self.prefixes.clear();
        self.suffixes.clear();
        self.needs_hash = false;
        self.behavior = Behavior::Unspecified;
        self.allow_name_change = false;
        self.allow_kind_change = false;
    }

    /// Whether kustomize would hold annotations of its own on this object.
    pub fn has_build_state(&self) -> bool {
        !self.previous.is_empty()
            || !self.prefixes.is_empty()
            || !self.suffixes.is_empty()
            || self.needs_hash
            || self.behavior != Behavior::Unspecified
            || self.allow_name_change
            || self.allow_kind_change
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    gvk: Gvk,
    name: String,
    namespace: String,
}

impl Key {
    fn of(id: &ResId) -> Self {
        Self {
            gvk: id.gvk.clone(),
            name: id.name.clone(),
            namespace: id.effective_namespace().to_owned(),
        }
    }
}

/// Objects in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    list: Vec<Resource>,
    /// The identities in `list`, as long as nothing changed them.
    index: Option<HashSet<Key>>,
}

impl Resources {
    pub fn list(&self) -> &[Resource] {
        &self.list
    }

    /// Objects that may be changed, and the set that forgets what it knew of them.
    pub fn list_mut(&mut self) -> &mut Vec<Resource> {
        self.index = None;
        &mut self.list
    }

    pub fn into_list(self) -> Vec<Resource> {
        self.list
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds an object; one with the same identity is an error.
    pub fn append(&mut self, context: &Context<'_>, resource: Resource) -> Result<()> {
        let list = &self.list;
        let index = self.index.get_or_insert_with(|| {
            list.iter()
                .map(|resource| Key::of(&resource.id(context)))
                .collect()
        });
        let id = resource.id(context);
        if !index.insert(Key::of(&id)) {
            let there = list.iter().find(|there| there.id(context).same(&id));
            let first = there.map_or_else(String::new, |there| {
                format!("; the first is in {}", there.origin)
            });
            let error = BuildError::new(format!(
                "may not add resource with an already registered id: {id}{first}"
            ));
            return Err(resource.origin.place(error).into());
        }
        self.list.push(resource);
        Ok(())
    }

    pub fn append_all(
        &mut self,
        context: &Context<'_>,
        more: impl IntoIterator<Item = Resource>,
    ) -> Result<()> {
        let mut problems = Problems::default();
        for resource in more {
            problems.keep(self.append(context, resource));
        }
        problems.finish()
    }

    /// Lets deleted objects go.
    pub fn drop_gone(&mut self, tree: &Tree) {
        if self.list.iter().any(|resource| resource.is_gone(tree)) {
            self.list_mut().retain(|resource| !resource.is_gone(tree));
        }
    }

    /// The positions of the objects that have, or ever had, an identity that `matches` accepts.
    pub fn matching_any_id(
        &self,
        context: &Context<'_>,
        matches: impl Fn(&ResId) -> bool,
    ) -> Vec<usize> {
        let tree = &context.tree;
        let positions = self.list.iter().enumerate().filter(|(_, resource)| {
            !resource.is_gone(tree)
                && (resource.previous_ids(tree).iter().any(&matches)
                    || matches(&resource.id(context)))
        });
        positions.map(|(position, _)| position).collect()
    }

    /// The position of the one object that has, or ever had, this identity.
    pub fn target_of(&self, context: &Context<'_>, id: &ResId) -> Result<usize> {
        let name = id.name.as_str();
        let found = self.matching_any_id(context, |other| other.name == name && id.same(other));
        match found[..] {
            [one] => Ok(one),
            [] => fail(format!(
                "no matches for Id {id}; failed to find unique target for patch {id}"
            )),
            _ => {
                let places: Vec<String> = found
                    .iter()
                    .map(|at| self.list[*at].origin.to_string())
                    .collect();
                fail(format!(
                    "multiple matches for Id {id} ({}); failed to find unique target for patch {id}",
                    places.join(", ")
                ))
            }
        }
    }

    /// The positions of the objects that a selector selects.
    pub fn select(&self, context: &Context<'_>, selector: &Selector) -> Result<Vec<usize>> {
        let matcher = Matcher::new(selector)?;
        let tree = &context.tree;
        let mut selected = Vec::new();
        for (position, resource) in self.list.iter().enumerate() {
            let (current, original) = (resource.id(context), resource.original_id(context));
            let namespace = |id: &ResId| matcher.namespace(id.effective_namespace());
            if (namespace(&original) || namespace(&current))
                && (matcher.name(&original.name) || matcher.name(&current.name))
                && matcher.gvk(&current.gvk)
                && matcher
                    .labels
                    .matches(&node::metadata_map(tree, resource.root, "labels"))
                && matcher.annotations.matches(&node::metadata_map(
                    tree,
                    resource.root,
                    "annotations",
                ))
            {
                selected.push(position);
            }
        }
        Ok(selected)
    }

    /// Adds a generated object, or merges it into the one there is, as its behavior says.
    pub fn absorb(&mut self, context: &mut Context<'_>, mut resource: Resource) -> Result<()> {
        let id = resource.id(context);
        let found = self.matching_any_id(context, |other| id.same(other));
        let words = match resource.behavior {
            Behavior::Create => "create",
            Behavior::Replace => "replace",
            Behavior::Merge => "merge",
            Behavior::Unspecified => "unspecified",
        };
        match (&found[..], resource.behavior) {
            ([], Behavior::Merge | Behavior::Replace) => fail(format!(
                "{id} does not exist; cannot merge or replace (behavior: {words})"
            )),
            ([], _) => self.append(context, resource),
            ([at], Behavior::Merge | Behavior::Replace) => {
                let old = &self.list[*at];
                let is_merge = resource.behavior == Behavior::Merge;
                let origin = node::annotation(&context.tree, old.root, super::provenance::ORIGIN)
                    .map(str::to_owned);
                resource.copy_metadata_from(&mut context.tree, old)?;
                if is_merge {
                    let tree = &mut context.tree;
                    let is_secret = id.gvk.group.is_empty()
                        && id.gvk.version == "v1"
                        && id.gvk.kind == "Secret";
                    let data = if is_secret {
                        fold_string_data(tree, old.root)?
                    } else {
                        old.root
                    };
                    merge_data(tree, data, resource.root, "data")?;
                    merge_data(tree, old.root, resource.root, "binaryData")?;
                    if let Some(origin) = origin {
                        super::provenance::set_origin(&mut context.tree, resource.root, &origin)?;
                    }
                }
                let id = resource.id(context);
                let current: Vec<usize> = (0..self.list.len())
                    .filter(|at| self.list[*at].id(context).same(&id))
                    .collect();
                if current != [*at] {
                    return fail(format!(
                        "{id} does not have one object that a generator can replace"
                    ));
                }
                let at = *at;
                self.list_mut()[at] = resource;
                Ok(())
            }
            ([_], _) => fail(format!(
                "{id} exists; can not use behavior: '{words}', behavior must be merge or replace"
            )),
            _ => fail(format!(
                "found multiple objects that could accept merge of {id}"
            )),
        }
    }
}

impl Resource {
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

/// A copy of a Secret in which `stringData` stands in `data`.
fn fold_string_data(tree: &mut Tree, secret: NodeId) -> Result<NodeId> {
    let copy = tree.copy(secret);
    if let Some(texts) = tree
        .get(copy, "stringData")
        .filter(|id| !tree.node(*id).is_null())
    {
        node::demand(tree, texts, Kind::Map)?;
        for (key, value) in tree.pairs(texts).collect::<Vec<_>>() {
            node::demand(tree, value, Kind::Scalar)?;
            let (key, value) = (tree.text(key).to_owned(), tree.text(value).to_owned());
            super::generate::put_data(
                tree,
                copy,
                "data",
                &key,
                &super::generate::encode(value.as_bytes()),
            )?;
        }
    }
    node::clear(tree, copy, "stringData")?;
    Ok(copy)
}

fn merge_data(tree: &mut Tree, old: NodeId, new: NodeId, field: &str) -> Result<()> {
    let entries = |tree: &Tree, object: NodeId| -> Vec<(String, String)> {
        let map = tree.get(object, field);
        map.map_or_else(Vec::new, |map| {
            let value = |id: NodeId| {
                if tree.node(id).is_null() {
                    ""
                } else {
                    tree.text(id)
                }
            };
            tree.pairs(map)
                .map(|(key, id)| (tree.text(key).to_owned(), value(id).to_owned()))
                .collect()
        })
    };
    let mut merged: std::collections::BTreeMap<String, String> =
        entries(tree, old).into_iter().collect();
    merged.extend(entries(tree, new));
    node::clear(tree, new, field)?;
    for (key, value) in merged {
        super::generate::put_data(tree, new, field, &key, &value)?;
    }
    Ok(())
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
