//! `generators:`, `transformers:` and `validators:` with every builtin.

use super::super::node::{Node, Value, list, map, raw, text};
use super::{Maker, Object};

fn config(kind: &str, name: &str) -> Node {
    map([
        ("apiVersion", raw("builtin")),
        ("kind", raw(kind)),
        ("metadata", map([("name", raw(name))])),
    ])
}

fn spec(path: &str, create: bool) -> Node {
    let mut spec = map([("path", raw(path))]);
    if create {
        spec.set("create", raw("true"));
    }
    spec
}

const TRANSFORMERS: &[&str] = &[
    "AnnotationsTransformer",
    "HashTransformer",
    "ImageTagTransformer",
    "LabelTransformer",
    "NamespaceTransformer",
    "PatchJson6902Transformer",
    "PatchStrategicMergeTransformer",
    "PatchTransformer",
    "PrefixSuffixTransformer",
    "PrefixTransformer",
    "SuffixTransformer",
    "ReplacementTransformer",
    "ReplicaCountTransformer",
    "ValueAddTransformer",
];

impl Maker {
    /// Puts a configuration inline, into a file, or into a directory with a kustomization.
    fn configure(&mut self, kustomization: &mut Node, field: &str, directory: &str, config: Node) {
        let node = match self.below(6) {
            0..=2 => Value::Inline(vec![config]).into(),
            3 | 4 => {
                let name = self.fresh("plugin");
                text(self.yaml(directory, &format!("{name}.yaml"), vec![config]))
            }
            _ => {
                let name = self.fresh("plugins");
                let below = format!("{directory}/{name}");
                self.yaml(&below, "plugin.yaml", vec![config]);
                self.yaml(
                    &below,
                    "kustomization.yaml",
                    vec![map([("resources", list([raw("plugin.yaml")]))])],
                );
                text(name)
            }
        };
        kustomization.push(field, node);
    }

    pub fn plugin_generators(
        &mut self,
        kustomization: &mut Node,
        directory: &str,
        objects: &mut Vec<Object>,
    ) {
        let kind = self.pick(&["ConfigMap", "Secret", "IAMPolicy"]);
        let name = self.fresh("generator");
        let mut node = config(&format!("{kind}Generator"), &name);
        if kind == "IAMPolicy" {
            node.set("cloud", raw("gke"));
            let mut service = map([("name", raw(self.word()))]);
            if self.chance(40) {
                service.set("namespace", raw("ns-a"));
            }
            node.set("kubernetesService", service);
            node.set(
                "serviceAccount",
                map([("name", raw("account")), ("projectId", raw("project"))]),
            );
        } else {
            let mut scratch = Vec::new();
            let args = self.generator_args(directory, kind, &mut scratch);
            for mut object in scratch {
                object.name.clone_from(&name);
                object.node.set("metadata", map([("name", raw(&name))]));
                objects.push(object);
            }
            if let Value::Map(fields) = args.value {
                for (key, value) in fields {
                    if key != "name" && key != "namespace" {
                        node.set(&key, value);
                    }
                }
            }
        }
        // An input that lies in the layer's directory is not in that of a plugin's kustomization.
        let inline = Value::Inline(vec![node]).into();
        kustomization.push("generators", inline);
    }

    pub fn plugin_transformers(
        &mut self,
        kustomization: &mut Node,
        directory: &str,
        objects: &[Object],
    ) {
        for _ in 0..=usize::from(self.chance(50)) {
            let kind = self.pick(TRANSFORMERS);
            let name = self.fresh("transformer");
            let mut node = config(kind, &name);
            if self
                .transformer(&mut node, kind, directory, objects)
                .is_some()
            {
                let reads = format!("{node:?}").contains(".yaml\"")
                    || format!("{node:?}").contains(".json\"");
                if reads {
                    kustomization.push("transformers", Value::Inline(vec![node]).into());
                } else {
                    self.configure(kustomization, "transformers", directory, node);
                }
            }
        }
    }

