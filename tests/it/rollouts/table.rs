//! The table of the figures, in `target/test-rollouts.txt`: the moments of a rollout that matter, each with its bar.

use std::{
    env, fs,
    io::Write as _,
    sync::{Mutex, PoisonError},
};

use super::load::Sample;
use super::router;
use crate::support::{
    process::project,
    table::{aligned, verdict},
};

/// Moment, what was measured, figure, bar, verdict.
type Row = [String; 5];

static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

/// Whether the long form was asked for: more requests, and figures of time are judged. The short form judges what must hold
/// on the busiest machine.
pub fn is_long() -> bool {
    env::var_os("DRIFTLESS_LONG").is_some_and(|value| value == "1")
}

/// Whether this test belongs to the long form only: another shows the same of the short one. It is said.
pub fn is_left_out() -> bool {
    if !is_long() {
        say(&format!(
            "left out without DRIFTLESS_LONG=1: {}",
            of_this_test()
        ));
    }
    !is_long()
}

/// A figure without a bar: what the others are to be seen beside.
pub fn note(moment: &str, what: &str, figure: &str) {
    add(moment, what, figure, "", None);
}

/// A figure whose bar holds everywhere. The test fails where it is missed, after the table was written.
pub fn must(moment: &str, what: &str, figure: &str, bar: &str, met: bool) {
    add(moment, what, figure, bar, Some(met));
    assert!(met, "missed: {moment}: {what}: {figure}; the bar: {bar}");
}

/// A figure of time: how busy the machine is decides with the product, so that only the long form is judged.
pub fn judge(moment: &str, what: &str, figure: &str, bar: &str, met: bool) {
    add(moment, what, figure, bar, Some(met));
    assert!(
        met || !is_long(),
        "missed: {moment}: {what}: {figure}; the bar: {bar}"
    );
}

/// No request failed but those that `excused` takes: answers of a bad version.
pub fn none_failed(moment: &str, samples: &[Sample], excused: impl Fn(&Sample) -> bool) {
    let failed: Vec<&Sample> = samples
        .iter()
        .filter(|sample| sample.failed() && !excused(sample))
        .collect();
    for sample in failed.iter().take(5) {
        say(&format!("{moment}: {sample:?}"));
    }
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        panic!("{moment}: no request was made");
    };
    let span = last.at.duration_since(first.at).as_secs_f64();
    let rate = f64::from(u32::try_from(samples.len()).unwrap_or(u32::MAX)) / span.max(1.0);
    let all = samples.len();
    let bad = samples.iter().filter(|sample| excused(sample)).count();
    let (what, all) = match bad {
        0 => ("failed requests", format!("{all} at {rate:.0}/s")),
        _ => (
            "failed requests, but for answers of the bad version",
            format!("{all} at {rate:.0}/s, beside {bad} of the bad version"),
        ),
    };
    must(
        moment,
        what,
        &format!("{} of {all}", failed.len()),
        "0",
        failed.is_empty(),
    );
}

/// The name of the test that runs in this thread, in words.
pub fn of_this_test() -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    let name = name.strip_prefix("rollouts::").unwrap_or(name);
    name.replace("::", ": ").replace('_', " ")
}

fn add(moment: &str, what: &str, figure: &str, bar: &str, met: Option<bool>) {
    let row = [moment, what, figure, bar, verdict(met)].map(str::to_owned);
    say(&row.join(" | "));
    let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
    rows.push(row);
    // Tests end in any order; the rows of one moment belong together.
    rows.sort_by(|one, other| one[0].cmp(&other[0]));
    let head = ["moment", "what", "figure", "bar", "verdict"];
    let text = format!("{}\n\n{}", machine(), aligned(head, rows.iter().cloned()));
    fs::create_dir_all(project("target")).expect("target can be made");
    fs::write(project("target/test-rollouts.txt"), text).expect("the table can be written");
}

/// Past libtest's capture: a long run is watched.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What the figures were measured on.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (processors, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let models: Vec<&str> = processors
        .lines()
        .filter(|line| line.starts_with("model name"))
        .filter_map(|line| line.split(": ").nth(1))
        .collect();
    let model = models.first().copied().unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory: u64 = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "machine: {cores} x {model}, {} GiB, Linux {}\nrouter: kube-proxy where pods split; else {}",
        memory >> 20,
        kernel.trim(),
        traefik()
    )
}

/// The router, of the version that it is built in.
fn traefik() -> String {
    if !router::is_built() {
        return "none (Traefik was not built)".to_owned();
    }
    let module = fs::read_to_string(project("tests/cluster/traefik/go.mod")).unwrap_or_default();
    let version = module
        .lines()
        .filter_map(|line| line.trim().strip_prefix("github.com/traefik/traefik/v3 "))
        .find_map(|rest| rest.split_whitespace().next());
    format!("Traefik {}", version.unwrap_or("of an unknown version"))
}
