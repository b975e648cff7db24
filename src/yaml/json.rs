//! From nodes to JSON values, with the meaning that a scalar has once it was written out and read again.

use base64::Engine;
use serde_json::{Map, Number, Value};

use super::number::json_float_text;
use super::reader::{Limits, parse};
use super::resolve::{Scalar, resolve};
use super::tree::{Kind, Node, NodeId, Place, Style, Tag, Tree};
use super::writer::quoted;

/// Why a node has no JSON value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValueError {
    pub place: Place,
    pub message: String,
}

/// The meaning of a scalar node.
pub fn scalar_value(node: &Node) -> Result<Scalar, ValueError> {
    if node.style.is_quoted() && (node.tag == Tag::None || node.tag == Tag::Str) {
        return Ok(Scalar::Str);
    }
    let resolved = resolve(&node.text);
    // A tag that says nothing new is not written, and what is written in quotes is read as a string.
    if node.style.is_quoted() && !node.tagged && resolved.tag() == node.tag {
        return Ok(Scalar::Str);
    }
    let fits = match (&node.tag, &resolved) {
        (Tag::None, _)
        | (Tag::Null, Scalar::Null)
        | (Tag::Bool, Scalar::Bool(_))
        | (Tag::Int, Scalar::Int(_) | Scalar::Uint(_))
        | (Tag::Float, Scalar::Float(_))
        | (Tag::Timestamp, Scalar::Timestamp(_)) => Some(resolved.clone()),
        #[expect(
            clippy::cast_precision_loss,
            reason = "a float is what the tag asks for"
        )]
        (Tag::Float, Scalar::Int(value)) => Some(Scalar::Float(*value as f64)),
        (Tag::Str | Tag::Binary | Tag::Merge | Tag::Other(_) | Tag::Map | Tag::Seq, _) => {
            Some(Scalar::Str)
        }
        _ => None,
    };
    fits.ok_or_else(|| ValueError {
        place: node.place,
        message: format!("`{}` is not {}", node.text, tag_name(&node.tag)),
    })
}

fn tag_name(tag: &Tag) -> &'static str {
    match tag {
        Tag::Int => "an integer",
        Tag::Float => "a number",
        Tag::Bool => "a boolean",
        Tag::Null => "null",
        Tag::Timestamp => "a time",
        _ => "a value",
    }
}

/// The JSON value of a node.
pub fn to_value(tree: &Tree, id: NodeId) -> Result<Value, ValueError> {
    value(tree, id, true, false)
}

/// The JSON value of a node inside of another one, where every key has to be text.
pub fn to_inner_value(tree: &Tree, id: NodeId) -> Result<Value, ValueError> {
    value(tree, id, false, false)
}

/// Whether a node has a JSON value.
pub fn check_value(tree: &Tree, id: NodeId) -> Result<(), ValueError> {
    to_value(tree, id).map(|_| ())
}

/// `flow`: the node stands in braces or brackets, where what is absent is written as an empty text.
fn value(tree: &Tree, id: NodeId, top: bool, flow: bool) -> Result<Value, ValueError> {
    let node = tree.node(id);
    let flow = flow || node.style == Style::Flow;
    match node.kind {
        Kind::Empty => Ok(Value::Null),
        Kind::Seq => node
            .items
            .iter()
            .map(|item| value(tree, *item, false, flow))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Kind::Map => {
            let mut map = Map::new();
            for (key, item) in tree.pairs(id) {
                let name = tree.node(key);
                if name.kind != Kind::Scalar {
                    return Err(ValueError {
                        place: name.place,
                        message: "a key that is a map or a list".to_owned(),
                    });
                }
                // At the top any scalar but null is a name.
                let is_other = !name.text.is_empty()
                    && (!top || name.tag == Tag::Null)
                    && scalar_value(name)? != Scalar::Str;
                if is_other {
                    return Err(ValueError {
                        place: name.place,
                        message: format!(
                            "the key `{0}` is not a string; quote it: \"{0}\"",
                            name.text
                        ),
                    });
                }
                let value = value(tree, item, false, flow)?;
                if map.insert(name.text.to_string(), value).is_some() {
                    return Err(ValueError {
                        place: name.place,
                        message: format!("the key `{}` occurs twice in one map", name.text),
                    });
                }
            }
            Ok(Value::Object(map))
        }
        Kind::Scalar => Ok(match scalar_value(node)? {
            Scalar::Null if flow && node.text.is_empty() && !node.tagged => {
                Value::String(String::new())
            }
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(value) => Value::Number(value.into()),
            Scalar::Uint(value) => Value::Number(value.into()),
            Scalar::Float(value) => {
                Value::Number(float_number(value).ok_or_else(|| ValueError {
                    place: node.place,
                    message: format!("`{}` has no JSON form", node.text),
                })?)
            }
            Scalar::Timestamp(text) => Value::String(text),
            Scalar::Str if node.tag == Tag::Binary => Value::String(binary(node)?),
            Scalar::Str if node.style == Style::Folded => Value::String(folded(&node.text)),
            Scalar::Str => Value::String(node.text.to_string()),
        }),
    }
}

/// What a folded text is once it was written and read again. Where lines are indented or breaks stand at its end, that is
/// another text.
fn folded(text: &str) -> String {
    let blank = [' ', '\t'];
    let stays = !text.contains("\n ")
        && !text.contains("\n\t")
        && !text.ends_with("\n\n")
        && !text.trim_start_matches('\n').starts_with(blank);
    if stays {
        return text.to_owned();
    }
    let mut written = format!("a: {}", quoted(text, Style::Folded, 2, false));
    if !written.ends_with('\n') {
        written.push('\n');
    }
    let again = parse(&written, "", &Limits::default()).ok().flatten();
    let again = again.and_then(|again| {
        let (_, value) = again.tree.pairs(again.root).next()?;
        Some(again.tree.node(value).text.to_string())
    });
    again.unwrap_or_else(|| text.to_owned())
}

/// A float that JSON writes without fraction comes back as an integer.
fn float_number(value: f64) -> Option<Number> {
    if !value.is_finite() {
        return None;
    }
    let text = json_float_text(value);
    if let Ok(value) = text.parse::<i64>() {
        return Some(value.into());
    }
    if let Ok(value) = text.parse::<u64>() {
        return Some(value.into());
    }
    Number::from_f64(value)
}

fn binary(node: &Node) -> Result<String, ValueError> {
    let text: String = node
        .text
        .chars()
        .filter(|c| !matches!(c, '\n' | '\r'))
        .collect();
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|_| ValueError {
            place: node.place,
            message: "!!binary that is not base64".to_owned(),
        })
}
