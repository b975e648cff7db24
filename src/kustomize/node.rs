//! The primitive operations on the nodes of an object: look up, create, set, clear. They follow kyaml to the letter,
//! because what a field becomes depends on tags and styles.

use super::error::{BuildError, Result};
use crate::yaml::{Kind, Node, NodeId, Style, Tag, Tree, needs_quotes_in_1_1};

/// How many parts a path to a field may have.
const MAX_PATH: usize = 128;

/// Errors for a path that is longer than any object is deep.
pub fn check_path<S>(path: &[S]) -> Result<()> {
    if path.len() <= MAX_PATH {
        return Ok(());
    }
    Err(BuildError::new(format!("a path of more than {MAX_PATH} parts")).into())
}

pub fn api_version(tree: &Tree, object: NodeId) -> &str {
    tree.get(object, "apiVersion")
        .map_or("", |id| tree.text(id))
}

pub fn kind(tree: &Tree, object: NodeId) -> &str {
    tree.get(object, "kind").map_or("", |id| tree.text(id))
}

/// The kind, as objects are checked for it: a null is none.
pub fn checked_kind(tree: &Tree, object: NodeId) -> &str {
    tree.get(object, "kind")
        .filter(|id| !tree.node(*id).is_null())
        .map_or("", |id| tree.text(id))
}

fn metadata<'t>(tree: &'t Tree, object: NodeId, field: &str) -> &'t str {
    tree.get(object, "metadata")
        .filter(|id| !tree.node(*id).is_empty())
        .and_then(|id| tree.get(id, field))
        .filter(|id| !tree.node(*id).is_empty())
        .map_or("", |id| tree.text(id))
}

pub fn name(tree: &Tree, object: NodeId) -> &str {
    metadata(tree, object, "name")
}

pub fn namespace(tree: &Tree, object: NodeId) -> &str {
    metadata(tree, object, "namespace")
}

/// `Deployment shop/api`, for messages.
pub fn describe(tree: &Tree, object: NodeId) -> String {
    let (kind, name, namespace) = (
        kind(tree, object),
        name(tree, object),
        namespace(tree, object),
    );
    if namespace.is_empty() {
        format!("{kind} {name}")
    } else {
        format!("{kind} {namespace}/{name}")
    }
}

pub fn wrong_kind(tree: &Tree, id: NodeId, expected: Kind) -> BuildError {
    let words = |kind| match kind {
        Kind::Scalar => "a scalar",
        Kind::Map => "a map",
        Kind::Seq => "a list",
        Kind::Empty => "nothing",
    };
    let node = tree.node(id);
    BuildError::new(format!(
        "{} is expected, but it is {}",
        words(expected),
        words(node.kind)
    ))
    .at(node.place)
}

/// Errors where the node is there, not null, and of another kind.
pub fn demand(tree: &Tree, id: NodeId, expected: Kind) -> Result<()> {
    let node = tree.node(id);
    if node.is_null() || node.kind == expected {
        Ok(())
    } else {
        Err(wrong_kind(tree, id, expected).into())
    }
}

fn index(part: &str) -> Option<i64> {
    part.parse().ok()
}

/// Whether a part of a path names an element of a list: `[name=value]`.
pub fn is_list_index(part: &str) -> bool {
    part.starts_with('[') && part.ends_with(']')
}

/// Field and value of `[field=value]`.
pub fn split_list_index(part: &str) -> Result<(&str, &str)> {
    let inner = part.strip_suffix(']').unwrap_or(part);
    let inner = inner.strip_prefix('[').unwrap_or(inner);
    inner.split_once('=').ok_or_else(|| {
        BuildError::new(format!(
            "`{part}`: an element of a list is named by [field=value]"
        ))
        .into()
    })
}

/// What a missing part of a path becomes, by the part that follows.
pub fn part_kind(next: Option<&str>, last: Kind) -> Kind {
    match next {
        Some(next) if is_list_index(next) || index(next).is_some_and(|index| index >= 0) => {
            Kind::Seq
        }
        None | Some("") => last,
        Some(_) => Kind::Map,
    }
}

