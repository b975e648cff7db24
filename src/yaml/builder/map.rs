//! The end of a map: merge keys, and keys that occur twice.

use std::collections::{HashMap, HashSet};

use super::super::reader::Problem;
use super::super::tree::{Kind, NodeId, Tag};
use super::Builder;

impl Builder<'_> {
    /// Replaces merge keys by what they bring, and looks for keys that occur twice.
    pub(super) fn finish_map(&mut self, id: NodeId) -> Result<(), Problem> {
        let pairs: Vec<(NodeId, NodeId)> = self.tree.pairs(id).collect();
        if self.refuse_duplicates {
            for key in self.repeated(&pairs) {
                let text = &self.tree.node(key).text;
                let problem =
                    self.problem(key, format!("the key `{text}` occurs twice in one map"));
                self.problems.push(problem);
            }
        }
        let is_merge = |key: NodeId| self.tree.node(key).tag == Tag::Merge;
        match pairs.iter().find(|(key, _)| is_merge(*key)) {
            Some((_, value)) => self.merge(id, &pairs, *value),
            None => Ok(()),
        }
    }

    /// The keys that occurred before in the same map.
    fn repeated(&self, pairs: &[(NodeId, NodeId)]) -> Vec<NodeId> {
        let name = |(key, _): &(NodeId, NodeId)| {
            let node = self.tree.node(*key);
            (node.kind == Kind::Scalar, &*node.text)
        };
        let is_first = |at: usize| {
            !pairs[..at]
                .iter()
                .any(|pair| name(pair) == name(&pairs[at]))
        };
        // Most maps are so small that looking is faster than hashing.
        if pairs.len() <= 16 {
            let again = (0..pairs.len()).filter(|at| !is_first(*at));
            return again.map(|at| pairs[at].0).collect();
        }
        let mut seen = HashSet::with_capacity(pairs.len());
        let again = pairs.iter().filter(|pair| !seen.insert(name(pair)));
        again.map(|(key, _)| *key).collect()
    }

    /// Takes over the fields that a merge key names; own fields win.
    #[inline(never)]
    fn merge(
        &mut self,
        id: NodeId,
        pairs: &[(NodeId, NodeId)],
        value: NodeId,
    ) -> Result<(), Problem> {
        let is_merge = |key: NodeId| self.tree.node(key).tag == Tag::Merge;
        let sources = match self.tree.kind(value) {
            Kind::Map => vec![value],
            Kind::Seq => self.tree.elements(value).iter().rev().copied().collect(),
            _ => return Err(self.problem(value, "a merge key `<<` needs a map, or a list of maps")),
        };
        let mut merged: Vec<NodeId> = Vec::new();
        let mut index: HashMap<String, usize> = HashMap::new();
        let own: Vec<(NodeId, NodeId)> = pairs
            .iter()
            .copied()
            .filter(|(key, _)| !is_merge(*key))
            .collect();
        let mut fields = Vec::new();
        for source in sources {
            if self.tree.kind(source) != Kind::Map {
                return Err(self.problem(source, "a merge key `<<` needs a map, or a list of maps"));
            }
            fields.extend(self.tree.pairs(source));
        }
        for (key, value) in fields.into_iter().chain(own) {
            let name = self.tree.text(key).to_owned();
            if let Some(&at) = index.get(&name) {
                merged[at] = key;
                merged[at + 1] = value;
            } else {
                index.insert(name, merged.len());
                merged.extend([key, value]);
            }
        }
        self.tree.node_mut(id).items = merged;
        Ok(())
    }
}
