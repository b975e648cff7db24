//! The text that `kustomize` prints: go-yaml v2 with two spaces, lists not indented, lines folded behind column 80,
//! keys in its order.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::resolve::{Scalar, resolve_1_1};
use super::tree::Style;

const WIDTH: usize = 80;
/// Keys longer than this are written in the long form.
const SIMPLE_KEY: usize = 128;

/// The YAML text of a value, ending in a line break.
pub fn to_yaml(value: &Value) -> String {
    let mut writer = Writer {
        out: String::new(),
        column: 0,
        blank: true,
        line_start: true,
        open_ended: false,
    };
    match value {
        Value::Object(map) if !map.is_empty() => writer.map(map, 0, true),
        Value::Array(list) if !list.is_empty() => writer.list(list, 0, true),
        other => writer.leaf(other, 2, false),
    }
    if writer.column > 0 {
        writer.line_break();
    }
    if writer.open_ended {
        writer.out.push_str("...\n");
    }
    writer.out
}

/// A float as Go's `%g` writes it, and so as YAML has it.
pub fn float_text(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let (sign, digits, exponent) = shortest(value);
    if value == 0.0 || (-4..6).contains(&exponent) {
        return plain(sign, &digits, exponent);
    }
    scientific(sign, &digits, exponent, true)
}

/// A float as Go's JSON encoder writes it.
pub fn json_float_text(value: f64) -> String {
    let (sign, digits, exponent) = shortest(value);
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        scientific(sign, &digits, exponent, false)
    } else {
        plain(sign, &digits, exponent)
    }
}

/// Sign, the shortest digits that mean this number, and the decimal exponent of the first of them.
fn shortest(value: f64) -> (&'static str, String, i32) {
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let sign = if value.is_sign_negative() { "-" } else { "" };
    (
        sign,
        mantissa.replace('.', ""),
        exponent.parse().unwrap_or(0),
    )
}

fn plain(sign: &str, digits: &str, exponent: i32) -> String {
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    if exponent < 0 {
        format!("{sign}0.{}{digits}", zeros(-exponent - 1))
    } else if exponent + 1 >= length {
        format!("{sign}{digits}{}", zeros(exponent + 1 - length))
    } else {
        let (whole, fraction) = digits.split_at(usize::try_from(exponent + 1).unwrap_or(0));
        format!("{sign}{whole}.{fraction}")
    }
}

fn scientific(sign: &str, digits: &str, exponent: i32, two_digits: bool) -> String {
    let (first, rest) = digits.split_at(1);
    let dot = if rest.is_empty() { "" } else { "." };
    let direction = if exponent < 0 { '-' } else { '+' };
    let size = exponent.abs();
    if two_digits || size >= 10 {
        format!("{sign}{first}{dot}{rest}e{direction}{size:02}")
    } else {
        format!("{sign}{first}{dot}{rest}e{direction}{size}")
    }
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => float_text(value),
        _ => number.to_string(),
    }
}

/// go-yaml's order of keys: letters behind everything else, numbers by their value.
fn key_order(a: &str, b: &str) -> Ordering {
    let a_runes: Vec<char> = a.chars().collect();
    let b_runes: Vec<char> = b.chars().collect();
    let Some(at) = a_runes.iter().zip(&b_runes).position(|(a, b)| a != b) else {
        return a_runes.len().cmp(&b_runes.len());
    };
    let (x, y) = (a_runes[at], b_runes[at]);
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let mut start = 0_i64;
    if x == '0' || y == '0' {
        let before = a_runes[..at]
            .iter()
            .rev()
            .take_while(|c| c.is_ascii_digit());
        if before.into_iter().any(|c| *c != '0') {
            start = 1;
        }
    }
    let run = |runes: &[char]| {
        let digits: Vec<i64> = runes[at..]
            .iter()
            .map_while(|c| c.to_digit(10).map(i64::from))
            .collect();
        let value = digits.iter().fold(start, |value, digit| {
            value.wrapping_mul(10).wrapping_add(*digit)
        });
        (value, digits.len())
    };
    run(&a_runes).cmp(&run(&b_runes)).then(x.cmp(&y))
}

