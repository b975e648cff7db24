//! Which fields the transformers look at: the defaults, `configurations` and `crds`.

use std::sync::{Arc, OnceLock};

use super::context::Context;
use super::decode::{Decoder, Mode, decode};
use super::error::{BuildError, Problems, Result, fail};
use super::fieldspec::{FieldSpec, merge_all, merge_one};
use super::id::{Gvk, default_kind_rank};
use super::loader::Loader;
use super::types::{back_references, field_specs};
use crate::yaml::{Kind, NodeId, Tree, parse};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub name_prefix: Vec<FieldSpec>,
    pub name_suffix: Vec<FieldSpec>,
    pub namespace: Vec<FieldSpec>,
    pub common_labels: Vec<FieldSpec>,
    pub labels: Vec<FieldSpec>,
    pub template_labels: Vec<FieldSpec>,
    pub volume_claim_template_labels: Vec<FieldSpec>,
    pub common_annotations: Vec<FieldSpec>,
    /// Kinds with the fields that refer to them by name.
    pub name_reference: Vec<(Gvk, Vec<FieldSpec>)>,
    pub var_reference: Vec<FieldSpec>,
    pub images: Vec<FieldSpec>,
    pub replicas: Vec<FieldSpec>,
}

const FIELDS: &[&str] = &[
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "templateLabels",
    "volumeClaimTemplateLabels",
    "commonAnnotations",
    "nameReference",
    "varReference",
    "images",
    "replicas",
];

impl Config {
    fn lists_mut(&mut self) -> [&mut Vec<FieldSpec>; 11] {
        [
            &mut self.name_prefix,
            &mut self.name_suffix,
            &mut self.namespace,
            &mut self.common_labels,
            &mut self.labels,
            &mut self.template_labels,
            &mut self.volume_claim_template_labels,
            &mut self.common_annotations,
            &mut self.var_reference,
            &mut self.images,
            &mut self.replicas,
        ]
    }

    fn lists(&self) -> [&Vec<FieldSpec>; 11] {
        [
            &self.name_prefix,
            &self.name_suffix,
            &self.namespace,
            &self.common_labels,
            &self.labels,
            &self.template_labels,
            &self.volume_claim_template_labels,
            &self.common_annotations,
            &self.var_reference,
            &self.images,
            &self.replicas,
        ]
    }

    pub fn is_empty(&self) -> bool {
        self.name_reference.is_empty() && self.lists().into_iter().all(Vec::is_empty)
    }

    fn sort(&mut self) {
        let rank = |gvk: &Gvk| (default_kind_rank(&gvk.kind), gvk.sort_text());
        for list in self.lists_mut() {
            list.sort_by_cached_key(|spec| rank(&spec.gvk));
        }
        self.name_reference.sort_by_cached_key(|(gvk, _)| rank(gvk));
    }

    fn add_name_reference(&mut self, gvk: &Gvk, referrers: &[FieldSpec]) -> Result<()> {
        let mut references = self.name_reference.iter_mut();
        if let Some((_, there)) = references.find(|(there, _)| there == gvk) {
            return merge_all(there, referrers);
        }
        self.name_reference.push((gvk.clone(), referrers.to_vec()));
        Ok(())
    }

    /// Adds what is not there yet.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        for (into, from) in self.lists_mut().into_iter().zip(other.lists()) {
            merge_all(into, from)?;
        }
        for (gvk, referrers) in &other.name_reference {
            self.add_name_reference(gvk, referrers)?;
        }
        self.sort();
        Ok(())
    }
}

/// The sum of two configurations; the same one twice is itself.
pub fn merged(a: &Arc<Config>, b: &Arc<Config>) -> Result<Arc<Config>> {
    if Arc::ptr_eq(a, b) || b.is_empty() {
        return Ok(a.clone());
    }
    if a.is_empty() && Arc::ptr_eq(b, &defaults()) {
        return Ok(b.clone());
    }
    let mut sum = Config::clone(a);
    sum.merge(b)?;
    Ok(Arc::new(sum))
}

/// The configuration that is built in.
pub fn defaults() -> Arc<Config> {
    static DEFAULTS: OnceLock<Arc<Config>> = OnceLock::new();
    DEFAULTS.get_or_init(|| Arc::new(built_in())).clone()
}

/// Group, version, kind and path of a field, and whether it is created.
type Row = (&'static str, &'static str, &'static str, &'static str, bool);
/// Group, version and kind of objects, and the fields that refer to them by name.
type Referred = (&'static str, &'static str, &'static str, &'static [Row]);

// A slice for each section of fieldspecs.txt, which `tools/field-specs.py` writes; sorted, and free of what says the same
// twice, as `Config::merge` leaves it.
include!(concat!(env!("OUT_DIR"), "/fieldspecs.rs"));

