//! The command line: what a person types becomes one call of the modules below. Must hold no decision of its own.

mod checkout;
pub mod crds;
mod render;
mod run;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A pull-based GitOps agent for Kubernetes: makes the cluster what Git says.
#[derive(Parser)]
#[command(name = "driftless", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the agent.
    Run(run::Arguments),
    /// Print the objects of a kustomization, as `kustomize build` does.
    Render(render::Arguments),
}

pub fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let result = match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Render(arguments) => render::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done where even the error stream is closed.
            let _ = writeln!(std::io::stderr(), "Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
