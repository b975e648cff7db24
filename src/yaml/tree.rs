//! Nodes in one arena. A node is referred to by its id, so parts can be moved, shared and changed in place.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;

use smol_str::SmolStr;

use super::comments::Comments;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Scalar,
    Map,
    Seq,
    /// Made, but not yet given a kind.
    Empty,
}

/// The tag of a node, explicit or resolved. `None` is decided when the value is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    None,
    Str,
    Int,
    Float,
    Bool,
    Null,
    Timestamp,
    Binary,
    Merge,
    Map,
    Seq,
    Other(Box<str>),
}

/// How a scalar or a collection was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Plain scalars, block collections.
    Plain,
    Single,
    Double,
    Literal,
    Folded,
    Flow,
}

impl Style {
    /// Whether a scalar of this style is a string whatever it says.
    pub fn is_quoted(self) -> bool {
        matches!(
            self,
            Style::Single | Style::Double | Style::Literal | Style::Folded
        )
    }
}

/// A position in a file; line and column count from 1, 0 is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: u32,
    pub column: u32,
}

/// The text of a node. Most are short, and lie in the node itself; what is longer is shared by its copies.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(SmolStr);

impl Text {
    /// Bytes of its own, outside of the node.
    fn size(&self) -> usize {
        if self.0.is_heap_allocated() {
            self.0.len()
        } else {
            0
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Kind,
    pub tag: Tag,
    /// The tag was written, not resolved.
    pub tagged: bool,
    pub style: Style,
    /// The text of a scalar.
    pub text: Text,
    /// The elements of a sequence; keys and values of a map in turn.
    pub items: Vec<NodeId>,
    pub place: Place,
}

impl Node {
    pub fn scalar(text: impl Into<Text>, tag: Tag) -> Self {
        Self {
            kind: Kind::Scalar,
            tag,
            text: text.into(),
            ..Self::of(Kind::Scalar)
        }
    }

    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            tag: Tag::None,
            tagged: false,
            style: Style::Plain,
            text: Text::default(),
            items: Vec::new(),
            place: Place::default(),
        }
    }

    pub fn is_null(&self) -> bool {
        self.tag == Tag::Null
    }

    /// Nothing in it: null, an empty map, an empty list, or a node that was only made.
    pub fn is_empty(&self) -> bool {
        self.is_null()
            || match self.kind {
                Kind::Map | Kind::Seq => self.items.is_empty(),
                Kind::Empty => self.tag == Tag::None && self.items.is_empty(),
                Kind::Scalar => false,
            }
    }

    /// A scalar that may be a string: tagged as one, or not tagged at all.
    pub fn is_string(&self) -> bool {
        self.kind == Kind::Scalar && matches!(self.tag, Tag::Str | Tag::None)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

/// An arena of nodes.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Bytes of text that were made for the nodes, not shared with others.
    text: usize,
    /// Of the nodes that have some, in documents that were read with them.
    comments: HashMap<NodeId, Comments>,
}

impl Tree {
    pub fn new() -> Self {
        Self::default()
    }

    /// How many nodes were made, those that are no longer reachable included.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// How many bytes of text were made, those that are no longer reachable included.
    pub fn text_size(&self) -> usize {
        self.text
    }

    /// Gives a node a text that was made for it.
    pub fn set_made_text(&mut self, id: NodeId, text: impl Into<Text>) {
        let text = text.into();
        self.text += text.size();
        self.node_mut(id).text = text;
    }

    pub fn add(&mut self, node: Node) -> NodeId {
        self.text += node.text.size();
        self.add_copy(node)
    }

    /// Adds a node that shares its text with the one that it is a copy of.
    pub fn add_copy(&mut self, node: Node) -> NodeId {
        let id = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(node);
        NodeId(id)
    }

    pub fn comments(&self, id: NodeId) -> Option<&Comments> {
        self.comments.get(&id)
    }

    pub fn comments_mut(&mut self, id: NodeId) -> &mut Comments {
        self.comments.entry(id).or_default()
    }

