//! What a set knows of its objects, so that finding one does not mean to look at all. Must not decide what fits: it
//! names those that may.

use std::collections::{HashMap, HashSet};

use crate::kustomize::context::Context;
use crate::kustomize::id::{Gvk, ResId};
use crate::kustomize::node;
use crate::kustomize::resource::Resource;
use crate::yaml::Tree;

/// What makes two objects of one set the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    gvk: Gvk,
    name: String,
    namespace: String,
}

impl Key {
    pub fn of(id: ResId) -> Self {
        let namespace = id.effective_namespace().to_owned();
        Self {
            gvk: id.gvk,
            name: id.name,
            namespace,
        }
    }
}

/// How many objects have each identity.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    counts: HashMap<Key, usize>,
    /// The objects beyond the first of an identity.
    repeated: usize,
}

impl Identities {
    pub fn of(list: &[Resource], context: &Context<'_>) -> Self {
        let mut identities = Self {
            counts: HashMap::with_capacity(list.len()),
            repeated: 0,
        };
        for resource in list {
            if !resource.is_gone(&context.tree) {
                identities.add(Key::of(resource.id(context)));
            }
        }
        identities
    }

    /// Whether it is the first of its identity.
    pub fn add(&mut self, key: Key) -> bool {
        let count = self.counts.entry(key).or_insert(0);
        *count += 1;
        self.repeated += usize::from(*count > 1);
        *count == 1
    }

    pub fn remove(&mut self, key: &Key) {
        let Some(count) = self.counts.get_mut(key) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(key);
        } else {
            self.repeated -= 1;
        }
    }

    pub fn is_unique(&self) -> bool {
        self.repeated == 0
    }
}

/// The positions of the objects by every name that they have or had. A position may be there for a name that its object
/// lost again.
#[derive(Clone, Debug, Default)]
pub struct Names(HashMap<String, Vec<usize>>);

impl Names {
    pub fn of(list: &[Resource], tree: &Tree) -> Self {
        let mut names = Self(HashMap::with_capacity(list.len()));
        for (at, resource) in list.iter().enumerate() {
            names.note(at, resource, tree);
        }
        names
    }

    /// Notes the names of the object at a position.
    pub fn note(&mut self, at: usize, resource: &Resource, tree: &Tree) {
        let current = node::name(tree, resource.root);
        let mut noted: HashSet<&str> = HashSet::new();
        let previous = resource.previous.iter().map(|previous| &*previous.name);
        for name in previous.chain([current]) {
            if resource.previous.len() > 1 && !noted.insert(name) {
                continue;
            }
            let positions = match self.0.get_mut(name) {
                Some(positions) => positions,
                None => self.0.entry(name.to_owned()).or_default(),
            };
            if let Err(place) = positions.binary_search(&at) {
                positions.insert(place, at);
            }
        }
    }

    /// The positions of the objects that may have, or have had, this name, in order.
    pub fn positions(&self, name: &str) -> &[usize] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}
