//! The kustomization file: its fields, the old ones folded into the new ones, and the warnings about them.

use super::LoadRestrictor;
use super::context::Context;
use super::decode::{Decoder, Mode, suggestion};
use super::error::{BuildError, BuildErrors, Result, fail};
use super::loader::{FILE_NAMES, Loader, display, kustomization_files};
use super::types::{
    GeneratorArgs, GeneratorOptions, Image, Label, Patch, Replacement, Replica, SortOptions, Var,
    generator_options, generators, image, label, patch, replacement, replica, sort_options, var,
};
use crate::yaml::{Document, Kind, NodeId, Place, parse};

#[derive(Clone, Debug, Default)]
pub struct Kustomization {
    /// The path of the file.
    pub file: String,
    pub api_version: String,
    pub kind: String,
    pub openapi: Vec<(String, String)>,
    pub name_prefix: String,
    pub name_suffix: String,
    pub namespace: String,
    pub common_labels: Vec<(String, String)>,
    pub labels: Vec<Label>,
    pub common_annotations: Vec<(String, String)>,
    pub patches_strategic_merge: Vec<String>,
    pub patches_json6902: Vec<Patch>,
    pub patches: Vec<Patch>,
    pub images: Vec<Image>,
    pub replacements: Vec<Replacement>,
    pub replicas: Vec<Replica>,
    pub vars: Vec<Var>,
    pub sort_options: Option<SortOptions>,
    pub resources: Vec<String>,
    pub components: Vec<String>,
    pub crds: Vec<String>,
    pub config_map_generator: Vec<GeneratorArgs>,
    pub secret_generator: Vec<GeneratorArgs>,
    pub generator_options: Option<GeneratorOptions>,
    pub configurations: Vec<String>,
    pub generators: Vec<String>,
    pub transformers: Vec<String>,
    pub validators: Vec<String>,
    pub build_metadata: Vec<String>,
    /// The field that asks for Helm charts.
    helm: Option<&'static str>,
    /// There is anything beside `apiVersion` and `kind`.
    has_content: bool,
    deprecated: Vec<&'static str>,
    /// What is wrong with the file; what it says otherwise is looked at nevertheless.
    problems: Vec<BuildError>,
}

const FIELDS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "openapi",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patches",
    "images",
    "imageTags",
    "replacements",
    "replicas",
    "vars",
    "sortOptions",
    "resources",
    "components",
    "crds",
    "bases",
    "configMapGenerator",
    "secretGenerator",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "generatorOptions",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "buildMetadata",
];

pub const COMPONENT: &str = "Component";
pub const KUSTOMIZATION: &str = "Kustomization";

