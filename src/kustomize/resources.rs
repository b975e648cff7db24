//! Sets of objects in the order in which they came, each with one identity.

mod index;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};

use super::context::Context;
use super::decode::suggestion;
use super::error::{BuildError, Problems, Result, fail};
use super::generate::{add_data, encode, put_data};
use super::id::ResId;
use super::node;
use super::provenance;
use super::resource::{Behavior, Resource};
use super::selector::{Matcher, Selector};
use crate::yaml::{Kind, NodeId, Tree};
use index::{Identities, Key, Names};

/// Objects in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    list: Vec<Resource>,
    /// As long as nothing but [`Self::change`] changed the objects.
    identities: Option<Identities>,
    names: OnceCell<Names>,
    changed: Changed,
}

/// Which objects may have gone.
#[derive(Clone, Debug)]
enum Changed {
    Any,
    At(Vec<usize>),
}

impl Default for Changed {
    fn default() -> Self {
        Self::At(Vec::new())
    }
}

impl Resources {
    pub fn list(&self) -> &[Resource] {
        &self.list
    }

    /// Objects that may be changed, and the set that forgets what it knew of them.
    pub fn list_mut(&mut self) -> &mut Vec<Resource> {
        self.identities = None;
        self.names = OnceCell::new();
        self.changed = Changed::Any;
        &mut self.list
    }

    /// Changes the object at one position; what is known of the others stays.
    pub fn change<T>(
        &mut self,
        context: &mut Context<'_>,
        at: usize,
        change: impl FnOnce(&mut Context<'_>, &mut Resource) -> Result<T>,
    ) -> Result<T> {
        if let Some(identities) = &mut self.identities {
            identities.remove(&Key::of(self.list[at].id(context)));
        }
        let result = change(context, &mut self.list[at])?;
        let resource = &self.list[at];
        if let Some(identities) = &mut self.identities
            && !resource.is_gone(&context.tree)
        {
            identities.add(Key::of(resource.id(context)));
        }
        if let Some(names) = self.names.get_mut() {
            names.note(at, resource, &context.tree);
        }
        if let Changed::At(positions) = &mut self.changed {
            positions.push(at);
        }
        Ok(result)
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
        let identities = self
            .identities
            .get_or_insert_with(|| Identities::of(list, context));
        let id = resource.id(context);
        let key = Key::of(id.clone());
        if !identities.add(key.clone()) {
            identities.remove(&key);
            let there = self.positions(&context.tree, &id.name).iter();
            let there = there
                .map(|at| &list[*at])
                .find(|there| there.id(context).same(&id));
            let first = there.map_or_else(String::new, |there| {
                format!("; the first is in {}", there.origin)
            });
            let error = BuildError::new(format!(
                "may not add resource with an already registered id: {id}{first}"
            ));
            return Err(resource.origin.place(error).into());
        }
        if let Some(names) = self.names.get_mut() {
            names.note(self.list.len(), &resource, &context.tree);
        }
        if let Changed::At(positions) = &mut self.changed {
            positions.push(self.list.len());
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

    /// Errors where two objects have one identity.
    pub fn check_unique(&mut self, context: &Context<'_>) -> Result<()> {
        let list = &self.list;
        let identities = self
            .identities
            .get_or_insert_with(|| Identities::of(list, context));
        if identities.is_unique() {
            return Ok(());
        }
        let list = std::mem::take(self).into_list();
        self.append_all(context, list)
    }

    /// Lets deleted objects go.
    pub fn drop_gone(&mut self, tree: &Tree) {
        let is_gone = |resource: &Resource| resource.is_gone(tree);
        let any = match &self.changed {
            Changed::Any => self.list.iter().any(is_gone),
            Changed::At(positions) => positions.iter().any(|at| is_gone(&self.list[*at])),
        };
        if any {
            self.list_mut().retain(|resource| !is_gone(resource));
        }
        self.changed = Changed::default();
    }

    /// The positions of the objects that may have, or have had, this name, in order; of all if there is none.
    pub fn named(&self, tree: &Tree, name: Option<&str>) -> Cow<'_, [usize]> {
        match name {
            Some(name) => Cow::Borrowed(self.positions(tree, name)),
            None => Cow::Owned((0..self.list.len()).collect()),
        }
    }

    fn positions(&self, tree: &Tree, name: &str) -> &[usize] {
        let names = self.names.get_or_init(|| Names::of(&self.list, tree));
        names.positions(name)
    }

    /// The positions of the objects that have, or ever had, an identity of this name that `matches` accepts.
    pub fn matching_any_id(
        &self,
        context: &Context<'_>,
        name: &str,
        matches: impl Fn(&ResId) -> bool,
    ) -> Vec<usize> {
        let tree = &context.tree;
        let positions = self.positions(tree, name).iter().copied().filter(|at| {
            let resource = &self.list[*at];
            !resource.is_gone(tree)
                && (resource.previous_named(tree, name).any(|id| matches(&id))
                    || (node::name(tree, resource.root) == name && matches(&resource.id(context))))
        });
        positions.collect()
    }

    /// The position of the one object that has, or ever had, the identity that a patch names.
    pub fn target_of(&self, context: &Context<'_>, patch: &Resource) -> Result<usize> {
        let id = patch.original_id(context);
        let found = self.matching_any_id(context, &id.name, |other| id.same(other));
        let target = match found[..] {
            [one] => Ok(one),
            [] => fail(format!(
                "no resource matches the strategic merge patch for {id}{}",
                self.close_to(context, &id)
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
        };
        target.map_err(|errors| errors.each(|error| patch.origin.place(error)))
    }

    /// The positions of the objects that now have one of the identities.
    pub fn with_identities(&self, context: &Context<'_>, ids: &HashSet<ResId>) -> Vec<usize> {
        let mut positions: Vec<usize> = ids
            .iter()
            .flat_map(|id| self.positions(&context.tree, &id.name))
            .copied()
            .collect();
        positions.sort_unstable();
        positions.dedup();
        positions.retain(|at| {
            let resource = &self.list[*at];
            !resource.is_gone(&context.tree) && ids.contains(&resource.id(context))
        });
        positions
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
        for &position in self.named(tree, matcher.literal_name()).iter() {
            let resource = &self.list[position];
            let (current, original) = (resource.id(context), resource.original_id(context));
            let namespace = |id: &ResId| matcher.namespace(id.effective_namespace());
            if !resource.is_gone(tree)
                && (namespace(&original) || namespace(&current))
                && (matcher.name(&original.name) || matcher.name(&current.name))
                && matcher.gvk(&current.gvk)
                && matcher.fits(tree, resource.root)
            {
                selected.push(position);
            }
        }
        Ok(selected)
    }

    /// Adds a generated object, or merges it into the one there is, as its behavior says.
    pub fn absorb(&mut self, context: &mut Context<'_>, mut resource: Resource) -> Result<()> {
        let id = resource.id(context);
        let found = self.matching_any_id(context, &id.name, |other| id.same(other));
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
                let mut current = self.positions(&context.tree, &id.name).iter();
                let is_alone = current
                    .all(|there| there == at || !self.list[*there].id(context).same(&id))
                    && self.list[*at].id(context).same(&id);
                if !is_alone {
                    return fail(format!(
                        "{id} does not have one object that a generator can replace"
                    ));
                }
                self.change(context, *at, |_, there| {
                    *there = resource;
                    Ok(())
                })
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
        add_data(tree, new, field, &key, &value)?;
    }
    Ok(())
}
