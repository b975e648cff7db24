//! Patches of both kinds, for objects that are there.

use super::super::node::{Node, Value, list, map, raw, text};
use super::{Maker, Object, Step, follow, is_identity, scalars};

fn pointer(path: &[Step]) -> String {
    path.iter()
        .map(|step| match step {
            Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Step::Item(index, _) => format!("/{index}"),
        })
        .collect()
}

/// The containers of a workload, as a patch nests them.
fn in_pod(spec: Node) -> Node {
    map([("template", map([("spec", spec)]))])
}

impl Maker {
    fn operation(&mut self, object: &Object) -> Node {
        let paths: Vec<_> = scalars(&object.node)
            .into_iter()
            .filter(|path| !is_identity(path))
            .collect();
        let value = match self.below(5) {
            0 => self.fill("odd"),
            1 => map([("a", raw("1")), ("b", list([raw("x")]))]),
            2 => self.fill("number"),
            _ => text(self.text()),
        };
        let there = self.one(&paths);
        let operation = |op: &str, path: String| map([("op", raw(op)), ("path", text(path))]);
        match (self.below(10), there) {
            (0..=3, Some(path)) => {
                let mut node = operation("replace", pointer(&path));
                node.set("value", value);
                node
            }
            (4, Some(path)) => operation("remove", pointer(&path)),
            (5, Some(path)) => {
                let mut node = operation(
                    self.pick(&["copy", "copy", "move"]),
                    "/metadata/added".to_owned(),
                );
                node.set("from", text(pointer(&path)));
                node
            }
            (6, Some(path)) if path.iter().any(|step| matches!(step, Step::Item(..))) => {
                let at = path
                    .iter()
                    .position(|step| matches!(step, Step::Item(..)))
                    .unwrap_or(0);
                let end = self.pick(&["/-", "/0"]);
                let mut node = operation("add", format!("{}{end}", pointer(&path[..at])));
                let item = follow(&object.node, &path[..=at]);
                node.set("value", item.cloned().unwrap_or(value));
                node
            }
            (7, Some(path)) => {
                let mut node = operation("test", pointer(&path));
                let there = follow(&object.node, &path).unwrap_or(&object.node);
                node.set("value", there.clone());
                node
            }
            _ => {
                let path = self.pick(&[
                    "/spec",
                    "/metadata/finalizers",
                    "/added",
                    "/metadata/annotations",
                    "/data",
                ]);
                let mut node = operation("add", path.to_owned());
                node.set(
                    "value",
                    if path.ends_with('s') {
                        list([text(self.word())])
                    } else {
                        map([("k", value)])
                    },
                );
                if path.ends_with("annotations") {
                    node.set("value", self.pairs());
                }
                node
            }
        }
    }

    fn operations(&mut self, object: &Object) -> Node {
        let first = self.operation(object);
        let mut operations = vec![first];
        if self.chance(30) {
            let path = self.pick(&["/metadata/annotations", "/more"]);
            let value = self.pairs();
            operations.push(map([
                ("op", raw("add")),
                ("path", text(path)),
                ("value", value),
            ]));
        }
        list(operations)
    }

    /// One change to an object, as a strategic merge patch has it.
    fn change(&mut self, object: &Object, patch: &mut Node) {
        match self.below(16) {
            0 | 1 => {
                let pairs = self.pairs();
                patch_metadata(patch, "labels", pairs);
            }
            2 => {
                let mut pairs = self.pairs();
                pairs.set("note", raw("null"));
                patch_metadata(patch, "annotations", pairs);
            }
            3..=8 if object.has_pod() => {
                let spec = self.pod_change();
                patch.set("spec", in_pod(spec));
            }
            9 if object.kind == "Deployment" => {
                let strategy = map([
                    ("$retainKeys", list([raw("type")])),
                    ("type", raw("Recreate")),
                ]);
                patch.set("spec", map([("strategy", strategy)]));
            }
            10 if object.kind == "Deployment" => {
                patch.set(
                    "spec",
                    map([(
                        "strategy",
                        map([("$patch", raw("replace")), ("type", raw("Recreate"))]),
                    )]),
                );
            }
            11 if object.kind == "Service" => {
                let port = map([
                    ("port", raw(self.pick(&["80", "443", "8080"]))),
                    ("targetPort", raw("9090")),
                ]);
                let mut spec = map([("ports", list([port]))]);
                if self.chance(30) {
                    spec.set(
                        "selector",
                        map([("$patch", raw("replace")), ("new", raw("x"))]),
                    );
                }
                patch.set("spec", spec);
            }
            12 => patch_metadata(patch, "finalizers", list([text("c.example.com/z")])),
            13 => {
                patch_metadata(
                    patch,
                    "$deleteFromPrimitiveList/finalizers",
                    list([text("a.example.com/x")]),
                );
            }
            14 if object.kind == "Widget" => {
                let item = map([
                    ("name", raw(self.pick(&["one", "two", "three"]))),
                    ("value", text(self.text())),
                ]);
                patch.set(
                    "spec",
                    map([("items", list([item])), ("empty", self.fill("odd"))]),
                );
            }
            _ => self.subset(object, patch),
        }
    }

