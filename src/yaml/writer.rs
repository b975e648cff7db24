//! The text that `kustomize` prints: go-yaml v2 with two spaces, lists not indented, lines folded behind column 80,
//! keys in its order.

mod scalar;

use serde_json::{Map, Number, Value};

use super::number::float_text;
use super::order::sorted;

pub use scalar::plain_or_quoted;
pub(super) use scalar::quoted;

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
                self.same_line(value, indent + 2);
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
            self.same_line(value, indent + 2);
        }
    }

    /// A value behind the indicator that stands for it; a map or a list starts on the same line.
    fn same_line(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                self.push(' ');
                self.blank = true;
                self.map(map, indent, true);
            }
            Value::Array(list) if !list.is_empty() => {
                self.push(' ');
                self.blank = true;
                self.list(list, indent, true);
            }
            other => {
                self.line_start = false;
                self.leaf(other, indent, false);
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
}
