//! The text that kyaml writes for nodes: fields in their order, scalars and collections in the style they have.

use super::resolve::{Scalar, resolve};
use super::tree::{Kind, Node, NodeId, Style, Tag, Tree};
use super::writer::quoted;

/// The YAML text of a node, ending in a line break.
pub fn to_block(tree: &Tree, id: NodeId) -> String {
    let mut out = String::new();
    let node = tree.node(id);
    if is_block(node) {
        collection(tree, id, 0, true, &mut out);
    } else {
        leaf(tree, id, 2, false, false, &mut out);
        out.push('\n');
    }
    out
}

fn is_block(node: &Node) -> bool {
    matches!(node.kind, Kind::Map | Kind::Seq) && !node.items.is_empty() && node.style != Style::Flow
}

fn collection(tree: &Tree, id: NodeId, indent: usize, inline: bool, out: &mut String) {
    let mut inline = inline;
    let mut start = |out: &mut String| {
        if !inline {
            out.push_str(&" ".repeat(indent));
        }
        inline = false;
    };
    if tree.kind(id) == Kind::Map {
        for (key, value) in tree.pairs(id) {
            start(out);
            leaf(tree, key, indent + 2, true, false, out);
            out.push(':');
            let node = tree.node(value);
            if is_block(node) {
                out.push('\n');
                let below = if node.kind == Kind::Seq { indent } else { indent + 2 };
                collection(tree, value, below, false, out);
            } else {
                let before = out.len();
                out.push(' ');
                leaf(tree, value, indent + 2, false, false, out);
                if out.len() == before + 1 {
                    out.pop();
                }
                if !out.ends_with('\n') {
                    out.push('\n');
                }
            }
        }
        return;
    }
    for element in tree.elements(id) {
        start(out);
        out.push_str("- ");
        if is_block(tree.node(*element)) {
            collection(tree, *element, indent + 2, true, out);
        } else {
            leaf(tree, *element, indent + 2, false, false, out);
            if !out.ends_with('\n') {
                out.push('\n');
            }
        }
    }
}

fn leaf(tree: &Tree, id: NodeId, indent: usize, key: bool, flow: bool, out: &mut String) {
    let node = tree.node(id);
    match node.kind {
        Kind::Map => {
            out.push('{');
            for (index, (name, value)) in tree.pairs(id).enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                leaf(tree, name, indent, true, true, out);
                out.push_str(": ");
                leaf(tree, value, indent, false, true, out);
            }
            out.push('}');
        }
        Kind::Seq => {
            out.push('[');
            for (index, element) in tree.elements(id).iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                leaf(tree, *element, indent, false, true, out);
            }
            out.push(']');
        }
        Kind::Empty => out.push_str("null"),
        Kind::Scalar => scalar(node, indent, key || flow, flow, out),
    }
}

fn scalar(node: &Node, indent: usize, one_line: bool, flow: bool, out: &mut String) {
    let text = &*node.text;
    let ambiguous = node.tag == Tag::Str && !node.style.is_quoted() && resolve(text) != Scalar::Str;
    let wants_block = matches!(node.style, Style::Literal | Style::Folded) || (node.style == Style::Plain && text.contains('\n'));
    let style = match node.style {
        _ if wants_block && one_line => Style::Double,
        _ if wants_block => Style::Literal,
        Style::Plain | Style::Flow if ambiguous => Style::Double,
        other => other,
    };
    out.push_str(&quoted(text, style, indent, flow));
}