    fn pod_change(&mut self) -> Node {
        let mut container = map([(
            "name",
            raw(self.pick(&["main", "main", "sidecar", "added"])),
        )]);
        match self.below(8) {
            0 => container.set("$patch", raw("delete")),
            1 => container.set("image", self.fill("image")),
            2 => container.set(
                "env",
                list([
                    map([("name", raw("PLAIN")), ("value", text(self.text()))]),
                    map([("name", raw("NEW")), ("value", text("1"))]),
                ]),
            ),
            3 => container.set(
                "env",
                list([map([("name", raw("PLAIN")), ("$patch", raw("delete"))])]),
            ),
            4 => container.set(
                "ports",
                list([map([("containerPort", raw("8080")), ("name", raw("web"))])]),
            ),
            5 => container.set("args", list([raw("--new"), text(self.text())])),
            6 => container.set(
                "volumeMounts",
                list([map([("mountPath", raw("/data")), ("name", raw("other"))])]),
            ),
            _ => container.set(
                "resources",
                map([(
                    "limits",
                    map([("cpu", raw("null")), ("memory", raw("2Gi"))]),
                )]),
            ),
        }
        let mut spec = map([("containers", list([container]))]);
        match self.below(10) {
            0 => spec.set(
                "$setElementOrder/containers",
                list([
                    map([("name", raw("sidecar"))]),
                    map([("name", raw("main"))]),
                ]),
            ),
            1 => spec.set(
                "volumes",
                list([map([
                    ("name", raw("data")),
                    ("emptyDir", raw("null")),
                    ("hostPath", map([("path", raw("/x"))])),
                ])]),
            ),
            2 => spec.set(
                "volumes",
                list([map([("name", raw("config")), ("$patch", raw("delete"))])]),
            ),
            3 => spec.set(
                "volumes",
                list([
                    map([("$patch", raw("replace"))]),
                    map([("name", raw("only")), ("emptyDir", raw("{}"))]),
                ]),
            ),
            4 => spec.set(
                "volumes",
                list([map([
                    ("name", raw("data")),
                    ("$retainKeys", list([raw("name"), raw("emptyDir")])),
                    ("emptyDir", raw("{}")),
                ])]),
            ),
            5 => spec.set(
                "tolerations",
                list([map([("key", raw("other")), ("operator", raw("Exists"))])]),
            ),
            6 => spec.set("imagePullSecrets", list([map([("name", raw("settings"))])])),
            7 => spec.set(
                "initContainers",
                list([
                    map([("name", raw("init")), ("image", raw("init:2"))]),
                    map([("name", raw("second")), ("image", raw("x"))]),
                ]),
            ),
            _ => {}
        }
        spec
    }

    /// Some of the object's own fields with other values.
    fn subset(&mut self, object: &Object, patch: &mut Node) {
        let Value::Map(fields) = &object.node.value else {
            return;
        };
        let rest: Vec<_> = fields
            .iter()
            .filter(|(key, _)| !["apiVersion", "kind", "metadata"].contains(&key.as_str()))
            .cloned()
            .collect();
        if let Some((key, value)) = self.one(&rest) {
            let value = self.thinned(&value);
            patch.set(&key, value);
        }
    }

    fn thinned(&mut self, node: &Node) -> Node {
        match &node.value {
            Value::Map(fields) if !fields.is_empty() => {
                let mut kept = map::<&str>([]);
                for (key, value) in fields {
                    if key == "name" || self.chance(50) {
                        let value = if key == "name" {
                            value.clone()
                        } else {
                            self.thinned(value)
                        };
                        kept.set(key, value);
                    }
                }
                kept
            }
            Value::List(items) => list(
                items
                    .iter()
                    .map(|item| self.thinned(item))
                    .collect::<Vec<_>>(),
            ),
            Value::Raw(text) if text.starts_with(['[', '{']) => node.clone(),
            _ => match self.below(6) {
                0 => raw("null"),
                1 => self.fill("odd"),
                2 => text(self.text()),
                _ => node.clone(),
            },
        }
    }

    pub fn merge_patch(&mut self, object: &Object) -> Node {
        let mut metadata = map([("name", raw(&object.name))]);
        if !object.namespace.is_empty() {
            metadata.set("namespace", raw(&object.namespace));
        }
        let mut patch = map([
            ("apiVersion", raw(&object.api_version)),
            ("kind", raw(&object.kind)),
            ("metadata", metadata),
        ]);
        if self.chance(4) {
            patch.set(
                "$patch",
                raw(self.pick(&["delete", "delete", "replace", "merge"])),
            );
        } else {
            for _ in 0..=usize::from(self.chance(30)) {
                self.change(object, &mut patch);
            }
        }
        patch
    }

