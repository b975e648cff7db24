//! What a plain scalar means: to go-yaml v3 (resources, patches) and to go-yaml v2 (kustomization files, YAML 1.1).

use super::reader::{Limits, parse};
use super::tree::{Kind, NodeId, Style, Tag, Tree};

/// The meaning of a scalar.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond `i64`.
    Uint(u64),
    Float(f64),
    /// A date or a time, as RFC 3339 text.
    Timestamp(String),
    Str,
}

impl Scalar {
    /// The tag that a plain scalar of this meaning has.
    pub fn tag(&self) -> Tag {
        match self {
            Scalar::Null => Tag::Null,
            Scalar::Bool(_) => Tag::Bool,
            Scalar::Int(_) | Scalar::Uint(_) => Tag::Int,
            Scalar::Float(_) => Tag::Float,
            Scalar::Timestamp(_) => Tag::Timestamp,
            Scalar::Str => Tag::Str,
        }
    }
}

/// What go-yaml v3 takes a plain scalar for.
pub fn resolve(text: &str) -> Scalar {
    match text {
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        _ => resolve_common(text, true),
    }
}

/// What go-yaml v2 takes a plain scalar for: `yes`, `on` and their like are booleans.
pub fn resolve_1_1(text: &str) -> Scalar {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        _ => resolve_common(text, false),
    }
}

fn resolve_common(text: &str, octal_minus: bool) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Scalar::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' => float(text).map_or(Scalar::Str, Scalar::Float),
        b'0'..=b'9' | b'+' | b'-' => number(text, octal_minus),
        _ => Scalar::Str,
    }
}

fn number(text: &str, octal_minus: bool) -> Scalar {
    if let Some(time) = timestamp(text) {
        return Scalar::Timestamp(time);
    }
    let without;
    let plain = if text.contains('_') {
        without = text.replace('_', "");
        &without
    } else {
        text
    };
    if let Some(scalar) = integer(plain) {
        return scalar;
    }
    if let Some(value) = float(plain) {
        return Scalar::Float(value);
    }
    // What the prefixes of base 0 do not say already: a sign behind them.
    let radix = |rest: &str, radix: u32| i64::from_str_radix(rest, radix).ok().map(Scalar::Int);
    let legacy = if let Some(rest) = plain.strip_prefix("0b") {
        radix(rest, 2)
    } else if let Some(rest) = plain.strip_prefix("-0b") {
        radix(&format!("-{rest}"), 2)
    } else if let Some(rest) = plain.strip_prefix("0o").filter(|_| octal_minus) {
        radix(rest, 8)
    } else if let Some(rest) = plain.strip_prefix("-0o").filter(|_| octal_minus) {
        radix(&format!("-{rest}"), 8)
    } else {
        None
    };
    legacy.unwrap_or(Scalar::Str)
}

/// Go's `ParseInt(text, 0, 64)` and, for what is too large, `ParseUint`.
fn integer(text: &str) -> Option<Scalar> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    // `from_str_radix` would take a second sign.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        let value = i128::from(value);
        i64::try_from(-value).ok().map(Scalar::Int)
    } else if let Ok(value) = i64::try_from(value) {
        Some(Scalar::Int(value))
    } else if text.starts_with('+') {
        None
    } else {
        Some(Scalar::Uint(value))
    }
}

