//! Random trees of kustomizations: what a person might write, most of it valid. Draws from one generator of random numbers,
//! so that a seed names a tree.

mod configure;
mod patch;
mod plugin;
mod replace;
mod texture;

use proptest::prelude::*;
use proptest::test_runner::TestRng;

use super::node::{Content, File, Node, Value, list, map, raw, template, text, texts};
use super::resources::{CLUSTER, KINDS, body};

/// A tree of files and how it is built.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    pub files: Vec<File>,
    pub directory: String,
    pub flags: Vec<&'static str>,
}

/// An object as a layer got it.
#[derive(Clone, Debug)]
pub struct Object {
    node: Node,
    api_version: String,
    kind: String,
    name: String,
    namespace: String,
    generated: bool,
}

impl Object {
    fn of(node: Node) -> Self {
        let scalar = |path: &[&str]| {
            node.at(path)
                .and_then(Node::scalar)
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            api_version: scalar(&["apiVersion"]),
            kind: scalar(&["kind"]),
            name: scalar(&["metadata", "name"]),
            namespace: scalar(&["metadata", "namespace"]),
            node,
            generated: false,
        }
    }

    fn group_version(&self) -> (&str, &str) {
        self.api_version
            .split_once('/')
            .unwrap_or(("", &self.api_version))
    }

    fn has_pod(&self) -> bool {
        [
            "Deployment",
            "StatefulSet",
            "DaemonSet",
            "ReplicaSet",
            "Job",
        ]
        .contains(&self.kind.as_str())
    }
}

const NAMES: &[&str] = &["app", "web", "db", "cache", "settings", "api-server"];
const IMAGES: &[&str] = &[
    "nginx",
    "nginx:1.25",
    "registry.example.com/team/app:v1",
    "localhost:5000/app",
    "app@sha256:0123456789abcdef",
    "foo:1.2.3@sha256:abcdef",
    "$(VAR)/image:tag",
    "busybox:latest",
    "ghcr.io/x/y",
];
const TEXTS: &[&str] = &[
    "plain",
    "two words",
    "5",
    "true",
    "1.50",
    "null",
    "",
    " padded ",
    "it's",
    "a \"quote\"",
    "colon: here",
    "# no comment",
    "$(VAR)",
    "x$(VAR)-$(OTHER)y",
    "ünïcode ☃",
    "back\\slash",
    "tab\tin",
    "0644",
    "1e3",
    "2024-01-01",
    "yes",
    "~",
    "a,b,c",
    "http://web:80/path",
    "-dash",
    "@at",
    "*star",
    "%percent",
    "0x1F",
    "line one\nline two\n",
    "no end\nof line",
    "a-b-c",
    "=",
    "{}",
    "long text that goes on and on until it is longer than what fits on one line of eighty columns, which some writers fold",
];
const ODD: &[&str] = &[
    "1",
    "0",
    "-3",
    "1.5",
    "1.0",
    "1e3",
    "0x1F",
    "0o17",
    "0644",
    "true",
    "False",
    "yes",
    "on",
    "null",
    "~",
    ".5",
    "1_000",
    "+1",
    "2024-01-01",
    "12345678901234567890",
    "0.1e-5",
    "\"quoted\"",
    "'single'",
    "word",
    "1:30",
    "9007199254740993",
    "1E5",
    "100000000.0",
];

/// What makes one tree.
pub struct Maker {
    rng: TestRng,
    files: Vec<File>,
    taken: Vec<(String, String)>,
    count: usize,
    has_vars: bool,
    has_schema: bool,
    wants_charts: bool,
    /// Directories that a layer may take as they are once more.
    components: Vec<String>,
}

impl Maker {
    pub fn tree(rng: TestRng) -> Tree {
        let mut maker = Self {
            rng,
            files: Vec::new(),
            taken: Vec::new(),
            count: 0,
            has_vars: false,
            has_schema: false,
            wants_charts: false,
            components: Vec::new(),
        };
        let depth = maker.pick(&[0, 0, 1, 1, 1, 1, 2, 2, 3]);
        let directory = maker.pick(&["top", "overlays/prod"]);
        maker.wants_charts = maker.chance(3);
        maker.layer(directory, depth, false);
        if maker.chance(2) {
            maker.spoil();
        }
        let mut flags = Vec::new();
        for flag in [
            "--enable-managedby-label",
            "--load-restrictor=LoadRestrictionsNone",
            "--reorder=none",
            "--reorder=legacy",
        ] {
            if maker.chance(3) && !(flag == "--reorder=legacy" && flags.contains(&"--reorder=none"))
            {
                flags.push(flag);
            }
        }
        let mut files = std::mem::take(&mut maker.files);
        let level = maker.pick(&[0, 0, 3, 10]);
        for file in &mut files {
            maker.texture(file, level);
        }
        Tree {
            files,
            directory: directory.to_owned(),
            flags,
        }
    }

