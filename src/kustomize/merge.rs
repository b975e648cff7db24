//! Strategic merge of one object into another, as kyaml does it: maps by field, lists by the keys of the schema,
//! `$patch` directives, nulls that take fields away.

use std::collections::{BTreeSet, HashSet};

use super::error::{BuildError, Result};
use super::node;
use super::schema::{SchemaAt, Schemas};
use crate::yaml::{Kind, Node, NodeId, Style, Tag, Tree};

const DIRECTIVE: &str = "$patch";

/// Merges `patch` into `target`; the result, or `None` if the patch deletes it. Both may be changed.
pub fn merge(
    tree: &mut Tree,
    schemas: &Schemas,
    target: NodeId,
    patch: NodeId,
) -> Result<Option<NodeId>> {
    let merged = Walker { tree, schemas }.walk([Some(target), Some(patch)], None)?;
    Ok(merged.map(|merged| merged.id))
}

/// What became of a node.
#[derive(Clone, Copy)]
struct Merged {
    id: NodeId,
    /// A null that stays.
    keep: bool,
}

impl From<NodeId> for Merged {
    fn from(id: NodeId) -> Self {
        Self { id, keep: false }
    }
}

/// The node that is changed, and what it is merged with.
type Sources = [Option<NodeId>; 2];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

struct Walker<'w, 's> {
    tree: &'w mut Tree,
    schemas: &'s Schemas,
}