fn built_in() -> Config {
    let gvk = |group: &'static str, version: &'static str, kind: &'static str| Gvk {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
    };
    let specs = |rows: &'static [Row]| -> Vec<FieldSpec> {
        let rows = rows.iter();
        rows.map(|&(group, version, kind, path, create)| FieldSpec {
            gvk: gvk(group, version, kind),
            path: path.into(),
            create,
        })
        .collect()
    };
    Config {
        name_prefix: specs(NAME_PREFIX),
        name_suffix: specs(NAME_SUFFIX),
        namespace: specs(NAMESPACE),
        common_labels: specs(COMMON_LABELS),
        labels: Vec::new(),
        template_labels: specs(TEMPLATE_LABELS),
        volume_claim_template_labels: specs(VOLUME_CLAIM_TEMPLATE_LABELS),
        common_annotations: specs(COMMON_ANNOTATIONS),
        name_reference: NAME_REFERENCE
            .iter()
            .map(|&(group, version, kind, rows)| (gvk(group, version, kind), specs(rows)))
            .collect(),
        var_reference: specs(VAR_REFERENCE),
        images: specs(IMAGES),
        replicas: specs(REPLICAS),
    }
}

fn read(decoder: &mut Decoder<'_>, id: NodeId) -> Config {
    let Some(fields) = decoder.fields(id, "", FIELDS) else {
        return Config::default();
    };
    let mut config = Config {
        name_prefix: field_specs(decoder, &fields, "namePrefix"),
        name_suffix: field_specs(decoder, &fields, "nameSuffix"),
        namespace: field_specs(decoder, &fields, "namespace"),
        common_labels: field_specs(decoder, &fields, "commonLabels"),
        labels: field_specs(decoder, &fields, "labels"),
        template_labels: field_specs(decoder, &fields, "templateLabels"),
        volume_claim_template_labels: field_specs(decoder, &fields, "volumeClaimTemplateLabels"),
        common_annotations: field_specs(decoder, &fields, "commonAnnotations"),
        name_reference: back_references(decoder, &fields, "nameReference"),
        var_reference: field_specs(decoder, &fields, "varReference"),
        images: field_specs(decoder, &fields, "images"),
        replicas: field_specs(decoder, &fields, "replicas"),
    };
    config.sort();
    config
}

/// The defaults with what these files add.
pub fn load(context: &mut Context<'_>, loader: &Loader, paths: &[String]) -> Result<Arc<Config>> {
    if paths.is_empty() {
        return Ok(defaults());
    }
    load_files(context, loader, paths)
}

#[inline(never)]
fn load_files(context: &mut Context<'_>, loader: &Loader, paths: &[String]) -> Result<Arc<Config>> {
    let mut added = Config::default();
    let mut problems = Problems::default();
    for (index, path) in paths.iter().enumerate() {
        let loaded = loader.load_text(context, path).and_then(|(file, text)| {
            let config = decode(&text, &file, Mode::Known, &context.yaml_limits(), read)?;
            added.merge(&config).map_err(|errors| errors.in_file(&file))
        });
        problems.keep(loaded.map_err(|errors| errors.field(&format!("configurations[{index}]"))));
    }
    problems.finish()?;
    let mut config = Config::clone(&defaults());
    config.merge(&added)?;
    Ok(Arc::new(config))
}

/// What the `OpenAPI` definitions of custom resources say about their fields.
pub fn load_crds(
    context: &mut Context<'_>,
    loader: &Loader,
    paths: &[String],
) -> Result<Arc<Config>> {
    let mut config = Config::default();
    let mut problems = Problems::default();
    for (index, path) in paths.iter().enumerate() {
        let loaded = load_crd(context, loader, path).and_then(|added| config.merge(&added));
        problems.keep(loaded.map_err(|errors| errors.field(&format!("crds[{index}]"))));
    }
    problems.finish()?;
    Ok(Arc::new(config))
}

#[inline(never)]
fn load_crd(context: &mut Context<'_>, loader: &Loader, path: &str) -> Result<Config> {
    let (file, text) = loader.load_text(context, path)?;
    let Some(document) = parse(&text, &file, &context.yaml_limits())? else {
        return fail(format!("`{path}` has no definitions"));
    };
    let tree = &document.tree;
    let mut of_file = Config::default();
    for (name, definition) in tree.pairs(document.root) {
        if tree.kind(definition) != Kind::Map && !tree.node(definition).is_null() {
            let error = BuildError::new(format!("`{}` is not a definition", tree.text(name)));
            let place = tree.node(definition).place;
            return Err(error.at(place).in_file(&file).into());
        }
        let Some(properties) = tree
            .at(definition, &["Schema", "properties"])
            .or_else(|| any_case(tree, definition))
        else {
            continue;
        };
        if ["kind", "apiVersion", "metadata"]
            .iter()
            .any(|field| tree.get(properties, field).is_none())
        {
            continue;
        }
        let name = tree.text(name);
        let gvk = Gvk {
            kind: name
                .rsplit('.')
                .next()
                .unwrap_or_default()
                .to_owned()
                .into(),
            ..Gvk::default()
        };
        let mut crd = Crd {
            tree,
            root: document.root,
            gvk,
            config: &mut of_file,
            depth: context.options.limits.depth,
            left: MAX_FIELDS,
        };
        crd.properties(properties, &mut Vec::new())
            .map_err(|errors| errors.in_file(&file))?;
    }
    Ok(of_file)
}

