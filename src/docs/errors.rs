//! `docs/errors.md`: ten mistakes in kustomizations, and what kustomize and Driftless say of each. What Driftless says is
//! made here; what kustomize says is taken from the program where it is there, else as it stands in the document.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::check;
use crate::kustomize::{BuildOptions, build};
use crate::tree::MemoryFiles;

struct Mistake {
    title: &'static str,
    files: &'static [(&'static str, &'static str)],
    top: &'static str,
    better: &'static str,
}

const MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  level: info\n";

const MISTAKES: [Mistake; 10] = [
    Mistake {
        title: "A misspelt field, in an overlay and in its base",
        files: &[
            (
                "prod/kustomization.yaml",
                "resources:\n- ../base\nreplicas:\n- name: api\n  cuont: 3\n",
            ),
            ("base/kustomization.yaml", "resorces:\n- settings.yaml\n"),
            ("base/settings.yaml", MAP),
        ],
        top: "prod",
        better: "Both are told, with their places and with the fields that were meant.",
    },
    Mistake {
        title: "Files that are not there",
        files: &[
            (
                "kustomization.yaml",
                "resources:\n- settings.yaml\n- deployment.yaml\npatches:\n- path: limits.yaml\nconfigMapGenerator:\n- name: web\n  files:\n  - nginx.conf\n",
            ),
            ("settings.yaml", MAP),
        ],
        top: "",
        better: "All three are told, not only the first.",
    },
    Mistake {
        title: "Patches for objects that have other names",
        files: &[
            (
                "kustomization.yaml",
                "resources:\n- settings.yaml\npatches:\n- path: level.yaml\n- path: other.yaml\n",
            ),
            ("settings.yaml", MAP),
            (
                "level.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: setings\ndata:\n  level: debug\n",
            ),
            (
                "other.yaml",
                "apiVersion: v1\nkind: Service\nmetadata:\n  name: settings\n",
            ),
        ],
        top: "",
        better: "The patch's file and line, and the name that was meant.",
    },
    Mistake {
        title: "A manifest that is not YAML",
        files: &[
            ("prod/kustomization.yaml", "resources:\n- ../base\n"),
            (
                "base/kustomization.yaml",
                "resources:\n- settings.yaml\n- other.yaml\n",
            ),
            (
                "base/settings.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  level: info\n   colour: green\n",
            ),
            (
                "base/other.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: other\ndata:\n\tlevel: info\n",
            ),
        ],
        top: "prod",
        better: "Line and column, and both files.",
    },
    Mistake {
        title: "Numbers and booleans where text belongs",
        files: &[
            (
                "kustomization.yaml",
                "resources:\n- settings.yaml\nnameSuffix: 2\nimages:\n- name: api\n  newTag: 1.10\ncommonAnnotations:\n  canary: true\n",
            ),
            ("settings.yaml", MAP),
        ],
        top: "",
        better: "The value, its place, and what to do.",
    },
    Mistake {
        title: "The same object from two ways",
        files: &[
            (
                "prod/kustomization.yaml",
                "resources:\n- ../base\n- ../more\n",
            ),
            ("base/kustomization.yaml", "resources:\n- settings.yaml\n"),
            ("base/settings.yaml", MAP),
            ("more/kustomization.yaml", "resources:\n- copy.yaml\n"),
            ("more/copy.yaml", MAP),
        ],
        top: "prod",
        better: "Both files are named.",
    },
    Mistake {
        title: "A JSON patch of a field that is not there",
        files: &[
            (
                "kustomization.yaml",
                "resources:\n- settings.yaml\npatches:\n- target:\n    kind: ConfigMap\n  patch: |-\n    - op: test\n      path: /data/level\n      value: info\n    - op: remove\n      path: /data/colour\n",
            ),
            ("settings.yaml", MAP),
        ],
        top: "",
        better: "The entry of `patches` with its line, the operation, and the object.",
    },
    Mistake {
        title: "Kustomizations that lead to each other",
        files: &[
            ("a/kustomization.yaml", "resources:\n- ../b\n"),
            ("b/kustomization.yaml", "resources:\n- ../c\n"),
            ("c/kustomization.yaml", "resources:\n- ../a\n"),
        ],
        top: "a",
        better: "The line that closes the circle, and the way around.",
    },
    Mistake {
        title: "A key that is there twice",
        files: &[
            ("kustomization.yaml", "resources:\n- settings.yaml\n"),
            (
                "settings.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  level: info\n  colour: green\n  level: debug\n",
            ),
        ],
        top: "",
        better: "In one line, with the column.",
    },
    Mistake {
        title: "A builtin that does not exist",
        files: &[
            (
                "kustomization.yaml",
                "resources:\n- settings.yaml\ntransformers:\n- labels.yaml\n",
            ),
            ("settings.yaml", MAP),
            (
                "labels.yaml",
                "apiVersion: builtin\nkind: LabelsTransformer\nmetadata:\n  name: labels\nlabels:\n  app: shop\n",
            ),
        ],
        top: "",
        better: "The file, and the builtin that was meant.",
    },
];

