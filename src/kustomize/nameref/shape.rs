//! Whether objects have the shape that references are looked for in. kustomize looks for them also where nothing was
//! renamed, and refuses what has another shape; to find that out takes less than to look for the references.

use std::collections::HashMap;

use crate::kustomize::config::Config;
use crate::kustomize::fieldspec::split_path;
use crate::kustomize::id::Gvk;
use crate::yaml::{Kind, NodeId, Tree};

/// The fields of one kind that may hold references, what their paths begin with only once.
#[derive(Default)]
struct Fields {
    /// A path ends here.
    ends: bool,
    below: Vec<(String, Fields)>,
}

impl Fields {
    fn of(config: &Config, gvk: &Gvk) -> Self {
        let mut fields = Self::default();
        let specs = config.name_reference.iter().flat_map(|(_, specs)| specs);
        for spec in specs.filter(|spec| gvk.is_selected(&spec.gvk)) {
            fields.add(&split_path(&spec.path, '/'));
        }
        fields
    }

    fn add(&mut self, path: &[String]) {
        let Some((first, rest)) = path.split_first() else {
            self.ends = true;
            return;
        };
        let name = first.strip_suffix("[]").unwrap_or(first);
        let at = self.below.iter().position(|(there, _)| there == name);
        let at = at.unwrap_or_else(|| {
            self.below.push((name.to_owned(), Self::default()));
            self.below.len() - 1
        });
        self.below[at].1.add(rest);
    }

    fn fit(&self, tree: &Tree, id: NodeId) -> bool {
        let node = tree.node(id);
        node.is_null()
            || ((!self.ends || is_reference(tree, id))
                && (self.below.is_empty() || self.fit_below(tree, id)))
    }

    fn fit_below(&self, tree: &Tree, id: NodeId) -> bool {
        let node = tree.node(id);
        match node.kind {
            _ if node.is_null() => true,
            Kind::Seq => node.items.iter().all(|item| self.fit_below(tree, *item)),
            Kind::Map => self.below.iter().all(|(name, fields)| {
                !name.is_empty()
                    && tree
                        .get(id, name)
                        .is_none_or(|value| fields.fit(tree, value))
            }),
            _ => false,
        }
    }
}

/// Whether a node is a name, a map with a name, or a list of those.
fn is_reference(tree: &Tree, id: NodeId) -> bool {
    let is_one = |id: NodeId| match tree.kind(id) {
        _ if tree.node(id).is_null() => true,
        Kind::Scalar => true,
        Kind::Map => tree.get(id, "name").is_some(),
        _ => false,
    };
    match tree.kind(id) {
        Kind::Seq => tree.elements(id).iter().all(|element| is_one(*element)),
        _ => is_one(id),
    }
}

/// The fields of each kind that was asked for.
pub(super) struct Shapes<'c> {
    config: &'c Config,
    of_kinds: HashMap<Gvk, Fields>,
}

impl<'c> Shapes<'c> {
    pub(super) fn new(config: &'c Config) -> Self {
        Self {
            config,
            of_kinds: HashMap::new(),
        }
    }

    pub(super) fn fit(&mut self, tree: &Tree, object: NodeId, gvk: &Gvk) -> bool {
        if let Some(fields) = self.of_kinds.get(gvk) {
            return fields.fit(tree, object);
        }
        let fields = Fields::of(self.config, gvk);
        let fits = fields.fit(tree, object);
        self.of_kinds.insert(gvk.clone(), fields);
        fits
    }
}
