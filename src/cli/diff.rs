//! `driftless diff`: a local checkout, rendered as an environment, against the cluster. The API server says by dry runs what
//! would change; nothing is written. Must not show what is secret.

mod mask;
mod text;
mod tried;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use futures::StreamExt;
use jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};

use super::connect::Target;
use super::folder::Folder;
use super::output::{BAD, BOLD, Out, note, styled};
use super::{Outcome, ask};
use crate::api::{Drift, Environment};
use crate::cluster::{Cluster, Identity, scalers};
use crate::config::Budgets;
use crate::desired::{Desired, Kinds, Owner, Scope, Source, desired};
use crate::drift::Damper;
use crate::fields::HandTools;
use crate::git::Choice;
use crate::images;
use crate::inventory::{Inventory, owner_id};
use crate::kustomize::{BuildOptions, Limits};
use crate::object::Id;
use crate::plan::{LiveState, PlanInput, plan};
use crate::render::render;
use crate::rollout::autoscaler::target_of;
use crate::tree::join;
use tried::{Changed, tried};

/// Requests at once.
const PARALLEL: usize = 8;

/// Show what would change in the cluster if this checkout were committed
#[derive(Args, Debug)]
#[command(
    after_help = "Values of Secrets are masked on both sides. Dry runs are made as the environment's service account where you may \
impersonate it, else as yourself.

Examples:
  driftless diff . --environment production -n shop
  driftless diff . --environment production -n shop --path overlays/eu

Exit codes: 0 nothing would change; 1 something would; 2 a problem."
)]
pub struct Arguments {
    /// The root of the checkout
    dir: PathBuf,
    /// The environment as which it is rendered
    #[arg(short, long, value_name = "NAME")]
    environment: String,
    /// Instead of the environment's path
    #[arg(long)]
    path: Option<String>,
    /// The ref that the environment's `images` take their tags from [default: the one that it runs]
    #[arg(long, value_name = "REF")]
    r#ref: Option<String>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    budgets: Budgets,
}

pub async fn run(arguments: &Arguments, out: &mut Out) -> Result<Outcome> {
    let (client, namespace) = arguments.target.connect().await?;
    let api: Api<Environment> = Api::namespaced(client, &namespace);
    let environment = ask::environment(&api, &arguments.environment, &namespace).await?;
    let sources = sources(arguments, &environment)?;
    let cluster = Cluster::connect(arguments.target.server.config().await?).await?;
    let kinds = cluster.kinds().await.with_definitions(&sources);
    let owner = Owner {
        id: owner_id(&cluster.uid, &namespace, &arguments.environment),
        name: format!("{namespace}/{}", arguments.environment),
    };
    let wanted = scoped(&environment, &owner, &kinds, sources)?;
    let inventory =
        Inventory::from_status(&environment.status.clone().unwrap_or_default().inventory)?;
    let live = live(&cluster, &wanted, &inventory).await;
    let autoscaled = autoscaled(&cluster, &wanted).await?;
    let planned = plan(&PlanInput {
        desired: &wanted,
        live: &live,
        inventory: &inventory,
        memory: &BTreeMap::new(),
        autoscaled: &autoscaled,
        owner: &owner,
        drift: Drift::Repair,
        damper: &Damper::default(),
        hand_tools: &HandTools::default(),
        now: Timestamp::now(),
        reapply: true,
        recorded: false,
        rolled_out: &BTreeSet::new(),
    });
    let identity = Identity {
        namespace,
        name: environment.spec.service_account.clone(),
    };
    let actions: Vec<_> = planned
        .waves
        .into_iter()
        .flat_map(|wave| wave.actions)
        .collect();
    let tries = actions
        .iter()
        .map(|action| tried(&cluster, &identity, &kinds, action, &live));
    let mut results: Vec<(Id, Changed)> = futures::stream::iter(tries)
        .buffered(PARALLEL)
        .collect()
        .await;
    results.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut report = Report::default();
    if results
        .iter()
        .any(|(_, changed)| matches!(changed, Changed::To { as_self: true, .. }))
    {
        note(&format!(
            "Tried under your own rights: you may not act as {}/{}.",
            identity.namespace, identity.name
        ));
    }
    for (id, changed) in &results {
        report.object(out, id, changed)?;
    }
    for refusal in planned.refusals {
        report.refused(out, &refusal.id.to_string(), &refusal.message)?;
    }
    for departed in planned
        .departed
        .iter()
        .filter(|_| environment.spec.prune.enabled)
    {
        report.changes += 1;
        writeln!(
            out,
            "{}",
            styled(
                format!(
                    "{}: would be deleted, behind the gate for deletions",
                    departed.id
                ),
                BAD
            )
        )?;
    }
    report.end(out)
}