fn ours(mistake: &Mistake) -> String {
    let files = MemoryFiles::new(mistake.files.iter().copied());
    build(&files, mistake.top, &BuildOptions::default())
        .expect_err("it is a mistake")
        .to_string()
}

/// The program that the tests' node is built with, or that `KUSTOMIZE` names.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("KUSTOMIZE")
        .map(PathBuf::from)
        .or_else(|| {
            let cache = std::env::var_os("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
            Some(cache.join("driftless/testcluster/kustomize"))
        });
    path.filter(|path| path.is_file())
}

/// What kustomize says; paths as seen from the directory with all the files.
fn theirs(program: &Path, mistake: &Mistake) -> String {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for (path, text) in mistake.files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let output = Command::new(program)
        .arg("build")
        .arg(root.join(mistake.top))
        .output()
        .unwrap();
    assert!(
        !output.status.success(),
        "{}: kustomize builds it",
        mistake.title
    );
    let root = root.display().to_string();
    String::from_utf8_lossy(&output.stderr)
        .replace(&format!("{root}/"), "")
        .replace(&root, ".")
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

const THEIRS: &str = "kustomize v5.8.2:\n\n```text\n";

/// What the document says that kustomize says, mistake by mistake.
fn recorded() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let parts = text.split(THEIRS).skip(1);
    parts
        .map(|part| part.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn errors() {
    let mut text = "<!-- Made by `UPDATE_DOCS=1 cargo test --lib docs`; a test holds it to the code. -->\n\n# Errors\n\n\
        What is wrong with a kustomization, as `driftless render`, `driftless check` and the status of an Environment say it: \
        file, line and column, the field, what is wrong, and behind `through` the kustomizations that led there. One run \
        lists all of it. Beside it what `kustomize build` says of the same files.\n"
        .to_owned();
    let recorded = recorded();
    let program = program();
    for (index, mistake) in MISTAKES.iter().enumerate() {
        let Mistake {
            title,
            files,
            top,
            better,
        } = mistake;
        let _ = write!(text, "\n## {}. {title}\n\n{better}\n\n", index + 1);
        for (path, content) in files.iter().filter(|(_, content)| *content != MAP) {
            let _ = write!(text, "`{path}`\n\n```yaml\n{content}```\n\n");
        }
        let command = if top.is_empty() { "." } else { top };
        let said = match &program {
            Some(program) => theirs(program, mistake),
            None => recorded.get(index).cloned().unwrap_or_default(),
        };
        let _ = write!(
            text,
            "{THEIRS}{said}```\n\n`driftless render {command}`:\n\n```text\n{}\n```\n",
            ours(mistake)
        );
    }
    check("errors.md", &text);
}