    /// True in so many of a hundred cases.
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn below(&mut self, end: usize) -> usize {
        self.rng.random_range(0..end.max(1))
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn one<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        let index = self.below(items.len());
        items.get(index).cloned()
    }

    /// A name that no file has yet.
    fn fresh(&mut self, stem: &str) -> String {
        self.count += 1;
        format!("{stem}{}", self.count)
    }

    fn yaml(&mut self, directory: &str, name: &str, documents: Vec<Node>) -> String {
        let indent = self.pick(&[0, 0, 2]);
        let cut = self.chance(10);
        self.files.push(File {
            path: format!("{directory}/{name}"),
            content: Content::Yaml(documents, indent),
            cut,
        });
        name.to_owned()
    }

    fn lines(&mut self, directory: &str, name: &str, lines: Vec<String>) -> String {
        let cut = self.chance(10);
        self.files.push(File {
            path: format!("{directory}/{name}"),
            content: Content::Lines(lines),
            cut,
        });
        name.to_owned()
    }

    fn word(&mut self) -> &'static str {
        self.pick(&["alpha", "beta", "gamma", "web", "app", "v1"])
    }

    fn text(&mut self) -> String {
        if self.chance(50) {
            self.word().to_owned()
        } else {
            self.pick(TEXTS).to_owned()
        }
    }

    fn fill(&mut self, name: &str) -> Node {
        match name {
            "image" => text(self.pick(IMAGES)),
            "text" => text(self.text()),
            "lines" => text(self.pick(&[
                "a=1\nb=2\n",
                "one\n\ntwo\n",
                "key: value\nlist:\n- a\n",
                "  indented\n",
                "x\n\n\n",
                "trailing \nspace\n",
            ])),
            "bool" => raw(self.pick(&["true", "false"])),
            "number" => raw(self.below(9).to_string()),
            "float" => raw(self.pick(&["1.5", "1.0", "1e3", "0.10", "3", "1.5e-7", "123456789.5"])),
            "odd" => raw(self.pick(ODD)),
            "quantity" => raw(self.pick(&["100m", "1Gi", "1", "0.5", "\"1\"", "1e3"])),
            "label" => raw(self.pick(&["web", "app", "\"5\"", "db"])),
            "host" => {
                text(self.pick(&["example.com", "$(VAR).example.com", "web.app.example.com"]))
            }
            "namespace" => raw(self.pick(&["default", "ns-a", "ns-b"])),
            _ => raw(self.pick(NAMES)),
        }
    }

    fn templated(&mut self, from: &str) -> Node {
        // Both closures draw from the same numbers.
        let maker = std::cell::RefCell::new(self);
        template(
            from,
            || maker.borrow_mut().chance(35),
            |name| maker.borrow_mut().fill(name),
        )
    }

    /// A name that is free for the kind, most of the time.
    fn name(&mut self, kind: &str) -> String {
        let mut name = self.pick(NAMES).to_owned();
        if !self.chance(1) {
            while self.taken.contains(&(kind.to_owned(), name.clone())) {
                name = format!("{name}{}", self.below(10));
            }
        }
        self.taken.push((kind.to_owned(), name.clone()));
        name
    }

    fn pairs(&mut self) -> Node {
        let mut node = map::<&str>([]);
        for _ in 0..=self.below(2) {
            let key = self.pick(&["app", "tier", "example.com/team", "a.b", "owner"]);
            let value = match self.below(4) {
                0 => text(self.pick(&["5", "true", "1.5", "x y"])),
                _ => text(self.word()),
            };
            node.set(key, value);
        }
        node
    }

    fn object(&mut self) -> Object {
        let total: u32 = KINDS.iter().map(|kind| kind.0).sum();
        let mut at = self.rng.random_range(0..total);
        let kind = KINDS.iter().find(|kind| {
            let found = at < kind.0;
            at = at.saturating_sub(kind.0);
            found
        });
        let (_, api_version, kind, form) = *kind.unwrap_or(&KINDS[0]);
        let name = self.name(kind);
        let mut metadata = map([("name", raw(name))]);
        if !CLUSTER.contains(&kind) && self.chance(15) {
            metadata.set("namespace", raw(self.pick(&["default", "ns-a", "ns-b"])));
        }
        if self.chance(45) {
            metadata.set("labels", self.pairs());
        }
        if self.chance(25) {
            let mut pairs = self.pairs();
            let value = self.text();
            if !value.is_empty() || self.chance(50) {
                pairs.set("note", text(value));
            }
            metadata.set("annotations", pairs);
        }
        if self.chance(3) {
            metadata.set(
                "annotations",
                map([("config.kubernetes.io/local-config", text("true"))]),
            );
        }
        if self.chance(3) {
            metadata.set("finalizers", texts(["a.example.com/x", "b.example.com/y"]));
        }
        if self.chance(2) && ["ConfigMap", "Secret"].contains(&kind) {
            metadata.set(
                "annotations",
                map([("kustomize.config.k8s.io/needs-hash", text("true"))]),
            );
        }
        let mut node = map([
            ("apiVersion", raw(api_version)),
            ("kind", raw(kind)),
            ("metadata", metadata),
        ]);
        if let Value::Map(fields) = self.templated(&body(form)).value {
            for (key, value) in fields {
                node.set(&key, value);
            }
        }
        if self.chance(10)
            && let Value::Map(fields) = &mut node.value
        {
            let at = fields.len() - 1;
            fields.swap(0, at);
        }
        Object::of(node)
    }

    /// The objects of a layer's own files.
    fn resources(
        &mut self,
        kustomization: &mut Node,
        directory: &str,
        count: usize,
    ) -> Vec<Object> {
        let objects: Vec<Object> = (0..count).map(|_| self.object()).collect();
        let mut rest = &objects[..];
        while !rest.is_empty() {
            let take = (1 + self.below(3)).min(rest.len());
            let (some, others) = rest.split_at(take);
            rest = others;
            let mut documents: Vec<Node> = some.iter().map(|object| object.node.clone()).collect();
            if self.chance(8) {
                let kind = self.pick(&["List", "List", "WidgetList"]);
                let version = "v1";
                documents = vec![map([
                    ("apiVersion", raw(version)),
                    ("kind", raw(kind)),
                    ("items", list(documents)),
                ])];
            }
            let name = self.fresh("r");
            let name = self.yaml(directory, &format!("{name}.yaml"), documents);
            kustomization.push("resources", text(name));
        }
        objects
    }

    /// A directory with a kustomization; what it has in the end.
    fn layer(&mut self, directory: &str, depth: usize, component: bool) -> Vec<Object> {
        let mut kustomization = map::<&str>([]);
        if component {
            kustomization.set("apiVersion", raw("kustomize.config.k8s.io/v1alpha1"));
            kustomization.set("kind", raw("Component"));
        } else if self.chance(60) {
            kustomization.set("apiVersion", raw("kustomize.config.k8s.io/v1beta1"));
            kustomization.set("kind", raw("Kustomization"));
        }
        let mut objects = Vec::new();
        let name = |maker: &mut Self, stem: &str| {
            format!(
                "{}{}",
                "../".repeat(directory.split('/').count()),
                maker.fresh(stem)
            )
        };
        if depth > 0 {
            let bases = 1 + usize::from(self.chance(20));
            for _ in 0..bases {
                let path = name(self, "base");
                objects.extend(self.layer(path.trim_start_matches("../"), depth - 1, false));
                let field = if self.chance(12) {
                    "bases"
                } else {
                    "resources"
                };
                kustomization.push(field, text(path));
            }
        }
        let count = match (depth, component) {
            (0, false) => 1 + self.below(4),
            _ => self.below(2),
        };
        objects.extend(self.resources(&mut kustomization, directory, count));
        self.generators(&mut kustomization, directory, &mut objects);
        if !component && self.chance(12) {
            if let Some(path) = self
                .one(&self.components.clone())
                .filter(|_| self.chance(15))
            {
                kustomization.push(
                    "components",
                    text(format!(
                        "{}{path}",
                        "../".repeat(directory.split('/').count())
                    )),
                );
            } else {
                let path = name(self, "component");
                let mut added = self.below_component(path.trim_start_matches("../"), &objects);
                objects.append(&mut added);
                kustomization.push("components", text(path));
            }
        }
        self.transforms(&mut kustomization, directory, &mut objects);
        if std::mem::take(&mut self.wants_charts) {
            self.charts(&mut kustomization);
        }
        let file = self.pick(&[
            "kustomization.yaml",
            "kustomization.yaml",
            "kustomization.yaml",
            "kustomization.yml",
            "Kustomization",
        ]);
        if self.chance(15)
            && let Value::Map(fields) = &mut kustomization.value
        {
            fields.reverse();
        }
        if let Value::Map(fields) = &kustomization.value
            && fields
                .iter()
                .all(|(key, _)| key == "apiVersion" || key == "kind")
        {
            kustomization.set("namePrefix", text("p-"));
        }
        self.yaml(directory, file, vec![kustomization]);
        objects
    }

    /// A component sees what the layer that takes it has.
    fn below_component(&mut self, directory: &str, above: &[Object]) -> Vec<Object> {
        let mut kustomization = map([
            ("apiVersion", raw("kustomize.config.k8s.io/v1alpha1")),
            ("kind", raw("Component")),
        ]);
        let count = self.below(2);
        let mut objects = above.to_vec();
        let added = self.resources(&mut kustomization, directory, count);
        if added.is_empty() {
            self.components.push(directory.to_owned());
        }
        objects.extend(added.clone());
        self.generators(&mut kustomization, directory, &mut objects);
        self.transforms(&mut kustomization, directory, &mut objects);
        if let Value::Map(fields) = &kustomization.value
            && fields.len() == 2
        {
            kustomization.set("commonAnnotations", self.pairs());
        }
        self.yaml(directory, "kustomization.yaml", vec![kustomization]);
        objects.split_off(above.len())
    }

    /// Something that no renderer may accept, most of the time.
    fn spoil(&mut self) {
        let index = self.below(self.files.len());
        let what = self.below(9);
        let File { path, content, .. } = &mut self.files[index];
        let Content::Yaml(documents, _) = content else {
            return;
        };
        let Some(document) = documents.first_mut() else {
            return;
        };
        let is_kustomization = path.contains("ustomization");
        match what {
            0 if is_kustomization => document.set("unknownField", raw("x")),
            1 if is_kustomization => document.push("resources", text("missing.yaml")),
            2 => document.set("metadata", raw("[")),
            3 if is_kustomization => document.set("kind", raw("Other")),
            4 if is_kustomization => document.set("namePrefix", list([])),
            5 if is_kustomization => document.push("patches", map([("path", text("gone.yaml"))])),
            6 if is_kustomization => document.push("images", map([("unknown", text("x"))])),
            7 if !is_kustomization => document.set("kind", raw("\"\"")),
            _ if !is_kustomization => *document = map([("not", text("an object"))]),
            _ => document.push("resources", text("../")),
        }
    }
}

