//! The engine beside the real `kustomize`: random trees of kustomizations, of which both must make the same bytes, or
//! which both must refuse.
//!
//! `TREES` says how many trees (2,000), `SEED` which ones (1), `TREE` to run a single one of them, `FIRST=1` to stop at the
//! first disagreement as it is, `WHY=1` to hear why trees are refused. What disagrees is made smaller and written to `target/kustomize-differences`.

mod compare;
mod coverage;
mod generate;
mod node;
mod resources;
mod shrink;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;
use std::{env, fs, thread};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::process::project;
use compare::{Bench, Outcome, Verdict, ours, program, write};
use coverage::{Coverage, REFUSED};
use generate::Tree;
use shrink::{Shrinking, Trees};

/// So many disagreements are enough to look at.
const ENOUGH: usize = 8;
/// Each so many-th tree goes through the program, too.
const THROUGH_THE_PROGRAM: usize = 100;

fn number(name: &str, default: usize) -> usize {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => default,
    }
}

/// The tree with this number.
fn tree(seed: usize, index: usize) -> Shrinking {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(seed as u64).to_le_bytes());
    bytes[8..16].copy_from_slice(&(index as u64).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    Trees
        .new_tree(&mut runner)
        .expect("every seed makes a tree")
}

/// A tree of which the two do not make the same.
struct Difference {
    index: usize,
    verdict: Verdict,
    tree: Tree,
    ours: Outcome,
    theirs: Outcome,
}

impl Difference {
    /// Takes away what does not matter.
    fn smaller(bench: &Bench, index: usize, verdict: Verdict, mut tree: Shrinking) -> Self {
        let differs = |tree: &Tree| Verdict::of(&ours(tree), &bench.theirs(tree)) == verdict;
        let mut more = env::var("SHRINK").as_deref() != Ok("0") && tree.simplify();
        while more {
            more = if differs(&tree.current()) {
                tree.simplify()
            } else {
                tree.complicate()
            };
        }
        let tree = tree.current();
        let (ours, theirs) = (ours(&tree), bench.theirs(&tree));
        Self {
            index,
            verdict,
            tree,
            ours,
            theirs,
        }
    }

    fn show(&self) -> String {
        let shown = |outcome: &Outcome| match outcome {
            Ok(text) => text.clone(),
            Err(error) => format!("refused: {error}\n"),
        };
        let mut out = format!(
            "tree {}: {:?}: kustomize build {} {}\n",
            self.index,
            self.verdict,
            self.tree.flags.join(" "),
            self.tree.directory
        );
        for file in &self.tree.files {
            let cut = if file.cut {
                " (no line break at the end)"
            } else {
                ""
            };
            out.push_str(&format!("==> {}{cut}\n{}", file.path, file.text()));
        }
        out.push_str(&format!("==> kustomize\n{}", shown(&self.theirs)));
        out.push_str(&format!("==> driftless\n{}", shown(&self.ours)));
        out
    }
}

#[derive(Default)]
struct Result {
    coverage: Coverage,
    same: usize,
    refused: usize,
    crashes: usize,
    differences: Vec<Difference>,
}

