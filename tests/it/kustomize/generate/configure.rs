//! The fields of a kustomization, but for patches, replacements and plugins.

use super::super::node::{Content, Node, list, map, raw, text, texts};
use super::{Maker, Object, Step, is_identity, scalars};

impl Maker {
    fn generator_options(&mut self) -> Node {
        let mut options = map::<&str>([]);
        if self.chance(50) {
            options.set("labels", self.pairs());
        }
        if self.chance(40) {
            options.set("annotations", self.pairs());
        }
        if self.chance(40) {
            options.set("disableNameSuffixHash", raw(self.pick(&["true", "false"])));
        }
        if self.chance(30) {
            options.set("immutable", raw("true"));
        }
        options
    }

    /// The inputs of one generator.
    fn inputs(&mut self, args: &mut Node, directory: &str) {
        if self.chance(65) {
            for _ in 0..=self.below(2) {
                let (key, value) = (
                    self.pick(&["key", "a", "b.txt", "LEVEL", "number", "c-d"]),
                    self.text(),
                );
                let literal = match self.below(6) {
                    0 => format!("{key}='{value}'"),
                    1 => format!("{key}=\"{value}\""),
                    2 => format!("{key}=x=y"),
                    _ => format!("{key}={value}"),
                };
                let there = args
                    .get("literals")
                    .is_some_and(|node| format!("{node:?}").contains(&format!("\"{key}=")));
                if !there {
                    args.push("literals", text(literal));
                }
            }
        }
        if self.chance(30) || args.get("literals").is_none() {
            let stem = self.fresh("file");
            let count = self.below(4);
            let lines = (0..count).map(|_| self.text().replace('\n', " ")).collect();
            let name = self.lines(directory, &format!("{stem}.txt"), lines);
            if self.chance(15)
                && let Some(file) = self.files.last_mut()
            {
                file.content = Content::Bytes(vec![0xff, 0xfe, 0, b'x', 0x80]);
            }
            let entry = if self.chance(40) {
                format!("renamed.{stem}={name}")
            } else {
                name
            };
            args.push("files", text(entry));
        }
        if self.chance(25) {
            let stem = self.fresh("vars");
            let mut lines = vec![format!("{}=1", stem.to_uppercase())];
            for line in [
                "# comment",
                "",
                "SPACED = x ",
                "QUOTED=\"x y\"",
                "  LEAD=1",
                "EQUALS=a=b",
                "EMPTY=",
                "ÜNI=ü",
            ] {
                if self.chance(25) {
                    lines.push(line.replace('=', &format!("{}=", self.count)));
                }
            }
            lines.retain(|line| {
                !line.contains(" 1") && !line.contains('Ü') && !line.contains("SPACED")
            });
            let name = self.lines(directory, &format!("{stem}.env"), lines);
            if self.chance(30) {
                args.set("env", text(name));
            } else {
                args.push("envs", text(name));
            }
        }
    }

    /// The configuration of one generator, and what it makes.
    pub fn generator_args(
        &mut self,
        directory: &str,
        kind: &str,
        objects: &mut Vec<Object>,
    ) -> Node {
        let known: Vec<(String, String)> = objects
            .iter()
            .filter(|object| object.generated && object.kind == kind)
            .map(|object| (object.name.clone(), object.namespace.clone()))
            .collect();
        let mut args = map::<&str>([]);
        if let Some((name, namespace)) = self.one(&known).filter(|_| self.chance(60)) {
            args.set("name", raw(name));
            if !namespace.is_empty() {
                args.set("namespace", raw(namespace));
            }
            args.set("behavior", raw(self.pick(&["merge", "replace"])));
        } else {
            let name = self.name(kind);
            args.set("name", raw(name));
            if self.chance(15) {
                args.set("namespace", raw(self.pick(&["ns-a", "default"])));
            }
            if self.chance(15) {
                args.set("behavior", raw(self.pick(&["create", "unspecified"])));
            }
            let mut node = map([("apiVersion", raw("v1")), ("kind", raw(kind))]);
            let mut metadata = map([("name", args.get("name").cloned().unwrap_or(raw("x")))]);
            if let Some(namespace) = args.get("namespace") {
                metadata.set("namespace", namespace.clone());
            }
            node.set("metadata", metadata);
            let mut object = Object::of(node);
            object.generated = true;
            objects.push(object);
        }
        self.inputs(&mut args, directory);
        if kind == "Secret" && self.chance(30) {
            args.set(
                "type",
                raw(self.pick(&["Opaque", "kubernetes.io/tls", "example.com/x"])),
            );
        }
        if self.chance(25) {
            args.set("options", self.generator_options());
        }
        args
    }

