//! From text to nodes: documents split as kustomize splits them, aliases and merge keys resolved, within a budget.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StructureStyle};

use super::comments::{Raw, attach};
use super::resolve::resolve;
use super::tree::{Kind, Node, NodeId, Place, Style, Tag, Tree};

/// How much one file may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub bytes: usize,
    /// Nodes, after aliases are replaced by what they stand for.
    pub nodes: usize,
    /// Levels of nesting.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            nodes: 4_000_000,
            depth: 128,
        }
    }
}

/// One document of a file.
#[derive(Clone, Debug)]
pub struct Document {
    pub tree: Tree,
    pub root: NodeId,
    /// The file has no other document, not even an empty one.
    pub alone: bool,
}

impl Document {
    /// The line on which the document's content starts.
    pub fn line(&self) -> u32 {
        self.tree.node(self.root).place.line
    }
}

/// One thing wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    pub place: Place,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        match self.place {
            Place { line: 0, .. } if self.file.is_empty() => {}
            Place { line: 0, .. } => f.write_str(" ")?,
            Place { line, column: 0 } => write!(f, "{line}: ")?,
            Place { line, column } => write!(f, "{line}:{column}: ")?,
        }
        f.write_str(&self.message)
    }
}

/// Everything wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct YamlErrors(pub Vec<Problem>);

/// The documents of a file of manifests. Documents without content are left out; a key that occurs twice is an error.
pub fn read(text: &[u8], file: &str, limits: &Limits) -> Result<Vec<Document>, YamlErrors> {
    let problem = |line: usize, message: String| Problem {
        file: file.to_owned(),
        place: Place {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: 0,
        },
        message,
    };
    let text = decode(text, limits).map_err(|message| YamlErrors(vec![problem(0, message)]))?;
    let text = if text.contains("\r\n") {
        Cow::Owned(text.replace("\r\n", "\n"))
    } else {
        text
    };
    let (parts, mut problems) = split(&text);
    for (_, problem) in &mut problems {
        file.clone_into(&mut problem.file);
    }
    let mut problems: Vec<Problem> = problems.into_iter().map(|(_, problem)| problem).collect();
    let mut documents = Vec::new();
    let alone = parts.len() == 1;
    let mut nodes_left = limits.nodes;
    for (part, line) in parts {
        let limits = Limits {
            nodes: nodes_left,
            ..*limits
        };
        match Builder::build(part, line, &limits, true) {
            Ok(Some(document)) => {
                nodes_left = nodes_left.saturating_sub(document.tree.size());
                documents.push(Document { alone, ..document });
            }
            Ok(None) => {}
            Err(found) => problems.extend(found.into_iter().map(|problem| Problem {
                file: file.to_owned(),
                ..problem
            })),
        }
    }
    if problems.is_empty() {
        Ok(documents)
    } else {
        Err(YamlErrors(problems))
    }
}

/// The first document of a text, `None` if there is nothing in it. Keys that occur twice stay.
pub fn parse(text: &str, file: &str, limits: &Limits) -> Result<Option<Document>, YamlErrors> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Builder::build(text, 0, limits, false).map_err(|problems| {
        YamlErrors(
            problems
                .into_iter()
                .map(|problem| Problem {
                    file: file.to_owned(),
                    ..problem
                })
                .collect(),
        )
    })
}

/// Like [`parse`], and the tree keeps the comments.
pub fn parse_with_comments(text: &str, limits: &Limits) -> Result<Option<Document>, YamlErrors> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::new(0, limits, false);
    builder.comments = Some(Vec::new());
    builder.run(text).map_err(YamlErrors)
}

/// UTF-8, or UTF-16 that says so by its byte-order mark.
pub(super) fn decode<'t>(bytes: &'t [u8], limits: &Limits) -> Result<Cow<'t, str>, String> {
    if bytes.len() > limits.bytes {
        return Err(format!(
            "{} bytes of YAML, more than the limit of {} bytes",
            bytes.len(),
            limits.bytes
        ));
    }
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let (units, _) = bytes[2..].as_chunks::<2>();
        String::from_utf16(&units.iter().map(|pair| unit(*pair)).collect::<Vec<_>>())
            .map(Cow::Owned)
            .map_err(|_| "the file starts as UTF-16 but is not".to_owned())
    };
    match bytes {
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    std::str::from_utf8(bytes)
        .map(Cow::Borrowed)
        .map_err(|error| {
            format!(
                "byte {} is not UTF-8; binary content belongs into a generator's `files`",
                error.valid_up_to()
            )
        })
}

type Parts<'t> = Vec<(&'t str, usize)>;

