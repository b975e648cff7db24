//! The command line: what a person types becomes one call of the modules beside it. Must hold no decision of its own.

mod approve;
mod ask;
mod check;
mod checkout;
mod connect;
pub mod crds;
mod diff;
mod folder;
mod install;
mod output;
mod render;
mod rollout;
mod run;
mod status;
mod suspend;
mod sync;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::{env, io};

use anstream::AutoStream;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config;
use rollout::Word;

/// Makes Kubernetes clusters what Git says, and keeps them so.
#[derive(Parser)]
#[command(
    name = "driftless",
    version,
    max_term_width = 110,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done; 1 a difference, or not ready; 2 a problem, or wrong usage.\n\
        Documentation of the kinds: kubectl explain environment.spec"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Status(status::Arguments),
    Sync(sync::Arguments),
    Approve(approve::Arguments),
    /// Go on with a rollout: from a pause, or to its next step
    Promote(rollout::Arguments),
    /// Take a rollout back: all traffic to the stable side
    Abort(rollout::Arguments),
    /// Try a change again whose rollout was taken back
    Retry(rollout::Arguments),
    /// Keep a rollout at its weight, until it is promoted
    Pause(rollout::Arguments),
    /// Leave an environment as it is: nothing is applied, repaired or deleted
    Suspend(suspend::Arguments),
    /// Keep a suspended environment again
    Resume(suspend::Arguments),
    Check(check::Arguments),
    Diff(diff::Arguments),
    /// Print the objects of a directory, as `kustomize build` does
    Render(render::Arguments),
    Install(install::Arguments),
    /// Print the definitions of our kinds
    Crds,
    /// Run the agent (in the cluster, as deploy/ does it)
    Run {
        #[command(flatten)]
        cluster: connect::Server,
        #[command(flatten)]
        arguments: Box<config::Arguments>,
    },
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  source <(driftless completions bash)")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What was typed, if it is `driftless render` as scripts call it, by the thousand: to load the whole command line, and to make
/// it, would cost them more than most renders. That one answers whatever else is typed, and what is wrong.
fn rendering() -> Option<render::Arguments> {
    let words: Option<Vec<String>> = env::args_os()
        .skip(1)
        .map(|word| word.into_string().ok())
        .collect();
    let words = words?;
    let (command, words) = words.split_first()?;
    let has_budgets =
        || env::vars_os().any(|(name, _)| name.as_encoded_bytes().starts_with(b"DRIFTLESS_MAX_"));
    if command != "render" || has_budgets() {
        return None;
    }
    render::Arguments::plain(words)
}

/// How a command ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// There is a difference, or something is not ready.
    Not,
    /// Something is wrong, and was told.
    Wrong,
}

/// Parses the command line, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    let ended = match rendering() {
        Some(arguments) => render::run(&arguments).map(|()| Outcome::Done),
        None => start(Arguments::parse().command),
    };
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Not) => ExitCode::from(1),
        Ok(Outcome::Wrong) => ExitCode::from(2),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            ExitCode::from(2)
        }
    }
}

/// A function by itself: what it needs for all commands, a render would have to load.
#[inline(never)]
fn start(command: Command) -> anyhow::Result<Outcome> {
    let mut out = AutoStream::auto(io::stdout());
    match command {
        Command::Status(arguments) => wait(status::run(&arguments, &mut out)),
        Command::Sync(arguments) => wait(sync::run(&arguments, &mut out)),
        Command::Approve(arguments) => wait(approve::run(&arguments, &mut out)),
        Command::Promote(arguments) => wait(rollout::run(&arguments, Word::Promote, &mut out)),
        Command::Abort(arguments) => wait(rollout::run(&arguments, Word::Abort, &mut out)),
        Command::Retry(arguments) => wait(rollout::run(&arguments, Word::Retry, &mut out)),
        Command::Pause(arguments) => wait(rollout::run(&arguments, Word::Pause, &mut out)),
        Command::Suspend(arguments) => wait(suspend::run(&arguments, true, &mut out)),
        Command::Resume(arguments) => wait(suspend::run(&arguments, false, &mut out)),
        Command::Check(arguments) => check::run(&arguments, &mut out),
        Command::Diff(arguments) => wait(diff::run(&arguments, &mut out)),
        Command::Render(arguments) => render::run(&arguments).map(|()| Outcome::Done),
        Command::Install(arguments) => install::run(&arguments, &mut out),
        Command::Crds => output::text(&mut out, &crds::yaml()),
        Command::Run { cluster, arguments } => wait(run::run(&cluster, *arguments)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "driftless", &mut out);
            Ok(Outcome::Done)
        }
    }
}

/// Runs what speaks with others. The other commands start neither threads nor TLS: scripts call them by the thousand.
fn wait(work: impl Future<Output = anyhow::Result<Outcome>>) -> anyhow::Result<Outcome> {
    // Two libraries speak TLS; both use this provider. That one is set already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(work);
    // A blocking read (of an answer, or of Git) must not hold the end up.
    runtime.shutdown_background();
    result
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
