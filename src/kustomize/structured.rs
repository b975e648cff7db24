//! Values inside of JSON or YAML that stands in a text field, such as a file in a `ConfigMap`.

use serde_json::Value;

use super::error::{Result, fail};
use super::node;
use super::path::find;
use crate::yaml::{Kind, Limits, NodeId, Tree, parse_with_comments, to_block, to_value};

/// A node as YAML text, without the line break at the end.
pub fn text_of(tree: &Tree, id: NodeId) -> String {
    to_block(tree, id).trim().to_owned()
}

/// Puts the value where a path leads through a text; an error if it leads through none.
pub fn put(
    tree: &mut Tree,
    object: NodeId,
    set: &mut dyn FnMut(&mut Tree, NodeId) -> Result<()>,
    path: &[String],
    create: Option<Kind>,
    limits: &Limits,
) -> Result<()> {
    for split in 1..path.len() {
        let Ok(Some(holder)) = node::lookup(tree, object, &path[..split], None) else {
            continue;
        };
        if tree.kind(holder) != Kind::Scalar {
            continue;
        }
        let text = tree.text(holder).to_owned();
        let Ok(Some(inner)) = parse_with_comments(&text, limits) else {
            continue;
        };
        let root = tree.import(&inner.tree, inner.root);
        let targets = find(tree, root, &path[split..], create, limits)?;
        if targets.is_empty() {
            return fail("unable to find field in structured data");
        }
        for target in targets {
            set(tree, target)?;
        }
        let new = if text.trim_start().starts_with(['{', '[']) {
            let value = to_value(tree, root)?;
            if text.contains('\n') && text.contains("  ") {
                let mut out = String::new();
                pretty(&value, 0, &mut out);
                out
            } else {
                super::hash::go_json(&value)
            }
        } else {
            to_block(tree, root).trim().to_owned()
        };
        tree.set_made_text(holder, new);
        return Ok(());
    }
    fail("no structured data found in path")
}

/// JSON with two spaces for each level, as Go writes it.
fn pretty(value: &Value, level: usize, out: &mut String) {
    let indent = |level: usize, out: &mut String| {
        out.push('\n');
        out.push_str(&"  ".repeat(level));
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                indent(level + 1, out);
                out.push_str(&super::hash::go_json(&Value::String(key.clone())));
                out.push_str(": ");
                pretty(value, level + 1, out);
            }
            indent(level, out);
            out.push('}');
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                indent(level + 1, out);
                pretty(value, level + 1, out);
            }
            indent(level, out);
            out.push(']');
        }
        other => out.push_str(&super::hash::go_json(other)),
    }
}
