//! Which lists merge by which keys: of the built-in kinds, and of an `OpenAPI` document that a kustomization brings.

use std::collections::HashMap;

use super::id::{Word, is_cluster_scoped, is_namespaced};
use crate::yaml::{Kind, NodeId, Tree};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Known, and nothing merges below.
    Known,
    /// Anything may stand there, also another object.
    Anything,
    Type(usize),
    /// A type of the built-in schema.
    Builtin(u16),
}

#[derive(Debug, Default)]
struct Type {
    fields: HashMap<String, Shape>,
    other: Option<Shape>,
    elements: Option<Shape>,
    merge: Option<Vec<Word>>,
}

/// The types of a set of kinds, as an `OpenAPI` document has them.
#[derive(Debug, Default)]
pub struct Schema {
    types: Vec<Type>,
    kinds: HashMap<(String, String), Shape>,
    /// Whether a kind lives in namespaces, as far as a document's paths tell.
    namespaced: HashMap<(String, String), bool>,
}

/// The schema of one node.
#[derive(Clone, Copy, Debug)]
pub struct SchemaAt<'s> {
    /// Of the types that are not built in.
    custom: Option<&'s Schema>,
    shape: Shape,
}

impl<'s> SchemaAt<'s> {
    fn at(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    fn type_(self) -> Option<Either<'s>> {
        match self.shape {
            Shape::Type(number) => self.custom?.types.get(number).map(Either::Custom),
            Shape::Builtin(number) => TYPES.get(usize::from(number)).map(Either::Builtin),
            Shape::Known | Shape::Anything => None,
        }
    }

    pub fn field(self, name: &str) -> Option<Self> {
        let shape = match (self.shape, self.type_()) {
            (Shape::Known, _) => Some(Shape::Known),
            (_, Some(Either::Custom(type_))) => type_.fields.get(name).copied().or(type_.other),
            (_, Some(Either::Builtin(type_))) => Some(type_.field(name)),
            (_, None) => None,
        };
        shape.map(|shape| self.at(shape))
    }

    pub fn elements(self) -> Option<Self> {
        let shape = match (self.shape, self.type_()) {
            (Shape::Known, _) => Some(Shape::Known),
            (_, Some(Either::Custom(type_))) => type_.elements,
            (_, Some(Either::Builtin(type_))) => type_.elements,
            (_, None) => None,
        };
        shape.map(|shape| self.at(shape))
    }

    /// The keys that the elements of this list merge by; none for scalars. `None` if the list is replaced.
    pub fn merge_keys(self) -> Option<&'s [Word]> {
        match self.type_()? {
            Either::Custom(type_) => type_.merge.as_deref(),
            Either::Builtin(type_) => type_.merge,
        }
    }
}

enum Either<'s> {
    Custom(&'s Type),
    Builtin(&'static BuiltinType),
}

/// The schemas of one build.
#[derive(Debug, Default)]
pub struct Schemas {
    custom: Option<Schema>,
    /// The built-in schema counts beside the custom one.
    builtin_too: bool,
    /// A schema was chosen; those that other kustomizations choose do not count any more.
    chosen: bool,
    in_use: std::cell::Cell<bool>,
}

impl Schemas {
    /// Chooses the built-in schema or, if `custom` is given, that one, unless one was chosen before.
    pub fn choose(&mut self, version: Option<&str>, custom: Option<Schema>) {
        if self.chosen {
            return;
        }
        self.chosen = custom.is_some() || version.is_some_and(|version| !version.is_empty());
        if custom.is_some() {
            self.builtin_too = self.is_builtin_in_use();
            self.custom = custom;
        }
    }

    /// Whether the built-in schema was read before another is chosen, so that it stays: for a merge, or for the scope of a
    /// kind that is not built in.
    pub fn is_builtin_in_use(&self) -> bool {
        self.in_use.get()
    }

    /// Whether [`Self::choose`] would do anything.
    pub fn is_chosen(&self) -> bool {
        self.chosen
    }

    pub fn of_kind(&self, api_version: &str, kind: &str) -> Option<SchemaAt<'_>> {
        if let Some(custom) = &self.custom {
            let key = (api_version.to_owned(), kind.to_owned());
            if let Some(shape) = custom.kinds.get(&key).copied() {
                return Some(self.at(shape));
            }
            if !self.builtin_too {
                return None;
            }
        }
        self.in_use.set(true);
        find(&KINDS, &(api_version, kind)).map(|shape| self.at(shape))
    }

    /// The schema that a reference in a comment names, or one of which nothing is known.
    pub fn of_reference(&self, reference: Option<&str>) -> SchemaAt<'_> {
        let builtin_counts = self.custom.is_none() || self.builtin_too;
        let shape = reference
            .and_then(|reference| reference.strip_prefix("#/definitions/"))
            .filter(|_| builtin_counts)
            .and_then(|name| find(&DEFINITIONS, &name));
        self.at(shape.unwrap_or(Shape::Anything))
    }

    fn at(&self, shape: Shape) -> SchemaAt<'_> {
        SchemaAt {
            custom: self.custom.as_ref(),
            shape,
        }
    }

    pub fn is_cluster_scoped(&self, api_version: &str, kind: &str) -> bool {
        if is_cluster_scoped(api_version, kind) {
            return true;
        }
        if !is_namespaced(api_version, kind) {
            self.in_use.set(true);
        }
        self.custom.as_ref().is_some_and(|custom| {
            !custom.namespaced.is_empty()
                && custom
                    .namespaced
                    .get(&(api_version.to_owned(), kind.to_owned()))
                    == Some(&false)
        })
    }
}

