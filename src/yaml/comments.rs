//! Comments of a document, for texts that are written back: which entry each of them belongs to.

use super::tree::{Kind, NodeId, Style, Tree};

/// The comments of one entry: a key of a map, or an element of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comments {
    /// Lines in front of it, empty ones between groups.
    pub head: Vec<String>,
    /// Behind it, on its line.
    pub line: Option<String>,
    /// Lines behind it and all that is in it.
    pub foot: Vec<String>,
    /// Of the first entry of a document: lines at its end.
    pub end: Vec<String>,
}

/// A comment as it stands in the text, with `#`.
#[derive(Clone, Debug)]
pub struct Raw {
    pub line: u32,
    pub column: u32,
    pub text: String,
}

struct Entry {
    id: NodeId,
    line: u32,
    column: u32,
}

/// Gives every comment to an entry.
#[inline(never)]
pub fn attach(tree: &mut Tree, root: NodeId, raw: Vec<Raw>, text: &str) {
    if raw.is_empty() {
        return;
    }
    let lines: Vec<&str> = text.lines().collect();
    let mut entries = Vec::new();
    collect(tree, root, &lines, &mut entries);
    entries.sort_by_key(|entry| (entry.line, entry.column));
    let mut groups: Vec<Vec<Raw>> = Vec::new();
    for comment in raw {
        let on_line = entries
            .partition_point(|entry| (entry.line, entry.column) <= (comment.line, comment.column));
        let before = on_line.checked_sub(1).map(|at| &entries[at]);
        if let Some(entry) = before.filter(|entry| entry.line == comment.line) {
            tree.comments_mut(entry.id).line = Some(comment.text);
            continue;
        }
        match groups.last_mut() {
            Some(group)
                if group.last().is_some_and(|last| {
                    last.line + 1 == comment.line && last.column == comment.column
                }) =>
            {
                group.push(comment);
            }
            _ => groups.push(vec![comment]),
        }
    }
    let is_blank = |line: u32| {
        let text = (line as usize).checked_sub(1).and_then(|at| lines.get(at));
        text.is_some_and(|text| text.trim().is_empty())
    };
    for group in groups {
        let adjacent = group.first().is_some_and(|first| !is_blank(first.line - 1));
        place(tree, &entries, group, adjacent);
    }
}

/// `adjacent`: there is no empty line in front of the group.
fn place(tree: &mut Tree, entries: &[Entry], group: Vec<Raw>, adjacent: bool) {
    let (Some(first), Some(last)) = (group.first(), group.last()) else {
        return;
    };
    let (column, first_line, last_line) = (first.column, first.line, last.line);
    let lines: Vec<String> = group.into_iter().map(|comment| comment.text).collect();
    let behind = entries.partition_point(|entry| entry.line < first_line);
    let next = entries.get(behind);
    let next_line = next.map_or(0, |entry| entry.line);
    let beside = entries[behind..]
        .iter()
        .take_while(|entry| entry.line == next_line)
        .find(|entry| entry.column == column);
    let follows = |entry: &&Entry| entry.line == last_line + 1 || (!adjacent && behind > 0);
    if let Some(entry) = beside.filter(follows) {
        tree.comments_mut(entry.id).head.extend(lines);
        return;
    }
    if next.is_none() && !adjacent {
        // Behind everything, and apart from it.
        if let Some(entry) = entries.first() {
            let comments = tree.comments_mut(entry.id);
            comments.end.push(String::new());
            comments.end.extend(lines);
        }
        return;
    }
    let before = entries[..behind]
        .iter()
        .rev()
        .find(|entry| entry.column <= column);
    if let Some(entry) = before.or(entries[..behind].last()) {
        tree.comments_mut(entry.id).foot.extend(lines);
    } else if let Some(entry) = next {
        let comments = tree.comments_mut(entry.id);
        comments.head.extend(lines);
        if entry.line > last_line + 1 {
            comments.head.push(String::new());
        }
    }
}

/// The column of the dash in front of an element.
fn dash_column(lines: &[&str], line: u32, column: u32) -> Option<u32> {
    let text = lines.get((line as usize).checked_sub(1)?)?;
    let before: String = text
        .chars()
        .take((column as usize).checked_sub(1)?)
        .collect();
    let indent = before.trim_end().strip_suffix('-')?;
    u32::try_from(indent.chars().count() + 1).ok()
}

fn collect(tree: &Tree, id: NodeId, lines: &[&str], entries: &mut Vec<Entry>) {
    let node = tree.node(id);
    if node.style == Style::Flow {
        return;
    }
    match node.kind {
        Kind::Map => {
            for (key, value) in tree.pairs(id) {
                let place = tree.node(key).place;
                entries.push(Entry {
                    id: key,
                    line: place.line,
                    column: place.column,
                });
                collect(tree, value, lines, entries);
            }
        }
        Kind::Seq => {
            for element in tree.elements(id) {
                let place = tree.node(*element).place;
                entries.push(Entry {
                    id: *element,
                    line: place.line,
                    column: dash_column(lines, place.line, place.column)
                        .unwrap_or(node.place.column),
                });
                collect(tree, *element, lines, entries);
            }
        }
        _ => {}
    }
}
