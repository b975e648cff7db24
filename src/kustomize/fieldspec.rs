//! Fields of objects that a transformer looks at, and the walk to them.

use super::error::{BuildError, Result, fail};
use super::id::{Gvk, Word, split_api_version};
use super::node;
use crate::yaml::{Kind, NodeId, Tag, Tree};

/// A field of some kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSpec {
    pub gvk: Gvk,
    pub path: Word,
    /// Make the field where it is missing.
    pub create: bool,
}

impl FieldSpec {
    pub fn of(path: &'static str, create: bool) -> Self {
        Self {
            gvk: Gvk::default(),
            path: path.into(),
            create,
        }
    }
}

/// Adds fields that are not there yet. The same field with another `create` is an error.
pub fn merge_all(into: &mut Vec<FieldSpec>, more: &[FieldSpec]) -> Result<()> {
    for spec in more {
        merge_one(into, spec)?;
    }
    Ok(())
}

pub fn merge_one(into: &mut Vec<FieldSpec>, spec: &FieldSpec) -> Result<()> {
    match into
        .iter()
        .find(|there| there.path == spec.path && there.gvk.is_selected(&spec.gvk))
    {
        Some(there) if there.create != spec.create => fail(format!(
            "conflicting fieldspecs: `{}` of {} is configured both with and without `create`",
            spec.path, spec.gvk
        )),
        Some(_) => Ok(()),
        None => {
            into.push(spec.clone());
            Ok(())
        }
    }
}

/// Splits a path at the delimiter unless a backslash stands in front of it.
pub fn split_path(path: &str, delimiter: char) -> Vec<String> {
    let mut parts = path.split(delimiter);
    let mut result: Vec<String> = Vec::new();
    let mut first = parts.next().unwrap_or_default();
    if first.is_empty()
        && let Some(next) = parts.next()
    {
        first = next;
    }
    result.push(first.to_owned());
    for part in parts {
        match result.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push(delimiter);
                last.push_str(part);
            }
            _ => result.push(part.to_owned()),
        }
    }
    result
}

/// Like [`split_path`], but `[a.b=c.d]` stays in one piece, and `[a.b]` becomes the field `a.b`.
pub fn split_field_path(path: &str) -> Vec<String> {
    let parts = split_path(path, '.');
    let mut result = Vec::new();
    let mut parts = parts.into_iter().peekable();
    while let Some(part) = parts.next() {
        if !part.starts_with('[') || part.ends_with(']') {
            result.push(part);
            continue;
        }
        let mut joined = part;
        for more in parts.by_ref() {
            joined.push('.');
            joined.push_str(&more);
            if more.ends_with(']') {
                break;
            }
        }
        result.push(if joined.contains('=') {
            joined
        } else {
            joined.trim_matches(['[', ']']).to_owned()
        });
    }
    result
}

/// What is made at the end of a path that is missing.
#[derive(Clone, Debug)]
pub struct Create {
    pub kind: Kind,
    pub tag: Tag,
}

type Set<'s> = dyn FnMut(&mut Tree, NodeId) -> Result<()> + 's;

/// Calls `set` for every node that the field leads to in `object`, if the object is of its kinds.
pub fn apply(
    tree: &mut Tree,
    object: NodeId,
    spec: &FieldSpec,
    create: Option<&Create>,
    set: &mut Set<'_>,
) -> Result<()> {
    if !selects(tree, object, &spec.gvk) {
        return Ok(());
    }
    let path = split_path(&spec.path, '/');
    node::check_path(&path)?;
    let create = create.filter(|_| spec.create);
    walk(tree, object, &path, create, set).map_err(|errors| {
        let words = format!("field `{}` of {}", spec.path, node::describe(tree, object));
        errors.context(&words)
    })
}

fn selects(tree: &Tree, object: NodeId, gvk: &Gvk) -> bool {
    let (group, version) = split_api_version(node::api_version(tree, object));
    (gvk.kind.is_empty() || gvk.kind == node::kind(tree, object))
        && (gvk.group.is_empty() || gvk.group == group)
        && (gvk.version.is_empty() || gvk.version == version)
}

fn walk(
    tree: &mut Tree,
    id: NodeId,
    path: &[String],
    create: Option<&Create>,
    set: &mut Set<'_>,
) -> Result<()> {
    let Some((part, rest)) = path.split_first() else {
        return set(tree, id);
    };
    if tree.node(id).is_null() {
        return Ok(());
    }
    match tree.kind(id) {
        Kind::Seq => {
            for element in tree.elements(id).to_vec() {
                walk(tree, element, path, create, set)?;
            }
            Ok(())
        }
        Kind::Map => {
            let (name, list) = match part.strip_suffix("[]") {
                Some(name) => (name, true),
                None => (part.as_str(), false),
            };
            if name.is_empty() {
                return fail("an empty field name");
            }
            let made = match create {
                Some(_) if list => None,
                Some(create) if rest.is_empty() => Some(create.clone()),
                Some(_) => Some(Create {
                    kind: Kind::Map,
                    tag: Tag::Map,
                }),
                None => None,
            };
            let Some(field) = node::lookup(tree, id, &[name], made.as_ref().map(|made| made.kind))?
            else {
                return Ok(());
            };
            let fill = if list && made.is_none() {
                Some(Create {
                    kind: Kind::Seq,
                    tag: Tag::None,
                })
            } else {
                made
            };
            if let Some(fill) = fill
                && tree.node(field).is_null()
            {
                let node = tree.node_mut(field);
                node.kind = fill.kind;
                node.tag = fill.tag;
            }
            walk(tree, field, rest, create, set)
        }
        _ => Err(
            BuildError::new(format!("`{part}`: a map or a list is expected"))
                .at(tree.node(id).place)
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_paths() {
        assert_eq!(split_path("a/b\\/c/d", '/'), ["a", "b/c", "d"]);
        assert_eq!(split_path("/a/b", '/'), ["a", "b"]);
        assert_eq!(split_field_path("a.[x=b.c].d"), ["a", "[x=b.c]", "d"]);
        assert_eq!(split_field_path("a.[b.c].d"), ["a", "b.c", "d"]);
        assert_eq!(split_field_path("a.b\\.c"), ["a", "b.c"]);
    }
}
