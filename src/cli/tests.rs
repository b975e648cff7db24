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

/// All lists of up to three words.
fn typed(words: &[&str]) -> Vec<Vec<String>> {
    let mut lists = vec![Vec::new()];
    let mut longest = lists.clone();
    for _ in 0..3 {
        let longer = longest.iter().flat_map(|list: &Vec<String>| {
            let more = words.iter().map(|word| (*word).to_owned());
            more.map(|word| [list.as_slice(), &[word]].concat())
        });
        longest = longer.collect();
        lists.extend_from_slice(&longest);
    }
    lists
}

#[test]
fn what_scripts_type_is_read_as_the_whole_command_line_reads_it() {
    let words = [
        "a/b",
        "x=y",
        "legacy",
        "none",
        "",
        "-",
        "--",
        "-o",
        "-ox",
        "-o=x",
        "--output",
        "--output=",
        "--output=x",
        "--reorder",
        "--reorder=legacy",
        "--reorder=none",
        "--reorder=x",
        "--load-restrictor",
        "--load-restrictor=none",
        "--load-restrictor=LoadRestrictionsRootOnly",
        "--enable-managedby-label",
        "--enable-managedby-label=false",
        "--enable-managedby-label=x",
        "--as-current-user",
        "--network",
        "--max-files=3",
        "--help",
    ];
    let mut read = 0;
    for list in typed(&words) {
        let Some(plain) = render::Arguments::plain(&list) else {
            continue;
        };
        read += 1;
        let all = ["driftless", "render"]
            .into_iter()
            .chain(list.iter().map(String::as_str));
        match Arguments::try_parse_from(all).map(|arguments| arguments.command) {
            Ok(Command::Render(arguments)) => assert_eq!(plain, arguments, "{list:?}"),
            _ => panic!("{list:?} is refused"),
        }
    }
    assert!(read > 500, "{read}");
    for usual in [
        &["--reorder", "none", "."][..],
        &["a/b"],
        &["-o", "x", "a"],
        &["--load-restrictor=LoadRestrictionsNone"],
    ] {
        let usual: Vec<String> = usual.iter().map(|word| (*word).to_owned()).collect();
        assert!(render::Arguments::plain(&usual).is_some(), "{usual:?}");
    }
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