impl<'s> Walker<'_, 's> {
    fn is_missing(&self, id: Option<NodeId>) -> bool {
        id.is_none_or(|id| self.tree.node(id).is_null())
    }

    fn schema(&self, sources: Sources, schema: Option<SchemaAt<'s>>) -> Option<SchemaAt<'s>> {
        schema.or_else(|| {
            sources.into_iter().flatten().find_map(|id| {
                let (api_version, kind) =
                    (node::api_version(self.tree, id), node::kind(self.tree, id));
                if api_version.is_empty() || kind.is_empty() {
                    return None;
                }
                self.schemas.of_kind(api_version, kind)
            })
        })
    }

    fn walk(&mut self, sources: Sources, schema: Option<SchemaAt<'s>>) -> Result<Option<Merged>> {
        let schema = self.schema(sources, schema);
        let first = sources
            .into_iter()
            .find(|id| !self.is_missing(*id))
            .flatten();
        let kind = first.map_or(Kind::Empty, |id| self.tree.kind(id));
        if kind != Kind::Empty {
            for id in sources.into_iter().flatten() {
                node::demand(self.tree, id, kind)?;
            }
        }
        match kind {
            Kind::Map | Kind::Empty => self.walk_map(sources, schema),
            Kind::Seq => match schema.and_then(SchemaAt::merge_keys) {
                Some(keys) => self.walk_list(sources, schema, keys),
                None => Ok(sources[1].or(sources[0]).map(Merged::from)),
            },
            Kind::Scalar => Ok(sources[1].or(sources[0]).map(Merged::from)),
        }
    }

    fn visit_map(&mut self, [dest, origin]: Sources) -> Result<Option<Merged>> {
        if self.is_missing(dest) {
            if self
                .directive(origin)
                .is_ok_and(|directive| directive == Directive::Delete)
            {
                return Ok(None);
            }
            if let (Some(dest), None) = (dest, origin) {
                let text = self.tree.node(dest).text.clone();
                if !text.is_empty() {
                    let id = self.tree.add(Node::scalar(text, Tag::Null));
                    return Ok(Some(Merged { id, keep: true }));
                }
            }
            return Ok(origin.map(Merged::from));
        }
        if origin.is_some_and(|origin| self.tree.node(origin).is_null()) {
            return Ok(None);
        }
        Ok(match self.directive(origin)? {
            Directive::Delete => None,
            Directive::Replace => origin.map(Merged::from),
            Directive::Merge => dest.map(Merged::from),
        })
    }

    fn walk_map(
        &mut self,
        sources: Sources,
        schema: Option<SchemaAt<'s>>,
    ) -> Result<Option<Merged>> {
        let Some(dest) = self.visit_map(sources)? else {
            return Ok(None);
        };
        let sources = [Some(dest.id), sources[1]];
        let names: BTreeSet<String> = sources
            .into_iter()
            .flatten()
            .flat_map(|id| self.tree.pairs(id))
            .map(|(key, _)| self.tree.text(key).to_owned())
            .collect();
        for name in names {
            let pair = |id: Option<NodeId>| {
                let mut pairs = self.tree.pairs(id?);
                pairs.find(|(key, _)| self.tree.text(*key) == name)
            };
            let pairs = sources.map(pair);
            let fields = pairs.map(|pair| pair.map(|(_, value)| value));
            let value = self.walk(fields, schema.and_then(|schema| schema.field(&name)))?;
            let Some(value) =
                value.filter(|value| value.keep || !self.tree.node(value.id).is_null())
            else {
                node::clear(self.tree, dest.id, &name)?;
                continue;
            };
            if fields[0] == Some(value.id) {
                continue;
            }
            if value.keep {
                node::set_field_as_is(self.tree, dest.id, &name, Style::Plain, value.id)?;
                continue;
            }
            let key = pairs
                .into_iter()
                .flatten()
                .find(|(_, field)| *field == value.id);
            let key_style = key.map_or(Style::Plain, |(key, _)| self.tree.node(key).style);
            node::set_field_styled(self.tree, dest.id, &name, key_style, value.id)?;
        }
        Ok(Some(dest))
    }

    fn walk_list(
        &mut self,
        sources: Sources,
        schema: Option<SchemaAt<'s>>,
        keys: &[String],
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
        if keys.is_empty() {
            let values = self.scalar_values(sources);
            self.merge_elements(values, &[String::new()], sources, dest, schema)
        } else {
            let values = self.key_values(sources, keys);
            self.merge_elements(values, keys, sources, dest, schema)
        }
    }

    /// The values of the keys of all elements, those of the patch first, each once.
    fn key_values(&self, [dest, origin]: Sources, keys: &[String]) -> Vec<Vec<String>> {
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
        keys: &[String],
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
        let mut valid_keys: Vec<String> = Vec::new();
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

    fn find_element(&self, list: NodeId, keys: &[String], values: &[String]) -> Option<NodeId> {
        let elements = self.tree.elements(list).iter().copied();
        if keys.first().is_none_or(String::is_empty) {
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
    fn append_elements(&mut self, into: NodeId, from: NodeId, keys: &[String]) -> Result<()> {
        for element in self.tree.elements(from).to_vec() {
            if keys.first().is_none_or(String::is_empty) {
                let text = self.tree.text(element).to_owned();
                self.set_element(into, Some(element), &[String::new()], &[text])?;
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
    fn set_element(
        &mut self,
        list: NodeId,
        element: Option<NodeId>,
        keys: &[String],
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

    fn has_values(&mut self, element: NodeId, keys: &[String], values: &[String]) -> Result<bool> {
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

    /// The `$patch` directive of a patch, which is taken out of it.
    fn directive(&mut self, patch: Option<NodeId>) -> Result<Directive> {
        let Some(patch) = patch else {
            return Ok(Directive::Merge);
        };
        match self.tree.kind(patch) {
            Kind::Map => {
                let Some(value) = self.tree.get(patch, DIRECTIVE) else {
                    return Ok(Directive::Merge);
                };
                let directive = self.parse_directive(value)?;
                self.tree.remove(patch, DIRECTIVE);
                Ok(directive)
            }
            Kind::Seq => {
                let elements = self.tree.elements(patch);
                let Some(holder) = elements
                    .iter()
                    .copied()
                    .find(|element| self.tree.get(*element, DIRECTIVE).is_some())
                else {
                    return Ok(Directive::Merge);
                };
                let Some(value) = self
                    .tree
                    .get(holder, DIRECTIVE)
                    .filter(|_| self.tree.node(holder).items.len() <= 2)
                else {
                    return Ok(Directive::Merge);
                };
                let directive = self.parse_directive(value)?;
                let text = self.tree.text(value).to_owned();
                self.set_element(patch, None, &[DIRECTIVE.to_owned()], &[text])?;
                Ok(directive)
            }
            _ => Err(
                BuildError::new("a `$patch` directive can only stand in a map or a list")
                    .at(self.tree.node(patch).place)
                    .into(),
            ),
        }
    }

    fn parse_directive(&self, value: NodeId) -> Result<Directive> {
        match self.tree.text(value) {
            "delete" => Ok(Directive::Delete),
            "replace" => Ok(Directive::Replace),
            "merge" => Ok(Directive::Merge),
            other => Err(BuildError::new(format!(
                "unknown patch strategy `{other}`: `$patch` is one of delete, replace, merge"
            ))
            .at(self.tree.node(value).place)
            .into()),
        }
    }
}

/// Elements that agree in one key and do not contradict each other in the rest are the same.
fn complete_values(values: &mut [Vec<String>]) {
    for i in 0..values.len() {
        for j in 0..values.len() {
            if let Some(both) = complete(&values[i], &values[j]) {
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
fn used_keys(values: &[Vec<String>], keys: &[String]) -> Vec<bool> {
    let mut used = vec![false; keys.len()];
    for of_element in values {
        for (used, value) in used.iter_mut().zip(of_element) {
            *used |= !value.is_empty();
        }
    }
    used
}

/// The keys that are used, with their values; all keys if none is.
fn valid(used: &[bool], values: &[String], keys: &[String]) -> (Vec<String>, Vec<String>) {
    if !used.contains(&true) {
        return (keys.to_vec(), values.to_vec());
    }
    let pick = |list: &[String]| {
        let picked = list.iter().zip(used).filter(|(_, used)| **used);
        picked.map(|(item, _)| item.clone()).collect()
    };
    (pick(keys), pick(values))
}