/// A stable sort that keeps `a` before `b` unless `a` is behind `b`; it bears comparisons that contradict each other.
pub fn merge_sort<T>(mut list: Vec<T>, is_behind: &dyn Fn(&T, &T) -> bool) -> Vec<T> {
    if list.len() < 2 {
        return list;
    }
    let right = merge_sort(list.split_off(list.len() / 2), is_behind);
    let left = merge_sort(list, is_behind);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if is_behind(a, b) {
            right.next()
        } else {
            left.next()
        };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

fn is_ascii_key(key: &str) -> bool {
    key.bytes().all(|b| b.is_ascii_alphabetic())
}

fn sorted(map: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<(&String, &Value)> = map.iter().collect();
    if entries.iter().all(|(key, _)| is_ascii_key(key)) {
        entries.sort_unstable_by(|a, b| a.0.cmp(b.0));
    } else {
        // Not a total order for every set of keys, so not for the standard library's sort.
        entries = merge_sort(entries, &|a, b| key_order(a.0, b.0) == Ordering::Greater);
    }
    entries
}

struct Writer {
    out: String,
    column: usize,
    /// The last character was white space (or nothing).
    blank: bool,
    /// Only indentation and indicators stand on this line so far.
    line_start: bool,
    /// The last scalar ended in kept line breaks.
    open_ended: bool,
}

impl Writer {
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
        self.open_ended = false;
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
            self.string(key, indent + 2, true);
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
            self.open_ended = false;
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
                self.open_ended = false;
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
            self.open_ended = false;
            self.space();
            self.words(text, indent, !key, Quote::None);
            return;
        }
        let double =
            literal || !(shape.single && resolve_1_1(text) == Scalar::Str && !is_base_60(text));
        self.space();
        self.open_ended = false;
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
        self.open_ended = false;
        match (end.next().is_some_and(is_break), end.next()) {
            (false, _) => self.push('-'),
            (true, None) => {
                self.push('+');
                self.open_ended = true;
            }
            (true, Some(before)) if is_break(before) => {
                self.push('+');
                self.open_ended = true;
            }
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

/// Which styles can hold a text.
struct Shape {
    plain: bool,
    single: bool,
    block: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let mut shape = Shape {
            plain: true,
            single: true,
            block: true,
        };
        if text.is_empty() {
            shape.block = false;
            return shape;
        }
        if text.starts_with("---") || text.starts_with("...") {
            shape.plain = false;
        }
        let mut after_white = true;
        let (mut previous_space, mut previous_break) = (false, false);
        let mut chars = text.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            let before_white = next.is_none_or(|next| next == ' ' || next == '\t');
            let indicator = if first {
                matches!(
                    c,
                    '#' | ','
                        | '['
                        | ']'
                        | '{'
                        | '}'
                        | '&'
                        | '*'
                        | '!'
                        | '|'
                        | '>'
                        | '\''
                        | '"'
                        | '%'
                        | '@'
                        | '`'
                ) || (matches!(c, '?' | ':' | '-') && before_white)
            } else {
                (c == ':' && before_white) || (c == '#' && after_white)
            };
            if indicator {
                shape.plain = false;
            }
            if !is_printable(c) {
                shape = Shape {
                    plain: false,
                    single: false,
                    block: false,
                };
            }
            if c == ' ' {
                if first || next.is_none() {
                    shape.plain = false;
                }
                if next.is_none() {
                    shape.block = false;
                }
                if previous_break {
                    shape.plain = false;
                    shape.single = false;
                }
                (previous_space, previous_break) = (true, false);
            } else if is_break(c) {
                shape.plain = false;
                if previous_space {
                    shape.single = false;
                    shape.block = false;
                }
                (previous_space, previous_break) = (false, true);
            } else {
                (previous_space, previous_break) = (false, false);
            }
            after_white = matches!(c, ' ' | '\t') || is_break(c) || c == '\0';
            first = false;
        }
        shape
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && c != '\u{feff}'
}

fn escape(c: char) -> String {
    match c {
        '\0' => "0".to_owned(),
        '\u{7}' => "a".to_owned(),
        '\u{8}' => "b".to_owned(),
        '\t' => "t".to_owned(),
        '\n' => "n".to_owned(),
        '\u{b}' => "v".to_owned(),
        '\u{c}' => "f".to_owned(),
        '\r' => "r".to_owned(),
        '\u{1b}' => "e".to_owned(),
        '"' => "\"".to_owned(),
        '\\' => "\\".to_owned(),
        '\u{85}' => "N".to_owned(),
        '\u{a0}' => "_".to_owned(),
        '\u{2028}' => "L".to_owned(),
        '\u{2029}' => "P".to_owned(),
        c if u32::from(c) <= 0xff => format!("x{:02X}", u32::from(c)),
        c if u32::from(c) <= 0xffff => format!("u{:04X}", u32::from(c)),
        c => format!("U{:08X}", u32::from(c)),
    }
}

/// Digits in groups of sixty, such as times of day, which YAML 1.1 takes for numbers.
fn is_base_60(text: &str) -> bool {
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !rest.starts_with(|c: char| c.is_ascii_digit()) || !rest.contains(':') {
        return false;
    }
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let mut groups = whole.split(':');
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    groups.next().is_some_and(is_digits)
        && is_digits(fraction)
        && groups
            .all(|group| matches!(group.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']))
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
            open_ended: false,
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
        open_ended: false,
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