/// Splits at lines that start with `---`, as kustomize does before it parses: the parts with the lines before them.
fn split(text: &str) -> (Parts<'_>, Vec<(usize, Problem)>) {
    let mut parts = Vec::new();
    let mut problems = Vec::new();
    let (mut start, mut start_line, mut line, mut at) = (0, 0, 0, 0);
    while let Some(length) = text[at..].find('\n') {
        let next = at + length + 1;
        line += 1;
        if text[next..].starts_with("---") {
            // The separator has to end in a line break, too.
            let Some(end) = text[next..].find('\n') else {
                break;
            };
            let rest = text[next + 3..next + end].trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                problems.push((
                    line,
                    Problem {
                        file: String::new(),
                        place: Place {
                            line: u32::try_from(line + 1).unwrap_or(u32::MAX),
                            column: 1,
                        },
                        message: format!("invalid document separator: ---{rest}"),
                    },
                ));
            }
            parts.push((&text[start..next], start_line));
            start = next + end + 1;
            start_line = line + 1;
            line += 1;
            // A separator directly behind this one has no line break of its own in front: it is content.
            at = start;
            continue;
        }
        at = next;
    }
    parts.push((&text[start..], start_line));
    (parts, problems)
}

struct Builder<'l> {
    tree: Tree,
    anchors: HashMap<usize, NodeId>,
    /// The collections that are open, with the anchor that each defines.
    open: Vec<(NodeId, usize)>,
    root: Option<NodeId>,
    limits: &'l Limits,
    line_offset: usize,
    refuse_duplicates: bool,
    /// The comments, if they are wanted.
    comments: Option<Vec<Raw>>,
    problems: Vec<Problem>,
}

impl<'l> Builder<'l> {
    fn build(
        text: &str,
        line_offset: usize,
        limits: &'l Limits,
        refuse_duplicates: bool,
    ) -> Result<Option<Document>, Vec<Problem>> {
        Self::new(line_offset, limits, refuse_duplicates).run(text)
    }

    fn new(line_offset: usize, limits: &'l Limits, refuse_duplicates: bool) -> Self {
        Builder {
            tree: Tree::new(),
            anchors: HashMap::new(),
            open: Vec::new(),
            root: None,
            limits,
            line_offset,
            refuse_duplicates,
            comments: None,
            problems: Vec::new(),
        }
    }

