//! The command line of Driftless.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
