//! Whether an object holds to its kind's schema, strictly: what the API server would refuse or only warn of. Pure.

use regex::Regex;
use serde_json::Value;

use super::find::Found;
use crate::api;
use crate::kustomize::nearest;
use crate::yaml::{Kind, NodeId, Scalar, Tree, scalar_value};

/// Line and message of everything that is wrong.
pub(super) fn validate(object: &Found) -> Vec<(u32, String)> {
    let Some(schema) = schema(&object.kind) else {
        return Vec::new();
    };
    let mut walk = Walk {
        tree: object.tree(),
        partial: object.partial,
        problems: Vec::new(),
    };
    let tree = object.tree();
    for (key, value) in tree.pairs(object.root()) {
        let name = tree.text(key);
        match name {
            // What kubectl get -o yaml left in the status is not applied.
            "apiVersion" | "kind" | "status" => {}
            "metadata" => walk.metadata(value),
            "spec" => walk.node(value, &schema["properties"]["spec"], "spec"),
            other => {
                let meant = nearest(other, &["metadata", "spec"])
                    .map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
                walk.problem(key, "", &format!("there is no field {other}{meant}"));
            }
        }
    }
    for name in ["metadata", "spec"] {
        if tree.get(object.root(), name).is_none() {
            walk.problem(object.root(), name, "is missing");
        }
    }
    walk.problems
}

fn schema(kind: &str) -> Option<Value> {
    let definition = api::definitions()
        .into_iter()
        .find(|definition| definition.spec.names.kind == kind)?;
    let version = definition.spec.versions.into_iter().next()?;
    serde_json::to_value(version.schema?.open_api_v3_schema?).ok()
}

struct Walk<'a> {
    tree: &'a Tree,
    /// Nothing is required.
    partial: bool,
    problems: Vec<(u32, String)>,
}

impl Walk<'_> {
    fn problem(&mut self, at: NodeId, field: &str, message: &str) {
        let line = self.tree.node(at).place.line;
        let message = if field.is_empty() {
            message.to_owned()
        } else {
            format!("{field}: {message}")
        };
        self.problems.push((line, message));
    }

    fn metadata(&mut self, id: NodeId) {
        let name = self.tree.get(id, "name");
        if name.is_none_or(|name| self.tree.text(name).is_empty()) {
            self.problem(id, "metadata.name", "is missing");
        }
        for field in ["labels", "annotations"] {
            let Some(map) = self.tree.get(id, field) else {
                continue;
            };
            for (key, value) in self.tree.pairs(map) {
                if !self.is_text(value) {
                    let name = self.tree.text(key);
                    self.problem(
                        value,
                        &format!("metadata.{field}.{name}"),
                        "must be text; put it into quotes",
                    );
                }
            }
        }
    }

    fn is_text(&self, id: NodeId) -> bool {
        self.is_scalar(id, |scalar| {
            matches!(scalar, Scalar::Str | Scalar::Timestamp(_))
        })
    }

    fn is_scalar(&self, id: NodeId, is: impl Fn(&Scalar) -> bool) -> bool {
        let node = self.tree.node(id);
        node.kind == Kind::Scalar && scalar_value(node).is_ok_and(|scalar| is(&scalar))
    }

    fn node(&mut self, id: NodeId, schema: &Value, field: &str) {
        let node = self.tree.node(id);
        if node.is_null() {
            if schema["nullable"] != true {
                self.problem(id, field, "must not be empty");
            }
            return;
        }
        match schema["type"].as_str() {
            Some("object") => self.object(id, schema, field),
            Some("array") => self.array(id, schema, field),
            Some("string") => self.text(id, schema, field),
            Some("boolean") if !self.is_scalar(id, |scalar| matches!(scalar, Scalar::Bool(_))) => {
                self.problem(id, field, "must be true or false");
            }
            Some("integer")
                if !self.is_scalar(id, |scalar| {
                    matches!(scalar, Scalar::Int(_) | Scalar::Uint(_))
                }) =>
            {
                self.problem(id, field, "must be a whole number");
            }
            _ => {}
        }
    }

    fn object(&mut self, id: NodeId, schema: &Value, field: &str) {
        if self.tree.kind(id) != Kind::Map {
            self.problem(id, field, "must be a map");
            return;
        }
        if schema["x-kubernetes-preserve-unknown-fields"] == true {
            return;
        }
        let empty = serde_json::Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        for (key, value) in self.tree.pairs(id) {
            let name = self.tree.text(key);
            if let Some(schema) = properties.get(name) {
                self.node(value, schema, &format!("{field}.{name}"));
            } else {
                let names: Vec<&str> = properties.keys().map(String::as_str).collect();
                let meant = match nearest(name, &names) {
                    Some(meant) => format!("; did you mean {meant}?"),
                    None => format!("; there is {}", names.join(", ")),
                };
                self.problem(key, field, &format!("there is no field {name}{meant}"));
            }
        }
        if self.partial {
            return;
        }
        for required in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if self.tree.get(id, required).is_none() {
                self.problem(id, &format!("{field}.{required}"), "is missing");
            }
        }
    }

    fn array(&mut self, id: NodeId, schema: &Value, field: &str) {
        if self.tree.kind(id) != Kind::Seq {
            self.problem(id, field, "must be a list");
            return;
        }
        let elements = self.tree.elements(id).to_vec();
        self.size(
            id,
            elements.len(),
            schema,
            ["minItems", "maxItems"],
            field,
            "elements",
        );
        for (index, element) in elements.into_iter().enumerate() {
            self.node(element, &schema["items"], &format!("{field}[{index}]"));
        }
    }

    fn text(&mut self, id: NodeId, schema: &Value, field: &str) {
        if self.tree.kind(id) != Kind::Scalar || !self.is_text(id) {
            self.problem(id, field, "must be text; put it into quotes");
            return;
        }
        let text = self.tree.text(id).to_owned();
        if let Some(values) = schema["enum"].as_array() {
            let names: Vec<_> = values.iter().filter_map(Value::as_str).collect();
            if !names.contains(&text.as_str()) {
                let meant = nearest(&text, &names)
                    .map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
                self.problem(
                    id,
                    field,
                    &format!("{text:?} must be one of {}{meant}", names.join(", ")),
                );
            }
        }
        self.size(
            id,
            text.chars().count(),
            schema,
            ["minLength", "maxLength"],
            field,
            "characters",
        );
        if let Some(pattern) = schema["pattern"].as_str()
            && !Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(&text))
        {
            self.problem(id, field, &format!("{text:?} does not match {pattern}"));
        }
        if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
            self.problem(
                id,
                field,
                &format!("{text:?} is no time like 2027-01-31T12:00:00Z"),
            );
        }
    }

    fn size(
        &mut self,
        id: NodeId,
        size: usize,
        schema: &Value,
        limits: [&str; 2],
        field: &str,
        what: &str,
    ) {
        let [least, most] = limits.map(|limit| {
            schema[limit]
                .as_u64()
                .and_then(|limit| usize::try_from(limit).ok())
        });
        if let Some(least) = least.filter(|least| size < *least) {
            self.problem(id, field, &format!("must have at least {least} {what}"));
        }
        if let Some(most) = most.filter(|most| size > *most) {
            self.problem(id, field, &format!("must have at most {most} {what}"));
        }
    }
}
