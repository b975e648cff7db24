//! `driftless sync`: asks the agent for a look and a pass now, by an annotation. Must not do what the agent does.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::json;

use super::connect::Target;
use super::output::{self, Out, note};
use super::{Outcome, ask};
use crate::api::{Environment, HumanDuration, Repository};
use crate::object::SYNC_ANNOTATION;
use crate::status::find_condition;

/// What a look at Git takes: a pass before its end would be about the revision before it, and say that all is well.
const FETCH: Duration = Duration::from_secs(2);

/// Ask for a look at Git, and a pass, now
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  driftless sync production -n shop --wait
  driftless sync --repository shop -n shop

Exit codes: 0 done; 1 not ready, or not in time (with --wait); 2 a problem.")]
pub struct Arguments {
    /// The environment; its repository is looked at as well
    name: String,
    #[command(flatten)]
    target: Target,
    /// NAME is a Repository: look at it for all its environments
    #[arg(long)]
    repository: bool,
    /// Wait until the environment is ready
    #[arg(short, long, conflicts_with = "repository")]
    wait: bool,
    /// How long to wait
    #[arg(long, default_value = "5m", value_name = "TIME", requires = "wait")]
    timeout: HumanDuration,
}

pub async fn run(arguments: &Arguments, out: &mut Out) -> Result<Outcome> {
    let Arguments {
        name,
        target,
        repository,
        wait,
        timeout,
    } = arguments;
    let (client, namespace) = target.connect().await?;
    let now = format!("{:.9}", Timestamp::now());
    if *repository {
        let api: Api<Repository> = Api::namespaced(client, &namespace);
        ask::repository(&api, name, &namespace).await?;
        annotate(&api, name, &now).await.map_err(|error| {
            ask::refused(format!("ask for a look at the repository {name}"), error)
        })?;
        writeln!(
            out,
            "Asked for a look at the repository {namespace}/{name}."
        )?;
        return Ok(Outcome::Done);
    }
    let api: Api<Environment> = Api::namespaced(client.clone(), &namespace);
    let environment = ask::environment(&api, name, &namespace).await?;
    look(&client, &environment, &namespace, &now).await;
    if *wait {
        tokio::time::sleep(FETCH).await;
    }
    annotate(&api, name, &now).await.map_err(|error| {
        ask::refused(format!("ask for a pass of the environment {name}"), error)
    })?;
    if !wait {
        writeln!(
            out,
            "Asked for a pass of {namespace}/{name}; driftless status {name} shows what became of it."
        )?;
        return Ok(Outcome::Done);
    }
    let waited = tokio::time::timeout(timeout.0, until_ready(&api, name, &now)).await;
    let Ok(ended) = waited else {
        note(&format!("{namespace}/{name} is not ready after {timeout}."));
        return Ok(Outcome::Not);
    };
    match ended? {
        Ended::Ready(message) => {
            output::text(out, &format!("{namespace}/{name}: {message}\n"))?;
            Ok(Outcome::Done)
        }
        Ended::Not(message) => {
            note(&format!("{namespace}/{name}: {message}"));
            Ok(Outcome::Not)
        }
    }
}

/// Asks for a look at the environment's repository first, so that its pass sees what is new. Who may not is told.
async fn look(client: &Client, environment: &Environment, own: &str, now: &str) {
    let (namespace, name) = environment
        .spec
        .repository
        .split_once('/')
        .unwrap_or((own, &environment.spec.repository));
    let api: Api<Repository> = Api::namespaced(client.clone(), namespace);
    if let Err(error) = annotate(&api, name, now).await {
        let action = format!("ask for a look at the repository {namespace}/{name}");
        let error = ask::refused(action, error);
        note(&format!("Git is not asked again for it: {error}"));
    }
}

