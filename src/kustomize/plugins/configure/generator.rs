//! The builtin generators, from their configurations.

use super::{GENERATORS, TRANSFORMERS, demand_builtin, with_fields};
use crate::kustomize::context::Context;
use crate::kustomize::decode::suggestion;
use crate::kustomize::error::{BuildErrors, Result, fail};
use crate::kustomize::generate::Made;
use crate::kustomize::node;
use crate::kustomize::plugins::Generator;
use crate::kustomize::resource::Resource;
use crate::kustomize::types::{GENERATOR_FIELDS, generator_args};

/// The generator that an object configures.
#[inline(never)]
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