fn read(decoder: &mut Decoder<'_>, id: NodeId) -> Kustomization {
    let Some(fields) = decoder.fields(id, "", FIELDS) else {
        return Kustomization::default();
    };
    if let Some(id) = fields.get("metadata")
        && let Some(metadata) = decoder.fields(
            id,
            "metadata",
            &["name", "namespace", "labels", "annotations"],
        )
    {
        decoder.text(&metadata, "name");
        decoder.text(&metadata, "namespace");
        decoder.text_map(&metadata, "labels");
        decoder.text_map(&metadata, "annotations");
    }
    let mut each = |name: &str| decoder.list(&fields, name);
    let (labels, json, patches, images, image_tags) = (
        each("labels"),
        each("patchesJson6902"),
        each("patches"),
        each("images"),
        each("imageTags"),
    );
    let (replacements, replicas, vars) = (each("replacements"), each("replicas"), each("vars"));
    let helm = ["helmCharts", "helmChartInflationGenerator"];
    let helm = helm
        .into_iter()
        .find(|name| !decoder.list(&fields, name).is_empty());
    let mut kustomization = Kustomization {
        file: String::new(),
        api_version: decoder.text(&fields, "apiVersion"),
        kind: decoder.text(&fields, "kind"),
        openapi: decoder.text_map(&fields, "openapi"),
        name_prefix: decoder.text(&fields, "namePrefix"),
        name_suffix: decoder.text(&fields, "nameSuffix"),
        namespace: decoder.text(&fields, "namespace"),
        common_labels: decoder.text_map(&fields, "commonLabels"),
        labels: labels
            .into_iter()
            .map(|(id, path)| label(decoder, id, &path))
            .collect(),
        common_annotations: decoder.text_map(&fields, "commonAnnotations"),
        patches_strategic_merge: decoder.texts(&fields, "patchesStrategicMerge"),
        patches_json6902: json
            .into_iter()
            .map(|(id, path)| patch(decoder, id, &path))
            .collect(),
        patches: patches
            .into_iter()
            .map(|(id, path)| patch(decoder, id, &path))
            .collect(),
        images: images
            .into_iter()
            .chain(image_tags)
            .map(|(id, path)| image(decoder, id, &path))
            .collect(),
        replacements: replacements
            .into_iter()
            .map(|(id, path)| replacement(decoder, id, &path))
            // An empty list of targets is none.
            .map(|it| Replacement {
                targets: it.targets.filter(|targets| !targets.is_empty()),
                ..it
            })
            .collect(),
        replicas: replicas
            .into_iter()
            .map(|(id, path)| replica(decoder, id, &path))
            .collect(),
        vars: vars
            .into_iter()
            .map(|(id, path)| var(decoder, id, &path))
            .collect(),
        sort_options: sort_options(decoder, &fields),
        resources: decoder.texts(&fields, "resources"),
        components: decoder.texts(&fields, "components"),
        crds: decoder.texts(&fields, "crds"),
        config_map_generator: generators(decoder, &fields, "configMapGenerator", false),
        secret_generator: generators(decoder, &fields, "secretGenerator", true),
        generator_options: generator_options(decoder, &fields, "generatorOptions"),
        configurations: decoder.texts(&fields, "configurations"),
        generators: decoder.texts(&fields, "generators"),
        transformers: decoder.texts(&fields, "transformers"),
        validators: decoder.texts(&fields, "validators"),
        build_metadata: decoder.texts(&fields, "buildMetadata"),
        helm,
        has_content: FIELDS[2..].iter().any(|name| fields.get(name).is_some()),
        deprecated: Vec::new(),
        problems: Vec::new(),
    };
    kustomization
        .resources
        .extend(decoder.texts(&fields, "bases"));
    for name in DEPRECATED {
        if fields.get(name.0).is_some() {
            kustomization.deprecated.push(name.0);
        }
    }
    kustomization
}

const DEPRECATED: [(&str, &str); 6] = [
    ("bases", "resources"),
    ("commonLabels", "labels"),
    ("imageTags", "images"),
    ("patchesJson6902", "patches"),
    ("patchesStrategicMerge", "patches"),
    ("vars", "replacements"),
];

/// Reads the one kustomization file of a directory.
pub fn load(context: &mut Context<'_>, loader: &Loader) -> Result<Box<Kustomization>> {
    let file = find(context, loader)?;
    load_file(context, &file)
        .map(Box::new)
        .map_err(|errors| errors.under(&file))
}

/// The one kustomization file of a directory.
fn find(context: &Context<'_>, loader: &Loader) -> Result<String> {
    let files = kustomization_files(context.files, loader.root())?;
    match &files[..] {
        [file]
            if context.options.load_restrictor == LoadRestrictor::RootOnly
                && context.files.leaves(loader.root(), file)? =>
        {
            fail(format!(
                "security; `{file}` is a link out of its directory; put the file there, or build with --load-restrictor=LoadRestrictionsNone"
            ))
        }
        [file] => Ok(file.clone()),
        [] => fail(format!(
            "unable to find one of {} in directory `{}`",
            FILE_NAMES.map(|name| format!("`{name}`")).join(", "),
            display(loader.root())
        )),
        _ => fail(format!(
            "Found multiple kustomization files under `{}`: {}",
            display(loader.root()),
            files.join(", ")
        )),
    }
}