    fn transformer(
        &mut self,
        node: &mut Node,
        kind: &str,
        directory: &str,
        objects: &[Object],
    ) -> Option<()> {
        let object = self.one(objects)?;
        match kind {
            "AnnotationsTransformer" => {
                node.set("annotations", self.pairs());
                node.push("fieldSpecs", spec("metadata/annotations", true));
                if self.chance(40) {
                    let spec = self.field_spec();
                    node.push("fieldSpecs", spec);
                }
            }
            "LabelTransformer" => {
                node.set("labels", self.pairs());
                node.push("fieldSpecs", spec("metadata/labels", true));
                if self.chance(40) {
                    let spec = self.field_spec();
                    node.push("fieldSpecs", spec);
                }
            }
            "ImageTagTransformer" => {
                node.set("imageTag", self.images());
                if self.chance(40) {
                    node.push("fieldSpecs", spec("spec/image", false));
                }
            }
            "NamespaceTransformer" => {
                node.set(
                    "metadata",
                    map([
                        ("name", raw("n")),
                        ("namespace", raw(self.pick(&["ns-a", "other"]))),
                    ]),
                );
                node.push("fieldSpecs", spec("metadata/namespace", true));
                if self.chance(40) {
                    node.push("fieldSpecs", spec("spec/namespace", true));
                }
                if self.chance(40) {
                    node.set("unsetOnly", raw("true"));
                }
                if self.chance(50) {
                    node.set(
                        "setRoleBindingSubjects",
                        raw(self.pick(&["defaultOnly", "allServiceAccounts", "none"])),
                    );
                }
            }
            "PatchJson6902Transformer" => {
                let operations = list([map([
                    ("op", raw("add")),
                    ("path", text("/metadata/added")),
                    ("value", self.pairs()),
                ])]);
                let patch = self.json_patch(directory, &object, "jsonOp", operations);
                if let Value::Map(fields) = patch.value {
                    for (key, value) in fields {
                        node.set(&key, value);
                    }
                }
            }
            "PatchStrategicMergeTransformer" => {
                let patch = self.merge_patch(&object);
                if self.chance(50) {
                    let stem = self.fresh("patch");
                    let name = self.yaml(directory, &format!("{stem}.yaml"), vec![patch]);
                    node.push("paths", text(name));
                } else {
                    node.set("patches", Value::Inline(vec![patch]).into());
                }
            }
            "PatchTransformer" => {
                let patch = self.patch(directory, objects)?;
                if let Value::Map(fields) = patch.value {
                    for (key, value) in fields {
                        node.set(&key, value);
                    }
                }
            }
            "PrefixSuffixTransformer" | "PrefixTransformer" | "SuffixTransformer" => {
                if !kind.starts_with("Suffix") {
                    node.set("prefix", text("t-"));
                }
                if kind.contains("Suffix") {
                    node.set("suffix", text("-t"));
                }
                let mut specs = spec("metadata/name", false);
                if self.chance(40) {
                    specs.set("kind", raw(&object.kind));
                }
                node.push("fieldSpecs", specs);
            }
            "ReplacementTransformer" => {
                let replacement = self.replacement(objects)?;
                node.push("replacements", replacement);
            }
            "ReplicaCountTransformer" => {
                let scaled: Vec<Object> = objects
                    .iter()
                    .filter(|object| {
                        ["Deployment", "StatefulSet", "Widget"].contains(&object.kind.as_str())
                    })
                    .cloned()
                    .collect();
                let object = self.one(&scaled)?;
                node.set(
                    "replica",
                    map([("name", raw(&object.name)), ("count", raw("7"))]),
                );
                let path = if object.kind == "Widget" {
                    "spec/size"
                } else {
                    "spec/replicas"
                };
                let mut specs = spec(path, true);
                specs.set("kind", raw(&object.kind));
                node.push("fieldSpecs", specs);
            }
            "ValueAddTransformer" => {
                if self.chance(70) {
                    node.set("value", text(self.word()));
                }
                let target = |maker: &mut Self| {
                    let mut target = map([(
                        "fieldPath",
                        text(maker.pick(&[
                            "metadata/namespace",
                            "spec/added",
                            "metadata/labels/app",
                            "spec/path",
                        ])),
                    )]);
                    if maker.chance(60) {
                        target.set("selector", map([("kind", raw(&object.kind))]));
                    }
                    if maker.chance(30) {
                        target.set("filePathPosition", raw(maker.pick(&["1", "2"])));
                    }
                    target
                };
                if self.chance(25) {
                    let name = self.fresh("targets");
                    let file = map([("targets", list([target(self)]))]);
                    let name = self.yaml(directory, &format!("{name}.yaml"), vec![file]);
                    node.set("targetFilePath", text(name));
                } else {
                    node.push("targets", target(self));
                }
            }
            _ => {}
        }
        Some(())
    }

    pub fn validators(&mut self, kustomization: &mut Node, directory: &str) {
        let mut node = config("LabelTransformer", "validator");
        // Mostly one that finds nothing to look at: whether the label that it may leave is taken for a change depends on
        // how kustomize wrote the others before, which fixtures show.
        let (key, kind) = if self.chance(90) {
            ("validated-by", "Nothing")
        } else {
            ("changed", "")
        };
        node.set("labels", map([(key, raw("driftless"))]));
        let mut specs = spec("metadata/labels", true);
        if !kind.is_empty() {
            specs.set("kind", raw(kind));
        }
        node.push("fieldSpecs", specs);
        self.configure(kustomization, "validators", directory, node);
    }
}
