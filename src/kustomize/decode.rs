//! From the nodes of a configuration file to typed values, as Go's decoders do it: field names in any case, null is
//! "not given", and every problem is kept with its place.

use super::error::{BuildError, BuildErrors, Result};
use crate::yaml::{Kind, Limits, NodeId, Scalar, Tag, Tree, float_text, parse, resolve_1_1};

/// How strict a decoder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Unknown fields are errors, and text has to be text: kustomization files.
    Strict,
    /// Unknown fields are errors, numbers and booleans become text: transformer configurations.
    Known,
    /// Unknown fields do not matter, numbers and booleans become text: builtin plugins.
    Lenient,
}

/// Decodes one document.
pub struct Decoder<'t> {
    pub tree: &'t Tree,
    mode: Mode,
    problems: Vec<BuildError>,
}

/// The fields of a map.
pub struct Fields<'t> {
    found: Vec<(&'static str, NodeId)>,
    path: String,
    tree: &'t Tree,
}

impl Fields<'_> {
    /// The last field of this name that is not null.
    pub fn get(&self, name: &str) -> Option<NodeId> {
        let mut found = self.found.iter().rev().filter(|(known, _)| *known == name);
        found
            .next()
            .map(|(_, id)| *id)
            .filter(|id| !is_null(self.tree, *id))
    }

    pub fn path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }
}

/// What a plain or quoted scalar means in a file that is read by YAML 1.1 rules.
pub fn meaning(tree: &Tree, id: NodeId) -> Scalar {
    let node = tree.node(id);
    if node.style.is_quoted()
        || (node.tagged && matches!(node.tag, Tag::Str | Tag::Binary | Tag::Other(_)))
    {
        Scalar::Str
    } else {
        resolve_1_1(&node.text)
    }
}

fn is_null(tree: &Tree, id: NodeId) -> bool {
    match tree.kind(id) {
        Kind::Scalar => meaning(tree, id) == Scalar::Null,
        Kind::Empty => true,
        _ => false,
    }
}

impl<'t> Decoder<'t> {
    pub fn new(tree: &'t Tree, mode: Mode) -> Self {
        Self {
            tree,
            mode,
            problems: Vec::new(),
        }
    }

    /// What was wrong so far.
    pub fn into_problems(self) -> Vec<BuildError> {
        self.problems
    }

    /// The value if there were no problems.
    pub fn finish<T>(self, value: T) -> Result<T> {
        if self.problems.is_empty() {
            Ok(value)
        } else {
            Err(BuildErrors(self.problems))
        }
    }

    pub fn problem(&mut self, id: NodeId, path: &str, message: impl Into<String>) {
        let error = BuildError::new(message).at(self.tree.node(id).place);
        self.problems.push(if path.is_empty() {
            error
        } else {
            error.field(path)
        });
    }

    fn expected(&mut self, id: NodeId, path: &str, what: &str) {
        let node = self.tree.node(id);
        let is = match node.kind {
            Kind::Map => "a map".to_owned(),
            Kind::Seq => "a list".to_owned(),
            _ => match meaning(self.tree, id) {
                Scalar::Bool(_) => format!("the boolean `{}`; quote it", node.text),
                Scalar::Int(_) | Scalar::Uint(_) | Scalar::Float(_) => {
                    format!("the number `{}`; quote it", node.text)
                }
                _ => format!("the text `{}`", node.text),
            },
        };
        let is = if what == "text" {
            is
        } else {
            is.replace("; quote it", "")
        };
        self.problem(id, path, format!("{what} is expected, but it is {is}"));
    }

