//! JSON patches (RFC 6902) with the leniency of the library that kustomize uses.

use serde_json::Value;

use super::error::{BuildError, Result, fail};
use super::hash::go_json;
use super::json::value_1_1;
use crate::yaml::{Limits, parse};

/// A decoded patch.
#[derive(Clone, Debug, Default)]
pub struct JsonPatch(Vec<Operation>);

#[derive(Clone, Debug)]
struct Operation {
    op: String,
    path: Option<String>,
    from: Option<String>,
    value: Option<Value>,
}

/// How many nodes the `copy` operations of one patch may look at.
const MAX_COPIED: usize = 1_000_000;
/// How deep a patch may nest.
const MAX_DEPTH: usize = 512;

fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(map) => map.values().map(size).sum(),
        // A long text is as much as many nodes.
        Value::String(text) => text.len() / 64,
        _ => 0,
    }
}

fn depth(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

impl JsonPatch {
    /// Reads a patch written as JSON or YAML; `None` if there is nothing in it.
    pub fn read(text: &str, limits: &Limits) -> Result<Option<Self>> {
        let value = if text.starts_with('[') {
            serde_json::from_str(text)
                .map_err(|error| BuildError::new(format!("not a JSON patch: {error}")))?
        } else {
            match parse(text, "", limits)? {
                Some(document) => value_1_1(&document.tree, document.root)?,
                None => return Ok(None),
            }
        };
        let Value::Array(list) = value else {
            return fail("a JSON patch is a list of operations");
        };
        let mut operations = Vec::new();
        for (index, item) in list.into_iter().enumerate() {
            let Value::Object(mut fields) = item else {
                return fail(format!("operation {index} of the JSON patch is not a map"));
            };
            let text = |value: Option<Value>| match value {
                Some(Value::String(text)) => Some(text),
                _ => None,
            };
            let (op, path, from) = (
                fields.remove("op"),
                fields.remove("path"),
                fields.remove("from"),
            );
            operations.push(Operation {
                op: text(op).unwrap_or_else(|| "unknown".to_owned()),
                path: text(path),
                from: text(from),
                value: fields.remove("value"),
            });
        }
        Ok(Some(Self(operations)))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies every operation, in order.
    pub fn apply(&self, document: &mut Value) -> Result<()> {
        // Copies of copies grow without measure.
        let mut copied = 0;
        for (index, operation) in self.0.iter().enumerate() {
            if operation.op == "copy" {
                copied += size(document);
                if copied > MAX_COPIED {
                    return fail(format!(
                        "the JSON patch copies more than {MAX_COPIED} nodes"
                    ));
                }
            }
            operation.apply(document).map_err(|message| {
                BuildError::new(format!("operation {index} of the JSON patch: {message}"))
            })?;
        }
        Ok(())
    }
}

type Outcome<T = ()> = std::result::Result<T, String>;

impl Operation {
    fn path(&self) -> Outcome<&str> {
        self.path
            .as_deref()
            .ok_or_else(|| format!("{}: there is no `path`", self.op))
    }

    fn from(&self) -> Outcome<&str> {
        self.from
            .as_deref()
            .ok_or_else(|| format!("{}: there is no `from`", self.op))
    }

    fn apply(&self, document: &mut Value) -> Outcome {
        let value = || self.value.clone().unwrap_or(Value::Null);
        match self.op.as_str() {
            "add" => {
                let path = self.path()?;
                let (container, key) = container(document, path)?;
                add(container, &key, value(), path)
            }
            "remove" => {
                let path = self.path()?;
                let (container, key) = container(document, path)?;
                remove(container, &key, path).map(|_| ())
            }
            "replace" => {
                let path = self.path()?;
                if path.is_empty() {
                    *document = value();
                    return if document.is_object() || document.is_array() {
                        Ok(())
                    } else {
                        Err("replace: the whole can only become a map or a list".to_owned())
                    };
                }
                let (container, key) = container(document, path)?;
                match container {
                    Value::Object(map) => {
                        map.insert(key, value());
                    }
                    Value::Array(list) => {
                        let index = index(&key, list.len(), path)?;
                        list[index] = value();
                    }
                    _ => return Err(missing("replace", path)),
                }
                Ok(())
            }
            "move" => {
                let moved = {
                    let from = self.from()?;
                    let (container, key) = container(document, from)?;
                    remove(container, &key, from)?
                };
                let path = self.path()?;
                let (container, key) = container(document, path)?;
                add(container, &key, moved, path)
            }
            "copy" => {
                let from = self.from()?;
                let (source, key) = container(document, from)?;
                let copy = get(source, &key, from)?.cloned().unwrap_or(Value::Null);
                let path = self.path()?;
                let (container, key) = container(document, path)?;
                add(container, &key, copy, path)
            }
            "test" => {
                let path = self.path()?;
                let is = if path.is_empty() {
                    Some(&*document)
                } else {
                    let (container, key) = container(document, path)?;
                    get(container, &key, path)?
                };
                let expected = self.value.as_ref().unwrap_or(&Value::Null);
                // As texts: a number is the same however it was written.
                if go_json(is.unwrap_or(&Value::Null)) == go_json(expected) {
                    Ok(())
                } else {
                    Err(format!("test: `{path}` has another value"))
                }
            }
            other => Err(format!(
                "unknown operation `{other}`: `op` is one of add, remove, replace, move, copy, test"
            )),
        }
    }
}

fn missing(op: &str, path: &str) -> String {
    format!("{op}: there is nothing at `{path}`")
}

fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The map or list that a path leads into, and the last part of the path.
fn container<'d>(document: &'d mut Value, path: &str) -> Outcome<(&'d mut Value, String)> {
    let mut parts = path.split('/');
    parts.next();
    let parts: Vec<&str> = parts.collect();
    let Some((last, parents)) = parts.split_last() else {
        return Err(format!("`{path}` does not start with a slash"));
    };
    let mut at = document;
    for part in parents {
        let key = unescape(part);
        at = match at {
            Value::Object(map) => map.get_mut(&key),
            Value::Array(items) => {
                let length = items.len();
                index(&key, length, path)
                    .ok()
                    .and_then(|index| items.get_mut(index))
            }
            _ => None,
        }
        .filter(|next| next.is_object() || next.is_array())
        .ok_or_else(|| format!("`{path}`: there is no `{key}` to go through"))?;
    }
    if at.is_object() || at.is_array() {
        Ok((at, unescape(last)))
    } else {
        Err(missing("path", path))
    }
}

/// The position that a path part means in a list of this length; negative ones count from the end.
fn index(key: &str, length: usize, path: &str) -> Outcome<usize> {
    let given: i64 = key
        .parse()
        .map_err(|_| format!("`{path}`: `{key}` is not a list index"))?;
    let count = i64::try_from(length).unwrap_or(i64::MAX);
    let index = if given < 0 { given + count } else { given };
    usize::try_from(index)
        .ok()
        .filter(|index| *index < length)
        .ok_or_else(|| format!("`{path}`: the list has no index {given}"))
}

fn get<'v>(container: &'v Value, key: &str, path: &str) -> Outcome<Option<&'v Value>> {
    match container {
        Value::Object(map) => Ok(map.get(key)),
        Value::Array(list) => index(key, list.len(), path).map(|index| list.get(index)),
        _ => Err(missing("path", path)),
    }
}

fn add(container: &mut Value, key: &str, value: Value, path: &str) -> Outcome {
    if depth(&value) + path.matches('/').count() > MAX_DEPTH {
        return Err(format!("`{path}`: nested deeper than {MAX_DEPTH} levels"));
    }
    match container {
        Value::Object(map) => {
            map.insert(key.to_owned(), value);
        }
        Value::Array(list) if key == "-" => list.push(value),
        Value::Array(list) => {
            let index = index(key, list.len() + 1, path)?;
            list.insert(index, value);
        }
        _ => return Err(missing("add", path)),
    }
    Ok(())
}

fn remove(container: &mut Value, key: &str, path: &str) -> Outcome<Value> {
    match container {
        Value::Object(map) => map.remove(key).ok_or_else(|| missing("remove", path)),
        Value::Array(list) => {
            let index = index(key, list.len(), path)?;
            Ok(list.remove(index))
        }
        _ => Err(missing("remove", path)),
    }
}
