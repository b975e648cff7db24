//! From the object that configures a builtin plugin to the plugin.

use super::{Generator, Transformer};
use crate::kustomize::context::Context;
use crate::kustomize::decode::{Decoder, Fields, Mode, suggestion};
use crate::kustomize::error::{BuildErrors, Result, fail};
use crate::kustomize::generate::Made;
use crate::kustomize::json::from_json;
use crate::kustomize::jsonpatch::JsonPatch;
use crate::kustomize::loader::Loader;
use crate::kustomize::namespace::{NamespaceTransformer, SubjectMode};
use crate::kustomize::node;
use crate::kustomize::patches::{PatchTransformer, load_merges};
use crate::kustomize::replace;
use crate::kustomize::resource::Resource;
use crate::kustomize::transform::ValueTarget;
use crate::kustomize::types::{
    GENERATOR_FIELDS, Patch, field_specs, generator_args, image, optional_selector, patch_of,
    replacement, replica,
};
use crate::yaml::{Tree, parse, to_value};

/// Whether an object configures a builtin plugin.
fn demand_builtin(context: &Context<'_>, config: &Resource) -> Result<String> {
    let tree = &context.tree;
    let kind = node::kind(tree, config.root).to_owned();
    if node::api_version(tree, config.root) == "builtin" {
        return Ok(kind);
    }
    let function = ["config.kubernetes.io/function", "config.k8s.io/function"];
    let what = if function
        .iter()
        .any(|name| node::annotation(tree, config.root, name).is_some())
    {
        "a function that runs a container or a program"
    } else {
        "an external plugin"
    };
    fail(format!(
        "`{kind}` is {what}; nothing is executed here: run it before you commit, or use a builtin (apiVersion: builtin)"
    ))
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
const GENERATORS: &[&str] = &[
    "ConfigMapGenerator",
    "IAMPolicyGenerator",
    "SecretGenerator",
];

/// Decodes the configuration of a plugin, as it reads once it was written out.
fn with_fields<T: Default>(
    context: &Context<'_>,
    config: &Resource,
    known: &[&'static str],
    read: impl for<'t> FnOnce(&mut Decoder<'t>, &Fields<'t>) -> T,
) -> Result<T> {
    let value = to_value(&context.tree, config.root)?;
    let mut tree = Tree::new();
    let root = from_json(&mut tree, &value);
    let mut decoder = Decoder::new(&tree, Mode::Lenient);
    let value = match decoder.fields(root, "", known) {
        Some(fields) => read(&mut decoder, &fields),
        None => T::default(),
    };
    decoder.finish(value)
}

/// The generator that an object configures.
pub fn generator_of(context: &mut Context<'_>, config: &Resource) -> Result<Generator> {
    let kind = demand_builtin(context, config)?;
    let place = |errors: BuildErrors| errors.each(|error| config.origin.place(error));
    let mut known = vec!["metadata"];
    known.extend(GENERATOR_FIELDS);
    let tree = &context.tree;
    let (name, namespace) = (
        node::name(tree, config.root).to_owned(),
        node::namespace(tree, config.root).to_owned(),
    );
    match kind.as_str() {
        "ConfigMapGenerator" | "SecretGenerator" => {
            let args = with_fields(context, config, &known, |decoder, fields| {
                let mut args = generator_args(decoder, fields);
                // The old name of `envs` is one of kustomizations only.
                if !decoder.text(fields, "env").is_empty() {
                    args.envs.pop();
                }
                args
            });
            let mut args = args.map_err(place)?;
            if args.name.is_empty() {
                args.name = name;
            }
            if args.namespace.is_empty() {
                args.namespace = namespace;
            }
            let made = if kind == "SecretGenerator" {
                Made::Secret
            } else {
                Made::ConfigMap
            };
            Ok(Generator::Made(made, args))
        }
        "IAMPolicyGenerator" => {
            let known = &["cloud", "kubernetesService", "serviceAccount"];
            let read = with_fields(context, config, known, |decoder, fields| {
                let mut named = |field: &str| {
                    let id = fields.get(field)?;
                    let names = ["name", "namespace", "projectId"];
                    let fields = decoder.fields(id, field, &names)?;
                    Some(names.map(|name| decoder.text(&fields, name)))
                };
                let (service, account) = (named("kubernetesService"), named("serviceAccount"));
                let cloud = decoder.text(fields, "cloud");
                (
                    cloud,
                    service.unwrap_or_default(),
                    account.unwrap_or_default(),
                )
            });
            let (cloud, [name, namespace, _], [account, _, project]) = read.map_err(place)?;
            if cloud != "gke" {
                return fail(format!("cloud provider {cloud} not supported yet"));
            }
            Ok(Generator::ServiceAccount {
                name,
                namespace,
                account,
                project,
            })
        }
        "HelmChartInflationGenerator" => fail(
            "Helm charts are not rendered inside of a kustomization; render the chart with `helm template` and commit the result",
        ),
        kind if TRANSFORMERS.contains(&kind) => {
            fail(format!("`{kind}` is a transformer, not a generator"))
        }
        kind => fail(format!(
            "unable to load builtin `{kind}`{}; the generators are {}",
            suggestion(kind, GENERATORS),
            GENERATORS.join(", ")
        )),
    }
}

/// The transformer that an object configures.
pub fn transformer_of(
    context: &mut Context<'_>,
    loader: &Loader,
    config: &Resource,
) -> Result<Transformer> {
    let kind = demand_builtin(context, config)?;
    configure(context, loader, config, &kind).map_err(|errors| {
        let words = format!("{kind} {}", node::name(&context.tree, config.root));
        errors
            .context(&words)
            .each(|error| config.origin.place(error))
    })
}

fn configure(
    context: &mut Context<'_>,
    loader: &Loader,
    config: &Resource,
    kind: &str,
) -> Result<Transformer> {
    match kind {
        "AnnotationsTransformer" | "LabelTransformer" => {
            let name = if kind == "LabelTransformer" {
                "labels"
            } else {
                "annotations"
            };
            with_fields(
                context,
                config,
                &["labels", "annotations", "fieldSpecs"],
                |decoder, fields| {
                    (
                        decoder.text_map(fields, name),
                        field_specs(decoder, fields, "fieldSpecs"),
                    )
                },
            )
            .map(|(pairs, specs)| Transformer::Entries { pairs, specs })
        }
        "ImageTagTransformer" => with_fields(
            context,
            config,
            &["imageTag", "fieldSpecs"],
            |decoder, fields| {
                let id = fields.get("imageTag");
                let image = id
                    .map(|id| image(decoder, id, "imageTag"))
                    .unwrap_or_default();
                (image, field_specs(decoder, fields, "fieldSpecs"))
            },
        )
        .map(|(image, specs)| Transformer::Images { image, specs }),
        "ReplicaCountTransformer" => with_fields(
            context,
            config,
            &["replica", "fieldSpecs"],
            |decoder, fields| {
                let id = fields.get("replica");
                let replica = id
                    .map(|id| replica(decoder, id, "replica"))
                    .unwrap_or_default();
                (replica, field_specs(decoder, fields, "fieldSpecs"))
            },
        )
        .map(|(replica, specs)| Transformer::Replicas { replica, specs }),
        "NamespaceTransformer" => {
            let known = &["fieldSpecs", "unsetOnly", "setRoleBindingSubjects"];
            let (specs, unset_only, mode) =
                with_fields(context, config, known, |decoder, fields| {
                    (
                        field_specs(decoder, fields, "fieldSpecs"),
                        decoder.flag(fields, "unsetOnly"),
                        decoder.text(fields, "setRoleBindingSubjects"),
                    )
                })?;
            Ok(Transformer::Namespace(NamespaceTransformer {
                namespace: node::namespace(&context.tree, config.root).to_owned(),
                specs,
                unset_only,
                subjects: SubjectMode::parse(&mode)?,
            }))
        }
        "PrefixTransformer" | "SuffixTransformer" | "PrefixSuffixTransformer" => {
            let (prefix, suffix, specs) = with_fields(
                context,
                config,
                &["prefix", "suffix", "fieldSpecs"],
                |decoder, fields| {
                    let given = fields.get("fieldSpecs").is_some();
                    let specs = given.then(|| field_specs(decoder, fields, "fieldSpecs"));
                    (
                        decoder.text(fields, "prefix"),
                        decoder.text(fields, "suffix"),
                        specs,
                    )
                },
            )?;
            let Some(specs) = specs else {
                return fail("fieldSpecs is not expected to be nil");
            };
            Ok(match kind {
                "PrefixTransformer" => Transformer::Affix {
                    prefix,
                    suffix: String::new(),
                    specs,
                },
                "SuffixTransformer" => Transformer::Affix {
                    prefix: String::new(),
                    suffix,
                    specs,
                },
                _ => Transformer::PrefixAndSuffix {
                    prefix,
                    suffix,
                    specs,
                },
            })
        }
        "PatchJson6902Transformer" => {
            let patch = with_fields(
                context,
                config,
                &["target", "path", "jsonOp"],
                |decoder, fields| patch_of(decoder, fields, "jsonOp"),
            )?;
            json_patch(context, loader, &patch)
        }
        "PatchStrategicMergeTransformer" => {
            let (paths, patches) =
                with_fields(context, config, &["paths", "patches"], |decoder, fields| {
                    (
                        decoder.texts(fields, "paths"),
                        decoder.text(fields, "patches"),
                    )
                })?;
            if paths.is_empty() && patches.is_empty() {
                return fail("empty file path and empty patch content");
            }
            load_merges(context, loader, &paths, &patches).map(Transformer::StrategicMerge)
        }
        "PatchTransformer" => {
            let patch = with_fields(
                context,
                config,
                &["target", "path", "patch", "options"],
                |decoder, fields| patch_of(decoder, fields, "patch"),
            )?;
            PatchTransformer::load(context, loader, &patch)
                .map(|patch| Transformer::Patch(Box::new(patch)))
        }
        "ReplacementTransformer" => {
            let list = with_fields(context, config, &["replacements"], |decoder, fields| {
                let list = decoder.list(fields, "replacements");
                list.into_iter()
                    .map(|(id, path)| replacement(decoder, id, &path))
                    .collect::<Vec<_>>()
            })?;
            replace::load(context, loader, &list).map(Transformer::Replacements)
        }
        "ValueAddTransformer" => value_add(context, loader, config),
        "HashTransformer" => Ok(Transformer::Hash),
        kind if GENERATORS.contains(&kind) => fail("it is a generator, not a transformer"),
        kind => fail(format!(
            "unable to load builtin `{kind}`{}; the transformers are {}",
            suggestion(kind, TRANSFORMERS),
            TRANSFORMERS.join(", ")
        )),
    }
}

/// A JSON patch of `patchesJson6902`.
pub fn json_patch(
    context: &mut Context<'_>,
    loader: &Loader,
    patch: &Patch,
) -> Result<Transformer> {
    if patch
        .target
        .as_ref()
        .is_none_or(|target| target.id.name.is_empty())
    {
        return fail("must specify the target name");
    }
    let text = match (patch.path.as_str(), patch.inline.as_str()) {
        ("", "") => return fail("empty file path and empty jsonOp"),
        ("", text) => text.to_owned(),
        (file, "") => {
            let (_, text) = loader
                .load_text(context, file)
                .map_err(|errors| errors.field("path"))?;
            if text.is_empty() {
                return fail(format!("patch file '{file}' empty seems to be empty"));
            }
            text
        }
        _ => return fail("must specify a file path or jsonOp, not both"),
    };
    match JsonPatch::read(&text, &context.yaml_limits())? {
        Some(json) if !json.is_empty() => Ok(Transformer::Json {
            patch: json,
            target: patch.target.clone(),
        }),
        _ => fail("patch appears to be empty"),
    }
}

fn value_targets<'t>(decoder: &mut Decoder<'t>, fields: &Fields<'t>) -> Vec<ValueTarget> {
    let mut targets = Vec::new();
    for (id, path) in decoder.list(fields, "targets") {
        if let Some(fields) =
            decoder.fields(id, &path, &["selector", "fieldPath", "filePathPosition"])
        {
            targets.push(ValueTarget {
                selector: optional_selector(decoder, &fields, "selector"),
                field_path: decoder.text(&fields, "fieldPath"),
                file_path_position: decoder.integer(&fields, "filePathPosition"),
            });
        }
    }
    targets
}

fn value_add(context: &mut Context<'_>, loader: &Loader, config: &Resource) -> Result<Transformer> {
    let known = &["value", "targets", "targetFilePath"];
    let (value, mut targets, path) = with_fields(context, config, known, |decoder, fields| {
        (
            decoder.text(fields, "value"),
            value_targets(decoder, fields),
            decoder.text(fields, "targetFilePath"),
        )
    })?;
    let mut value = value.trim().to_owned();
    if value.is_empty() {
        loader
            .root()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .clone_into(&mut value);
    }
    if !path.is_empty() {
        let (file, text) = loader.load_text(context, &path)?;
        if let Some(document) = parse(&text, &file, &context.yaml_limits())? {
            let mut decoder = Decoder::new(&document.tree, Mode::Lenient);
            if let Some(fields) = decoder.fields(document.root, "", &["targets"]) {
                targets.extend(value_targets(&mut decoder, &fields));
            }
            decoder.finish(()).map_err(|errors| errors.in_file(&file))?;
        }
    }
    if targets.is_empty() {
        return fail("must specify at least one target");
    }
    for target in &targets {
        if target.field_path.is_empty() {
            return fail("fieldPath cannot be empty");
        }
        if target.file_path_position < 0 {
            return fail(format!(
                "value of FilePathPosition ({}) cannot be negative",
                target.file_path_position
            ));
        }
    }
    Ok(Transformer::Value { value, targets })
}
