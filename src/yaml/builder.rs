//! From the events of the parser to nodes: aliases and merge keys resolved, within a budget.

mod map;
mod scalar;

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StructureStyle};

use super::comments::{Raw, attach};
use super::mend::{Edits, may_help, mend};
use super::reader::{Document, Limits, Problem, exceeded};
use super::separators;
use super::tree::{Kind, Node, NodeId, Place, Style, Tag, Tree};
use scalar::{explicit_tag, scalar};

pub(super) struct Builder<'l> {
    tree: Tree,
    anchors: HashMap<usize, NodeId>,
    /// The collections that are open, with the anchor that each defines.
    open: Vec<(NodeId, usize)>,
    root: Option<NodeId>,
    limits: &'l Limits,
    line_offset: usize,
    refuse_duplicates: bool,
    /// The last scalar, if it is a block.
    last_block: Option<NodeId>,
    /// The comments, if they are wanted.
    pub(super) comments: Option<Vec<Raw>>,
    /// Where the text is not that of the file.
    edits: Edits,
    problems: Vec<Problem>,
}

impl<'l> Builder<'l> {
    pub(super) fn build(
        text: &str,
        line_offset: usize,
        limits: &'l Limits,
        refuse_duplicates: bool,
    ) -> Result<Option<Document>, Vec<Problem>> {
        Self::new(line_offset, limits, refuse_duplicates).run(text)
    }

    pub(super) fn new(line_offset: usize, limits: &'l Limits, refuse_duplicates: bool) -> Self {
        Builder {
            tree: Tree::new(),
            anchors: HashMap::new(),
            open: Vec::new(),
            root: None,
            limits,
            line_offset,
            refuse_duplicates,
            last_block: None,
            comments: None,
            edits: Edits::default(),
            problems: Vec::new(),
        }
    }

    pub(super) fn run(mut self, text: &str) -> Result<Option<Document>, Vec<Problem>> {
        if has_telling_comment(text) {
            self.comments.get_or_insert_default();
        }
        let builder = &mut self;
        let limits = builder.limits;
        let mut options = granit_parser::Options::default();
        options.set_emit_comments(builder.comments.is_some() || !builder.edits.is_empty());
        options.max_buffered_comment_events = limits.nodes;
        options.block_nesting_limit = limits.depth;
        options.flow_nesting_limit = limits.depth;
        let has_separators = separators::has_some(text);
        let mut end = None;
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = match event {
                Ok(event) => event,
                // To go-yaml a directive ends the document, and only the first one is read.
                Err(error) if is_directive(&error) && builder.open.is_empty() => {
                    end = error.marker().byte_offset();
                    break;
                }
                Err(error) => return self.run_mended(text, &error),
            };
            if matches!(event, Event::DocumentEnd) {
                end = span.start.byte_offset();
                break;
            }
            if !builder.edits.is_empty() {
                builder.edits.see(&event, &span);
            }
            let event = if has_separators {
                separators::refold(event, &span, text)
            } else {
                event
            };
            builder
                .event(event, span)
                .map_err(|problem| vec![problem])?;
        }
        if !self.edits.are_harmless(end) {
            return Err(Vec::new());
        }
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        self.end_block(text);
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

    /// What go-yaml reads and the parser refuses is written anew and read once more.
    fn run_mended(self, text: &str, error: &ScanError) -> Result<Option<Document>, Vec<Problem>> {
        let problem = self.scan_problem(error);
        let is_first = self.edits.is_empty() && may_help(error);
        let Some(mended) = is_first.then(|| mend(text, self.limits.bytes)).flatten() else {
            return Err(vec![problem]);
        };
        let again = Builder {
            comments: self.comments.map(|_| Vec::new()),
            edits: mended.edits,
            ..Self::new(self.line_offset, self.limits, self.refuse_duplicates)
        };
        again.run(&mended.text).map_err(|problems| {
            // Nothing is said where an edit is not known to be harmless.
            if problems.is_empty() {
                vec![problem]
            } else {
                problems
            }
        })
    }

    /// A block that ends where the text ends, and that without a line break, has none either. The parser gives it one.
    fn end_block(&mut self, text: &str) {
        let line = text.rsplit(['\n', '\r']).next().unwrap_or_default().trim();
        let Some(id) = self.last_block.filter(|_| !line.is_empty()) else {
            return;
        };
        let block = &self.tree.node(id).text;
        // What stands on the last line may be a comment.
        if let Some(whole) = block.strip_suffix('\n').filter(|it| it.ends_with(line)) {
            let whole = whole.into();
            self.tree.node_mut(id).text = whole;
        }
    }

    fn scan_problem(&self, error: &ScanError) -> Problem {
        let marker = error.marker();
        Problem {
            file: String::new(),
            place: self.place(marker.line(), marker.col()),
            message: match error.info().as_str() {
                "recursion limit exceeded" => self.too_deep(),
                info => info.to_owned(),
            },
        }
    }

    fn too_deep(&self) -> String {
        let words = format!("nested deeper than {} levels", self.limits.depth);
        exceeded(&words, "--max-depth")
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
                let is_block = matches!(node.style, Style::Literal | Style::Folded);
                let id = self.add(node)?;
                self.last_block = is_block.then_some(id);
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
            return Err(self.problem(id, self.too_deep()));
        }
        self.open.push((id, anchor));
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<NodeId, Problem> {
        self.check_nodes(node.place)?;
        Ok(self.tree.add(node))
    }

    fn check_nodes(&self, place: Place) -> Result<(), Problem> {
        if self.limits.spent + self.tree.size() >= self.limits.nodes {
            return Err(Problem {
                file: String::new(),
                place,
                message: exceeded(
                    &format!("more than {} nodes of YAML", self.limits.nodes),
                    "--max-nodes",
                ),
            });
        }
        Ok(())
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
        self.check_nodes(node.place)?;
        Ok(self.tree.add_copy(node))
    }
}

/// Whether the parser misses `...` in front of a directive.
fn is_directive(error: &ScanError) -> bool {
    matches!(error.kind(), ErrorKind::MissingDocumentEndBeforeDirective)
}

/// Whether there is a comment that a merge takes for the schema of its field, a JSON object; or one that may take the place
/// of such a one, behind a collection on its line.
fn has_telling_comment(text: &str) -> bool {
    let mut marks = text.match_indices('#');
    marks.any(|(at, _)| {
        let before = text[..at].trim_end_matches([' ', '\t']);
        let comment = text[at..].trim_start_matches('#');
        before.ends_with(['}', ']']) || comment.trim_start_matches([' ', '\t']).starts_with('{')
    })
}
