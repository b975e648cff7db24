//! From text to documents, split as kustomize splits them, with everything that is wrong.

use std::borrow::Cow;
use std::fmt;

use super::builder::Builder;
use super::tree::{NodeId, Place, Tree};

/// How much one file may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub bytes: usize,
    /// Nodes, after aliases are replaced by what they stand for.
    pub nodes: usize,
    /// Nodes that were made before, and count.
    pub spent: usize,
    /// Levels of nesting.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            nodes: 4_000_000,
            spent: 0,
            depth: 128,
        }
    }
}

/// The words for a budget that is used up: which, and how it is raised.
pub fn exceeded(what: &str, flag: &str) -> String {
    format!("{what}; if that is meant, raise the budget {flag}")
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
    documents(text, file, limits, true)
}

/// Like [`read`], and keys that occur twice stay: of a strategic merge patch the first one counts.
pub fn read_patches(text: &[u8], file: &str, limits: &Limits) -> Result<Vec<Document>, YamlErrors> {
    documents(text, file, limits, false)
}

fn documents(
    text: &[u8],
    file: &str,
    limits: &Limits,
    refuse_duplicates: bool,
) -> Result<Vec<Document>, YamlErrors> {
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
    let mut spent = limits.spent;
    for (part, line) in parts {
        let limits = Limits { spent, ..*limits };
        match Builder::build(part, line, &limits, refuse_duplicates) {
            Ok(Some(document)) => {
                spent += document.tree.size();
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
        return Err(exceeded(
            &format!("more than {} bytes of YAML", limits.bytes),
            "--max-bytes",
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