/// Says where the run stands, past libtest's capture.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[test]
fn both_make_the_same_of_random_trees() {
    let Some(kustomize) = program() else {
        assert!(
            env::var_os("DEMAND_NODE").is_none(),
            "no kustomize: tests/cluster/build.sh builds it"
        );
        say("skipped: kustomize::both_make_the_same_of_random_trees (no kustomize)");
        return;
    };
    let (trees, seed) = (number("TREES", 2000), number("SEED", 1));
    let only = env::var_os("TREE").map(|_| number("TREE", 0));
    let (indices, first) = match only {
        Some(index) => (index..index + 1, false),
        None => (0..trees, env::var_os("FIRST").is_some()),
    };
    if let (Some(index), true) = (only, env::var_os("WHY").is_some()) {
        for file in &tree(seed, index).current().files {
            say(&format!("==> {}\n{}", file.path, file.text()));
        }
    }
    let started = Instant::now();
    let (next, enough) = (AtomicUsize::new(indices.start), AtomicBool::new(false));
    let total = Mutex::new(Result::default());
    let work = || {
        let bench = Bench::new(kustomize.clone());
        let mut result = Result::default();
        while !enough.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if !indices.contains(&index) {
                break;
            }
            let shrinking = tree(seed, index);
            let tree = shrinking.current();
            let (ours, theirs) = (ours(&tree), bench.theirs(&tree));
            let verdict = Verdict::of(&ours, &theirs);
            result.coverage.add(&tree, verdict == Verdict::Same);
            match verdict {
                Verdict::Same => result.same += 1,
                Verdict::BothRefuse => {
                    if env::var_os("WHY").is_some()
                        && let (Err(ours), Err(theirs)) = (&ours, &theirs)
                    {
                        say(&format!(
                            "tree {index} is refused: {}\n  kustomize: {}",
                            ours.trim(),
                            theirs.trim()
                        ));
                    }
                    result.refused += 1;
                }
                Verdict::Crash => result.crashes += 1,
                _ if first => {
                    enough.store(true, Ordering::Relaxed);
                    result.differences.push(Difference {
                        index,
                        verdict,
                        tree,
                        ours,
                        theirs,
                    });
                    break;
                }
                _ => result
                    .differences
                    .push(Difference::smaller(&bench, index, verdict, shrinking)),
            }
            if verdict.agrees() && index % THROUGH_THE_PROGRAM == 0 {
                let tree = self::tree(seed, index).current();
                let program = bench.our_program(&tree);
                assert_eq!(
                    program.is_ok(),
                    ours_ok(&tree),
                    "tree {index}, by the program"
                );
                if let Ok(text) = program {
                    assert_eq!(Ok(text), self::ours(&tree), "tree {index}, by the program");
                }
            }
            if result.differences.len() >= ENOUGH {
                enough.store(true, Ordering::Relaxed);
            }
        }
        let mut total = total.lock().expect("no thread panicked");
        total.coverage.merge(result.coverage);
        total.same += result.same;
        total.refused += result.refused;
        total.crashes += result.crashes;
        total.differences.extend(result.differences);
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(2, std::num::NonZero::get);
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut result = total.into_inner().expect("no thread panicked");
    result
        .differences
        .sort_by_key(|difference| difference.index);
    let ran = result.same + result.refused + result.crashes + result.differences.len();
    let table = result.coverage.table();
    let mut report = format!(
        "kustomize: {ran} trees (SEED={seed}): {} the same bytes, {} refused by both, {} that crash kustomize, {} different, in {:.0} s\n",
        result.same,
        result.refused,
        result.crashes,
        result.differences.len(),
        started.elapsed().as_secs_f64()
    );
    #[expect(clippy::cast_precision_loss, reason = "nobody builds 2^53 trees")]
    let share = |count: usize| 100.0 * count as f64 / ran.max(1) as f64;
    if let Some((name, trees, _)) = table.first() {
        report.push_str(&format!(
            "coverage: {} fields and builtins; the rarest is {name}, in {:.1} % of the trees\n",
            table.len(),
            share(*trees)
        ));
    }
    say(report.trim_end());
    for (name, trees, built) in &table {
        report.push_str(&format!(
            "{name:45} {trees:6} {:5.1} %  built {built:6} {:5.1} %\n",
            share(*trees),
            share(*built)
        ));
    }
    let target = project("target");
    let _ = fs::create_dir_all(&target);
    let _ = fs::write(target.join("test-kustomize.txt"), &report);
    let folder = target.join("kustomize-differences");
    let _ = fs::remove_dir_all(&folder);
    for difference in &result.differences {
        keep(&folder, difference);
        say(&difference.show());
    }
    assert!(
        result.differences.is_empty(),
        "{} trees of {ran} differ; the smallest forms of them are in {}",
        result.differences.len(),
        folder.display()
    );
    if ran >= 1000 {
        for (name, trees, built) in table {
            let enough = if REFUSED.contains(&name) {
                trees
            } else {
                built
            };
            assert!(
                share(enough) >= 1.0,
                "{name} occurs in {enough} of {ran} trees only"
            );
        }
    }
}

fn ours_ok(tree: &Tree) -> bool {
    ours(tree).is_ok()
}

fn keep(folder: &std::path::Path, difference: &Difference) {
    let folder: PathBuf = folder.join(difference.index.to_string());
    write(&difference.tree, &folder.join("input"));
    let _ = fs::write(folder.join("difference.txt"), difference.show());
    for (name, outcome) in [
        ("kustomize.yaml", &difference.theirs),
        ("driftless.yaml", &difference.ours),
    ] {
        let text = outcome
            .clone()
            .unwrap_or_else(|error| format!("# refused: {error}"));
        let _ = fs::write(folder.join(name), text);
    }
}