    pub fn scalar(&mut self, text: &str, tag: Tag) -> NodeId {
        self.add(Node::scalar(text, tag))
    }

    pub fn empty(&mut self, kind: Kind) -> NodeId {
        self.add(Node::of(kind))
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    pub fn kind(&self, id: NodeId) -> Kind {
        self.node(id).kind
    }

    pub fn text(&self, id: NodeId) -> &str {
        &self.node(id).text
    }

    /// The (key, value) pairs of a map; of anything else none.
    pub fn pairs(&self, id: NodeId) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        let node = self.node(id);
        let items: &[NodeId] = if node.kind == Kind::Map {
            &node.items
        } else {
            &[]
        };
        items.chunks_exact(2).map(|pair| (pair[0], pair[1]))
    }

    /// The elements of a sequence; of anything else none.
    pub fn elements(&self, id: NodeId) -> &[NodeId] {
        let node = self.node(id);
        if node.kind == Kind::Seq {
            &node.items
        } else {
            &[]
        }
    }

    /// The value of the first field of this name.
    pub fn get(&self, id: NodeId, name: &str) -> Option<NodeId> {
        self.pairs(id)
            .find(|(key, _)| self.text(*key) == name)
            .map(|(_, value)| value)
    }

    /// The value at a path of field names.
    pub fn at(&self, id: NodeId, path: &[&str]) -> Option<NodeId> {
        path.iter().try_fold(id, |id, name| self.get(id, name))
    }

    /// Adds a field at the end, or puts the value in the place of the one there is.
    pub fn put(&mut self, id: NodeId, name: &str, value: NodeId) {
        let found = self
            .node(id)
            .items
            .chunks_exact(2)
            .position(|pair| self.text(pair[0]) == name);
        if let Some(index) = found {
            self.node_mut(id).items[index * 2 + 1] = value;
        } else {
            self.append_field(id, name, Style::Plain, value);
        }
    }

    /// Adds a field at the end whether or not there is one of this name.
    pub fn append_field(&mut self, id: NodeId, name: &str, key_style: Style, value: NodeId) {
        let mut key = Node::scalar(name, Tag::None);
        key.style = key_style;
        let key = self.add(key);
        self.node_mut(id).items.extend([key, value]);
    }

    /// Takes the first field of this name out.
    pub fn remove(&mut self, id: NodeId, name: &str) -> Option<NodeId> {
        if self.kind(id) != Kind::Map {
            return None;
        }
        let index = self
            .node(id)
            .items
            .chunks_exact(2)
            .position(|pair| self.text(pair[0]) == name)?;
        let removed = self.node(id).items[index * 2 + 1];
        self.node_mut(id).items.drain(index * 2..index * 2 + 2);
        Some(removed)
    }

    /// Makes the node at `target` the same as the one at `source`, sharing what is below.
    pub fn assign(&mut self, target: NodeId, source: NodeId) {
        if target != source {
            self.nodes[target.0 as usize] = self.nodes[source.0 as usize].clone();
        }
    }

    /// A deep copy.
    pub fn copy(&mut self, id: NodeId) -> NodeId {
        let mut node = self.node(id).clone();
        for item in &mut node.items {
            *item = self.copy(*item);
        }
        let copy = self.add_copy(node);
        if let Some(comments) = self.comments.get(&id).cloned() {
            self.comments.insert(copy, comments);
        }
        copy
    }

    /// A deep copy of a node of another arena.
    pub fn import(&mut self, other: &Tree, id: NodeId) -> NodeId {
        let mut node = other.node(id).clone();
        for item in &mut node.items {
            *item = self.import(other, *item);
        }
        let copy = self.add_copy(node);
        if let Some(comments) = other.comments(id) {
            self.comments.insert(copy, comments.clone());
        }
        copy
    }

    /// How deep the deepest node below lies; a scalar has depth 1.
    pub fn depth(&self, id: NodeId) -> usize {
        1 + self
            .node(id)
            .items
            .iter()
            .map(|item| self.depth(*item))
            .max()
            .unwrap_or(0)
    }
}