/// A type of the built-in schema.
struct BuiltinType {
    /// Sorted by name. Fields that are not listed are known all the same.
    fields: &'static [(&'static str, Shape)],
    other: Option<Shape>,
    elements: Option<Shape>,
    merge: Option<&'static [Word]>,
}

// `TYPES`, `KINDS` and `DEFINITIONS`, the latter two sorted: what schema.txt says, which `tools/merge-schema.py` writes.
include!(concat!(env!("OUT_DIR"), "/schema.rs"));

impl BuiltinType {
    fn field(&self, name: &str) -> Shape {
        find(self.fields, &name)
            .or(self.other)
            .unwrap_or(Shape::Known)
    }
}

/// The shape that a sorted table has for a key.
fn find<K: Ord + Copy>(table: &[(K, Shape)], key: &K) -> Option<Shape> {
    let index = table.binary_search_by(|(there, _)| there.cmp(key)).ok()?;
    Some(table[index].1)
}

impl Schema {
    /// The schema of an `OpenAPI` v2 document. It may refer to built-in definitions if those are in use.
    #[inline(never)]
    pub fn from_openapi(tree: &Tree, document: NodeId, with_builtin: bool) -> Self {
        let mut reader = OpenApi {
            tree,
            with_builtin,
            definitions: HashMap::new(),
            schema: Schema::default(),
        };
        if let Some(definitions) = tree.get(document, "definitions") {
            for (name, definition) in tree.pairs(definitions) {
                let number = reader.schema.types.len();
                reader.schema.types.push(Type::default());
                reader
                    .definitions
                    .insert(tree.text(name), (number, definition));
            }
            for (_, definition) in tree.pairs(definitions) {
                reader.kinds(definition);
            }
            let all: Vec<(usize, NodeId)> = reader.definitions.values().copied().collect();
            for (number, definition) in all {
                let type_ = reader.type_(definition);
                reader.schema.types[number] = type_;
            }
        }
        if let Some(paths) = tree.get(document, "paths") {
            reader.scopes(paths);
        }
        reader.schema
    }
}

struct OpenApi<'t> {
    tree: &'t Tree,
    with_builtin: bool,
    definitions: HashMap<&'t str, (usize, NodeId)>,
    schema: Schema,
}

const GVK: &str = "x-kubernetes-group-version-kind";