    pub fn generators(
        &mut self,
        kustomization: &mut Node,
        directory: &str,
        objects: &mut Vec<Object>,
    ) {
        for (field, kind, chance) in [
            ("configMapGenerator", "ConfigMap", 30),
            ("secretGenerator", "Secret", 15),
        ] {
            if self.chance(chance) {
                for _ in 0..=usize::from(self.chance(25)) {
                    let args = self.generator_args(directory, kind, objects);
                    kustomization.push(field, args);
                }
            }
        }
        if self.chance(8) {
            kustomization.set("generatorOptions", self.generator_options());
        }
        if self.chance(8) {
            self.plugin_generators(kustomization, directory, objects);
        }
    }

    pub fn images(&mut self) -> Node {
        let name = self.pick(&[
            "nginx",
            "registry.example.com/team/app",
            "localhost:5000/app",
            "app",
            "foo",
            "busybox",
            "ghcr.io/x/y",
            "team/.*",
        ]);
        let mut image = map([("name", text(name))]);
        if self.chance(50) {
            image.set(
                "newName",
                text(self.pick(&["mirror.example.com/nginx", "other", "localhost:5000/x"])),
            );
        }
        match self.below(4) {
            0 => image.set(
                "digest",
                text("sha256:24a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3"),
            ),
            1 => image.set("tagSuffix", text("-slim")),
            _ => image.set("newTag", text(self.pick(&["v2", "1.26", "latest", "5"]))),
        }
        image
    }

    pub fn field_spec(&mut self) -> Node {
        let mut spec = map([(
            "path",
            text(self.pick(&[
                "spec/extra",
                "spec/template/metadata/labels",
                "metadata/labels",
                "spec/selector",
                "spec/items[]/labels",
                "spec/a/b",
            ])),
        )]);
        if self.chance(50) {
            spec.set("kind", raw(self.pick(&["Widget", "Deployment", "Service"])));
        }
        if self.chance(20) {
            spec.set("group", raw(self.pick(&["example.com", "apps"])));
        }
        if self.chance(20) {
            spec.set("version", raw("v1"));
        }
        // Those that are there by default have it.
        let is_default = spec
            .get("path")
            .and_then(Node::scalar)
            .is_some_and(|path| path.ends_with("metadata/labels") || path == "spec/selector");
        if is_default || self.chance(60) {
            spec.set("create", raw("true"));
        }
        spec
    }

    fn labels(&mut self) -> Node {
        let mut label = map([("pairs", self.pairs())]);
        if self.chance(35) {
            label.set("includeSelectors", raw("true"));
        }
        if self.chance(35) && label.get("includeSelectors").is_none() {
            label.set("includeTemplates", raw("true"));
        }
        if self.chance(30) {
            label.set("includeVolumeClaimTemplates", raw("true"));
        }
        if self.chance(25) {
            let spec = self.field_spec();
            label.push("fields", spec);
        }
        label
    }

    fn configuration(&mut self, directory: &str) -> String {
        let mut file = map::<&str>([]);
        let spec = |kind: &str, path: &str, create: bool| {
            let mut spec = map([("path", raw(path)), ("kind", raw(kind))]);
            if create {
                spec.set("create", raw("true"));
            }
            spec
        };
        for _ in 0..=self.below(3) {
            match self.below(12) {
                0 => file.push("namePrefix", spec("Widget", "spec/configRef/name", false)),
                1 => file.push("nameSuffix", spec("Widget", "spec/configRef/name", false)),
                2 => file.push("namespace", spec("Widget", "spec/namespace", true)),
                3 => file.push("commonLabels", spec("Widget", "spec/selector", true)),
                4 => file.push(
                    "labels",
                    spec("Widget", "spec/template/metadata/labels", true),
                ),
                5 => file.push(
                    "templateLabels",
                    spec("Widget", "spec/template/metadata/labels", false),
                ),
                6 => file.push(
                    "commonAnnotations",
                    spec("Widget", "spec/annotations", true),
                ),
                7 => file.push("varReference", spec("Widget", "spec/items/value", false)),
                8 => file.push("images", spec("Widget", "spec/image", false)),
                9 => file.push("replicas", spec("Widget", "spec/size", false)),
                10 => file.push(
                    "volumeClaimTemplateLabels",
                    spec("Widget", "spec/vct/labels", true),
                ),
                _ => file.push(
                    "nameReference",
                    map([
                        ("kind", raw(self.pick(&["ConfigMap", "Secret"]))),
                        ("version", raw("v1")),
                        (
                            "fieldSpecs",
                            list([
                                spec("Widget", "spec/configRef/name", false),
                                spec("Gadget", "spec/secretName", false),
                            ]),
                        ),
                    ]),
                ),
            }
        }
        let name = self.fresh("config");
        self.yaml(directory, &format!("{name}.yaml"), vec![file])
    }