/// Every path to a scalar below a node, as keys and indices.
pub fn scalars(node: &Node) -> Vec<Vec<Step>> {
    let mut out = Vec::new();
    walk(node, &mut Vec::new(), &mut out);
    out
}

/// A step of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Key(String),
    /// The position, and the name of what stands there.
    Item(usize, Option<String>),
}

fn walk(node: &Node, path: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
    match &node.value {
        Value::Raw(_) | Value::Text(_) | Value::Inline(_) => out.push(path.clone()),
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let name = item.get("name").and_then(Node::scalar).map(str::to_owned);
                path.push(Step::Item(index, name));
                walk(item, path, out);
                path.pop();
            }
        }
        Value::Map(fields) => {
            for (key, node) in fields {
                path.push(Step::Key(key.clone()));
                walk(node, path, out);
                path.pop();
            }
        }
    }
}

/// Whether a path is part of what an object is.
pub fn is_identity(path: &[Step]) -> bool {
    let key = |index: usize| match path.get(index) {
        Some(Step::Key(key)) => key.as_str(),
        _ => "",
    };
    ["apiVersion", "kind"].contains(&key(0))
        || (key(0) == "metadata" && ["name", "namespace"].contains(&key(1)))
}

/// What a path leads to.
pub fn follow<'a>(node: &'a Node, path: &[Step]) -> Option<&'a Node> {
    path.iter()
        .try_fold(node, |node, step| match (step, &node.value) {
            (Step::Key(key), _) => node.get(key),
            (Step::Item(index, _), Value::List(items)) => items.get(*index),
            _ => None,
        })
}

/// Whether a path leads to a text.
pub fn is_text(node: &Node, path: &[Step]) -> bool {
    match follow(node, path).map(|node| &node.value) {
        Some(Value::Text(_)) => true,
        Some(Value::Raw(text)) => {
            text.starts_with(|c: char| c.is_ascii_alphabetic())
                && !["true", "false", "null", "False", "yes", "on"].contains(&text.as_str())
        }
        _ => false,
    }
}