fn load_file(context: &mut Context<'_>, file: &str) -> Result<Kustomization> {
    let bytes = context.read(file)?.unwrap_or_default();
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Err(BuildError::new("the file is not UTF-8")
            .in_file(file)
            .into());
    };
    let mut kustomization = match parse(text, file, &context.yaml_limits())? {
        Some(document) => {
            let mut decoder = Decoder::new(&document.tree, Mode::Strict);
            let kustomization = read(&mut decoder, document.root);
            Kustomization {
                problems: decoder.into_problems(),
                ..kustomization
            }
        }
        None => Kustomization::default(),
    };
    let Kustomization {
        deprecated,
        build_metadata,
        ..
    } = &kustomization;
    for name in deprecated {
        let instead = DEPRECATED
            .iter()
            .find(|(old, _)| old == name)
            .map_or("", |(_, new)| new);
        context.warnings.push(format!(
            "{file}: `{name}` is deprecated, use `{instead}` instead"
        ));
    }
    for option in build_metadata {
        if !BUILD_METADATA.contains(&option.as_str()) {
            let hint = suggestion(option, &BUILD_METADATA);
            context.warnings.push(format!(
                "{file}: buildMetadata: unknown option `{option}`{hint}"
            ));
        }
    }
    kustomization.check();
    file.clone_into(&mut kustomization.file);
    Ok(kustomization)
}

const BUILD_METADATA: [&str; 3] = [
    "originAnnotations",
    "transformerAnnotations",
    "managedByLabel",
];

impl Kustomization {
    /// What is wrong with the file, if anything.
    pub fn problems(&self) -> Result<()> {
        match &self.problems[..] {
            [] => Ok(()),
            problems => Err(BuildErrors(problems.to_vec())),
        }
    }

    /// Notes what no kustomization may say.
    fn check(&mut self) {
        if !self.has_content && self.problems.is_empty() {
            self.problem("", "the kustomization is empty".to_owned());
        }
        if self.kind.is_empty() {
            KUSTOMIZATION.clone_into(&mut self.kind);
        }
        let expected = match self.kind.as_str() {
            COMPONENT => "kustomize.config.k8s.io/v1alpha1",
            _ => "kustomize.config.k8s.io/v1beta1",
        };
        if ![KUSTOMIZATION, COMPONENT].contains(&self.kind.as_str()) {
            let message = format!(
                "kind should be {KUSTOMIZATION} or {COMPONENT}, but it is `{}`{}",
                self.kind,
                suggestion(&self.kind, &[KUSTOMIZATION, COMPONENT])
            );
            self.problem("kind", message);
        } else if !self.api_version.is_empty() && self.api_version != expected {
            let message = format!("apiVersion for {} should be {expected}", self.kind);
            self.problem("apiVersion", message);
        }
        if let Some(field) = self.helm {
            self.problem(
                field,
                "Helm charts are not rendered inside of a kustomization; render the chart with `helm template` and commit the \
                 result"
                    .to_owned(),
            );
        }
    }

    fn problem(&mut self, field: &str, message: String) {
        self.problems.push(BuildError {
            field: (!field.is_empty()).then(|| field.to_owned()),
            ..BuildError::new(message)
        });
    }
}

/// Where a field such as `patches[1].path` stands in a kustomization file: its value, or the last part of the way that
/// there is.
pub fn locate(document: &Document, field: &str) -> Place {
    let tree = &document.tree;
    let mut at = document.root;
    for part in field.split('.') {
        let (name, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        let mut next = tree
            .pairs(at)
            .filter(|(key, _)| tree.text(*key).eq_ignore_ascii_case(name))
            .last()
            .map(|(_, value)| value);
        for index in indices.split(['[', ']']).filter(|index| !index.is_empty()) {
            let Some(list) = next else { break };
            at = list;
            next = index
                .parse::<usize>()
                .ok()
                .filter(|_| tree.kind(list) == Kind::Seq)
                .and_then(|index| tree.elements(list).get(index).copied());
        }
        let Some(found) = next else { break };
        at = found;
    }
    tree.node(at).place
}