/// A float as YAML writes them; `None` too for what does not fit into 64 bits.
fn float(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let mut at = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let whole = digits(at);
    at += whole;
    let mut fraction = 0;
    if bytes.get(at) == Some(&b'.') {
        fraction = digits(at + 1);
        at += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    if at != bytes.len() {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A date, or a date and a time, as RFC 3339 text; `None` for what is neither.
fn timestamp(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || bytes[4] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let year: i16 = text.get(..4)?.parse().ok()?;
    let (month, rest) = short_number(text.get(5..)?)?;
    let (day, rest) = short_number(rest.strip_prefix('-')?)?;
    let date =
        jiff::civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    if rest.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let (zoned, rest) = match rest.as_bytes()[0] {
        b'T' | b't' => (true, &rest[1..]),
        b' ' => (false, &rest[1..]),
        _ => return None,
    };
    let (hour, rest) = short_number(rest)?;
    let (minute, rest) = short_number(rest.strip_prefix(':')?)?;
    let (second, mut rest) = short_number(rest.strip_prefix(':')?)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut fraction = String::new();
    if let Some(after) = rest.strip_prefix(['.', ',']) {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        after[..digits.min(9)]
            .trim_end_matches('0')
            .clone_into(&mut fraction);
        rest = &after[digits..];
    }
    let zone = match (zoned, rest) {
        (false, "") | (true, "Z") => "Z".to_owned(),
        (true, zone) => offset(zone)?,
        _ => return None,
    };
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!(
        "{date}T{hour:02}:{minute:02}:{second:02}{dot}{fraction}{zone}"
    ))
}

fn short_number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    Some((text.get(..digits)?.parse().ok()?, &text[digits..]))
}

fn offset(zone: &str) -> Option<String> {
    let bytes = zone.as_bytes();
    let [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = bytes else {
        return None;
    };
    if ![h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hours = (h1 - b'0') * 10 + (h2 - b'0');
    let minutes = (m1 - b'0') * 10 + (m2 - b'0');
    if hours > 24 || minutes > 60 {
        return None;
    }
    if hours == 0 && minutes == 0 {
        return Some("Z".to_owned());
    }
    Some(format!("{}{hours:02}:{minutes:02}", char::from(*sign)))
}

/// Whether text that stands for a string would be read as something else by a YAML 1.1 parser, and so is quoted.
pub fn needs_quotes_in_1_1(text: &str) -> bool {
    if text.is_empty() || text.contains('\n') {
        return false;
    }
    // go-yaml takes no tab in front of a document, and what nobody can read is text.
    if text.trim_start_matches(' ').starts_with('\t') {
        return false;
    }
    if is_plain(text) {
        return !is_text(&resolve_1_1(text));
    }
    let limits = Limits {
        // Aliases of aliases are no reason to make more of one line.
        nodes: text.len() + 1000,
        ..Limits::default()
    };
    parse(text, "", &limits).is_ok_and(|document| {
        document
            .is_none_or(|document| decodes_to_text(&document.tree, document.root) == Some(false))
    })
}

/// Whether a line can only be a plain scalar.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_blank = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r');
    let starts_other = match bytes[0] {
        b'-' => text.starts_with("---") || bytes.get(1).is_none_or(|next| is_blank(*next)),
        b'?' | b':' | b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|'
        | b'>' | b'\'' | b'"' | b'%' | b'@' | b'`' => true,
        first => is_blank(first),
    };
    let last = bytes[bytes.len() - 1];
    let has_other = |pair: &[u8]| {
        (pair[0] == b':' && is_blank(pair[1])) || (is_blank(pair[0]) && pair[1] == b'#')
    };
    !(starts_other || last == b':' || is_blank(last) || bytes.windows(2).any(has_other))
}

/// go-yaml v2 hands times out as text.
fn is_text(meaning: &Scalar) -> bool {
    matches!(meaning, Scalar::Str | Scalar::Timestamp(_))
}

/// Whether go-yaml v2 makes text of a node; `None` if it refuses what it is, or what is in it.
fn decodes_to_text(tree: &Tree, id: NodeId) -> Option<bool> {
    let node = tree.node(id);
    if node.kind != Kind::Scalar {
        for (key, _) in tree.pairs(id) {
            if tree.kind(key) != Kind::Scalar {
                return None;
            }
        }
        for item in &node.items {
            decodes_to_text(tree, *item)?;
        }
        return Some(false);
    }
    let meaning = resolve_1_1(&node.text);
    if !node.tagged {
        return Some(node.style != Style::Plain || is_text(&meaning));
    }
    match &node.tag {
        Tag::Int | Tag::Float | Tag::Bool | Tag::Null | Tag::Timestamp => {
            let is_whole = node.tag == Tag::Float && meaning.tag() == Tag::Int;
            (is_whole || meaning.tag() == node.tag).then(|| is_text(&meaning))
        }
        _ => Some(true),
    }
}
