//! The text that `kustomize` prints: go-yaml v2 with two spaces, lists not indented, lines folded behind column 80,
//! keys in its order.

use serde_json::{Map, Number, Value};

use super::number::float_text;
use super::order::sorted;
use super::resolve::{Scalar, resolve_1_1};
use super::shape::{Shape, escape, is_base_60, is_break, is_printable};
use super::tree::Style;

const WIDTH: usize = 80;
/// Keys longer than this are written in the long form.
const SIMPLE_KEY: usize = 128;

/// The YAML text of a value, ending in a line break.
pub fn to_yaml(value: &Value) -> String {
    let mut writer = Writer::at_end_of(String::new());
    match value {
        Value::Object(map) if !map.is_empty() => writer.map(map, 0, true),
        Value::Array(list) if !list.is_empty() => writer.list(list, 0, true),
        other => writer.leaf(other, 2, false),
    }
    writer.finish()
}

/// Adds the YAML text of a map to a text that is empty or ends in a line break.
pub fn append_yaml(text: &mut String, map: &Map<String, Value>) {
    let mut writer = Writer::at_end_of(std::mem::take(text));
    if map.is_empty() {
        writer.push_str("{}");
    } else {
        writer.map(map, 0, true);
    }
    *text = writer.finish();
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => float_text(value),
        _ => number.to_string(),
    }
}

struct Writer {
    out: String,
    column: usize,
    /// The last character was white space (or nothing).
    blank: bool,
    /// Only indentation and indicators stand on this line so far.
    line_start: bool,
}

impl Writer {
    fn at_end_of(out: String) -> Self {
        Self {
            out,
            column: 0,
            blank: true,
            line_start: true,
        }
    }

    fn finish(mut self) -> String {
        if self.column > 0 {
            self.line_break();
        }
        self.out
    }

    fn push(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn push_str(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    /// Starts a line at this indentation, unless that is where the writer stands.
    fn indent(&mut self, indent: usize) {
        if !self.line_start || self.column > indent || (self.column == indent && !self.blank) {
            self.line_break();
        }
        while self.column < indent {
            self.push(' ');
        }
        self.blank = true;
        self.line_start = true;
    }

    fn space(&mut self) {
        if !self.blank {
            self.push(' ');
        }
    }

    fn indicator(&mut self, text: &str, is_indentation: bool) {
        self.push_str(text);
        self.blank = is_indentation;
        self.line_start &= is_indentation;
    }

    fn map(&mut self, map: &serde_json::Map<String, Value>, indent: usize, inline: bool) {
        let mut inline = inline;
        for (key, value) in sorted(map) {
            if !inline {
                self.indent(indent);
            }
            inline = false;
            let long =
                key.len() > SIMPLE_KEY || key.contains(['\n', '\u{85}', '\u{2028}', '\u{2029}']);
            if long {
                self.indicator("?", false);
                self.string(key, indent + 2, false);
                self.indent(indent);
                self.push_str(":");
                self.blank = false;
                self.line_start = false;
                match value {
                    Value::Object(map) if !map.is_empty() => {
                        self.push(' ');
                        self.blank = true;
                        self.map(map, indent + 2, true);
                    }
                    Value::Array(list) if !list.is_empty() => {
                        self.push(' ');
                        self.blank = true;
                        self.list(list, indent + 2, true);
                    }
                    other => self.leaf(other, indent + 2, false),
                }
                continue;
            }
            if key == "<<" {
                // A plain one would be a merge key to whoever reads it.
                self.push_str("\"<<\"");
            } else {
                self.string(key, indent + 2, true);
            }
            self.push(':');
            self.blank = false;
            self.line_start = false;
            match value {
                Value::Object(map) if !map.is_empty() => self.map(map, indent + 2, false),
                Value::Array(list) if !list.is_empty() => self.list(list, indent, false),
                other => self.leaf(other, indent + 2, false),
            }
        }
    }

    fn list(&mut self, list: &[Value], indent: usize, inline: bool) {
        let mut inline = inline;
        for value in list {
            if !inline {
                self.indent(indent);
            }
            inline = false;
            self.push('-');
            self.blank = false;
            match value {
                Value::Object(map) if !map.is_empty() => {
                    self.push(' ');
                    self.blank = true;
                    self.map(map, indent + 2, true);
                }
                Value::Array(list) if !list.is_empty() => {
                    self.push(' ');
                    self.blank = true;
                    self.list(list, indent + 2, true);
                }
                other => {
                    self.line_start = false;
                    self.leaf(other, indent + 2, false);
                }
            }
        }
    }

    fn leaf(&mut self, value: &Value, indent: usize, key: bool) {
        match value {
            Value::String(text) => self.string(text, indent, key),
            other => {
                self.space();
                match other {
                    Value::Null => self.push_str("null"),
                    Value::Bool(true) => self.push_str("true"),
                    Value::Bool(false) => self.push_str("false"),
                    Value::Number(number) => self.push_str(&number_text(number)),
                    Value::Array(_) => self.push_str("[]"),
                    Value::Object(_) => self.push_str("{}"),
                    Value::String(_) => {}
                }
                self.blank = false;
                self.line_start = false;
            }
        }
    }

    fn string(&mut self, text: &str, indent: usize, key: bool) {
        let shape = Shape::of(text);
        let literal = text.contains('\n');
        if literal && shape.block && !key {
            self.literal(text, indent);
            return;
        }
        if !literal && shape.plain && resolve_1_1(text) == Scalar::Str && !is_base_60(text) {
            self.space();
            self.words(text, indent, !key, Quote::None);
            return;
        }
        let double =
            literal || !(shape.single && resolve_1_1(text) == Scalar::Str && !is_base_60(text));
        self.space();
        if double {
            self.push('"');
            self.blank = false;
            self.double(text, indent, !key);
            self.push('"');
        } else {
            self.push('\'');
            self.blank = false;
            self.words(text, indent, !key, Quote::Single);
            self.push('\'');
        }
        self.blank = false;
        self.line_start = false;
    }

    /// Text without line breaks, plain or in single quotes, folded at single spaces.
    fn words(&mut self, text: &str, indent: usize, fold: bool, quote: Quote) {
        let mut spaces = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == ' ' {
                let followed = chars.peek().is_some_and(|(_, next)| *next == ' ');
                let inside = quote == Quote::None || (at > 0 && at + 1 < text.len());
                if fold && !spaces && self.column > WIDTH && inside && !followed {
                    self.indent(indent);
                } else {
                    self.push(c);
                }
                spaces = true;
            } else {
                if c == '\'' && quote == Quote::Single {
                    self.push('\'');
                }
                self.push(c);
                self.line_start = false;
                spaces = false;
            }
        }
        self.blank = false;
        self.line_start = false;
    }

    fn double(&mut self, text: &str, indent: usize, fold: bool) {
        let mut spaces = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if !is_printable(c)
                || matches!(
                    c,
                    '"' | '\\' | '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'
                )
            {
                self.push('\\');
                self.push_str(&escape(c));
                spaces = false;
            } else if c == ' ' {
                if fold && !spaces && self.column > WIDTH && at > 0 && at + 1 < text.len() {
                    self.indent(indent);
                    if chars.peek().is_some_and(|(_, next)| *next == ' ') {
                        self.push('\\');
                    }
                } else {
                    self.push(c);
                }
                spaces = true;
            } else {
                self.push(c);
                self.line_start = false;
                spaces = false;
            }
        }
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.block_header('|', text);
        let mut breaks = true;
        for c in text.chars() {
            if is_break(c) {
                self.text_break(c);
                breaks = true;
            } else {
                if breaks {
                    self.indent(indent);
                }
                self.push(c);
                self.line_start = false;
                breaks = false;
            }
        }
    }

