//! `driftless suspend` and `resume`: one field of an Environment's spec.

use std::io::Write;

use anyhow::Result;
use clap::Args;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::Outcome;
use super::ask;
use super::connect::Target;
use super::output::Out;
use crate::api::Environment;

/// Leave an environment as it is (suspend), or keep it again (resume)
#[derive(Args, Debug)]
#[command(
    after_help = "Where the Environment itself comes from Git, set spec.suspend there: this is drift, and undone."
)]
pub struct Arguments {
    /// The environment
    name: String,
    #[command(flatten)]
    target: Target,
}

pub async fn run(arguments: &Arguments, suspend: bool, out: &mut Out) -> Result<Outcome> {
    let Arguments { name, target } = arguments;
    let (client, namespace) = target.connect().await?;
    let api: Api<Environment> = Api::namespaced(client, &namespace);
    let environment = ask::environment(&api, name, &namespace).await?;
    let state = if suspend { "suspended" } else { "running" };
    if environment.spec.suspend == suspend {
        writeln!(out, "{namespace}/{name} is {state} already.")?;
        return Ok(Outcome::Done);
    }
    let params = PatchParams {
        field_manager: Some("driftless-cli".to_owned()),
        ..PatchParams::default()
    };
    api.patch(
        name,
        &params,
        &Patch::Merge(json!({"spec": {"suspend": suspend}})),
    )
    .await
    .map_err(|error| ask::refused(format!("change the environment {name}"), error))?;
    writeln!(out, "{namespace}/{name} is {state} now.")?;
    Ok(Outcome::Done)
}
