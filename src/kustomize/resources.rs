//! Sets of objects in the order in which they came, each with one identity.

use std::collections::{BTreeMap, HashSet};

use super::context::Context;
use super::decode::suggestion;
use super::error::{BuildError, Problems, Result, fail};
use super::generate::{encode, put_data};
use super::id::{Gvk, ResId};
use super::node;
use super::provenance;
use super::resource::{Behavior, Resource};
use super::selector::{Matcher, Selector};
use crate::yaml::{Kind, NodeId, Tree};

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
                "no resource matches the strategic merge patch for {id}{}",
                self.close_to(context, id)
            )),
            _ => {
                let places: Vec<String> = found
                    .iter()
                    .map(|at| self.list[*at].origin.to_string())
                    .collect();
                fail(format!(
                    "several resources match the strategic merge patch for {id}: {}",
                    places.join(", ")
                ))
            }
        }
    }

    /// A hint at the object that a patch may have meant.
    fn close_to(&self, context: &Context<'_>, id: &ResId) -> String {
        let tree = &context.tree;
        let same_kind: Vec<&Resource> = self
            .list
            .iter()
            .filter(|resource| node::kind(tree, resource.root) == id.gvk.kind)
            .collect();
        let name = |resource: &Resource| node::name(tree, resource.root).to_owned();
        if let Some(same_name) = same_kind.iter().find(|one| name(one) == id.name) {
            return format!("; there is {}", same_name.id(context));
        }
        let names: Vec<String> = same_kind.iter().map(|one| name(one)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        suggestion(&id.name, &names)
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
        let behavior = resource.behavior.unwrap_or_default();
        let words = match behavior {
            Behavior::Create => "create",
            Behavior::Replace => "replace",
            Behavior::Merge => "merge",
            Behavior::Unspecified => "unspecified",
        };
        match (&found[..], behavior) {
            ([], Behavior::Merge | Behavior::Replace) => fail(format!(
                "{id} does not exist; cannot merge or replace (behavior: {words})"
            )),
            ([], _) => self.append(context, resource),
            ([at], Behavior::Merge | Behavior::Replace) => {
                let old = &self.list[*at];
                let is_merge = behavior == Behavior::Merge;
                let origin = node::annotation(&context.tree, old.root, provenance::ORIGIN)
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
                        provenance::set_origin(&mut context.tree, resource.root, &origin)?;
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
            put_data(tree, copy, "data", &key, &encode(value.as_bytes()))?;
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
    let mut merged: BTreeMap<String, String> = entries(tree, old).into_iter().collect();
    merged.extend(entries(tree, new));
    node::clear(tree, new, field)?;
    for (key, value) in merged {
        put_data(tree, new, field, &key, &value)?;
    }
    Ok(())
}
