use std::fmt::Write as _;

use clap::{Command as Clap, CommandFactory};

use super::*;

#[test]
fn the_command_line_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn the_help_shows_every_command() {
    insta::assert_snapshot!(help(&mut Arguments::command()));
}

fn help(command: &mut Clap) -> String {
    let help = command
        .clone()
        .term_width(100)
        .render_long_help()
        .to_string();
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

/// The help of every command, as one document.
fn document() -> String {
    let mut root = Arguments::command();
    root.build();
    let mut text = "# The command line\n\n\
        Which cluster and namespace is meant is told as to kubectl: `--kubeconfig`, `KUBECONFIG` (several files too), `~/.kube/config`,\n\
        `--context`, `-n`; in a pod, its own account. Colours are for terminals, and `NO_COLOR` is honoured.\n"
        .to_owned();
    let _ = write!(text, "\n```text\n{}\n```\n", help(&mut root));
    for command in root
        .get_subcommands()
        .filter(|command| command.get_name() != "help" && !command.is_hide_set())
    {
        let _ = write!(
            text,
            "\n## driftless {}\n\n```text\n{}\n```\n",
            command.get_name(),
            help(&mut command.clone())
        );
    }
    text
}

#[test]
fn the_documents_are_what_the_help_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, document()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == document(),
        "{path} is not what the help says; run the tests with UPDATE_DOCS=1"
    );
}
