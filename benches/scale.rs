//! How the engine's time and memory grow: `make bench` prints it as a table. Bars are those of the project; a figure that
//! misses its bar is shown as such, and is no error.

#[path = "support/trees.rs"]
mod trees;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use driftless::kustomize::{BuildOptions, LoadRestrictor, ParsedFiles, build};
use driftless::render::{How, Kept, renew};
use driftless::tree::MemoryFiles;

/// The overlays of the fleet, and the threads that render them.
const FLEET: usize = 1000;
const THREADS: usize = 2;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let text = match words[..] {
        ["one", what, count] => one(what, count.parse().unwrap_or(0)),
        ["corpus", directory, ..] => corpus(Path::new(directory))?,
        _ => {
            let mut text = String::new();
            fleet(&mut text);
            curve(&mut text, "objects", &[100, 1000, 10_000])?;
            curve(&mut text, "layers", &[10, 50, 100, 200])?;
            text
        }
    };
    io::stdout().write_all(text.as_bytes())
}

fn options() -> BuildOptions {
    BuildOptions {
        load_restrictor: LoadRestrictor::None,
        ..BuildOptions::default()
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn verdict(good: bool) -> &'static str {
    if good { "met" } else { "MISSED" }
}

/// A row of the table: what, figure, bar, verdict.
fn row(text: &mut String, what: &str, figure: &str, bar: &str, verdict: &str) {
    let _ = writeln!(text, "{what:<44} {figure:>20} {bar:>16}  {verdict}");
}

// The fleet: overlays on shared bases.

type Overlays = Vec<Option<Kept<usize>>>;

/// Renders all overlays in which something has changed: the time, and how many were rendered.
fn round(files: &MemoryFiles, parsed: &ParsedFiles, overlays: &mut Overlays) -> (Duration, usize) {
    let options = options();
    let how = How {
        options: &options,
        file_limit: 10_000,
        parsed: Some(parsed),
    };
    let started = Instant::now();
    let queue = Mutex::new(overlays.iter_mut().enumerate());
    let rendered: usize = std::thread::scope(|scope| {
        let work = || {
            let mut rendered = 0;
            loop {
                let next = queue.lock().expect("no thread panics").next();
                let Some((index, overlay)) = next else {
                    return rendered;
                };
                let path = trees::overlay(index);
                let done = renew(files, &path, how, overlay.take(), |rendered| {
                    rendered.resources.len()
                });
                let (kept, fresh) = done.expect("the trees are valid");
                assert_eq!(kept.made, trees::OBJECTS);
                rendered += usize::from(fresh);
                *overlay = Some(kept);
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let counts = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        counts.map(|count| count.expect("no thread panics")).sum()
    });
    (started.elapsed(), rendered)
}

fn fleet(text: &mut String) {
    let mut best = Duration::MAX;
    let mut files = trees::shared(FLEET);
    let (mut parsed, mut overlays) = (ParsedFiles::new(0), Overlays::new());
    for _ in 0..3 {
        parsed = ParsedFiles::new(64 << 20);
        overlays = Overlays::new();
        overlays.resize_with(FLEET, || None);
        let (time, _) = round(&files, &parsed, &mut overlays);
        best = best.min(time);
    }
    let (all, reused) = parsed.counts();
    let what = format!("{FLEET} overlays on shared bases, {THREADS} threads");
    let figure = format!("{:.0} ms", milliseconds(best));
    row(
        text,
        &what,
        &figure,
        "< 1000 ms",
        verdict(best < Duration::from_secs(1)),
    );
    let figure = format!("{all} + {reused} reused");
    row(text, "  files of manifests parsed", &figure, "", "");
    let mut changed = |text: &mut String, what: &str, path: &str, content: &str, bar: usize| {
        files.insert(path, content.as_bytes());
        let (time, count) = round(&files, &parsed, &mut overlays);
        let figure = format!("{count} in {:.1} ms", milliseconds(time));
        row(text, what, &figure, &bar.to_string(), verdict(count == bar));
    };
    changed(text, "  rendered when nothing changed", "unrelated", "", 0);
    let (path, content) = trees::overlay_patch(7, 5);
    changed(
        text,
        "  rendered when one overlay changed",
        &path,
        &content,
        1,
    );
    let (path, content) = (trees::base_file(3), trees::base(2));
    let bar = trees::SHARING;
    changed(
        text,
        "  rendered when one base changed",
        &path,
        &content,
        bar,
    );
}

// The curves, each point in a process of its own.

fn tree(what: &str, count: usize) -> (MemoryFiles, String) {
    match what {
        "objects" => (trees::wide(count), "top".to_owned()),
        _ => (trees::deep(count), format!("layer-{count}")),
    }
}

/// The highest memory of this process so far, in MB.
fn memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok())
        .map_or(f64::NAN, |kilobytes: f64| kilobytes / 1024.0)
}

/// Milliseconds and megabytes of one build.
fn one(what: &str, count: usize) -> String {
    let (files, path) = tree(what, count);
    let before = memory();
    let mut best = Duration::MAX;
    for turn in 0..5 {
        let started = Instant::now();
        let built = build(&files, &path, &options()).expect("the trees are valid");
        assert!(!built.to_yaml().is_empty());
        best = best.min(started.elapsed());
        if turn == 0 {
            drop(built);
        }
    }
    format!("{} {}\n", milliseconds(best), memory() - before)
}

fn curve(text: &mut String, what: &str, counts: &[usize]) -> io::Result<()> {
    let _ = writeln!(
        text,
        "\n{:>8} {what:<8} {:>10} {:>10} {:>8} {:>10}",
        "n", "ms", "ms/n", "MB", "KB/n"
    );
    let mut each: Vec<(f64, f64)> = Vec::new();
    for &count in counts {
        let output = Command::new(std::env::current_exe()?)
            .args(["one", what, &count.to_string()])
            .output()?;
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        let figures: Vec<f64> = output
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let [time, memory] = figures[..] else {
            return Err(io::Error::other(format!("{what} {count}: {output}")));
        };
        let n = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        each.push((time / n, memory * 1024.0 / n));
        let _ = writeln!(
            text,
            "{count:>8} {:<8} {time:>10.2} {:>10.4} {memory:>8.1} {:>10.2}",
            "",
            time / n,
            memory * 1024.0 / n
        );
    }
    // Linear: what one more costs does not grow with how many there are.
    let growth = |pick: fn(&(f64, f64)) -> f64| {
        let last = each.last().map_or(f64::NAN, pick);
        let first = each.iter().rev().nth(1).map_or(f64::NAN, pick);
        last / first
    };
    for (which, growth) in [
        ("time", growth(|point| point.0)),
        ("memory", growth(|point| point.1)),
    ] {
        let what = format!("{what}: {which} for each, last step");
        row(
            text,
            &what,
            &format!("× {growth:.2}"),
            "× 1.3",
            verdict(growth <= 1.3),
        );
    }
    Ok(())
}

// A corpus of kustomizations in one process.

fn load(files: &mut MemoryFiles, root: &Path, directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            load(files, root, &path)?;
        } else if let Ok(below) = path.strip_prefix(root) {
            files.insert(&below.to_string_lossy(), &fs::read(&path)?);
        }
    }
    Ok(())
}

/// Builds what a file lists, a root and a path on each line: the milliseconds of all, and how many there were.
fn corpus(list: &Path) -> io::Result<String> {
    let mut cases = Vec::new();
    for line in fs::read_to_string(list)?.lines() {
        let Some((root, path)) = line.split_once('\t') else {
            continue;
        };
        let mut files = MemoryFiles::default();
        load(&mut files, Path::new(root), Path::new(root))?;
        cases.push((files, driftless::tree::join("", path).unwrap_or_default()));
    }
    let options = options();
    let (mut best, mut built) = (Duration::MAX, 0);
    for _ in 0..5 {
        built = 0;
        let started = Instant::now();
        for (files, path) in &cases {
            if let Ok(build) = build(files, path, &options) {
                built += usize::from(!build.to_yaml().is_empty());
            }
        }
        best = best.min(started.elapsed());
    }
    Ok(format!("{} {built}\n", milliseconds(best)))
}
