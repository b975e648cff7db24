//! The characters U+2028 and U+2029, which end a line for go-yaml and do not for the parser: the blanks beside them are
//! indentation, and go.

use granit_parser::{Event, ScalarStyle, Span};

const SEPARATORS: [char; 2] = ['\u{2028}', '\u{2029}'];

/// Whether there is such a character.
pub(super) fn has_some(text: &str) -> bool {
    // Both start with this byte, and looking for a byte takes next to nothing.
    text.as_bytes().contains(&0xe2) && text.contains(SEPARATORS)
}

/// The event as go-yaml has it.
pub(super) fn refold<'t>(event: Event<'t>, span: &Span, text: &str) -> Event<'t> {
    match event {
        Event::Scalar(value, style, anchor, tag) if value.contains(SEPARATORS) => {
            let value = match style {
                ScalarStyle::Literal | ScalarStyle::Folded => {
                    without_indent(&value, span.start.col()).into()
                }
                // Blanks beside an escape stay.
                ScalarStyle::DoubleQuoted if has_escapes(text, span) => value,
                _ => without_blanks(&value).into(),
            };
            Event::Scalar(value, style, anchor, tag)
        }
        other => other,
    }
}

fn has_escapes(text: &str, span: &Span) -> bool {
    let ends = span.start.byte_offset().zip(span.end.byte_offset());
    ends.and_then(|(start, end)| text.get(start..end))
        .is_none_or(|written| written.contains('\\'))
}

fn without_blanks(text: &str) -> String {
    let blanks = [' ', '\t'];
    let lines = text.split_inclusive(SEPARATORS).enumerate();
    let trimmed = lines.map(|(at, line)| {
        let line = if at > 0 {
            line.trim_start_matches(blanks)
        } else {
            line
        };
        let words = line.trim_end_matches(SEPARATORS);
        if words.len() == line.len() {
            return line.to_owned();
        }
        let end = &line[words.len()..];
        format!("{}{end}", words.trim_end_matches(blanks))
    });
    trimmed.collect()
}

fn without_indent(text: &str, indent: usize) -> String {
    let lines = text.split_inclusive(SEPARATORS).enumerate();
    let trimmed = lines.map(|(at, line)| {
        let spaces = line.bytes().take_while(|byte| *byte == b' ').count();
        &line[if at > 0 { spaces.min(indent) } else { 0 }..]
    });
    trimmed.collect()
}
