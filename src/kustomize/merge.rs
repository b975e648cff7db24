//! Strategic merge of one object into another, as kyaml does it: maps by field, lists by the keys of the schema,
//! `$patch` directives, nulls that take fields away.

mod lists;

use super::error::{BuildError, Result};
use super::node;
use super::schema::{SchemaAt, Schemas};
use crate::yaml::{Kind, Node, NodeId, Style, Tag, Text, Tree};

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

/// A field of both maps: key and value in each.
struct Field {
    name: Text,
    pairs: [Option<(NodeId, NodeId)>; 2],
}

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
        for Field { name, pairs } in self.fields(sources) {
            node::demand_name(self.tree, dest.id, &name)?;
            let values = pairs.map(|pair| pair.map(|(_, value)| value));
            let in_comment = pairs
                .into_iter()
                .flatten()
                .find_map(|(key, _)| self.schema_in_comment(key));
            let schema = in_comment.or_else(|| schema.and_then(|schema| schema.field(&name)));
            let value = self.walk(values, schema)?;
            let Some(value) =
                value.filter(|value| value.keep || !self.tree.node(value.id).is_null())
            else {
                node::clear(self.tree, dest.id, &name)?;
                continue;
            };
            if !value.keep {
                node::quote_for_1_1(self.tree, value.id);
            }
            if values[0] == Some(value.id) {
                self.take_comment(pairs);
                continue;
            }
            if let Some(there) = values[0] {
                node::replace(self.tree, there, value.id);
                continue;
            }
            let key = pairs[1].filter(|(_, field)| *field == value.id && !value.keep);
            let key_style = key.map_or(Style::Plain, |(key, _)| self.tree.node(key).style);
            self.tree.append_field(dest.id, &name, key_style, value.id);
            if let Some((key, _)) = key {
                self.keep_comment(key, value.id, dest.id, &name);
            }
        }
        Ok(Some(dest))
    }

    /// The fields of both maps by their names, the first of each name.
    fn fields(&self, sources: Sources) -> Vec<Field> {
        let mut all: Vec<(&Text, usize, (NodeId, NodeId))> = Vec::new();
        for (which, source) in sources.into_iter().enumerate() {
            let pairs = source.into_iter().flat_map(|id| self.tree.pairs(id));
            all.extend(pairs.map(|pair| (&self.tree.node(pair.0).text, which, pair)));
        }
        all.sort_by(|a, b| a.0.cmp(b.0));
        let mut fields: Vec<Field> = Vec::with_capacity(all.len());
        for (name, which, pair) in all {
            if fields.last().is_none_or(|last| last.name != *name) {
                fields.push(Field {
                    name: name.clone(),
                    pairs: [None; 2],
                });
            }
            if let Some(last) = fields.last_mut() {
                last.pairs[which].get_or_insert(pair);
            }
        }
        fields
    }

    /// A comment behind a value on its line goes where the value goes.
    fn keep_comment(&mut self, key: NodeId, value: NodeId, dest: NodeId, name: &str) {
        let on_one_line =
            self.tree.kind(value) == Kind::Scalar || self.tree.node(value).style == Style::Flow;
        let line = self.tree.comments(key).and_then(|it| it.line.clone());
        let Some(line) = line.filter(|_| on_one_line) else {
            return;
        };
        let key = {
            let mut keys = self.tree.pairs(dest).map(|(key, _)| key);
            keys.find(|key| self.tree.text(*key) == name)
        };
        if let Some(key) = key {
            self.tree.comments_mut(key).line = Some(line);
        }
    }

    /// A collection of the patch on one line brings the comment behind it to what it was merged into: the comment stands at
    /// the value. That of a block stands at its key, and stays where it is.
    fn take_comment(&mut self, pairs: [Option<(NodeId, NodeId)>; 2]) {
        let [Some((key, there)), Some((from, value))] = pairs else {
            return;
        };
        let is_flow = |id: NodeId| {
            self.tree.kind(id) != Kind::Scalar && self.tree.node(id).style == Style::Flow
        };
        let line = self.tree.comments(from).and_then(|it| it.line.clone());
        let Some(line) = line.filter(|_| is_flow(value)) else {
            return;
        };
        let of_key = self.tree.comments(key).is_some_and(|it| it.line.is_some());
        if is_flow(there) || !of_key {
            self.tree.comments_mut(key).line = Some(line);
        }
    }

    /// The schema of a field whose comment is a JSON object: kyaml takes any such for one.
    fn schema_in_comment(&self, key: NodeId) -> Option<SchemaAt<'s>> {
        let comments = self.tree.comments(key)?;
        let text = match (&comments.line, &comments.head[..]) {
            (Some(line), _) => line,
            (None, [head]) => head,
            _ => return None,
        };
        let text = text.trim_start_matches('#').trim_start();
        if !text.starts_with('{') {
            return None;
        }
        let schema: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
        let reference = schema.get("$ref").and_then(serde_json::Value::as_str);
        (!schema.is_empty()).then(|| self.schemas.of_reference(reference))
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
                self.set_element(patch, None, &[DIRECTIVE.into()], &[text])?;
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
