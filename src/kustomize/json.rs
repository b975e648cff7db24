//! From nodes to JSON and back: what a node means by YAML 1.1 rules, and the nodes that kustomize has after it read JSON, or
//! what it wrote itself.

use serde_json::Value;

use super::error::{Result, fail};
use crate::yaml::{
    Kind, Node, NodeId, Place, Scalar, Style, Tag, Tree, float_text, json_float_text,
    plain_or_quoted, resolve, resolve_1_1,
};

/// The JSON value of a node that was read by YAML 1.1 rules.
pub fn value_1_1(tree: &Tree, id: NodeId) -> Result<Value> {
    let node = tree.node(id);
    Ok(match node.kind {
        Kind::Empty => Value::Null,
        Kind::Seq => {
            let mut list = Vec::new();
            for item in &node.items {
                list.push(value_1_1(tree, *item)?);
            }
            Value::Array(list)
        }
        Kind::Map => {
            let mut map = serde_json::Map::new();
            for (key, item) in tree.pairs(id) {
                map.insert(key_1_1(tree, key), value_1_1(tree, item)?);
            }
            Value::Object(map)
        }
        Kind::Scalar => {
            let meaning = match node.tag {
                Tag::Str if node.tagged || node.style.is_quoted() => Scalar::Str,
                _ if node.style.is_quoted() && !node.tagged => Scalar::Str,
                Tag::Other(_) | Tag::Binary => Scalar::Str,
                _ => resolve_1_1(&node.text),
            };
            match meaning {
                Scalar::Null => Value::Null,
                Scalar::Bool(value) => value.into(),
                Scalar::Int(value) => value.into(),
                Scalar::Uint(value) => value.into(),
                Scalar::Float(value) => serde_json::Number::from_f64(value).map_or_else(
                    || {
                        fail(format!("`{}` has no JSON form", node.text))
                            .map_err(|error| error.at(node.place))
                    },
                    |number| Ok(Value::Number(number)),
                )?,
                Scalar::Timestamp(_) | Scalar::Str => Value::String(node.text.to_string()),
            }
        }
    })
}

/// A key as JSON has it.
pub fn key_1_1(tree: &Tree, key: NodeId) -> String {
    let node = tree.node(key);
    if node.style.is_quoted() || node.tagged {
        return node.text.to_string();
    }
    match resolve_1_1(&node.text) {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Uint(value) => value.to_string(),
        Scalar::Float(value) => float_text(value),
        _ => node.text.to_string(),
    }
}

/// Nodes for JSON as a YAML parser reads it.
pub fn from_json(tree: &mut Tree, value: &Value) -> NodeId {
    let text = |tree: &mut Tree, text: &str| {
        tree.add(Node {
            style: Style::Double,
            ..Node::scalar(text, Tag::Str)
        })
    };
    match value {
        Value::Null => tree.scalar("null", Tag::Null),
        Value::Bool(value) => tree.scalar(&value.to_string(), Tag::Bool),
        Value::Number(number) => {
            let float = number.as_f64().filter(|_| number.is_f64());
            let written = float.map_or_else(|| number.to_string(), json_float_text);
            let tag = resolve(&written).tag();
            tree.scalar(&written, tag)
        }
        Value::String(string) => text(tree, string),
        Value::Array(list) => {
            let items = list.iter().map(|item| from_json(tree, item)).collect();
            tree.add(Node {
                items,
                tag: Tag::Seq,
                ..Node::of(Kind::Seq)
            })
        }
        Value::Object(map) => {
            let mut items = Vec::with_capacity(map.len() * 2);
            for (key, item) in map {
                items.push(text(tree, key));
                items.push(from_json(tree, item));
            }
            tree.add(Node {
                items,
                tag: Tag::Map,
                ..Node::of(Kind::Map)
            })
        }
    }
}

/// The place of a map that kustomize wrote and read again: none in a file, and yet not that of a map that it made.
const READ_AGAIN: Place = Place { line: 0, column: 1 };

/// Nodes for a JSON value, as they are after kustomize wrote it as YAML and read it again: all numbers are floats.
pub fn read_again(tree: &mut Tree, value: &Value) -> NodeId {
    match value {
        Value::Null => tree.scalar("null", Tag::Null),
        Value::Bool(value) => tree.scalar(if *value { "true" } else { "false" }, Tag::Bool),
        Value::Number(number) => {
            let text = number
                .as_f64()
                .map_or_else(|| number.to_string(), float_text);
            let tag = resolve(&text).tag();
            tree.scalar(&text, tag)
        }
        Value::String(text) => string(tree, text),
        Value::Array(list) => {
            let items = list.iter().map(|item| read_again(tree, item)).collect();
            tree.add(Node {
                tag: Tag::Seq,
                items,
                ..Node::of(Kind::Seq)
            })
        }
        Value::Object(map) => {
            let mut items = Vec::with_capacity(map.len() * 2);
            for (key, item) in map {
                items.push(string(tree, key));
                items.push(read_again(tree, item));
            }
            tree.add(Node {
                tag: Tag::Map,
                items,
                place: READ_AGAIN,
                ..Node::of(Kind::Map)
            })
        }
    }
}

fn string(tree: &mut Tree, text: &str) -> NodeId {
    let style = if text.contains('\n') {
        Style::Literal
    } else if resolve(text) != Scalar::Str || resolve_1_1(text) != Scalar::Str {
        Style::Double
    } else {
        match plain_or_quoted(text) {
            quoted if quoted == text => Style::Plain,
            quoted if quoted.starts_with('"') => Style::Double,
            _ => Style::Single,
        }
    };
    tree.add(Node {
        style,
        ..Node::scalar(text, Tag::Str)
    })
}
