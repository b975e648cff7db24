<<<<<<< HEAD
//! The command line: what a person types becomes one call of the modules below. Must hold no decision of its own.

pub mod crds;
=======
//! What the user typed, and which part of the library answers it. Must not decide anything itself.

mod checkout;
mod render;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "driftless", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the objects of a kustomization, as `kustomize build` does.
    Render(render::Arguments),
}

pub fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let result = match command {
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
>>>>>>> kustomize
