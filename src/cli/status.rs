//! `driftless status`: what the environments' statuses say, as a table or one in detail. Must not judge by itself, but for
//! the health of the objects it shows, which the agent's own rules say.

mod detail;
mod live;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use anyhow::{Context as _, Result};
use clap::Args;
use futures::StreamExt;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};

use super::connect::Target;
use super::output::{self, Data, Out};
use super::{Outcome, ask};
use crate::api::Environment;
use crate::status::find_condition;

/// Show environments: all of a namespace as a table, or one with its objects, what it waits for, and its history
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  driftless status -A
  driftless status production -n shop
  driftless status production --watch
  driftless status -o json | jq '.items[].status.revision.commit'

Exit codes: 0 all are ready; 1 one is not; 2 a problem.")]
pub struct Arguments {
    /// One environment
    name: Option<String>,
    #[command(flatten)]
    target: Target,
    /// Environments of all namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["name", "namespace"])]
    all_namespaces: bool,
    /// Show it again whenever it changes, until interrupted
    #[arg(short, long, conflicts_with = "output")]
    watch: bool,
    /// The objects themselves
    #[arg(short, long, value_enum)]
    output: Option<Data>,
}

pub async fn run(arguments: &Arguments, out: &mut Out) -> Result<Outcome> {
    let (client, namespace) = arguments.target.connect().await?;
    let api: Api<Environment> = if arguments.all_namespaces {
        Api::all(client.clone())
    } else {
        Api::namespaced(client.clone(), &namespace)
    };
    let view = View {
        arguments,
        client,
        namespace,
    };
    if arguments.watch {
        return view.watch(api, out).await;
    }
    if let Some(name) = &arguments.name {
        let mut environment = ask::environment(&api, name, &view.namespace).await?;
        if let Some(data) = arguments.output {
            environment.metadata.managed_fields = None;
            output::data(out, data, &environment)?;
        } else {
            output::text(out, &view.text(&[environment.clone()]).await)?;
        }
        return Ok(outcome(&[environment]));
    }
    let mut list = api
        .list(&ListParams::default())
        .await
        .map_err(|error| ask::refused("list environments", error))?;
    if let Some(data) = arguments.output {
        for environment in &mut list.items {
            environment.metadata.managed_fields = None;
        }
        output::data(out, data, &list)?;
    } else {
        output::text(out, &view.text(&list.items).await)?;
    }
    Ok(outcome(&list.items))
}

/// Whether all of them are ready.
fn outcome(environments: &[Environment]) -> Outcome {
    let ready = environments.iter().all(|environment| {
        environment
            .status
            .as_ref()
            .and_then(|status| find_condition(&status.conditions, "Ready"))
            .is_some_and(|condition| condition.status == "True")
    });
    if ready { Outcome::Done } else { Outcome::Not }
}

struct View<'a> {
    arguments: &'a Arguments,
    client: Client,
    namespace: String,
}

impl View<'_> {
    async fn text(&self, environments: &[Environment]) -> String {
        let now = Timestamp::now();
        match (&self.arguments.name, environments) {
            (Some(_), [environment]) => {
                let health = live::health(&self.client, environment).await;
                detail::text(environment, &health, now)
            }
            (Some(name), _) => format!(
                "There is no environment {name} in {} any more.\n",
                self.namespace
            ),
            (None, []) if self.arguments.all_namespaces => {
                "There are no environments in this cluster.\n".to_owned()
            }
            (None, []) => format!(
                "There are no environments in {} (all namespaces: -A).\n",
                self.namespace
            ),
            (None, _) => table::text(environments, self.arguments.all_namespaces, now),
        }
    }

    /// Shows it again on every change: on a terminal in place, else below.
    async fn watch(&self, api: Api<Environment>, out: &mut Out) -> Result<Outcome> {
        let config = match &self.arguments.name {
            Some(name) => watcher::Config::default().fields(&format!("metadata.name={name}")),
            None => watcher::Config::default(),
        };
        let in_place = std::io::stdout().is_terminal();
        let mut known: BTreeMap<(String, String), Environment> = BTreeMap::new();
        let mut events = std::pin::pin!(watcher(api, config));
        let mut complete = false;
        let mut shown = String::new();
        while let Some(event) = events.next().await {
            let key = |environment: &Environment| {
                (
                    environment.namespace().unwrap_or_default(),
                    environment.name_any(),
                )
            };
            match event.context("cannot watch environments")? {
                watcher::Event::Init => {
                    complete = false;
                    known.clear();
                }
                watcher::Event::InitDone => complete = true,
                watcher::Event::InitApply(environment) | watcher::Event::Apply(environment) => {
                    known.insert(key(&environment), environment);
                }
                watcher::Event::Delete(environment) => {
                    known.remove(&key(&environment));
                }
            }
            if complete {
                let environments: Vec<Environment> = known.values().cloned().collect();
                let text = self.text(&environments).await;
                if text != shown {
                    if in_place {
                        // Home, and clear what is below.
                        write!(out, "\x1b[H\x1b[2J\x1b[3J")?;
                    } else if !shown.is_empty() {
                        writeln!(out)?;
                    }
                    output::text(out, &text)?;
                    shown = text;
                }
            }
        }
        Ok(Outcome::Done)
    }
}