async fn annotate<K>(api: &Api<K>, name: &str, now: &str) -> kube::Result<()>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let patch = json!({"metadata": {"annotations": {SYNC_ANNOTATION: now}}});
    let params = PatchParams {
        field_manager: Some("driftless-cli".to_owned()),
        ..PatchParams::default()
    };
    api.patch_metadata(name, &params, &Patch::Merge(patch))
        .await?;
    Ok(())
}

/// How waiting ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Ready(String),
    /// It will not be without a person.
    Not(String),
}

async fn until_ready(api: &Api<Environment>, name: &str, asked: &str) -> Result<Ended> {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = std::pin::pin!(watcher(api.clone(), config));
    let mut told = String::new();
    while let Some(event) = events.next().await {
        match event.context("cannot watch the environment")? {
            watcher::Event::Apply(environment) | watcher::Event::InitApply(environment) => {
                match progress(&environment, asked) {
                    Progress::Ended(ended) => return Ok(ended),
                    Progress::Still(message) if message != told => {
                        note(&format!("… {message}"));
                        told = message;
                    }
                    Progress::Still(_) => {}
                }
            }
            watcher::Event::Delete(_) => {
                return Ok(Ended::Not("the environment was deleted".to_owned()));
            }
            watcher::Event::Init | watcher::Event::InitDone => {}
        }
    }
    anyhow::bail!("the watch of the environment has ended")
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Still(String),
    Ended(Ended),
}

/// How far the pass that was asked for is.
fn progress(environment: &Environment, asked: &str) -> Progress {
    let status = environment.status.clone().unwrap_or_default();
    // Later requests are served by the same pass; times of one length sort as text.
    let served = status
        .last_sync
        .as_deref()
        .is_some_and(|served| served >= asked);
    if !served || status.observed_generation < environment.metadata.generation {
        return Progress::Still("the agent has not looked yet".to_owned());
    }
    let Some(ready) = find_condition(&status.conditions, "Ready") else {
        return Progress::Still("the agent has not looked yet".to_owned());
    };
    match (ready.status.as_str(), ready.reason.as_str()) {
        ("True", _) => Progress::Ended(Ended::Ready(ready.message.clone())),
        (_, "Progressing" | "RepositoryPending") => Progress::Still(ready.message.clone()),
        _ => Progress::Ended(Ended::Not(ready.message.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "2026-11-02T12:00:00.000000000Z";

    fn progress_of(last_sync: &str, observed: i64, ready: &str, reason: &str) -> Progress {
        let environment = serde_json::from_value(json!({
            "apiVersion": "driftless.dev/v1alpha1", "kind": "Environment",
            "metadata": {"name": "production", "namespace": "shop", "generation": 2},
            "spec": {"repository": "shop", "follow": [{"branches": ["main"]}], "serviceAccount": "deployer"},
            "status": {"lastSync": last_sync, "observedGeneration": observed, "conditions": [{
                "type": "Ready", "status": ready, "reason": reason, "message": reason, "lastTransitionTime": "2026-11-02T11:00:00Z",
            }]},
        }));
        progress(&environment.unwrap(), ASKED)
    }

    #[test]
    fn only_a_pass_that_served_the_request_counts() {
        let not_looked = Progress::Still("the agent has not looked yet".to_owned());
        assert_eq!(
            progress_of("2026-11-02T11:59:59.000000000Z", 2, "True", "Applied"),
            not_looked
        );
        assert_eq!(progress_of(ASKED, 1, "True", "Applied"), not_looked);
        assert_eq!(
            progress_of(ASKED, 2, "True", "Applied"),
            Progress::Ended(Ended::Ready("Applied".to_owned()))
        );
        assert_eq!(
            progress_of("2026-11-02T12:00:01.000000000Z", 2, "False", "Refused"),
            Progress::Ended(Ended::Not("Refused".to_owned()))
        );
        assert_eq!(
            progress_of(ASKED, 2, "False", "Progressing"),
            Progress::Still("Progressing".to_owned())
        );
    }
}
