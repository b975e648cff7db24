//! YAML as the generator makes it: values with the look they are written in, so that shrinking takes away the one or the
//! other. Owns the writer; must not use the product's.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Written as it stands: numbers, booleans, words that need no quotes, aliases.
    Raw(String),
    /// Text, quoted where it must be.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// Text that is YAML itself: an inline patch.
    Inline(Vec<Node>),
}

/// How texts are quoted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Quotes {
    #[default]
    Plain,
    Single,
    Double,
    Literal,
    Folded,
}

/// How a value is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    pub quotes: Quotes,
    pub flow: bool,
    /// Keys are quoted, as in JSON.
    pub json: bool,
    /// A comment on the line above, and one behind.
    pub above: Option<String>,
    pub behind: Option<String>,
    pub anchor: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub value: Value,
    pub look: Look,
}

/// One file of a tree.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    pub path: String,
    pub content: Content,
    /// Without a line break at the end.
    pub cut: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Documents; the number is how far lists stand behind their keys.
    Yaml(Vec<Node>, usize),
    Lines(Vec<String>),
    /// What is no text.
    Bytes(Vec<u8>),
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Self {
            value,
            look: Look::default(),
        }
    }
}

pub fn raw(text: impl Into<String>) -> Node {
    Value::Raw(text.into()).into()
}

pub fn text(text: impl Into<String>) -> Node {
    Value::Text(text.into()).into()
}

pub fn list(nodes: impl IntoIterator<Item = Node>) -> Node {
    Value::List(nodes.into_iter().collect()).into()
}

pub fn texts<T: Into<String>>(items: impl IntoIterator<Item = T>) -> Node {
    list(items.into_iter().map(text))
}

pub fn map<K: Into<String>>(fields: impl IntoIterator<Item = (K, Node)>) -> Node {
    let fields = fields.into_iter().map(|(key, node)| (key.into(), node));
    Value::Map(fields.collect()).into()
}

impl Node {
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(fields) = &self.value else {
            return None;
        };
        fields
            .iter()
            .find(|(there, _)| there == key)
            .map(|(_, node)| node)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Value::Map(fields) = &mut self.value else {
            return None;
        };
        fields
            .iter_mut()
            .find(|(there, _)| there == key)
            .map(|(_, node)| node)
    }

    /// Adds a field, or replaces it.
    pub fn set(&mut self, key: &str, node: Self) {
        if let Some(there) = self.get_mut(key) {
            *there = node;
        } else if let Value::Map(fields) = &mut self.value {
            fields.push((key.to_owned(), node));
        }
    }

    /// Adds to the list in a field, which is made if need be.
    pub fn push(&mut self, key: &str, node: Self) {
        if self.get(key).is_none() {
            self.set(key, list([]));
        }
        if let Some(Self {
            value: Value::List(items),
            ..
        }) = self.get_mut(key)
        {
            items.push(node);
        }
    }

    /// The text of a scalar.
    pub fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Raw(text) | Value::Text(text) => Some(text),
            Value::List(_) | Value::Map(_) | Value::Inline(_) => None,
        }
    }

    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    pub fn children_mut(&mut self) -> Vec<&mut Self> {
        match &mut self.value {
            Value::Raw(_) | Value::Text(_) => Vec::new(),
            Value::List(items) | Value::Inline(items) => items.iter_mut().collect(),
            Value::Map(fields) => fields.iter_mut().map(|(_, node)| node).collect(),
        }
    }
}

/// The text of a template, as a node: the part of YAML that templates need. A line that begins with `?` is one that
/// `keep` may take out with all that stands below it; `$name` is whatever `fill` makes of it.
pub fn template(
    text: &str,
    mut keep: impl FnMut() -> bool,
    mut fill: impl FnMut(&str) -> Node,
) -> Node {
    let mut lines = Vec::new();
    let mut skipped: Option<(usize, bool)> = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let body = line.trim_start();
        let indent = line.len() - body.len();
        let is_item = body.trim_start_matches('?').starts_with("- ");
        if skipped
            .is_some_and(|(above, item)| indent > above || (indent == above && !item && is_item))
        {
            continue;
        }
        skipped = None;
        let body = match body.strip_prefix('?') {
            Some(_) if !keep() => {
                skipped = Some((indent, is_item));
                continue;
            }
            Some(rest) => rest,
            None => body,
        };
        // `- key: value` is an entry and, one level deeper, its first field.
        match body.strip_prefix("- ") {
            Some(rest)
                if !rest.starts_with(['{', '[', '"'])
                    && (rest.contains(": ") || rest.ends_with(':')) =>
            {
                lines.push((indent, "-".to_owned()));
                lines.push((indent + 2, rest.to_owned()));
            }
            _ => lines.push((indent, body.to_owned())),
        }
    }
    let mut rest = &lines[..];
    block(&mut rest, &mut fill)
}