    fn crds(&mut self, directory: &str) -> String {
        let reference = map([
            ("x-kubernetes-object-ref-api-version", raw("v1")),
            ("x-kubernetes-object-ref-kind", raw("ConfigMap")),
            ("type", raw("object")),
        ]);
        let annotated = |key: &str| map([(key, raw("\"\"")), ("type", raw("object"))]);
        let mut fields = map([("configRef", reference)]);
        if self.chance(40) {
            fields.set("selector", annotated("x-kubernetes-label-selector"));
        }
        if self.chance(40) {
            fields.set("annotations", annotated("x-kubernetes-annotation"));
        }
        if self.chance(40) {
            fields.set("self", annotated("x-kubernetes-identity"));
        }
        let schema = |properties: Node| {
            map([(
                "Schema",
                map([("type", raw("object")), ("properties", properties)]),
            )])
        };
        let kind = map([
            ("apiVersion", map([("type", raw("string"))])),
            ("kind", map([("type", raw("string"))])),
            (
                "metadata",
                map([(
                    "$ref",
                    raw("k8s.io/apimachinery/pkg/apis/meta/v1.ObjectMeta"),
                )]),
            ),
            ("spec", map([("$ref", raw("example.com/v1.WidgetSpec"))])),
        ]);
        let file = map([
            ("example.com/v1.Widget", schema(kind)),
            ("example.com/v1.WidgetSpec", schema(fields)),
        ]);
        let name = self.fresh("crd");
        self.yaml(directory, &format!("{name}.yaml"), vec![file])
    }

    fn schema(&mut self, directory: &str) -> String {
        let items = map([
            ("type", raw("array")),
            ("items", map([("type", raw("object"))])),
            ("x-kubernetes-patch-merge-key", raw("name")),
            ("x-kubernetes-patch-strategy", raw("merge")),
        ]);
        let mut fields = map([("items", items.clone())]);
        if self.chance(50) {
            fields.set(
                "list",
                map([
                    ("type", raw("array")),
                    ("x-kubernetes-patch-strategy", raw("merge")),
                ]),
            );
        }
        let widget = map([
            ("type", raw("object")),
            (
                "properties",
                map([(
                    "spec",
                    map([("type", raw("object")), ("properties", fields)]),
                )]),
            ),
            (
                "x-kubernetes-group-version-kind",
                list([map([
                    ("group", raw("example.com")),
                    ("kind", raw("Widget")),
                    ("version", raw("v1")),
                ])]),
            ),
        ]);
        let file = map([("definitions", map([("com.example.v1.Widget", widget)]))]);
        let name = self.fresh("schema");
        self.yaml(directory, &format!("{name}.yaml"), vec![file])
    }

    fn vars(&mut self, kustomization: &mut Node, objects: &[Object]) {
        for name in ["VAR", "OTHER"] {
            let Some(object) = self
                .one(objects)
                .filter(|_| name == "VAR" || self.chance(40))
            else {
                return;
            };
            let mut target = map([("kind", raw(&object.kind)), ("name", raw(&object.name))]);
            if object.group_version().0.is_empty() || self.chance(70) {
                target.set("apiVersion", raw(&object.api_version));
            } else {
                let (group, version) = object.group_version();
                target.set("group", raw(group));
                target.set("version", raw(version));
            }
            if !object.namespace.is_empty() {
                target.set("namespace", raw(&object.namespace));
            }
            let mut var = map([("name", raw(name)), ("objref", target)]);
            if self.chance(60) {
                var.set("fieldref", map([("fieldPath", text(self.dotted(&object)))]));
            }
            kustomization.push("vars", var);
        }
    }

    /// A path to a scalar as vars have it.
    fn dotted(&mut self, object: &Object) -> String {
        let paths: Vec<String> = scalars(&object.node)
            .into_iter()
            .filter(|path| !is_identity(path))
            .filter_map(|path| {
                let steps: Option<Vec<String>> = path
                    .into_iter()
                    .map(|step| match step {
                        Step::Key(key) if key.contains(['.', '/']) => None,
                        Step::Key(key) => Some(key),
                        Step::Item(index, _) => Some(format!("[{index}]")),
                    })
                    .collect();
                Some(steps?.join(".").replace(".[", "["))
            })
            .collect();
        let numbers: Vec<String> = paths
            .iter()
            .filter(|path| {
                ["replicas", "port", "Seconds", "size"]
                    .iter()
                    .any(|end| path.ends_with(end))
            })
            .cloned()
            .collect();
        let number = self.one(&numbers).filter(|_| self.chance(60));
        match number.or_else(|| self.one(&paths)) {
            Some(path) if self.chance(70) => path,
            _ => "metadata.name".to_owned(),
        }
    }