fn any_case(tree: &Tree, definition: NodeId) -> Option<NodeId> {
    let schema = tree
        .pairs(definition)
        .find(|(key, _)| tree.text(*key).eq_ignore_ascii_case("schema"));
    tree.get(schema?.1, "properties")
}

struct Crd<'c> {
    tree: &'c Tree,
    root: NodeId,
    gvk: Gvk,
    config: &'c mut Config,
    depth: usize,
    /// How many more fields may be looked at: definitions that refer to each other twice double at each step.
    left: usize,
}

/// How many fields the definitions of one kind may have.
const MAX_FIELDS: usize = 200_000;

impl Crd<'_> {
    fn spec(&self, path: &[String], last: &str) -> FieldSpec {
        let mut parts = path.to_vec();
        parts.push(last.to_owned());
        FieldSpec {
            gvk: self.gvk.clone(),
            path: parts.join("/").into(),
            create: false,
        }
    }

    fn properties(&mut self, properties: NodeId, path: &mut Vec<String>) -> Result<()> {
        if path.len() >= self.depth {
            return fail("the definitions refer to each other without end");
        }
        let tree = self.tree;
        for (name, property) in tree.pairs(properties) {
            let Some(left) = self.left.checked_sub(1) else {
                return fail(format!(
                    "the definitions refer to each other so often that a kind has more than {MAX_FIELDS} fields"
                ));
            };
            self.left = left;
            let name = tree.text(name);
            let extension = |key: &str| tree.get(property, key).map(|id| tree.text(id));
            let spec = self.spec(path, name);
            if extension("x-kubernetes-annotation").is_some() {
                merge_one(&mut self.config.common_annotations, &spec)?;
            }
            if extension("x-kubernetes-label-selector").is_some() {
                merge_one(&mut self.config.common_labels, &spec)?;
            }
            if extension("x-kubernetes-identity").is_some() {
                merge_one(&mut self.config.name_prefix, &spec)?;
            }
            if let (Some(version), Some(kind)) = (
                extension("x-kubernetes-object-ref-api-version"),
                extension("x-kubernetes-object-ref-kind"),
            ) {
                let key = extension("x-kubernetes-object-ref-name-key").unwrap_or("name");
                let gvk = Gvk {
                    version: version.to_owned().into(),
                    kind: kind.to_owned().into(),
                    ..Gvk::default()
                };
                path.push(name.to_owned());
                let spec = self.spec(path, key);
                path.pop();
                self.config.add_name_reference(&gvk, &[spec])?;
            }
            if let Some(reference) = extension("$ref")
                && let Some(definition) = tree.get(self.root, reference)
                && let Some(below) = tree
                    .at(definition, &["Schema", "properties"])
                    .or_else(|| any_case(tree, definition))
            {
                path.push(name.to_owned());
                self.properties(below, path)?;
                path.pop();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::kustomize::id::Word;

    /// The table of a configuration, in the form of `tools/field-specs.py`.
    fn table(config: &Config) -> String {
        let gvk = |gvk: &Gvk| {
            let part = |part: &Word| if part.is_empty() { "-" } else { &**part }.to_owned();
            [&gvk.group, &gvk.version, &gvk.kind].map(part).join(" ")
        };
        let mut text = String::new();
        let lines = |text: &mut String, specs: &[FieldSpec]| {
            for spec in specs {
                let create = if spec.create { "+" } else { "" };
                let _ = writeln!(text, "{create}{} {}", gvk(&spec.gvk), spec.path);
            }
        };
        let names = FIELDS.iter().filter(|name| **name != "nameReference");
        let mut lists: Vec<_> = names.zip(config.lists()).collect();
        lists.sort_by_key(|(name, _)| **name);
        for (name, list) in lists {
            if name > &"nameReference" && !text.contains("[nameReference]") {
                text.push_str("[nameReference]\n");
                for (referred, referrers) in &config.name_reference {
                    let _ = writeln!(text, "= {}", gvk(referred));
                    lines(&mut text, referrers);
                }
            }
            if !list.is_empty() {
                let _ = writeln!(text, "[{name}]");
                lines(&mut text, list);
            }
        }
        text
    }

    #[test]
    fn the_table_is_as_merging_leaves_it() {
        let mut merged = Config::default();
        let result = merged.merge(&built_in());
        assert!(result.is_ok(), "the table contradicts itself: {result:?}");
        let wanted = table(&merged);
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kustomize/fieldspecs.txt");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &wanted).expect("the table can be written");
        }
        assert!(
            wanted == std::fs::read_to_string(path).expect("the table is there"),
            "{path} is not sorted; UPDATE_DOCS=1 cargo test --lib kustomize::config writes it"
        );
    }
}
