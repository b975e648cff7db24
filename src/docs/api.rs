//! `docs/api.md`: the fields of every kind, from the schemas of their definitions.

use std::fmt::Write as _;

use serde_json::Value;

use super::{cell, check};
use crate::api;

const HEAD: &str = "\
# The API

Made from the definitions in `deploy/crds` by `UPDATE_DOCS=1 cargo test --lib docs`; `kubectl explain environment.spec`
says the same. A path with `[]` is a field of each element of a list. Durations are written like `30s`, `5m` or `1h30m`.
";

fn document() -> String {
    let mut text = HEAD.to_owned();
    for definition in api::definitions() {
        let definition = serde_json::to_value(definition).unwrap();
        kind(&definition["spec"], &mut text);
    }
    text
}

fn kind(spec: &Value, text: &mut String) {
    let version = &spec["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let names = &spec["names"];
    write!(text, "\n## {}\n\n", words(&names["kind"])).unwrap();
    writeln!(
        text,
        "{}\n",
        words(&schema["properties"]["spec"]["description"])
    )
    .unwrap();
    let group = words(&spec["group"]);
    write!(text, "`apiVersion: {group}/{}`", words(&version["name"])).unwrap();
    let mut calls = vec![words(&names["plural"])];
    calls.extend(list(&names["shortNames"]).map(words));
    let calls: Vec<String> = calls
        .iter()
        .map(|call| format!("`kubectl get {call}`"))
        .collect();
    writeln!(text, "; {}.", calls.join(", ")).unwrap();
    for rule in list(&schema["x-kubernetes-validations"]) {
        writeln!(text, "\nRule: {}.", words(&rule["message"])).unwrap();
    }
    for part in ["spec", "status"] {
        write!(text, "\n### {}: `{part}`\n\n", words(&names["kind"])).unwrap();
        // The defaults of a status are what nothing looks like.
        text.push_str(match part {
            "spec" => "| field | type | default | meaning |\n|---|---|---|---|\n",
            _ => "| field | type | meaning |\n|---|---|---|\n",
        });
        fields(&schema["properties"][part], "", part == "spec", text);
    }
}

/// The rows of an object's fields, each followed by those below it.
fn fields(schema: &Value, prefix: &str, with_defaults: bool, text: &mut String) {
    let required: Vec<&str> = list(&schema["required"]).map(words).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let default = match &field["default"] {
            Value::Null if required.contains(&name.as_str()) => "required".to_owned(),
            // Those of an object's fields stand with these.
            Value::Null | Value::Object(_) => String::new(),
            value => format!("`{value}`"),
        };
        write!(text, "| `{path}` | {} |", kind_of(field)).unwrap();
        if with_defaults {
            write!(text, " {} |", cell(&default)).unwrap();
        }
        writeln!(text, " {} |", cell(&meaning(field))).unwrap();
        // The conditions of every kind have Kubernetes' own shape.
        if name == "conditions" {
            continue;
        }
        let items = &field["items"];
        if items.is_object() {
            fields(items, &format!("{path}[]."), with_defaults, text);
        } else {
            fields(field, &format!("{path}."), with_defaults, text);
        }
    }
}

fn kind_of(field: &Value) -> String {
    let name = words(&field["type"]);
    match name {
        "array" => format!("list of {}", kind_of(&field["items"])),
        "string" if words(&field["format"]) == "date-time" => "time".to_owned(),
        "string" if words(&field["pattern"]).contains("ms|s|m|h") => "duration".to_owned(),
        name => name.to_owned(),
    }
}

fn meaning(field: &Value) -> String {
    let mut text = words(&field["description"]).to_owned();
    let of = if field["items"].is_object() {
        &field["items"]
    } else {
        field
    };
    let values: Vec<String> = list(&of["enum"])
        .filter_map(Value::as_str)
        .map(|value| format!("`{value}`"))
        .collect();
    if !values.is_empty() {
        write!(text, " One of {}.", values.join(", ")).unwrap();
    }
    for rule in [field, &field["items"]]
        .into_iter()
        .flat_map(|schema| list(&schema["x-kubernetes-validations"]))
    {
        write!(text, " Rule: {}.", words(&rule["message"])).unwrap();
    }
    text
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn words(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn the_api_is_documented() {
    check("api.md", &document());
}

/// What `kubectl explain` and the document print comes from the code's comments: every field has one.
#[test]
fn every_field_has_a_meaning() {
    let missing: Vec<String> = document()
        .lines()
        .filter(|line| line.starts_with("| `") && line.ends_with("|  |"))
        .map(str::to_owned)
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}