    /// Folded text, in lines as long as its own.
    fn folded(&mut self, text: &str, indent: usize) {
        self.block_header('>', text);
        let starts_blank = text.trim_start_matches(is_break).starts_with([' ', '\t']);
        let (mut breaks, mut leading_spaces) = (true, true);
        for c in text.chars() {
            if is_break(c) {
                if !breaks && !leading_spaces && c == '\n' && !starts_blank {
                    self.text_break('\n');
                }
                self.text_break(c);
                breaks = true;
            } else {
                if breaks {
                    self.indent(indent);
                    leading_spaces = matches!(c, ' ' | '\t');
                }
                self.push(c);
                self.line_start = false;
                breaks = false;
            }
        }
    }

    fn text_break(&mut self, c: char) {
        if c == '\n' {
            self.line_break();
        } else {
            self.out.push(c);
            self.column = 0;
        }
        self.line_start = true;
    }

    fn block_header(&mut self, indicator: char, text: &str) {
        self.space();
        self.push(indicator);
        if text.starts_with([' ', '\n', '\u{85}', '\u{2028}', '\u{2029}']) {
            self.push('2');
        }
        let mut end = text.chars().rev();
        match (end.next().is_some_and(is_break), end.next()) {
            (false, _) => self.push('-'),
            (true, None) => self.push('+'),
            (true, Some(before)) if is_break(before) => self.push('+'),
            _ => {}
        }
        self.line_break();
        self.line_start = true;
        self.blank = true;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
}

/// A text as a scalar on one line, quoted where it has to be.
pub fn plain_or_quoted(text: &str) -> String {
    let shape = Shape::of(text);
    let ambiguous = resolve_1_1(text) != Scalar::Str || is_base_60(text);
    if text.contains('\n') || !shape.single || ambiguous {
        let mut writer = Writer {
            out: "\"".to_owned(),
            column: 0,
            blank: false,
            line_start: false,
        };
        writer.double(text, 0, false);
        writer.out.push('"');
        writer.out
    } else if shape.plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// A text in the given style, or in the nearest style that can hold it.
pub(super) fn quoted(text: &str, style: Style, indent: usize, flow: bool) -> String {
    let shape = Shape::of(text);
    let mut writer = Writer {
        out: String::new(),
        column: 0,
        blank: true,
        line_start: false,
    };
    let flow_plain = !flow || !text.contains([',', '?', '[', ']', '{', '}', ':']);
    let style = match style {
        Style::Plain | Style::Flow if shape.plain && flow_plain && !(flow && text.is_empty()) => {
            Style::Plain
        }
        Style::Plain | Style::Flow | Style::Single if shape.single && !text.contains('\n') => {
            Style::Single
        }
        Style::Literal | Style::Folded if shape.block => style,
        _ => Style::Double,
    };
    match style {
        Style::Plain => writer.out.push_str(text),
        Style::Single => {
            writer.out.push('\'');
            writer.out.push_str(&text.replace('\'', "''"));
            writer.out.push('\'');
        }
        Style::Literal => writer.literal(text, indent),
        Style::Folded => writer.folded(text, indent),
        _ => {
            writer.push('"');
            writer.double(text, 0, false);
            writer.push('"');
        }
    }
    writer.out
}