    /// The known fields of a map; `None` (and a problem) if it is not one.
    pub fn fields(&mut self, id: NodeId, path: &str, known: &[&'static str]) -> Option<Fields<'t>> {
        if is_null(self.tree, id) {
            return Some(Fields {
                found: Vec::new(),
                path: path.to_owned(),
                tree: self.tree,
            });
        }
        if self.tree.kind(id) != Kind::Map {
            self.expected(id, path, "a map");
            return None;
        }
        let mut found = Vec::new();
        for (key, value) in self.tree.pairs(id) {
            let name = self.tree.text(key);
            let exact = known.iter().find(|known| **known == name);
            match exact.or_else(|| known.iter().find(|known| known.eq_ignore_ascii_case(name))) {
                Some(known) => found.push((*known, value)),
                None if self.mode != Mode::Lenient => {
                    // Who has that many wrong ones did not mistype.
                    let hint = if self.problems.len() < MAX_HINTS {
                        suggestion(name, known)
                    } else {
                        String::new()
                    };
                    self.problem(key, path, format!("unknown field `{name}`{hint}"));
                }
                None => {}
            }
        }
        Some(Fields {
            found,
            path: path.to_owned(),
            tree: self.tree,
        })
    }

    pub fn text_of(&mut self, id: NodeId, path: &str) -> String {
        if is_null(self.tree, id) {
            return String::new();
        }
        if self.tree.kind(id) != Kind::Scalar {
            self.expected(id, path, "text");
            return String::new();
        }
        let text = self.tree.text(id);
        match meaning(self.tree, id) {
            Scalar::Str => text.to_owned(),
            // It is text as it was written, but where a plugin is configured.
            Scalar::Timestamp(_) if self.mode == Mode::Strict => text.to_owned(),
            Scalar::Timestamp(time) => time,
            _ if self.mode == Mode::Strict => {
                self.expected(id, path, "text");
                String::new()
            }
            Scalar::Bool(value) => value.to_string(),
            Scalar::Int(value) => value.to_string(),
            Scalar::Uint(value) => value.to_string(),
            Scalar::Float(value) => float_text(value),
            Scalar::Null => String::new(),
        }
    }

    /// Text; empty if it is not given.
    pub fn text(&mut self, fields: &Fields<'t>, name: &str) -> String {
        fields
            .get(name)
            .map_or_else(String::new, |id| self.text_of(id, &fields.path(name)))
    }

    pub fn flag(&mut self, fields: &Fields<'t>, name: &str) -> bool {
        let Some(id) = fields.get(name) else {
            return false;
        };
        if let (Kind::Scalar, Scalar::Bool(value)) = (self.tree.kind(id), meaning(self.tree, id)) {
            return value;
        }
        self.expected(id, &fields.path(name), "true or false");
        false
    }

    pub fn integer(&mut self, fields: &Fields<'t>, name: &str) -> i64 {
        let Some(id) = fields.get(name) else { return 0 };
        if self.tree.kind(id) == Kind::Scalar {
            match meaning(self.tree, id) {
                Scalar::Int(value) => return value,
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "it is a whole number in range"
                )]
                Scalar::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
                    return value as i64;
                }
                _ => {}
            }
        }
        self.expected(id, &fields.path(name), "a whole number");
        0
    }

    /// The elements of a list, with the path of each.
    pub fn list(&mut self, fields: &Fields<'t>, name: &str) -> Vec<(NodeId, String)> {
        let Some(id) = fields.get(name) else {
            return Vec::new();
        };
        self.elements(id, &fields.path(name))
    }

    pub fn elements(&mut self, id: NodeId, path: &str) -> Vec<(NodeId, String)> {
        if self.tree.kind(id) != Kind::Seq {
            self.expected(id, path, "a list");
            return Vec::new();
        }
        let elements = self.tree.elements(id).iter().enumerate();
        elements
            .map(|(index, element)| (*element, format!("{path}[{index}]")))
            .collect()
    }

    pub fn texts(&mut self, fields: &Fields<'t>, name: &str) -> Vec<String> {
        let list = self.list(fields, name);
        list.into_iter()
            .map(|(id, path)| self.text_of(id, &path))
            .collect()
    }

    /// A map of text to text, sorted by key.
    pub fn text_map(&mut self, fields: &Fields<'t>, name: &str) -> Vec<(String, String)> {
        let Some(id) = fields.get(name) else {
            return Vec::new();
        };
        let path = fields.path(name);
        if self.tree.kind(id) != Kind::Map {
            self.expected(id, &path, "a map");
            return Vec::new();
        }
        let mut map = std::collections::BTreeMap::new();
        for (key, value) in self.tree.pairs(id) {
            let name = super::json::key_1_1(self.tree, key);
            let text = self.text_of(value, &format!("{path}.{name}"));
            map.insert(name, text);
        }
        map.into_iter().collect()
    }
}

/// Reads the one document of a configuration file and decodes it.
pub fn decode<T: Default>(
    text: &str,
    file: &str,
    mode: Mode,
    limits: &Limits,
    read: impl FnOnce(&mut Decoder<'_>, NodeId) -> T,
) -> Result<T> {
    let Some(document) = parse(text, file, limits)? else {
        return Ok(T::default());
    };
    let mut decoder = Decoder::new(&document.tree, mode);
    let value = read(&mut decoder, document.root);
    decoder.finish(value).map_err(|errors| {
        if file.is_empty() {
            errors
        } else {
            errors.in_file(file)
        }
    })
}

/// How many problems of one file come with a hint.
const MAX_HINTS: usize = 100;

/// `; did you mean …?`, if a known name is close.
pub fn suggestion(name: &str, known: &[&str]) -> String {
    nearest(name, known).map_or_else(String::new, |known| format!("; did you mean `{known}`?"))
}

/// The known name that was probably meant, if one is close. Nobody has mistyped what is very long, or one of very many.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    if name.len() > 256 || known.len() > 256 {
        return None;
    }
    let close = known
        .iter()
        .map(|known| {
            (
                distance(&name.to_lowercase(), &known.to_lowercase()),
                *known,
            )
        })
        .filter(|(distance, known)| *distance <= 1 + known.len().min(name.len()) / 4)
        .min();
    close.map(|(_, known)| known)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = before + usize::from(x != *y);
            before = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(before + 1);
        }
    }
    row[b.len()]
}
