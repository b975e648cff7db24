//! What a text contains, and so which styles can hold it.

/// Which styles can hold a text.
pub(super) struct Shape {
    pub plain: bool,
    pub single: bool,
    pub block: bool,
}

impl Shape {
    pub fn of(text: &str) -> Self {
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

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && c != '\u{feff}'
}

pub(super) fn escape(c: char) -> String {
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
pub(super) fn is_base_60(text: &str) -> bool {
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
