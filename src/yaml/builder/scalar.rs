//! Scalars, and the tags that documents write out.

use granit_parser::ScalarStyle;

use super::super::resolve::resolve;
use super::super::tree::{Node, Place, Style, Tag};

pub(super) fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&granit_parser::Tag>,
    place: Place,
) -> Node {
    let style = match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    };
    let explicit = tag.and_then(explicit_tag);
    Node {
        tagged: explicit.is_some(),
        tag: match explicit {
            Some(tag) => tag,
            None if style != Style::Plain => Tag::Str,
            None if text == "<<" => Tag::Merge,
            None => resolve(text).tag(),
        },
        style,
        place,
        ..Node::scalar(text, Tag::None)
    }
}

pub(super) fn explicit_tag(tag: &granit_parser::Tag) -> Option<Tag> {
    let (handle, suffix) = tag.parts();
    let full = format!("{handle}{suffix}");
    let short = match full.strip_prefix("tag:yaml.org,2002:") {
        Some(rest) => rest,
        None => full.strip_prefix("!!").unwrap_or(""),
    };
    Some(match short {
        "str" => Tag::Str,
        "int" => Tag::Int,
        "float" => Tag::Float,
        "bool" => Tag::Bool,
        "null" => Tag::Null,
        "timestamp" => Tag::Timestamp,
        "binary" => Tag::Binary,
        "merge" => Tag::Merge,
        "map" => Tag::Map,
        "seq" => Tag::Seq,
        _ if full == "!" => return None,
        _ => Tag::Other(full.into()),
    })
}
