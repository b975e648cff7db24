//! The kustomization file: its fields, the old ones folded into the new ones, and the warnings about them.

use super::context::Context;
use super::decode::{Decoder, Mode, decode};
use super::error::{BuildError, Result, fail};
use super::loader::{FILE_NAMES, Loader, display, kustomization_files};
use super::types::{
    GeneratorArgs, GeneratorOptions, Image, Label, Patch, Replacement, Replica, SortOptions, Var,
    generator_options, generators, image, label, patch, replacement, replica, sort_options, var,
};
use crate::yaml::NodeId;

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
    /// There are fields for Helm charts.
    pub has_helm: bool,
    /// There is anything beside `apiVersion` and `kind`.
    has_content: bool,
    deprecated: Vec<&'static str>,
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
const KUSTOMIZATION: &str = "Kustomization";

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
    let has_helm = helm
        .iter()
        .any(|name| !decoder.list(&fields, name).is_empty());
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
        has_helm,
        has_content: FIELDS[2..].iter().any(|name| fields.get(name).is_some()),
        deprecated: Vec::new(),
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
    let mut kustomization = decode(text, file, Mode::Strict, &context.yaml_limits(), read)?;
    for name in &kustomization.deprecated {
        let instead = DEPRECATED
            .iter()
            .find(|(old, _)| old == name)
            .map_or("", |(_, new)| new);
        context.warnings.push(format!(
            "{file}: `{name}` is deprecated, use `{instead}` instead"
        ));
    }
    let in_file = |message: String| BuildError::new(message).in_file(file);
    if !kustomization.has_content {
        return Err(in_file("the kustomization is empty".to_owned()).into());
    }
    if kustomization.kind.is_empty() {
        KUSTOMIZATION.clone_into(&mut kustomization.kind);
    }
    let expected = match kustomization.kind.as_str() {
        KUSTOMIZATION => "kustomize.config.k8s.io/v1beta1",
        COMPONENT => "kustomize.config.k8s.io/v1alpha1",
        other => {
            let error = in_file(format!(
                "kind should be {KUSTOMIZATION} or {COMPONENT}, but it is `{other}`"
            ));
            return Err(error.field("kind").into());
        }
    };
    if !kustomization.api_version.is_empty() && kustomization.api_version != expected {
        let error = in_file(format!(
            "apiVersion for {} should be {expected}",
            kustomization.kind
        ));
        return Err(error.field("apiVersion").into());
    }
    if kustomization.has_helm {
        let error = in_file(
            "Helm charts are not rendered inside of a kustomization; render the chart with `helm template` and commit the \
             result, or point the environment at the chart itself"
                .to_owned(),
        );
        return Err(error.field("helmCharts").into());
    }
    for option in &kustomization.build_metadata {
        if ![
            "originAnnotations",
            "transformerAnnotations",
            "managedByLabel",
        ]
        .contains(&option.as_str())
        {
            context
                .warnings
                .push(format!("{file}: buildMetadata: unknown option `{option}`"));
        }
    }
    file.clone_into(&mut kustomization.file);
    Ok(kustomization)
}
