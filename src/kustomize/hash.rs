//! The suffix that a generated name gets from the content of the object.

use std::fmt::Write;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::context::Context;
use super::error::{Result, fail};
use super::node;
use super::resources::Resources;
use crate::yaml::{Kind, NodeId, Tag, Tree, to_value};

/// Appends the hash to the names of the objects that want it.
pub fn add_hashes(context: &mut Context<'_>, resources: &mut Resources) -> Result<()> {
    if !resources.list().iter().any(|resource| resource.needs_hash) {
        return Ok(());
    }
    for resource in resources.list_mut() {
        if !resource.needs_hash {
            continue;
        }
        let hash = hash(&context.tree, resource.root)
            .map_err(|errors| errors.each(|error| resource.origin.place(error)))?;
        resource.store_previous_id(context)?;
        let name = format!("{}-{hash}", node::name(&context.tree, resource.root));
        let value = context.tree.scalar(&name, Tag::None);
        if let Some(metadata) = context.tree.get(resource.root, "metadata") {
            node::set_field(&mut context.tree, metadata, "name", value)?;
        }
    }
    Ok(())
}

#[inline(never)]
fn hash(tree: &Tree, object: NodeId) -> Result<String> {
    let value = |field: &str| -> Result<Value> {
        Ok(match tree.get(object, field) {
            None => Value::String(String::new()),
            Some(id) if tree.kind(id) == Kind::Scalar => Value::String(tree.text(id).to_owned()),
            Some(id) => to_value(tree, id)?,
        })
    };
    let kind = node::kind(tree, object);
    let mut content = Map::new();
    content.insert("kind".to_owned(), kind.into());
    // The name does not count; kustomize looks for it where it is not.
    content.insert("name".to_owned(), "".into());
    content.insert("data".to_owned(), value("data")?);
    let optional = match kind {
        "ConfigMap" => "binaryData",
        "Secret" => {
            content.insert("type".to_owned(), value("type")?);
            "stringData"
        }
        other => {
            return fail(format!(
                "a {other} cannot have a hash in its name; only ConfigMaps and Secrets can"
            ));
        }
    };
    let more = value(optional)?;
    if more.is_object() {
        content.insert(optional.to_owned(), more);
    }
    Ok(suffix(&go_json(&Value::Object(content))))
}

fn suffix(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut hex = String::new();
    for byte in &digest[..5] {
        // Writing into a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex.chars()
        .map(|c| match c {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            other => other,
        })
        .collect()
}

/// JSON as Go writes it.
pub fn go_json(value: &Value) -> String {
    let mut out = String::new();
    write_json(value, &mut out);
    out
}

/// JSON with sorted keys and the escapes that Go adds for HTML.
fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            out.push('{');
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_json(value, out);
            }
            out.push('}');
        }
        Value::Array(list) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(value, out);
            }
            out.push(']');
        }
        Value::String(text) => write_string(text, out),
        Value::Number(number) => match number.as_f64() {
            Some(value) if number.is_f64() => out.push_str(&crate::yaml::json_float_text(value)),
            _ => out.push_str(&number.to_string()),
        },
        other => out.push_str(&other.to_string()),
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 || matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
