//! The definitions of our kinds as YAML, as `driftless crds` prints them and `deploy/crds` holds them. Must not know a
//! cluster.

use serde_json::Value;

use crate::api;
use crate::yaml::to_yaml;

/// File name and content of every definition.
#[expect(
    clippy::missing_panics_doc,
    reason = "plain data can always be written"
)]
pub fn files() -> Vec<(String, String)> {
    api::definitions()
        .iter()
        .map(|definition| {
            let plural = &definition.spec.names.plural;
            let mut value = serde_json::to_value(definition)
                .expect("a definition is plain data with text keys");
            clean(&mut value);
            (format!("{plural}.yaml"), to_yaml(&value))
        })
        .collect()
}

/// All of them as one YAML stream.
pub fn yaml() -> String {
    let files: Vec<String> = files().into_iter().map(|(_, yaml)| yaml).collect();
    files.join("---\n")
}

/// Drops what says nothing: nulls, and the rendering's own number formats, which the API server warns of.
fn clean(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(clean);
        }
        Value::Array(list) => list.iter_mut().for_each(clean),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deploy_holds_what_the_code_generates() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crds");
        for (name, yaml) in files() {
            let path = format!("{folder}/{name}");
            if std::env::var_os("UPDATE_CRDS").is_some() {
                std::fs::write(&path, &yaml).unwrap();
            }
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                committed == yaml,
                "{path} is not what the code generates; run the tests with UPDATE_CRDS=1"
            );
        }
    }
}
