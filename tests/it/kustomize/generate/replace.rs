//! Replacements.

use super::super::node::{Node, map, raw, text};
use super::{Maker, Object, Step, is_identity, is_text, scalars};

/// A path as replacements have it.
fn field_path(path: &[Step], by_name: bool) -> String {
    let steps: Vec<String> = path
        .iter()
        .map(|step| match step {
            Step::Key(key) if key.contains('.') => format!("[{key}]"),
            Step::Key(key) => key.clone(),
            Step::Item(_, Some(name)) if by_name => format!("[name={name}]"),
            Step::Item(index, _) => index.to_string(),
        })
        .collect();
    steps.join(".")
}

impl Maker {
    fn options(&mut self, is_target: bool) -> Option<Node> {
        if !self.chance(25) {
            return None;
        }
        let mut options = map::<&str>([]);
        if self.chance(60) {
            options.set("delimiter", text(self.pick(&[":", "/", "-", "."])));
            if self.chance(70) {
                let outer = if is_target { ["-1", "1"] } else { ["0", "0"] };
                let index = match self.below(12) {
                    0 => "1",
                    at => ["0", outer[0], outer[1]][at % 3],
                };
                options.set("index", raw(index));
            }
        }
        if is_target && self.chance(50) {
            options.set("create", raw("true"));
        }
        if self.chance(5) {
            options.set("encoding", raw("base64"));
        }
        Some(options)
    }

    /// A selector that matches at least one object, most of the time.
    pub fn selector(&mut self, object: &Object, is_regex: bool) -> Node {
        let mut selector = map::<&str>([]);
        let (group, version) = object.group_version();
        if self.chance(75) {
            selector.set("kind", raw(&object.kind));
        }
        if self.chance(45) {
            selector.set(
                "name",
                text(if is_regex && self.chance(25) {
                    format!("{}.*", &object.name[..1])
                } else {
                    object.name.clone()
                }),
            );
        }
        if self.chance(15) && !group.is_empty() {
            selector.set("group", raw(group));
        }
        if self.chance(15) {
            selector.set("version", raw(version));
        }
        if self.chance(12) {
            let namespace = if object.namespace.is_empty() {
                "default"
            } else {
                &object.namespace
            };
            selector.set("namespace", raw(namespace));
        }
        for (field, chance) in [("labelSelector", 16), ("annotationSelector", 14)] {
            if self.chance(chance) {
                let label = self.pick(&[
                    "app=web",
                    "app",
                    "!tier",
                    "app in (web, alpha)",
                    "tier notin (x)",
                    "app!=db",
                    "owner=alpha,app",
                ]);
                selector.set(field, text(label));
            }
        }
        if selector == map::<&str>([]) {
            selector.set("kind", raw(&object.kind));
        }
        selector
    }

    fn source(&mut self, object: &Object) -> Node {
        let mut source = map([("kind", raw(&object.kind)), ("name", raw(&object.name))]);
        let (group, version) = object.group_version();
        if self.chance(15) {
            source.set("version", raw(version));
        }
        if self.chance(15) && !group.is_empty() {
            source.set("group", raw(group));
        }
        if !object.namespace.is_empty() {
            source.set("namespace", raw(&object.namespace));
        }
        let paths = scalars(&object.node);
        let path = self.one(&paths).filter(|_| self.chance(60));
        let mut is_scalar = true;
        let mut field = "metadata.name".to_owned();
        if let Some(path) = path {
            is_scalar = !self.chance(10);
            let shorter = path.len() - usize::from(!is_scalar);
            let by_name = self.chance(60);
            field = field_path(&path[..shorter.max(1)], by_name);
            // kustomize's own notes are among the annotations.
            if ["metadata", "metadata.annotations"].contains(&field.as_str()) {
                "metadata.name".clone_into(&mut field);
                is_scalar = true;
            }
        }
        if self.chance(80) {
            source.set("fieldPath", text(field));
        }
        if let Some(options) = self.options(false).filter(|_| is_scalar) {
            source.set("options", options);
        }
        source
    }

    fn target(&mut self, objects: &[Object]) -> Option<Node> {
        let object = self.one(objects)?;
        let exact = map([("kind", raw(&object.kind)), ("name", raw(&object.name))]);
        let select = if self.chance(70) {
            exact
        } else {
            self.selector(&object, true)
        };
        let mut target = map([("select", select)]);
        if self.chance(30) {
            let other = self.one(objects)?;
            let selector = if self.chance(40) {
                // Whatever is selected, this one is not.
                target.set("select", map([("kind", raw(&object.kind))]));
                map([("name", raw(&object.name))])
            } else {
                self.selector(&other, true)
            };
            target.push("reject", selector);
        }
        let options = self.options(true);
        let creates = options
            .as_ref()
            .is_some_and(|options| options.get("create").is_some());
        let odd = self.chance(5);
        let paths: Vec<_> = scalars(&object.node)
            .into_iter()
            .filter(|path| !is_identity(path))
            // A number cannot become a text.
            .filter(|path| odd || is_text(&object.node, path))
            .collect();
        for _ in 0..=usize::from(self.chance(25)) {
            let by_name = self.chance(60);
            let path = match self.one(&paths) {
                Some(path) if !creates || self.chance(30) => {
                    let path = field_path(&path, by_name);
                    if self.chance(8) {
                        path.replace(".0", ".*").replace("[name=main]", "*")
                    } else {
                        path
                    }
                }
                _ if creates => self
                    .pick(&[
                        "metadata.annotations.new",
                        "spec.added.deeper",
                        "metadata.labels.[a.b/c]",
                        "spec.template.spec.containers.[name=new].image",
                    ])
                    .to_owned(),
                _ => "metadata.name".to_owned(),
            };
            if self.chance(95) {
                target.push("fieldPaths", text(path));
            }
        }
        if let Some(options) = options {
            target.set("options", options);
        }
        Some(target)
    }

    pub fn replacement(&mut self, objects: &[Object]) -> Option<Node> {
        let mut replacement = map::<&str>([]);
        if self.chance(15) {
            replacement.set("sourceValue", text(self.text()));
        } else {
            let object = self.one(objects)?;
            replacement.set("source", self.source(&object));
        }
        for _ in 0..=usize::from(self.chance(25)) {
            let target = self.target(objects)?;
            replacement.push("targets", target);
        }
        Some(replacement)
    }

    pub fn replacements(&mut self, kustomization: &mut Node, directory: &str, objects: &[Object]) {
        for _ in 0..=usize::from(self.chance(25)) {
            let Some(replacement) = self.replacement(objects) else {
                return;
            };
            if self.chance(25) {
                let name = self.fresh("replacement");
                let content = if self.chance(50) {
                    super::list([replacement])
                } else {
                    replacement
                };
                let name = self.yaml(directory, &format!("{name}.yaml"), vec![content]);
                kustomization.push("replacements", map([("path", text(name))]));
            } else {
                kustomization.push("replacements", replacement);
            }
        }
    }
}