    /// A patch in a file of its own, or inline, in the fields that hold it.
    fn place(&mut self, into: &mut Node, directory: &str, inline: &str, patch: Node) {
        if self.chance(40) {
            let stem = self.fresh("patch");
            let extension = self.pick(&["yaml", "yaml", "json"]);
            let mut patch = patch;
            let mut json = patch.clone();
            let extension = if extension == "json" && as_json(&mut json) {
                patch = json;
                "json"
            } else {
                "yaml"
            };
            let name = self.yaml(directory, &format!("{stem}.{extension}"), vec![patch]);
            into.set("path", text(name));
        } else {
            into.set(inline, Value::Inline(vec![patch]).into());
        }
    }

    pub fn patch(&mut self, directory: &str, objects: &[Object]) -> Option<Node> {
        let object = self.one(objects)?;
        let mut patch = map::<&str>([]);
        if self.chance(40) {
            let operations = self.operations(&object);
            self.place(&mut patch, directory, "patch", operations);
            let exact = map([("kind", raw(&object.kind)), ("name", raw(&object.name))]);
            let target = if self.chance(85) {
                exact
            } else {
                self.selector(&object, true)
            };
            patch.set("target", target);
            return Some(patch);
        }
        let mut merge = self.merge_patch(&object);
        if self.chance(45) {
            let target = self.selector(&object, true);
            patch.set("target", target);
            if self.chance(25) {
                let (mut metadata, mut options) =
                    (map([("name", raw("renamed"))]), map::<&str>([]));
                if self.chance(70) {
                    options.set("allowNameChange", raw("true"));
                    let name = self.fresh("renamed");
                    metadata.set("name", raw(name));
                }
                // The hash of such an object depends on where it stood in its file.
                let is_hashed = ["ConfigMap", "Secret"].contains(&object.kind.as_str());
                if self.chance(50) && !is_hashed {
                    let exact = map([("kind", raw(&object.kind)), ("name", raw(&object.name))]);
                    patch.set("target", exact);
                    options.set("allowKindChange", raw("true"));
                    merge.set("kind", raw("Gizmo"));
                }
                merge.set("metadata", metadata);
                patch.set("options", options);
            }
        } else if self.chance(10)
            && let Some(other) = self.one(objects)
        {
            let second = self.merge_patch(&other);
            patch.set("patch", Value::Inline(vec![merge, second]).into());
            return Some(patch);
        }
        self.place(&mut patch, directory, "patch", merge);
        Some(patch)
    }

    pub fn patch_fields(&mut self, kustomization: &mut Node, directory: &str, objects: &[Object]) {
        if self.chance(40) {
            for _ in 0..=usize::from(self.chance(35)) {
                if let Some(patch) = self.patch(directory, objects) {
                    kustomization.push("patches", patch);
                }
            }
        }
        if self.chance(10)
            && let Some(object) = self.one(objects)
        {
            let patch = self.merge_patch(&object);
            let mut holder = map::<&str>([]);
            self.place(&mut holder, directory, "patch", patch);
            if let Value::Map(fields) = holder.value {
                for (_, node) in fields {
                    kustomization.push("patchesStrategicMerge", node);
                }
            }
        }
        if self.chance(8)
            && let Some(object) = self.one(objects)
        {
            let operations = self.operations(&object);
            let patch = self.json_patch(directory, &object, "patch", operations);
            kustomization.push("patchesJson6902", patch);
        }
    }

    pub fn json_patch(
        &mut self,
        directory: &str,
        object: &Object,
        inline: &str,
        operations: Node,
    ) -> Node {
        let (group, version) = object.group_version();
        let mut target = map([("kind", raw(&object.kind)), ("name", raw(&object.name))]);
        if self.chance(70) {
            target.set("version", raw(version));
        }
        if self.chance(70) && !group.is_empty() {
            target.set("group", raw(group));
        }
        let mut patch = map([("target", target)]);
        self.place(&mut patch, directory, inline, operations);
        patch
    }
}

fn patch_metadata(patch: &mut Node, key: &str, value: Node) {
    if let Some(metadata) = patch.get_mut("metadata") {
        metadata.set(key, value);
    }
}

/// Writes a node as JSON, if all of it can be.
fn as_json(node: &mut Node) -> bool {
    use super::super::node::Quotes;
    node.look.flow = true;
    node.look.json = true;
    let odd = match &node.value {
        Value::Raw(text) => {
            let is_json = text
                .parse::<u32>()
                .is_ok_and(|number| number.to_string() == *text)
                || ["true", "false", "null", "{}"].contains(&text.as_str());
            let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-./".contains(c));
            if !is_json && is_word {
                node.value = Value::Text(text.clone());
                node.look.quotes = Quotes::Double;
            }
            !is_json && !is_word
        }
        Value::Text(_) => {
            node.look.quotes = Quotes::Double;
            false
        }
        Value::Inline(_) => true,
        Value::List(_) | Value::Map(_) => false,
    };
    !odd && node.children_mut().into_iter().all(as_json)
}
