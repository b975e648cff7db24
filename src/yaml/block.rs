//! The text that kyaml writes for nodes: fields in their order, scalars and collections in the style they have.

use super::resolve::resolve;
use super::tree::{Kind, Node, NodeId, Style, Tag, Tree};
use super::writer::quoted;

/// The YAML text of a node, ending in a line break.
pub fn to_block(tree: &Tree, id: NodeId) -> String {
    let mut out = String::new();
    let node = tree.node(id);
    if is_block(node) {
        collection(tree, id, 0, true, &mut out);
        let first = node.items.first().and_then(|first| tree.comments(*first));
        for line in first.map_or(&[][..], |comments| &comments.end) {
            out.push_str(line);
            out.push('\n');
        }
    } else {
        leaf(tree, id, 2, false, false, &mut out);
        out.push('\n');
    }
    out
}

fn is_block(node: &Node) -> bool {
    matches!(node.kind, Kind::Map | Kind::Seq)
        && !node.items.is_empty()
        && node.style != Style::Flow
}

fn collection(tree: &Tree, id: NodeId, indent: usize, inline: bool, out: &mut String) {
    let mut inline = inline;
    let space = " ".repeat(indent);
    let mut apart = false;
    let mut start = |out: &mut String, apart: bool, entry: NodeId| {
        if apart {
            out.push('\n');
        }
        if let Some(comments) = tree
            .comments(entry)
            .filter(|comments| !comments.head.is_empty())
        {
            for line in &comments.head {
                if !inline && !line.is_empty() {
                    out.push_str(&space);
                }
                inline = false;
                out.push_str(line);
                out.push('\n');
            }
        }
        if !inline {
            out.push_str(&space);
        }
        inline = false;
    };
    let line_comment = |out: &mut String, entry: NodeId| {
        if let Some(text) = tree
            .comments(entry)
            .and_then(|comments| comments.line.as_ref())
        {
            out.push(' ');
            out.push_str(text);
        }
    };
    let foot = |out: &mut String, entry: NodeId| {
        let lines = tree
            .comments(entry)
            .map_or(&[][..], |comments| &comments.foot);
        for line in lines {
            out.push_str(&space);
            out.push_str(line);
            out.push('\n');
        }
        !lines.is_empty()
    };
    if tree.kind(id) == Kind::Map {
        for (key, value) in tree.pairs(id) {
            start(out, apart, key);
            leaf(tree, key, indent + 2, true, false, out);
            out.push(':');
            let node = tree.node(value);
            if is_block(node) {
                line_comment(out, key);
                out.push('\n');
                let below = if node.kind == Kind::Seq {
                    indent
                } else {
                    indent + 2
                };
                collection(tree, value, below, false, out);
            } else {
                let before = out.len();
                out.push(' ');
                leaf(tree, value, indent + 2, false, false, out);
                if out.len() == before + 1 {
                    out.pop();
                }
                end_leaf(tree, key, before, out);
            }
            apart = foot(out, key);
        }
        return;
    }
    for element in tree.elements(id) {
        start(out, apart, *element);
        out.push_str("- ");
        if is_block(tree.node(*element)) {
            collection(tree, *element, indent + 2, true, out);
        } else {
            let before = out.len();
            leaf(tree, *element, indent + 2, false, false, out);
            end_leaf(tree, *element, before, out);
        }
        apart = foot(out, *element);
    }
}

/// Ends the line of a leaf that starts at `before`, with the comment of its entry behind it or its first line.
fn end_leaf(tree: &Tree, entry: NodeId, before: usize, out: &mut String) {
    let comment = tree
        .comments(entry)
        .and_then(|comments| comments.line.as_ref());
    if let Some(text) = comment {
        let at = out[before..]
            .find('\n')
            .map_or(out.len(), |end| before + end);
        out.insert_str(at, &format!(" {text}"));
    }
    if !out.ends_with('\n') {
        out.push('\n');
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

fn tag_text(tag: &Tag) -> Option<String> {
    Some(match tag {
        Tag::Str => "!!str".to_owned(),
        Tag::Int => "!!int".to_owned(),
        Tag::Float => "!!float".to_owned(),
        Tag::Bool => "!!bool".to_owned(),
        Tag::Null => "!!null".to_owned(),
        Tag::Timestamp => "!!timestamp".to_owned(),
        Tag::Binary => "!!binary".to_owned(),
        Tag::Other(name) => name.to_string(),
        Tag::None | Tag::Merge | Tag::Map | Tag::Seq => return None,
    })
}

fn scalar(node: &Node, indent: usize, one_line: bool, flow: bool, out: &mut String) {
    let text = &*node.text;
    let meaning = resolve(text).tag();
    let ambiguous = node.tag == Tag::Str && !node.style.is_quoted() && meaning != Tag::Str;
    let says_more = match node.tag {
        Tag::None => false,
        Tag::Str => node.tagged,
        _ => node.tagged || node.tag != meaning,
    };
    if says_more && let Some(tag) = tag_text(&node.tag) {
        out.push_str(&tag);
        out.push(' ');
    }
    let wants_block = matches!(node.style, Style::Literal | Style::Folded)
        || (node.style == Style::Plain && text.contains('\n'));
    let style = match node.style {
        _ if wants_block && one_line => Style::Double,
        Style::Folded => Style::Folded,
        _ if wants_block => Style::Literal,
        Style::Plain | Style::Flow if ambiguous => Style::Double,
        other => other,
    };
    out.push_str(&quoted(text, style, indent, flow));
}
