//! The kinds of a cluster, as plain data.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Source;

/// One kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindInfo {
    pub group: String,
    pub kind: String,
    /// The served versions, the preferred one first.
    pub versions: Vec<String>,
    /// The name in URLs.
    pub plural: String,
    pub namespaced: bool,
    /// Whether its objects can be listed.
    pub listable: bool,
}

/// All kinds, by group and kind.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    kinds: BTreeMap<(String, String), KindInfo>,
    /// Groups whose server did not answer: they may have more kinds.
    stale: BTreeSet<String>,
}

impl Kinds {
    pub fn get(&self, group: &str, kind: &str) -> Option<&KindInfo> {
        self.kinds.get(&(group.to_owned(), kind.to_owned()))
    }

    pub fn insert(&mut self, kind: KindInfo) {
        self.kinds
            .insert((kind.group.clone(), kind.kind.clone()), kind);
    }

    pub fn iter(&self) -> impl Iterator<Item = &KindInfo> {
        self.kinds.values()
    }

    /// The server of this group did not answer.
    pub fn set_stale(&mut self, group: &str) {
        self.stale.insert(group.to_owned());
    }

    /// Whether the cluster has no such kind, for certain: not where the server of its group did not answer.
    pub fn is_absent(&self, group: &str, kind: &str) -> bool {
        self.get(group, kind).is_none() && !self.stale.contains(group)
    }

    /// With the kinds that CustomResourceDefinitions among these objects define.
    #[must_use]
    pub fn with_definitions(&self, sources: &[Source]) -> Self {
        let mut kinds = self.clone();
        for source in sources
            .iter()
            .filter(|source| source.object.kind() == "CustomResourceDefinition")
        {
            if let Some(kind) = defined(&Value::Object(source.object.0.clone())) {
                kinds.insert(kind);
            }
        }
        kinds
    }
}

fn defined(definition: &Value) -> Option<KindInfo> {
    let spec = definition.get("spec")?;
    let names = spec.get("names")?;
    let served = |version: &&Value| {
        version
            .get("served")
            .and_then(Value::as_bool)
            .unwrap_or(true)
    };
    Some(KindInfo {
        group: spec.get("group")?.as_str()?.to_owned(),
        kind: names.get("kind")?.as_str()?.to_owned(),
        versions: spec
            .get("versions")?
            .as_array()?
            .iter()
            .filter(served)
            .filter_map(|version| version.get("name")?.as_str().map(str::to_owned))
            .collect(),
        plural: names.get("plural")?.as_str()?.to_owned(),
        namespaced: spec.get("scope")?.as_str()? == "Namespaced",
        listable: true,
    })
}