    /// Everything that changes what a layer has.
    pub fn transforms(
        &mut self,
        kustomization: &mut Node,
        directory: &str,
        objects: &mut [Object],
    ) {
        let seen = objects.to_vec();
        self.patch_fields(kustomization, directory, &seen);
        if self.chance(18) {
            kustomization.set(
                "namespace",
                raw(self.pick(&["ns-a", "ns-b", "prod", "default"])),
            );
        }
        if self.chance(22) {
            kustomization.set("namePrefix", text(self.pick(&["dev-", "p-", "a-b-", "x"])));
        }
        if self.chance(14) {
            kustomization.set("nameSuffix", text(self.pick(&["-v1", "-s", "-blue"])));
        }
        if self.chance(20) {
            for _ in 0..=usize::from(self.chance(25)) {
                let label = self.labels();
                kustomization.push("labels", label);
            }
        }
        if self.chance(8) {
            kustomization.set("commonLabels", self.pairs());
        }
        if self.chance(12) {
            kustomization.set("commonAnnotations", self.pairs());
        }
        for (field, chance) in [("images", 18), ("imageTags", 4)] {
            if self.chance(chance) {
                for _ in 0..=usize::from(self.chance(40)) {
                    let image = self.images();
                    kustomization.push(field, image);
                }
            }
        }
        let scaled: Vec<Object> = seen
            .iter()
            .filter(|object| {
                [
                    "Deployment",
                    "StatefulSet",
                    "ReplicaSet",
                    "ReplicationController",
                ]
                .contains(&object.kind.as_str())
            })
            .cloned()
            .collect();
        if let Some(object) = self.one(&scaled).filter(|_| self.chance(25)) {
            let count = self.below(6).to_string();
            kustomization.push(
                "replicas",
                map([("name", raw(object.name)), ("count", raw(count))]),
            );
        }
        if self.chance(18) {
            self.replacements(kustomization, directory, &seen);
        }
        if !self.has_vars && self.chance(12) && !seen.is_empty() {
            self.has_vars = true;
            self.vars(kustomization, &seen);
        }
        if self.chance(6) {
            let file = self.configuration(directory);
            kustomization.push("configurations", text(file));
        }
        if self.chance(4) {
            let file = self.crds(directory);
            kustomization.push("crds", text(file));
        }
        if !self.has_schema && self.chance(4) {
            self.has_schema = true;
            let openapi = if self.chance(80) {
                map([("path", text(self.schema(directory)))])
            } else {
                map([("version", raw("v1.21.2"))])
            };
            kustomization.set("openapi", openapi);
        }
        if self.chance(14) {
            self.plugin_transformers(kustomization, directory, &seen);
        }
        if self.chance(5) {
            self.validators(kustomization, directory);
        }
        if self.chance(7) {
            let options = [
                "originAnnotations",
                "transformerAnnotations",
                "managedByLabel",
            ];
            let mut chosen: Vec<&str> = options.into_iter().filter(|_| self.chance(45)).collect();
            if chosen.is_empty() {
                chosen.push("originAnnotations");
            }
            kustomization.set("buildMetadata", texts(chosen));
        }
        if self.chance(9) {
            let mut sort = map([("order", raw(self.pick(&["legacy", "legacy", "fifo"])))]);
            if self.chance(60) && sort.get("order").and_then(Node::scalar) == Some("legacy") {
                let mut legacy = map::<&str>([]);
                if self.chance(70) {
                    legacy.set("orderFirst", texts(["Service", "Namespace", "Widget"]));
                }
                if self.chance(70) {
                    legacy.set("orderLast", texts(["ConfigMap", "Deployment"]));
                }
                sort.set("legacySortOptions", legacy);
            }
            kustomization.set("sortOptions", sort);
        }
        if self.chance(5) {
            let mut metadata = map([("name", raw("this"))]);
            if self.chance(50) {
                metadata.set("labels", self.pairs());
            }
            if self.chance(50) {
                metadata.set("annotations", self.pairs());
            }
            if self.chance(40) {
                metadata.set("namespace", raw("x"));
            }
            kustomization.set("metadata", metadata);
        }
    }

    /// What no renderer without Helm can do.
    pub fn charts(&mut self, kustomization: &mut Node) {
        let chart = map([
            ("name", raw("chart")),
            ("repo", text("https://example.com")),
        ]);
        if self.chance(70) {
            kustomization.push("helmCharts", chart);
        }
        if self.chance(60) || kustomization.get("helmCharts").is_none() {
            kustomization.push(
                "helmChartInflationGenerator",
                map([("chartName", raw("chart"))]),
            );
        }
        if self.chance(60) {
            kustomization.set("helmGlobals", map([("chartHome", raw("charts"))]));
        }
    }
}