fn block(lines: &mut &[(usize, String)], fill: &mut impl FnMut(&str) -> Node) -> Node {
    let Some((indent, first)) = lines.first().cloned() else {
        return raw("{}");
    };
    let is_list = first.starts_with('-') && (first == "-" || first.starts_with("- "));
    let (mut items, mut fields) = (Vec::new(), Vec::new());
    while let Some((at, line)) = lines.first() {
        if *at != indent || (line.starts_with("- ") || line == "-") != is_list {
            break;
        }
        let line = line.clone();
        *lines = &lines[1..];
        let (key, value) = if is_list {
            ("", line[1..].trim())
        } else {
            line.split_once(':').expect("a template's line is a field")
        };
        let value = value.trim();
        let below = lines.first().is_some_and(|(below, line)| {
            *below > indent || (!is_list && *below == indent && line.starts_with('-'))
        });
        let node = match value {
            "" if below => block(lines, fill),
            "" => raw("{}"),
            _ => match value.strip_prefix('$') {
                Some(name) => fill(name),
                None => raw(value),
            },
        };
        if is_list {
            items.push(node);
        } else {
            fields.push((key.to_owned(), node));
        }
    }
    if is_list { list(items) } else { map(fields) }
}

impl File {
    pub fn bytes(&self) -> Vec<u8> {
        match &self.content {
            Content::Bytes(bytes) => bytes.clone(),
            Content::Lines(_) | Content::Yaml(..) => {
                let mut text = self.text();
                if self.cut {
                    text.truncate(text.trim_end_matches('\n').len());
                }
                text.into_bytes()
            }
        }
    }

    /// The content as text, to be shown.
    pub fn text(&self) -> String {
        match &self.content {
            Content::Lines(lines) => lines.iter().map(|line| format!("{line}\n")).collect(),
            Content::Yaml(documents, indent) => write(documents, *indent),
            Content::Bytes(bytes) => format!("{}\n", String::from_utf8_lossy(bytes)),
        }
    }
}

pub fn write(documents: &[Node], indent: usize) -> String {
    let mut out = String::new();
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            out.push_str("---\n");
        }
        if let Some(comment) = &document.look.above {
            out.push_str(&format!("# {comment}\n"));
        }
        Writer { indent }.block(&mut out, document, 0);
    }
    out
}

struct Writer {
    indent: usize,
}

fn is_plain(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '_' || c == '(';
    let reserved = [
        "true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf",
    ];
    text.starts_with(first)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains(['\n', '\t', '\r', '\\', '"', '{', '}', '[', ']', ','])
        && !reserved.contains(&text.to_ascii_lowercase().as_str())
        && !text.chars().any(|c| c.is_control() || !c.is_ascii())
}

