//! The objects that a path of a commit stands for: a kustomization, or a plain directory of manifests. Pure: reads
//! through [`Files`] only.

mod kept;
mod plain;

use crate::kustomize::{
    self, BuildError, BuildErrors, BuildOptions, ParsedFiles, Resource, is_kustomization,
};
use crate::tree::{EntryKind, Files};

pub use kept::{How, Kept, renew};

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Kustomization,
    Plain,
}

/// The objects of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    pub kind: Kind,
    pub resources: Vec<Resource>,
    pub warnings: Vec<String>,
}

/// Renders what stands at `path`. A directory without a kustomization file is a plain one: all its manifests, also
/// those below it, in the order of their paths.
///
/// # Errors
/// Everything that is wrong, each with its place. A directory without any manifest is an error; a kustomization with
/// `resources: []` is not.
pub fn render(
    files: &dyn Files,
    path: &str,
    options: &BuildOptions,
) -> Result<Rendered, BuildErrors> {
    render_with(files, path, options, None)
}

fn render_with(
    files: &dyn Files,
    path: &str,
    options: &BuildOptions,
    parsed: Option<&ParsedFiles>,
) -> Result<Rendered, BuildErrors> {
    let shown = if path.is_empty() { "." } else { path };
    let refuse = |message: String| Err(BuildErrors(vec![BuildError::new(message)]));
    match files.kind(path)? {
        None => return refuse(format!("the path `{shown}` does not exist in this commit")),
        Some(EntryKind::File) => {
            return refuse(format!(
                "the path `{shown}` is a file; a directory is expected"
            ));
        }
        Some(EntryKind::Directory) => {}
    }
    if is_kustomization(files, path)? {
        let build = kustomize::build_with(files, path, options, parsed)?;
        return Ok(Rendered {
            kind: Kind::Kustomization,
            resources: build.resources,
            warnings: build.warnings,
        });
    }
    Ok(Rendered {
        kind: Kind::Plain,
        resources: plain::manifests(files, path, options)?,
        warnings: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryFiles;

    const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n";

    fn rendered(files: &[(&str, &str)], path: &str) -> Result<Vec<String>, String> {
        let files = MemoryFiles::new(files.iter().map(|(path, text)| (*path, *text)));
        let rendered =
            render(&files, path, &BuildOptions::default()).map_err(|errors| errors.to_string())?;
        Ok(rendered
            .resources
            .iter()
            .map(|resource| {
                format!(
                    "{} {}:{}",
                    resource.object.name(),
                    resource.origin.file,
                    resource.origin.line
                )
            })
            .collect())
    }

    fn named(name: &str) -> String {
        MAP.replace("NAME", name)
    }

    #[test]
    fn plain_directories() {
        let two = format!("{}---\n{}", named("b"), named("c"));
        let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: d}\n";
        let json = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "e"}}"#;
        let files = [
            ("p/z.yaml", named("a")),
            ("p/a/two.yml", two),
            ("p/list.yaml", list.to_owned()),
            ("p/m.json", json.to_owned()),
            ("p/README.md", "# no manifest".to_owned()),
            ("p/.hidden/x.yaml", "not: an object".to_owned()),
        ];
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        assert_eq!(
            rendered(&files, "p"),
            Ok([
                "b p/a/two.yml:1",
                "c p/a/two.yml:5",
                "d p/list.yaml:4",
                "e p/m.json:1",
                "a p/z.yaml:1"
            ]
            .map(str::to_owned)
            .to_vec())
        );
    }

    #[test]
    fn refusals() {
        let a = named("a");
        for (files, path, expected) in [
            (
                vec![("p/a.yaml", a.as_str())],
                "q",
                "the path `q` does not exist in this commit",
            ),
            (
                vec![("p/a.yaml", &a)],
                "p/a.yaml",
                "the path `p/a.yaml` is a file; a directory is expected",
            ),
            (
                vec![("p/a.txt", &a)],
                "p",
                "the directory `p` has no manifests: no file named *.yaml, *.yml or *.json has an object in it",
            ),
            (
                vec![("p/a.yaml", "a: 1\n")],
                "p",
                "p/a.yaml:1: not a Kubernetes object: there is no `apiVersion`, no `kind`, no `metadata.name`",
            ),
            (
                vec![("p/a.yaml", "---\n# x\n---\n- 1\n")],
                "p",
                "p/a.yaml:4: not a Kubernetes object: a map is expected",
            ),
            (
                vec![("p/a.yaml", &a), ("p/b.yaml", &a)],
                "p",
                "p/b.yaml:1: ConfigMap a is also in p/a.yaml:1",
            ),
            (
                vec![
                    ("p/b/kustomization.yaml", "resources: []"),
                    ("p/a.yaml", &a),
                ],
                "p",
                "p/b/kustomization.yaml: a kustomization below a plain directory: name it in a kustomization of its own, or point an environment at it",
            ),
            (
                vec![(
                    "p/s.yaml",
                    "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nsops: {mac: x}\n",
                )],
                "p",
                "p/s.yaml:1: the file is encrypted with SOPS and cannot be decrypted here; commit it decrypted, or keep the secret outside of Git",
            ),
        ] {
            assert_eq!(rendered(&files, path), Err(expected.to_owned()));
        }
    }

    #[test]
    fn kustomizations() {
        let a = named("a");
        let files = [
            (
                "p/kustomization.yaml",
                "resources: [a.yaml]\nnamePrefix: x-\n",
            ),
            ("p/a.yaml", &a),
        ];
        assert_eq!(rendered(&files, "p"), Ok(vec!["x-a p/a.yaml:1".to_owned()]));
        assert_eq!(
            rendered(&[("kustomization.yaml", "resources: []\n")], ""),
            Ok(Vec::new())
        );
    }
}
