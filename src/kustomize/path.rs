//! Paths that lead to many nodes: fields, list indices, `*`, and `[field=regular expression]`.

use super::error::{Result, fail};
use super::node;
use super::regex::Regex;
use super::structured::text_of;
use crate::yaml::{Kind, Limits, NodeId, Style, Tree, parse};

/// All nodes that a path leads to: fields, list indices, `*`, and `[field=regular expression]`.
pub fn find(
    tree: &mut Tree,
    id: NodeId,
    path: &[String],
    create: Option<Kind>,
    limits: &Limits,
) -> Result<Vec<NodeId>> {
    let Some((part, rest)) = path.split_first() else {
        return Ok(vec![id]);
    };
    let next = rest.first().map(String::as_str);
    if let Ok(index) = part.parse::<i64>()
        && let Ok(index) = usize::try_from(index)
    {
        node::demand(tree, id, Kind::Seq)?;
        let length = tree.elements(id).len();
        if length == index
            && let Some(kind) = create
        {
            let made = tree.empty(node::part_kind(next, kind));
            tree.node_mut(id).items.push(made);
        }
        return match tree.elements(id).get(index).copied() {
            Some(element) => find(tree, element, rest, create, limits),
            None => fail(format!(
                "index {index} specified but only {length} elements found"
            )),
        };
    }
    if node::is_list_index(part) {
        return find_elements(tree, id, part, rest, create, limits);
    }
    if part == "*" {
        node::demand(tree, id, Kind::Seq)?;
        let mut found = Vec::new();
        for element in tree.elements(id).to_vec() {
            found.extend(find(tree, element, rest, create, limits)?);
        }
        return Ok(found);
    }
    let field = if let Some(field) = node::field(tree, id, part, None)? {
        field
    } else {
        let Some(kind) = create.filter(|_| tree.kind(id) == Kind::Map) else {
            return Ok(Vec::new());
        };
        let made = tree.empty(node::part_kind(next, kind));
        tree.append_field(id, part, Style::Plain, made);
        made
    };
    if tree.kind(field) == Kind::Scalar && !tree.node(field).is_null() && !rest.is_empty() {
        // What stands in a text is looked at, but a change to it is lost.
        let text = tree.text(field).to_owned();
        let inner = parse(&text, "", limits)?;
        let Some(inner) = inner else {
            return fail("there is nothing in the text");
        };
        let root = tree.import(&inner.tree, inner.root);
        return find(tree, root, rest, create, limits);
    }
    find(tree, field, rest, create, limits)
}

fn find_elements(
    tree: &mut Tree,
    list: NodeId,
    part: &str,
    rest: &[String],
    create: Option<Kind>,
    limits: &Limits,
) -> Result<Vec<NodeId>> {
    let (name, pattern) = node::split_list_index(part)?;
    node::demand(tree, list, Kind::Seq)?;
    let regex = match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => return fail(format!("`{pattern}` {error}")),
    };
    for attempt in 0..2 {
        let mut found = Vec::new();
        for element in tree.elements(list).to_vec() {
            if name.is_empty() {
                if regex.is_match(&text_of(tree, element)) {
                    found.push(element);
                }
                continue;
            }
            let Some(field) = tree.get(element, name) else {
                continue;
            };
            if regex.is_match(&text_of(tree, field)) {
                found.extend(find(tree, element, rest, create, limits)?);
            }
        }
        if !found.is_empty() || create.is_none() || attempt == 1 {
            return Ok(found);
        }
        node::add_element(tree, list, name, pattern);
    }
    Ok(Vec::new())
}