impl OpenApi<'_> {
    fn type_meta(&self, gvk: NodeId) -> (String, String) {
        let text = |name| self.tree.get(gvk, name).map_or("", |id| self.tree.text(id));
        let (group, version) = (text("group"), text("version"));
        let api_version = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        (api_version, text("kind").to_owned())
    }

    fn kinds(&mut self, definition: NodeId) {
        let Some(list) = self.tree.get(definition, GVK) else {
            return;
        };
        let number = self
            .definitions
            .values()
            .find(|(_, id)| *id == definition)
            .map(|(number, _)| *number);
        for gvk in self.tree.elements(list).to_vec() {
            if let Some(number) = number {
                let key = self.type_meta(gvk);
                self.schema.kinds.insert(key, Shape::Type(number));
            }
        }
    }

    fn shape(&mut self, schema: NodeId) -> Option<Shape> {
        if let Some(reference) = self.tree.get(schema, "$ref") {
            let name = self
                .tree
                .text(reference)
                .rsplit('/')
                .next()
                .unwrap_or_default();
            let own = self
                .definitions
                .get(name)
                .map(|(number, _)| Shape::Type(*number));
            return own.or_else(|| find(&DEFINITIONS, &name).filter(|_| self.with_builtin));
        }
        let type_ = self.type_(schema);
        self.schema.types.push(type_);
        Some(Shape::Type(self.schema.types.len() - 1))
    }

    fn type_(&mut self, schema: NodeId) -> Type {
        let tree = self.tree;
        let mut type_ = Type::default();
        if let Some(reference) = tree.get(schema, "$ref") {
            let name = tree.text(reference).rsplit('/').next().unwrap_or_default();
            // A definition that is nothing but a reference; one step is enough to read it.
            if let Some(&(_, target)) = self.definitions.get(name)
                && tree.get(target, "$ref").is_none()
            {
                return self.type_(target);
            }
            return type_;
        }
        if let Some(properties) = tree.get(schema, "properties") {
            for (name, property) in tree.pairs(properties).collect::<Vec<_>>() {
                if let Some(shape) = self.shape(property) {
                    type_.fields.insert(tree.text(name).to_owned(), shape);
                }
            }
        }
        if let Some(other) = tree
            .get(schema, "additionalProperties")
            .filter(|id| tree.kind(*id) == Kind::Map)
        {
            type_.other = self.shape(other);
        }
        if tree
            .get(schema, "type")
            .is_some_and(|kind| tree.text(kind) == "array")
            && let Some(items) = tree.get(schema, "items")
        {
            type_.elements = self.shape(items);
        }
        let text = |name| tree.get(schema, name).map(|id| tree.text(id).to_owned());
        if text("x-kubernetes-patch-strategy")
            .is_some_and(|strategy| strategy.split(',').any(|one| one == "merge"))
        {
            let listed = tree.get(schema, "x-kubernetes-list-map-keys").map(|keys| {
                let keys = tree.elements(keys).iter();
                keys.map(|key| tree.text(*key).to_owned().into())
                    .collect::<Vec<Word>>()
            });
            let key = text("x-kubernetes-patch-merge-key").map(|key| vec![key.into()]);
            type_.merge = Some(listed.or(key).unwrap_or_default());
        }
        type_
    }

    fn scopes(&mut self, paths: NodeId) {
        for (path, item) in self.tree.pairs(paths).collect::<Vec<_>>() {
            let Some(gvk) = self.tree.at(item, &["get", GVK]) else {
                continue;
            };
            let key = self.type_meta(gvk);
            if self.tree.text(path).contains("namespaces/{namespace}") {
                self.schema.namespaced.insert(key, true);
            } else {
                self.schema.namespaced.entry(key).or_insert(false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_lists_of_pods() {
        let schemas = Schemas::default();
        let deployment = schemas
            .of_kind("apps/v1", "Deployment")
            .expect("a built-in kind");
        let at = |path: &[&str]| {
            path.iter().try_fold(deployment, |at, part| match *part {
                "[]" => at.elements(),
                name => at.field(name),
            })
        };
        let containers = at(&["spec", "template", "spec", "containers"]).expect("known");
        assert_eq!(containers.merge_keys(), Some(&["name".into()][..]));
        let ports = at(&["spec", "template", "spec", "containers", "[]", "ports"]).expect("known");
        assert_eq!(
            ports.merge_keys(),
            Some(&["containerPort".into(), "protocol".into()][..])
        );
        let args = at(&["spec", "template", "spec", "containers", "[]", "args"]).expect("known");
        assert_eq!(args.merge_keys(), None);
        assert!(schemas.of_kind("example.com/v1", "Thing").is_none());
    }
}
