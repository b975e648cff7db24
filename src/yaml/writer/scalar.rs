//! The text of scalars: which style can hold it, what is escaped in it, where it is folded.

use super::Writer;
use crate::yaml::resolve::{Scalar, resolve_1_1};
use crate::yaml::shape::{Shape, escape, is_base_60, is_break, is_printable};
use crate::yaml::tree::Style;

const WIDTH: usize = 80;

impl Writer {
    pub(super) fn string(&mut self, text: &str, indent: usize, key: bool) {
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
        let (mut spaces, mut breaks) = (false, false);
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if is_break(c) && quote == Quote::Single {
                self.text_break(c);
                breaks = true;
            } else if c == ' ' {
                let followed = chars.peek().is_some_and(|(_, next)| *next == ' ');
                let inside = quote == Quote::None || (at > 0 && at + 1 < text.len());
                if fold && !spaces && self.column > WIDTH && inside && !followed {
                    self.indent(indent);
                } else {
                    self.push(c);
                }
                spaces = true;
            } else {
                if std::mem::take(&mut breaks) {
                    self.indent(indent);
                }
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
        // go-yaml looks for the mark at the start of the text, whichever character it is about to write.
        let all = text.starts_with('\u{feff}');
        let mut spaces = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if all
                || !is_printable(c)
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
pub fn quoted(text: &str, style: Style, indent: usize, flow: bool) -> String {
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