fn double(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl Writer {
    /// A text or scalar on one line.
    fn flat(&self, node: &Node) -> String {
        match &node.value {
            Value::Raw(text) => match node.look.quotes {
                Quotes::Single => format!("'{text}'"),
                Quotes::Double => format!("\"{text}\""),
                _ => text.clone(),
            },
            Value::Text(text) => match node.look.quotes {
                Quotes::Single if !text.contains(['\n', '\r', '\t']) => {
                    format!("'{}'", text.replace('\'', "''"))
                }
                Quotes::Plain if is_plain(text) => text.clone(),
                _ => double(text),
            },
            Value::Inline(documents) => double(&write(documents, self.indent)),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.flow(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Map(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(key, value)| {
                        let key = if node.look.json {
                            double(key)
                        } else {
                            self.key(key)
                        };
                        format!("{key}: {}", self.flow(value))
                    })
                    .collect();
                format!("{{{}}}", fields.join(", "))
            }
        }
    }

    fn flow(&self, node: &Node) -> String {
        let flat = match &node.value {
            Value::Raw(text)
                if text.contains([',', '{', '[', '*'])
                    && !text.starts_with(['[', '{', '"', '\'']) =>
            {
                format!("{text} ")
            }
            _ => self.flat(node),
        };
        match &node.look.anchor {
            Some(anchor) => format!("&{anchor} {flat}"),
            None => flat,
        }
    }

    fn key(&self, key: &str) -> String {
        if key == "<<" || is_plain(key) || key.starts_with('$') {
            key.to_owned()
        } else {
            double(key)
        }
    }

    fn is_flat(&self, node: &Node) -> bool {
        match &node.value {
            Value::Raw(_) | Value::Text(_) | Value::Inline(_) => true,
            Value::List(items) => node.look.flow || items.is_empty(),
            Value::Map(fields) => node.look.flow || fields.is_empty(),
        }
    }

    /// Text as a block, where it can be one.
    fn literal(&self, node: &Node, depth: usize) -> Option<String> {
        let (text, folded) = match (&node.value, node.look.quotes) {
            (Value::Inline(documents), Quotes::Plain | Quotes::Literal) => {
                (write(documents, self.indent), false)
            }
            (Value::Text(text), Quotes::Literal) => (text.clone(), false),
            (Value::Text(text), Quotes::Folded) => (text.clone(), true),
            _ => return None,
        };
        let odd = |line: &str| line.starts_with([' ', '\t']);
        if text.is_empty()
            || text.starts_with([' ', '\n', '\t'])
            || text.contains(['\r'])
            || text.trim_end_matches('\n').is_empty()
            || text
                .chars()
                .any(|c| c.is_control() && c != '\n' && c != '\t')
            // kustomize reads and writes again, and its writer adds to what ends in more than one line break.
            || (folded && (text.lines().any(odd) || text.ends_with("\n\n")))
        {
            return None;
        }
        let body = text.trim_end_matches('\n');
        let chomp = match text.len() - body.len() {
            0 => "-",
            1 => "",
            _ => "+",
        };
        let mut out = format!("{}{chomp}", if folded { '>' } else { '|' });
        let trailing = if chomp == "+" {
            text.len() - body.len() - 1
        } else {
            0
        };
        let body = if folded {
            body.replace('\n', "\n\n")
        } else {
            body.to_owned()
        };
        for line in body.split('\n') {
            out.push('\n');
            if !line.is_empty() {
                out.push_str(&" ".repeat(depth.max(2)));
                out.push_str(line);
            }
        }
        out.push_str(&"\n".repeat(trailing));
        Some(out)
    }

    /// What stands behind `key:` or `-`, with its end of line.
    fn entry(&self, out: &mut String, node: &Node, depth: usize, in_list: bool) {
        let behind = node.look.behind.as_ref().map(|text| format!(" # {text}"));
        let behind = behind.unwrap_or_default();
        let anchor = node.look.anchor.as_ref().map(|name| format!(" &{name}"));
        let anchor = anchor.unwrap_or_default();
        if self.is_flat(node) {
            match self.literal(node, depth + 2) {
                Some(literal) => out.push_str(&format!("{anchor} {literal}\n")),
                None => out.push_str(&format!("{anchor} {}{behind}\n", self.flat(node))),
            }
        } else if in_list && anchor.is_empty() && matches!(node.value, Value::Map(_)) {
            // The first field stands behind the dash.
            let mut block = String::new();
            self.block(&mut block, node, depth + 2);
            if block.trim_start().starts_with('#') {
                out.push_str(&format!("\n{block}"));
            } else {
                out.push_str(&format!(" {}", block.trim_start()));
            }
        } else {
            let deeper = match node.value {
                Value::List(_) if !in_list => depth + self.indent,
                _ => depth + 2,
            };
            out.push_str(&format!("{anchor}{behind}\n"));
            self.block(out, node, deeper);
        }
    }

    fn block(&self, out: &mut String, node: &Node, depth: usize) {
        let pad = " ".repeat(depth);
        let above = |out: &mut String, node: &Node| {
            if let Some(comment) = &node.look.above {
                out.push_str(&format!("{pad}# {comment}\n"));
            }
        };
        match &node.value {
            _ if self.is_flat(node) => out.push_str(&format!("{pad}{}\n", self.flat(node))),
            Value::List(items) => {
                for item in items {
                    above(out, item);
                    out.push_str(&format!("{pad}-"));
                    self.entry(out, item, depth, true);
                }
            }
            Value::Map(fields) => {
                for (key, node) in fields {
                    above(out, node);
                    out.push_str(&format!("{pad}{}:", self.key(key)));
                    self.entry(out, node, depth, false);
                }
            }
            Value::Raw(_) | Value::Text(_) | Value::Inline(_) => {}
        }
    }
}
