//! Builds a tree with the real program and with the engine, and says whether they agree.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use driftless::kustomize::{BuildOptions, LoadRestrictor, Reorder, build};
use driftless::tree::MemoryFiles;

use super::generate::Tree;

/// What a renderer printed, or why it refused.
pub type Outcome = Result<String, String>;

/// How the two came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same bytes.
    Same,
    BothRefuse,
    OtherText,
    OnlyWeRefuse,
    OnlyTheyRefuse,
    /// kustomize did not come to an end; what is right is not known.
    Crash,
}

impl Verdict {
    pub fn of(ours: &Outcome, theirs: &Outcome) -> Self {
        match (ours, theirs) {
            (_, Err(theirs)) if is_crash(theirs) => Self::Crash,
            (Ok(ours), Ok(theirs)) if ours == theirs => Self::Same,
            (Ok(_), Ok(_)) => Self::OtherText,
            (Err(_), Err(_)) => Self::BothRefuse,
            (Err(_), Ok(_)) => Self::OnlyWeRefuse,
            (Ok(_), Err(_)) => Self::OnlyTheyRefuse,
        }
    }

    pub fn agrees(self) -> bool {
        matches!(self, Self::Same | Self::BothRefuse | Self::Crash)
    }
}

/// Whether kustomize panicked, or wrote YAML that it could not read again: `docs/kustomize.md` says when.
fn is_crash(error: &str) -> bool {
    let unreadable = ["yaml: invalid map key", "yaml: line "];
    error.contains("\ngoroutine ")
        || (error.contains("yaml: line ")
            && error.trim_end().ends_with("could not find expected ':'"))
        || (error.contains("Error: map[string]interface {}{")
            && unreadable.iter().any(|why| error.contains(why)))
}

/// The real program: in the `PATH` of the node's tests, or where `tests/cluster/build.sh` keeps it.
pub fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let folders = env::split_paths(&path).chain(
        cache
            .or(home)
            .map(|cache| cache.join("driftless/testcluster")),
    );
    folders
        .map(|folder| folder.join("kustomize"))
        .find(|path| path.is_file())
}

/// Where one thread puts its trees for the programs to read.
pub struct Bench {
    kustomize: PathBuf,
    folder: tempfile::TempDir,
}

impl Bench {
    pub fn new(kustomize: PathBuf) -> Self {
        // In memory where there is such a place: thousands of small files are written.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        Self {
            kustomize,
            folder: folder.expect("a temporary folder"),
        }
    }

    /// What the real program makes of a tree.
    pub fn theirs(&self, tree: &Tree) -> Outcome {
        let root = self.folder.path().join("tree");
        let _ = fs::remove_dir_all(&root);
        write(tree, &root);
        run(Command::new(&self.kustomize).arg("build"), tree, &root)
    }

    /// What our program makes of the tree that was written last.
    pub fn our_program(&self, tree: &Tree) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
        run(
            command.arg("render"),
            tree,
            &self.folder.path().join("tree"),
        )
    }
}

pub fn write(tree: &Tree, root: &Path) {
    fs::create_dir_all(root.join(&tree.directory)).expect("a folder");
    for file in &tree.files {
        let path = root.join(&file.path);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
        fs::write(path, file.bytes()).expect("a file can be written");
    }
}

fn run(command: &mut Command, tree: &Tree, root: &Path) -> Outcome {
    let output = command
        .args(&tree.flags)
        .arg(&tree.directory)
        .current_dir(root)
        // It lives for so short that collecting garbage costs more than it gives.
        .env("GOGC", "off")
        .output()
        .expect("the renderer starts");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// What the engine makes of a tree.
pub fn ours(tree: &Tree) -> Outcome {
    let files = tree.files.iter().map(|file| (&file.path, file.bytes()));
    let has = |flag: &str| tree.flags.contains(&flag);
    let options = BuildOptions {
        load_restrictor: if has("--load-restrictor=LoadRestrictionsNone") {
            LoadRestrictor::None
        } else {
            LoadRestrictor::RootOnly
        },
        reorder: match (has("--reorder=none"), has("--reorder=legacy")) {
            (true, _) => Some(Reorder::None),
            (_, true) => Some(Reorder::Legacy),
            _ => None,
        },
        enable_managedby_label: has("--enable-managedby-label"),
        ..BuildOptions::default()
    };
    build(&MemoryFiles::new(files), &tree.directory, &options)
        .map(|build| build.to_yaml())
        .map_err(|errors| errors.to_string())
}
