//! What several commands ask of the cluster or of the person: an environment by its name, a yes. Must not change anything.

use std::io::{IsTerminal, Write};

use anyhow::{Result, bail};
use kube::Api;
use kube::api::ListParams;

use super::output::note;
use crate::api::{Environment, Repository};
use crate::cluster::ClusterError;

/// What the API server refused, in its words. That it does not know our kinds has one cause.
pub fn refused(action: impl Into<String>, error: kube::Error) -> anyhow::Error {
    let error = ClusterError::new(action, error);
    if error.code == 404 && error.message.contains("page not found") {
        return anyhow::anyhow!(
            "cannot {}: Driftless is not installed in this cluster (driftless install)",
            error.action
        );
    }
    error.into()
}

/// The environment of this name; which there are, if it is not there.
pub async fn environment(
    api: &Api<Environment>,
    name: &str,
    namespace: &str,
) -> Result<Environment> {
    if let Some(environment) = api
        .get_opt(name)
        .await
        .map_err(|error| refused(format!("read the environment {name}"), error))?
    {
        return Ok(environment);
    }
    let list = api
        .list_metadata(&ListParams::default())
        .await
        .map_err(|error| refused("list environments", error))?;
    let names: Vec<_> = list
        .items
        .into_iter()
        .filter_map(|other| other.metadata.name)
        .collect();
    bail!("{}", absent("environment", name, namespace, &names))
}

/// The repository of this name; which there are, if it is not there.
pub async fn repository(api: &Api<Repository>, name: &str, namespace: &str) -> Result<Repository> {
    if let Some(repository) = api
        .get_opt(name)
        .await
        .map_err(|error| refused(format!("read the repository {name}"), error))?
    {
        return Ok(repository);
    }
    let list = api
        .list_metadata(&ListParams::default())
        .await
        .map_err(|error| refused("list repositories", error))?;
    let names: Vec<_> = list
        .items
        .into_iter()
        .filter_map(|other| other.metadata.name)
        .collect();
    bail!("{}", absent("repository", name, namespace, &names))
}

fn absent(kind: &str, name: &str, namespace: &str, others: &[String]) -> String {
    if others.is_empty() {
        return format!(
            "there is no {kind} {name} in the namespace {namespace}, nor any other; is it the right one (-n)?"
        );
    }
    format!(
        "there is no {kind} {name} in the namespace {namespace}; there is {}",
        others.join(", ")
    )
}

/// A person's yes. Without a terminal nobody can be asked.
pub fn yes(question: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked without a terminal; say --yes");
    }
    let mut stderr = anstream::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let yes = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if !yes {
        note("Nothing was done.");
    }
    Ok(yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_told_with_what_there_is() {
        assert_eq!(
            absent(
                "environment",
                "prod",
                "shop",
                &["dev".to_owned(), "production".to_owned()]
            ),
            "there is no environment prod in the namespace shop; there is dev, production"
        );
        assert!(absent("environment", "prod", "shop", &[]).contains("nor any other"));
    }
}
