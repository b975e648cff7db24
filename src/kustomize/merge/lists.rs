//! Lists that merge by the keys of their elements.

use std::collections::{HashMap, HashSet};

use super::{Directive, Merged, Sources, Walker};
use crate::kustomize::error::Result;
use crate::kustomize::id::Word;
use crate::kustomize::node;
use crate::kustomize::schema::SchemaAt;
use crate::yaml::{Kind, NodeId, Tag, Text};

impl<'s> Walker<'_, 's> {
    pub(super) fn walk_list(
        &mut self,
        sources: Sources,
        schema: Option<SchemaAt<'s>>,
        keys: &[Word],
    ) -> Result<Option<Merged>> {
        let [dest, origin] = sources;
        let dest = if self.is_missing(dest) {
            origin
        } else if origin.is_some_and(|origin| self.tree.node(origin).is_null()) {
            None
        } else {
            match self.directive(origin)? {
                Directive::Delete => None,
                Directive::Replace => origin,
                Directive::Merge => dest,
            }
        };
        let Some(dest) = dest else { return Ok(None) };
        let sources = [Some(dest), origin];
        let key = match keys {
            [] => Some(""),
            [key] => Some(&**key),
            _ => None,
        };
        if let Some(key) = key
            && let Some(elements) = self.keyed(sources, key)
        {
            self.merge_keyed(&elements, key, dest, schema)
        } else if keys.is_empty() {
            let values = self.scalar_values(sources);
            self.merge_elements(values, &[Word::default()], sources, dest, schema)
        } else {
            let values = self.key_values(sources, keys);
            self.merge_elements(values, keys, sources, dest, schema)
        }
    }

    /// The elements of lists in which each is a map with a value of its own for the key (or, where that is empty, such a
    /// value itself), those of the patch first; `None` if they are not so.
    fn keyed(&self, [dest, origin]: Sources, key: &str) -> Option<Keyed> {
        let mut keyed = Keyed::default();
        for (which, source) in [(1, origin), (0, dest)] {
            let Some(source) = source else { continue };
            for &element in self.tree.elements(source) {
                let value = if key.is_empty() {
                    element
                } else {
                    self.tree.get(element, key)?
                };
                let node = self.tree.node(value);
                if node.is_empty() || node.kind != Kind::Scalar || node.text.is_empty() {
                    return None;
                }
                let next = keyed.list.len();
                let at = *keyed.index.entry(node.text.clone()).or_insert(next);
                if at == next {
                    keyed.list.push((node.text.clone(), [None, None]));
                }
                if keyed.list[at].1[which].replace(element).is_some() {
                    return None;
                }
            }
        }
        Some(keyed)
    }

    /// What [`Self::merge_elements`] does, in time that grows with the elements.
    fn merge_keyed(
        &mut self,
        keyed: &Keyed,
        key: &str,
        dest: NodeId,
        schema: Option<SchemaAt<'s>>,
    ) -> Result<Option<Merged>> {
        if keyed.list.is_empty() {
            return Ok((!self.tree.node(dest).is_null()).then_some(Merged::from(dest)));
        }
        let added = self.tree.empty(Kind::Seq);
        let elements = schema.and_then(SchemaAt::elements);
        let mut items = Vec::with_capacity(keyed.list.len());
        for (value, pair) in &keyed.list {
            let merged = self.walk(*pair, elements)?.map(|merged| merged.id);
            let Some(merged) = merged.filter(|id| !self.is_empty_map(*id)) else {
                continue;
            };
            if self.tree.get(merged, key).is_none() {
                let value = self.tree.scalar(value, Tag::None);
                if key.is_empty() {
                    node::set_scalar(self.tree, merged, value)?;
                } else {
                    node::set_field(self.tree, merged, key, value)?;
                }
            }
            // The element that is there stays, also where the patch wants to be put in its place.
            items.push(pair[0].unwrap_or(merged));
        }
        self.tree.node_mut(added).items = items;
        Ok(Some(Merged::from(added)))
    }

    /// The values of the keys of all elements, those of the patch first, each once.
    fn key_values(&self, [dest, origin]: Sources, keys: &[Word]) -> Vec<Vec<String>> {
        let mut seen = HashSet::new();
        let mut values = Vec::new();
        for source in [origin, dest].into_iter().flatten() {
            for element in self.tree.elements(source) {
                let of_element: Vec<String> = keys
                    .iter()
                    .map(|key| match self.tree.get(*element, key) {
                        Some(value) if !self.tree.node(value).is_empty() => {
                            self.tree.text(value).to_owned()
                        }
                        _ => String::new(),
                    })
                    .collect();
                if seen.insert(of_element.clone()) {
                    values.push(of_element);
                }
            }
        }
        values
    }

    fn scalar_values(&self, [dest, origin]: Sources) -> Vec<Vec<String>> {
        let mut seen = HashSet::new();
        let mut values = Vec::new();
        for source in [origin, dest].into_iter().flatten() {
            for element in self.tree.elements(source) {
                let text = self.tree.text(*element).to_owned();
                if seen.insert(text.clone()) {
                    values.push(vec![text]);
                }
            }
        }
        values
    }

    fn merge_elements(
        &mut self,
        mut values: Vec<Vec<String>>,
        keys: &[Word],
        sources: Sources,
        dest: NodeId,
        schema: Option<SchemaAt<'s>>,
    ) -> Result<Option<Merged>> {
        let added = self.tree.empty(Kind::Seq);
        let elements = schema.and_then(SchemaAt::elements);
        if keys.len() > 1 {
            complete_values(&mut values);
        }
        let used = used_keys(&values, keys);
        let mut valid_keys: Vec<Word> = Vec::new();
        for of_element in &values {
            let valid_values;
            (valid_keys, valid_values) = valid(&used, of_element, keys);
            let (match_keys, match_values) = valid(
                &used_keys(std::slice::from_ref(&valid_values), &valid_keys),
                &valid_values,
                &valid_keys,
            );
            let pair = sources.map(|source| self.find_element(source?, &match_keys, &match_values));
            let merged = self.walk(pair, elements)?.map(|merged| merged.id);
            let Some(merged) = merged.filter(|id| !self.is_empty_map(*id)) else {
                self.set_element(dest, None, &valid_keys, &valid_values)?;
                continue;
            };
            for (key, value) in valid_keys.iter().zip(&valid_values) {
                if self.tree.get(merged, key).is_none() && !value.is_empty() {
                    let value = self.tree.scalar(value, Tag::None);
                    if key.is_empty() {
                        node::set_scalar(self.tree, merged, value)?;
                    } else {
                        node::set_field(self.tree, merged, key, value)?;
                    }
                }
            }
            self.set_element(added, Some(merged), &valid_keys, &valid_values)?;
        }
        if values.is_empty() {
            return Ok((!self.tree.node(dest).is_null()).then_some(Merged::from(dest)));
        }
        self.append_elements(added, dest, &valid_keys)?;
        Ok(Some(Merged::from(added)))
    }

    fn is_empty_map(&self, id: NodeId) -> bool {
        let node = self.tree.node(id);
        node.is_null() || (node.kind == Kind::Map && node.items.is_empty())
    }

    fn find_element(&self, list: NodeId, keys: &[Word], values: &[String]) -> Option<NodeId> {
        let elements = self.tree.elements(list).iter().copied();
        if keys.first().is_none_or(|key| key.is_empty()) {
            let value = values.first().map_or("", String::as_str);
            return elements
                .into_iter()
                .find(|element| self.tree.text(*element) == value);
        }
        elements.into_iter().find(|element| {
            !self.tree.node(*element).is_null()
                && keys.iter().zip(values).all(|(key, value)| {
                    self.tree
                        .get(*element, key)
                        .is_some_and(|field| self.tree.text(field) == value)
                })
        })
    }

    /// Puts the elements of `from` into `into`: where the keys are the same, instead of the one that is there.
    fn append_elements(&mut self, into: NodeId, from: NodeId, keys: &[Word]) -> Result<()> {
        for element in self.tree.elements(from).to_vec() {
            if keys.first().is_none_or(|key| key.is_empty()) {
                let text = self.tree.text(element).to_owned();
                self.set_element(into, Some(element), &[Word::default()], &[text])?;
                continue;
            }
            let mut values = Vec::new();
            for key in keys {
                match node::field(self.tree, element, key, None)? {
                    Some(value) => values.push(self.tree.text(value).to_owned()),
                    None => self.tree.node_mut(into).items.push(element),
                }
            }
            if keys.len() > 1 {
                self.set_element(into, None, keys, &values)?;
            }
            self.set_element(into, Some(element), keys, &values)?;
        }
        Ok(())
    }

    /// Replaces the elements with these keys by `element`, takes them out if that is `None`, or adds it at the end.
    pub(super) fn set_element(
        &mut self,
        list: NodeId,
        element: Option<NodeId>,
        keys: &[Word],
        values: &[String],
    ) -> Result<()> {
        let by_key = keys.first().is_some_and(|key| !key.is_empty())
            && values.first().is_some_and(|value| !value.is_empty());
        let mut items = Vec::new();
        let mut found_any = false;
        for there in self.tree.elements(list).to_vec() {
            if self.is_empty_map(there) {
                continue;
            }
            if by_key && self.tree.kind(there) != Kind::Map {
                items.push(there);
                continue;
            }
            if !self.has_values(there, keys, values)? {
                if !values.is_empty() {
                    items.push(there);
                }
                continue;
            }
            found_any = true;
            items.extend(element);
        }
        if let Some(element) = element
            && !self.tree.node(element).is_null()
            && !found_any
        {
            items.push(element);
        }
        self.tree.node_mut(list).items = items;
        Ok(())
    }

    fn has_values(&mut self, element: NodeId, keys: &[Word], values: &[String]) -> Result<bool> {
        if values.is_empty() {
            return Ok(false);
        }
        for (key, value) in keys.iter().zip(values) {
            if key.is_empty() {
                node::demand(self.tree, element, Kind::Scalar)?;
                if self.tree.text(element) != value {
                    return Ok(false);
                }
                continue;
            }
            let field = node::field(self.tree, element, key, None)?;
            if !field.is_some_and(|field| value.is_empty() || self.tree.text(field) == value) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Elements by the value of their key: the one that is there, and that of the patch.
#[derive(Default)]
struct Keyed {
    list: Vec<(Text, Sources)>,
    index: HashMap<Text, usize>,
}

/// Elements that agree in one key and do not contradict each other in the rest are the same.
fn complete_values(values: &mut [Vec<String>]) {
    for i in 0..values.len() {
        // As it was before this round: an element that lacks a key may stand for several others, the last of them in the end.
        let first = values[i].clone();
        for j in 0..values.len() {
            if let Some(both) = complete(&first, &values[j]) {
                values[i].clone_from(&both);
                values[j] = both;
            }
        }
    }
}

fn complete(a: &[String], b: &[String]) -> Option<Vec<String>> {
    let mut common = false;
    let mut result = Vec::new();
    for (a, b) in a.iter().zip(b) {
        if a == b {
            common = true;
        } else if !a.is_empty() && !b.is_empty() {
            return None;
        }
        result.push(if a.is_empty() { b.clone() } else { a.clone() });
    }
    common.then_some(result)
}

/// Which of the keys any element has.
fn used_keys(values: &[Vec<String>], keys: &[Word]) -> Vec<bool> {
    let mut used = vec![false; keys.len()];
    for of_element in values {
        for (used, value) in used.iter_mut().zip(of_element) {
            *used |= !value.is_empty();
        }
    }
    used
}

/// The keys that are used, with their values; all keys if none is.
fn valid(used: &[bool], values: &[String], keys: &[Word]) -> (Vec<Word>, Vec<String>) {
    if !used.contains(&true) {
        return (keys.to_vec(), values.to_vec());
    }
    (pick(keys, used), pick(values, used))
}

fn pick<T: Clone>(list: &[T], used: &[bool]) -> Vec<T> {
    let picked = list.iter().zip(used).filter(|(_, used)| **used);
    picked.map(|(item, _)| item.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::kustomize::schema::Schemas;
    use crate::yaml::{Limits, Tree, parse, to_value};

    /// Elements by name, each with what stands in it.
    fn list(elements: &[(u8, u8)]) -> String {
        let mut text = String::new();
        let mut seen = HashSet::new();
        for (name, content) in elements.iter().filter(|(name, _)| seen.insert(*name)) {
            let content = [
                "a: 1",
                "a: null",
                "b: {c: 2}",
                "b: null",
                "$patch: delete",
                "$patch: replace",
                "value: yes",
                "d: [1]",
            ][usize::from(*content)];
            let _ = write!(text, "{{name: n{name}, {content}}}, ");
        }
        format!("[{text}]")
    }

    fn merged(dest: &str, patch: &str, key: &str, fast: bool) -> Option<serde_json::Value> {
        let mut tree = Tree::new();
        let mut read = |text: &str| {
            let document = parse(text, "", &Limits::default()).ok()??;
            Some(tree.import(&document.tree, document.root))
        };
        let sources = [read(dest), read(patch)];
        let schemas = Schemas::default();
        let mut walker = Walker {
            tree: &mut tree,
            schemas: &schemas,
        };
        let dest = sources[0]?;
        let merged = if fast {
            let elements = walker.keyed(sources, key)?;
            walker.merge_keyed(&elements, key, dest, None)
        } else if key.is_empty() {
            let values = walker.scalar_values(sources);
            walker.merge_elements(values, &[Word::default()], sources, dest, None)
        } else {
            let keys = [Word::from(key.to_owned())];
            let values = walker.key_values(sources, &keys);
            walker.merge_elements(values, &keys, sources, dest, None)
        };
        let merged = merged.ok()??;
        to_value(&tree, merged.id).ok()
    }

    proptest! {
        #[test]
        fn keyed_lists_merge_as_all_lists_do(
            dest in prop::collection::vec((0_u8..6, 0_u8..8), 0..6),
            patch in prop::collection::vec((0_u8..6, 0_u8..8), 0..6),
        ) {
            let (dest, patch) = (list(&dest), list(&patch));
            let fast = merged(&dest, &patch, "name", true);
            prop_assert!(fast.is_some());
            prop_assert_eq!(fast, merged(&dest, &patch, "name", false));
        }

        #[test]
        fn lists_of_scalars_merge_as_all_lists_do(
            dest in prop::collection::hash_set("[a-c1]{1,2}", 0..6),
            patch in prop::collection::hash_set("[a-c1]{1,2}", 0..6),
        ) {
            let text = |set: &HashSet<String>| {
                let mut words: Vec<&str> = set.iter().map(String::as_str).collect();
                words.sort_unstable();
                format!("[{}]", words.join(", "))
            };
            let (dest, patch) = (text(&dest), text(&patch));
            let fast = merged(&dest, &patch, "", true);
            prop_assert!(fast.is_some());
            prop_assert_eq!(fast, merged(&dest, &patch, "", false));
        }
    }
}