    fn run(mut self, text: &str) -> Result<Option<Document>, Vec<Problem>> {
        let builder = &mut self;
        let limits = builder.limits;
        let mut options = granit_parser::Options::default();
        options.set_emit_comments(builder.comments.is_some());
        options.max_buffered_comment_events = limits.nodes;
        options.block_nesting_limit = limits.depth;
        options.flow_nesting_limit = limits.depth;
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|error| vec![builder.scan_problem(&error)])?;
            if matches!(event, Event::DocumentEnd) {
                break;
            }
            builder
                .event(event, span)
                .map_err(|problem| vec![problem])?;
        }
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let Some(root) = self.root else {
            return Ok(None);
        };
        if self.tree.node(root).is_null() {
            return Ok(None);
        }
        if let Some(comments) = self.comments {
            attach(&mut self.tree, root, comments, text);
        }
        Ok(Some(Document {
            tree: self.tree,
            root,
            alone: true,
        }))
    }

    fn scan_problem(&self, error: &ScanError) -> Problem {
        let marker = error.marker();
        Problem {
            file: String::new(),
            place: self.place(marker.line(), marker.col()),
            message: error.info().clone(),
        }
    }

    fn place(&self, line: usize, column: usize) -> Place {
        Place {
            line: u32::try_from(line + self.line_offset).unwrap_or(u32::MAX),
            column: u32::try_from(column + 1).unwrap_or(u32::MAX),
        }
    }

    fn problem(&self, id: NodeId, message: impl Into<String>) -> Problem {
        Problem {
            file: String::new(),
            place: self.tree.node(id).place,
            message: message.into(),
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let place = self.place(span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                // The parser writes `~` for what is not there at all.
                let absent = style == ScalarStyle::Plain && &*text == "~" && span.is_empty();
                let text = if absent { "" } else { &*text };
                let node = scalar(text, style, tag.as_deref(), place);
                let id = self.add(node)?;
                if anchor > 0 {
                    self.anchors.insert(anchor, id);
                }
                self.attach(id);
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.start(Kind::Seq, Tag::Seq, style, anchor, tag.as_deref(), place)?;
            }
            Event::MappingStart(style, anchor, tag) => {
                self.start(Kind::Map, Tag::Map, style, anchor, tag.as_deref(), place)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((id, anchor)) = self.open.pop() {
                    if self.tree.kind(id) == Kind::Map {
                        self.finish_map(id)?;
                    }
                    if anchor > 0 {
                        self.anchors.insert(anchor, id);
                    }
                    self.attach(id);
                }
            }
            Event::Alias(anchor) => {
                let Some(&target) = self.anchors.get(&anchor) else {
                    return Err(Problem {
                        file: String::new(),
                        place,
                        message: "an alias inside of what its anchor names".to_owned(),
                    });
                };
                let id = self.copy_alias(target)?;
                self.attach(id);
            }
            Event::Comment(text, _) => {
                if let Some(comments) = &mut self.comments {
                    comments.push(Raw {
                        line: place.line,
                        column: place.column,
                        text: format!("#{text}"),
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn start(
        &mut self,
        kind: Kind,
        default: Tag,
        style: StructureStyle,
        anchor: usize,
        tag: Option<&granit_parser::Tag>,
        place: Place,
    ) -> Result<(), Problem> {
        let explicit = tag.and_then(explicit_tag);
        let node = Node {
            tagged: explicit.is_some(),
            tag: explicit.unwrap_or(default),
            style: if style == StructureStyle::Flow {
                Style::Flow
            } else {
                Style::Plain
            },
            place,
            ..Node::of(kind)
        };
        let id = self.add(node)?;
        if self.open.len() >= self.limits.depth {
            return Err(self.problem(
                id,
                format!(
                    "nested deeper than the limit of {} levels",
                    self.limits.depth
                ),
            ));
        }
        self.open.push((id, anchor));
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<NodeId, Problem> {
        if self.tree.size() >= self.limits.nodes {
            return Err(Problem {
                file: String::new(),
                place: node.place,
                message: format!("more than the limit of {} nodes", self.limits.nodes),
            });
        }
        Ok(self.tree.add(node))
    }

    fn attach(&mut self, id: NodeId) {
        match self.open.last() {
            Some((parent, _)) => self.tree.node_mut(*parent).items.push(id),
            None => {
                self.root.get_or_insert(id);
            }
        }
    }

    fn copy_alias(&mut self, target: NodeId) -> Result<NodeId, Problem> {
        let mut node = self.tree.node(target).clone();
        for item in &mut node.items {
            *item = self.copy_alias(*item)?;
        }
        self.add(node)
    }

    /// Replaces merge keys by what they bring, and looks for keys that occur twice.
    fn finish_map(&mut self, id: NodeId) -> Result<(), Problem> {
        let pairs: Vec<(NodeId, NodeId)> = self.tree.pairs(id).collect();
        if self.refuse_duplicates {
            let mut seen: HashSet<(bool, &str)> = HashSet::with_capacity(pairs.len());
            for (key, _) in &pairs {
                let node = self.tree.node(*key);
                if !seen.insert((node.kind == Kind::Scalar, &node.text)) {
                    let problem = self.problem(
                        *key,
                        format!("the key `{}` occurs twice in one map", node.text),
                    );
                    self.problems.push(problem);
                }
            }
        }
        let is_merge = |key: NodeId| self.tree.node(key).tag == Tag::Merge;
        let Some(&(_, value)) = pairs.iter().find(|(key, _)| is_merge(*key)) else {
            return Ok(());
        };
        let sources = match self.tree.kind(value) {
            Kind::Map => vec![value],
            Kind::Seq => self.tree.elements(value).iter().rev().copied().collect(),
            _ => return Err(self.problem(value, "a merge key `<<` needs a map, or a list of maps")),
        };
        let mut merged: Vec<NodeId> = Vec::new();
        let mut index: HashMap<String, usize> = HashMap::new();
        let own: Vec<(NodeId, NodeId)> = pairs
            .iter()
            .copied()
            .filter(|(key, _)| !is_merge(*key))
            .collect();
        let mut fields = Vec::new();
        for source in sources {
            if self.tree.kind(source) != Kind::Map {
                return Err(self.problem(source, "a merge key `<<` needs a map, or a list of maps"));
            }
            fields.extend(self.tree.pairs(source));
        }
        for (key, value) in fields.into_iter().chain(own) {
            let name = self.tree.text(key).to_owned();
            if let Some(&at) = index.get(&name) {
                merged[at] = key;
                merged[at + 1] = value;
            } else {
                index.insert(name, merged.len());
                merged.extend([key, value]);
            }
        }
        self.tree.node_mut(id).items = merged;
        Ok(())
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&granit_parser::Tag>, place: Place) -> Node {
    let style = match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    };
    let explicit = tag.and_then(explicit_tag);
    Node {
        tagged: explicit.is_some(),
        tag: match explicit {
            Some(tag) => tag,
            None if style != Style::Plain => Tag::Str,
            None if text == "<<" => Tag::Merge,
            None => resolve(text).tag(),
        },
        style,
        place,
        ..Node::scalar(text, Tag::None)
    }
}

fn explicit_tag(tag: &granit_parser::Tag) -> Option<Tag> {
    let (handle, suffix) = tag.parts();
    let full = format!("{handle}{suffix}");
    let short = match full.strip_prefix("tag:yaml.org,2002:") {
        Some(rest) => rest,
        None => full.strip_prefix("!!").unwrap_or(""),
    };
    Some(match short {
        "str" => Tag::Str,
        "int" => Tag::Int,
        "float" => Tag::Float,
        "bool" => Tag::Bool,
        "null" => Tag::Null,
        "timestamp" => Tag::Timestamp,
        "binary" => Tag::Binary,
        "merge" => Tag::Merge,
        "map" => Tag::Map,
        "seq" => Tag::Seq,
        _ if full == "!" => return None,
        _ => Tag::Other(full.into()),
    })
}