/// The node at a path of fields, list indices, `-` for the last element and `[field=value]`; missing parts are made if
/// `create` says what the last of them is.
pub fn lookup<S: AsRef<str>>(
    tree: &mut Tree,
    id: NodeId,
    path: &[S],
    create: Option<Kind>,
) -> Result<Option<NodeId>> {
    check_path(path)?;
    let parts: Vec<&str> = path
        .iter()
        .map(|part| part.as_ref().trim())
        .filter(|part| !part.is_empty())
        .collect();
    let mut at = id;
    for (position, part) in parts.iter().enumerate() {
        let next = parts.get(position + 1).copied();
        let found = if let Some(index) = index(part) {
            demand(tree, at, Kind::Seq)?;
            if index < 0 {
                return Err(BuildError::new(format!("the list index {index} is negative")).into());
            }
            usize::try_from(index)
                .ok()
                .and_then(|index| tree.elements(at).get(index).copied())
        } else if *part == "-" {
            demand(tree, at, Kind::Seq)?;
            tree.elements(at).last().copied()
        } else if *part == "*" {
            return Err(BuildError::new("a wildcard is not supported here").into());
        } else if is_list_index(part) {
            element(tree, at, part, create)?
        } else {
            field(tree, at, part, create.map(|kind| part_kind(next, kind)))?
        };
        match found {
            Some(found) => at = found,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

fn element(
    tree: &mut Tree,
    list: NodeId,
    part: &str,
    create: Option<Kind>,
) -> Result<Option<NodeId>> {
    let (name, value) = split_list_index(part)?;
    demand(tree, list, Kind::Seq)?;
    let found = tree.elements(list).iter().copied().find(|element| {
        if name.is_empty() {
            tree.text(*element) == value
        } else {
            !tree.node(*element).is_null()
                && tree
                    .get(*element, name)
                    .is_some_and(|field| tree.text(field) == value)
        }
    });
    if found.is_some() || create.is_none() {
        return Ok(found);
    }
    Ok(Some(add_element(tree, list, name, value)))
}

/// Adds an element to a list: a map whose field `name` has this value, or the value itself where there is no name.
pub fn add_element(tree: &mut Tree, list: NodeId, name: &str, value: &str) -> NodeId {
    let scalar = tree.scalar(value, Tag::None);
    let made = if name.is_empty() {
        scalar
    } else {
        let map = tree.empty(Kind::Map);
        tree.append_field(map, name, Style::Plain, scalar);
        map
    };
    tree.node_mut(list).items.push(made);
    made
}

/// The value of a field; of null nothing, of what is no map an error.
pub fn field(
    tree: &mut Tree,
    map: NodeId,
    name: &str,
    create: Option<Kind>,
) -> Result<Option<NodeId>> {
    if tree.node(map).is_null() {
        return Ok(None);
    }
    demand(tree, map, Kind::Map)?;
    if let Some(found) = tree.get(map, name) {
        return Ok(Some(found));
    }
    let Some(kind) = create else { return Ok(None) };
    let made = tree.empty(kind);
    tree.append_field(map, name, Style::Plain, made);
    Ok(Some(made))
}

/// What YAML 1.1 takes for something else than text gets quotes.
pub fn quote_for_1_1(tree: &mut Tree, value: NodeId) {
    let node = tree.node(value);
    if node.is_string() && node.style == Style::Plain && needs_quotes_in_1_1(&node.text) {
        tree.node_mut(value).style = Style::Double;
    }
}

/// Gives a scalar another value; it keeps its style.
pub fn set_scalar(tree: &mut Tree, target: NodeId, value: NodeId) -> Result<()> {
    quote_for_1_1(tree, value);
    demand(tree, target, Kind::Scalar)?;
    if tree.node(value).is_null() {
        return Ok(());
    }
    let style = tree.node(target).style;
    tree.node_mut(value).style = style;
    tree.assign(target, value);
    Ok(())
}

/// Gives a scalar another text.
pub fn set_text(tree: &mut Tree, target: NodeId, text: &str, tag: Tag) -> Result<()> {
    let value = tree.scalar(text, tag);
    set_scalar(tree, target, value)
}

/// A field is called something: without a name kyaml sets the map itself, as if it were a scalar.
pub fn demand_name(tree: &Tree, map: NodeId, name: &str) -> Result<()> {
    if name.is_empty() {
        demand(tree, map, Kind::Scalar)
    } else {
        Ok(())
    }
}

/// Sets a field of a map; null clears it. A field that is there keeps its style.
pub fn set_field(tree: &mut Tree, map: NodeId, name: &str, value: NodeId) -> Result<()> {
    set_field_styled(tree, map, name, Style::Plain, value)
}

pub fn set_field_styled(
    tree: &mut Tree,
    map: NodeId,
    name: &str,
    key_style: Style,
    value: NodeId,
) -> Result<()> {
    quote_for_1_1(tree, value);
    demand_name(tree, map, name)?;
    if tree.node(value).is_null() {
        return clear(tree, map, name);
    }
    set_field_as_is(tree, map, name, key_style, value)
}

/// Sets a field of a map, also to null.
pub fn set_field_as_is(
    tree: &mut Tree,
    map: NodeId,
    name: &str,
    key_style: Style,
    value: NodeId,
) -> Result<()> {
    match field(tree, map, name, None)? {
        Some(there) => replace(tree, there, value),
        None => tree.append_field(map, name, key_style, value),
    }
    Ok(())
}

/// Puts a value in the place of the one there is; it keeps the style.
pub fn replace(tree: &mut Tree, there: NodeId, value: NodeId) {
    if there != value {
        let style = tree.node(there).style;
        tree.node_mut(value).style = style;
        tree.assign(there, value);
    }
}

/// Adds a field that a map is known not to have.
pub fn add_field(tree: &mut Tree, map: NodeId, name: &str, key_style: Style, value: NodeId) {
    quote_for_1_1(tree, value);
    tree.append_field(map, name, key_style, value);
}

/// Takes a field out of a map.
pub fn clear(tree: &mut Tree, map: NodeId, name: &str) -> Result<()> {
    demand(tree, map, Kind::Map)?;
    tree.remove(map, name);
    Ok(())
}

/// Sets the text at a path of fields, making what is missing.
pub fn set_at(tree: &mut Tree, object: NodeId, path: &[&str], text: &str) -> Result<()> {
    let Some((name, parents)) = path.split_last() else {
        return Ok(());
    };
    let Some(parent) = lookup(tree, object, parents, Some(Kind::Map))? else {
        return Ok(());
    };
    let value = tree.scalar(text, Tag::None);
    set_field(tree, parent, name, value)
}

/// Sets the namespace, or takes it away if it is empty.
pub fn set_namespace(tree: &mut Tree, object: NodeId, namespace: &str) -> Result<()> {
    if !namespace.is_empty() {
        return set_at(tree, object, &["metadata", "namespace"], namespace);
    }
    match tree.get(object, "metadata") {
        Some(metadata) => clear(tree, metadata, "namespace"),
        None => Ok(()),
    }
}

/// The labels or the annotations, as text.
pub fn metadata_map(tree: &Tree, object: NodeId, field: &str) -> Vec<(String, String)> {
    let Some(map) = tree
        .get(object, "metadata")
        .filter(|id| !tree.node(*id).is_empty())
        .and_then(|id| tree.get(id, field))
    else {
        return Vec::new();
    };
    tree.pairs(map)
        .map(|(key, value)| (tree.text(key).to_owned(), tree.text(value).to_owned()))
        .collect()
}

/// Replaces the labels or the annotations; none takes the field away.
pub fn set_metadata_map(
    tree: &mut Tree,
    object: NodeId,
    field: &str,
    map: &[(String, String)],
) -> Result<()> {
    let Some(metadata) = lookup(tree, object, &["metadata"], Some(Kind::Map))? else {
        return Ok(());
    };
    clear(tree, metadata, field)?;
    if map.is_empty() {
        return Ok(());
    }
    let made = tree.empty(Kind::Map);
    let mut sorted: Vec<&(String, String)> = map.iter().collect();
    sorted.sort();
    for (key, value) in sorted {
        let mut node = Node::scalar(value.as_str(), Tag::Str);
        if value.contains('\n') {
            node.style = Style::Literal;
        }
        let value = tree.add(node);
        set_field(tree, made, key, value)?;
    }
    tree.append_field(metadata, field, Style::Plain, made);
    Ok(())
}

/// The value of one annotation.
pub fn annotation<'t>(tree: &'t Tree, object: NodeId, name: &str) -> Option<&'t str> {
    let map = tree.at(object, &["metadata", "annotations"])?;
    tree.get(map, name).map(|value| tree.text(value))
}