/// The objects as the files say them, with the environment's images.
fn sources(arguments: &Arguments, environment: &Environment) -> Result<Vec<Source>> {
    let folder = Folder::new(&arguments.dir)?;
    let path = arguments.path.as_ref().unwrap_or(&environment.spec.path);
    let path = join("", path).with_context(|| format!("the path {path:?} leaves the checkout"))?;
    let options = BuildOptions {
        limits: arguments.budgets.limits(&Limits::default())?,
        ..BuildOptions::default()
    };
    let rendered =
        render(&folder, &path, &options).with_context(|| format!("{path} does not render"))?;
    let mut objects: Vec<Source> = rendered
        .resources
        .into_iter()
        .map(|resource| Source {
            origin: resource.origin.to_string(),
            object: resource.object,
        })
        .collect();
    if !environment.spec.images.is_empty() {
        let choice = choice(arguments, environment)?;
        let resolved = images::resolve(&environment.spec.images, &choice)?;
        for source in &mut objects {
            images::substitute(std::slice::from_mut(&mut source.object), &resolved);
        }
    }
    Ok(objects)
}

fn choice(arguments: &Arguments, environment: &Environment) -> Result<Choice> {
    let running = environment
        .status
        .as_ref()
        .and_then(|status| status.revision.clone());
    let reference = match (&arguments.r#ref, &running) {
        (Some(reference), _) => reference.clone(),
        (None, Some(running)) => running.reference.clone(),
        (None, None) => bail!(
            "the environment's images take their tags from a ref, and it has none yet; say which with --ref refs/tags/…"
        ),
    };
    Ok(Choice {
        rule: 0,
        reference,
        version: None,
        commit: running.map(|running| running.commit).unwrap_or_default(),
    })
}

fn scoped(
    environment: &Environment,
    owner: &Owner,
    kinds: &Kinds,
    sources: Vec<Source>,
) -> Result<Desired> {
    let spec = &environment.spec;
    let scope = Scope {
        owner,
        namespace: spec.namespace.as_deref(),
        create_namespace: spec.create_namespace,
        service_account: &spec.service_account,
        prune: &spec.prune,
        kinds,
    };
    desired(sources, &scope).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })
}

async fn live(
    cluster: &Cluster,
    wanted: &Desired,
    inventory: &Inventory,
) -> BTreeMap<Id, LiveState> {
    let kinds = cluster.kinds().await;
    let mut versions: BTreeMap<Id, String> = inventory
        .entries
        .iter()
        .map(|(id, entry)| (id.clone(), entry.version.clone()))
        .collect();
    for one in &wanted.objects {
        versions.insert(one.id.clone(), one.object.version().to_owned());
    }
    let reads = versions.into_iter().map(|(id, version)| {
        let kinds = kinds.clone();
        async move {
            if kinds.get(&id.group, &id.kind).is_none() {
                // Its definition comes with this checkout: there can be none of it.
                return (id, LiveState::Absent);
            }
            let state = cluster.observe(&kinds, &id, &version, true).await;
            (id, state)
        }
    });
    futures::stream::iter(reads)
        .buffer_unordered(PARALLEL)
        .collect()
        .await
}

/// The workloads whose replicas belong to an autoscaler, in the cluster or in the checkout.
async fn autoscaled(cluster: &Cluster, wanted: &Desired) -> Result<BTreeSet<Id>> {
    let kinds = cluster.kinds().await;
    let mut targets: BTreeSet<Id> = wanted.objects.iter().filter_map(target_of).collect();
    for (group, version, kind, plural) in scalers::SCALERS {
        if kinds.get(group, kind).is_none() {
            continue;
        }
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        let namespaces: BTreeSet<&str> = wanted
            .objects
            .iter()
            .filter_map(|one| one.id.namespace.as_deref())
            .collect();
        for namespace in namespaces {
            let api: Api<DynamicObject> =
                Api::namespaced_with(cluster.client(), namespace, &resource);
            let list = api
                .list(&ListParams::default())
                .await
                .map_err(|error| ask::refused(format!("list {plural} in {namespace}"), error))?;
            for scaler in list {
                let reference = scaler.data.pointer(scalers::REFERENCE);
                targets.extend(scalers::target(reference, Some(namespace)));
            }
        }
    }
    Ok(targets)
}

#[derive(Default)]
struct Report {
    changes: usize,
    refusals: usize,
}

impl Report {
    fn object(&mut self, out: &mut Out, id: &Id, changed: &Changed) -> Result<()> {
        match changed {
            Changed::To { before, after, .. } => {
                let (before, after) = mask::masked(before.as_ref(), after);
                if let Some(diff) = text::diff(&id.to_string(), before, after) {
                    self.changes += 1;
                    write!(out, "{diff}")?;
                }
                Ok(())
            }
            Changed::Refused(message) => self.refused(out, &id.to_string(), message),
        }
    }

    fn refused(&mut self, out: &mut Out, object: &str, message: &str) -> Result<()> {
        self.refusals += 1;
        writeln!(
            out,
            "{} {}: {message}",
            styled("✗", BAD),
            styled(object, BOLD)
        )?;
        Ok(())
    }

    fn end(self, out: &mut Out) -> Result<Outcome> {
        out.flush()?;
        Ok(match self {
            Self { refusals: 1.., .. } => Outcome::Wrong,
            Self { changes: 1.., .. } => Outcome::Not,
            Self { .. } => Outcome::Done,
        })
    }
}
