//! Keeps the packs of a mirror few. Must not touch its refs, nor take a pack away from who may be reading it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use git2::{Indexer, Oid};

use super::error::GitError;
use super::mirror::oid;
use super::odb::{BuildError, PACKS, Quarantine, build_pack, corrupt, disk, open_bare};
use super::refs::RemoteRefs;

/// So many packs are made one.
const MAX_PACKS: usize = 50;
/// How long a pack stays after another holds all of it: no render takes so long.
const GRACE: Duration = Duration::from_mins(10);
/// The names of the packs that are no longer needed, one per line.
const SUPERSEDED: &str = "superseded";

/// Makes one pack of many, and removes those that another has replaced a while ago.
pub(super) fn compact(mirror: &Path, refs: &RemoteRefs) -> Result<(), GitError> {
    sweep(mirror, refs, GRACE)?;
    let packs = packs(mirror)?;
    // While the old ones are still there, they would be made one again.
    if packs.len() < MAX_PACKS || mirror.join(SUPERSEDED).exists() {
        return Ok(());
    }
    unite(mirror, refs)?;
    let names = packs.join("\n");
    fs::write(mirror.join(SUPERSEDED), names).map_err(disk("note the packs that were replaced"))
}

/// The names of the packs, without their extension.
fn packs(mirror: &Path) -> Result<Vec<String>, GitError> {
    let failed = "list its packs";
    let mut names = Vec::new();
    for entry in fs::read_dir(mirror.join(PACKS)).map_err(disk(failed))? {
        let name = entry.map_err(disk(failed))?.file_name();
        if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".pack")) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn unite(mirror: &Path, refs: &RemoteRefs) -> Result<(), GitError> {
    let repository = open_bare(mirror)?;
    let tips: Result<BTreeSet<Oid>, GitError> = refs
        .0
        .values()
        .map(|reference| oid(&reference.oid))
        .collect();
    let tips: Vec<Oid> = tips?.into_iter().collect();
    if tips.is_empty() {
        return Ok(());
    }
    let failed = "make its packs one";
    let quarantine = Quarantine::new(mirror)?;
    // No other objects are looked at: the pack must be whole by itself.
    let mut indexer = Indexer::new(None, quarantine.dir(), 0o600, true).map_err(corrupt(failed))?;
    build_pack(&repository, &tips, &[], &mut |bytes| {
        indexer.write_all(bytes).map_err(disk(failed))
    })
    .map_err(|error| match error {
        BuildError::Read(error) => corrupt(failed)(error),
        BuildError::Taken(error) => error,
    })?;
    let name = indexer.commit().map_err(corrupt(failed))?;
    quarantine.admit(&name, mirror)
}

fn sweep(mirror: &Path, refs: &RemoteRefs, grace: Duration) -> Result<(), GitError> {
    let failed = "remove the packs that were replaced";
    let list = mirror.join(SUPERSEDED);
    let Ok(about) = list.metadata() else {
        return Ok(());
    };
    let age = about.modified().map_err(disk(failed))?.elapsed();
    if age.unwrap_or_default() < grace {
        return Ok(());
    }
    // A branch may since have come back to a commit that only they have.
    unite(mirror, refs)?;
    let names = fs::read_to_string(&list).map_err(disk(failed))?;
    for name in names.lines() {
        // The index first: a pack without one is not seen.
        for extension in ["idx", "pack"] {
            let path = mirror.join(PACKS).join(format!("{name}.{extension}"));
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(disk(failed)(error));
                }
                _ => {}
            }
        }
    }
    fs::remove_file(&list).map_err(disk(failed))
}

#[cfg(test)]
mod tests {
    use git2::{Repository, Signature};

    use super::*;
    use crate::git::refs::RemoteRef;

    /// `count` commits on one branch, each in a pack of its own.
    fn history(mirror: &Path, count: usize) -> RemoteRefs {
        let repository = Repository::init_bare(mirror).unwrap();
        let mut parent: Option<Oid> = None;
        for number in 0..count {
            let blob = repository.blob(number.to_string().as_bytes()).unwrap();
            let mut tree = repository.treebuilder(None).unwrap();
            tree.insert("file", blob, 0o100_644).unwrap();
            let tree = repository.find_tree(tree.write().unwrap()).unwrap();
            let author = Signature::now("a", "a@example.com").unwrap();
            let before = parent.map(|parent| repository.find_commit(parent).unwrap());
            let parents: Vec<_> = before.iter().collect();
            let commit = repository
                .commit(None, &author, &author, "x", &tree, &parents)
                .unwrap();
            let mut builder = repository.packbuilder().unwrap();
            builder.insert_commit(commit).unwrap();
            builder.write(&mirror.join(PACKS), 0o600).unwrap();
            parent = Some(commit);
        }
        let entry = RemoteRef {
            oid: parent.unwrap().to_string(),
            peeled: None,
        };
        RemoteRefs([("refs/heads/main".to_owned(), entry)].into())
    }

    #[test]
    fn many_packs_become_one_that_holds_everything() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = folder.path();
        let refs = history(mirror, MAX_PACKS);
        assert_eq!(packs(mirror).unwrap().len(), MAX_PACKS);
        compact(mirror, &refs).unwrap();
        // Who reads an old one still can; nothing is made one twice.
        assert_eq!(packs(mirror).unwrap().len(), MAX_PACKS + 1);
        compact(mirror, &refs).unwrap();
        assert_eq!(packs(mirror).unwrap().len(), MAX_PACKS + 1);
        sweep(mirror, &refs, Duration::ZERO).unwrap();
        assert_eq!(packs(mirror).unwrap().len(), 2);
        assert!(!mirror.join(SUPERSEDED).exists());
        for loose in fs::read_dir(mirror.join("objects")).unwrap() {
            let path = loose.unwrap().path();
            if path.file_name().unwrap().len() == 2 {
                fs::remove_dir_all(path).unwrap();
            }
        }
        let repository = Repository::open_bare(mirror).unwrap();
        let mut walk = repository.revwalk().unwrap();
        walk.push(oid(&refs.0["refs/heads/main"].oid).unwrap())
            .unwrap();
        let commits: Vec<Oid> = walk.map(Result::unwrap).collect();
        assert_eq!(commits.len(), MAX_PACKS);
        for commit in commits {
            let tree = repository.find_commit(commit).unwrap().tree().unwrap();
            repository
                .find_blob(tree.get_name("file").unwrap().id())
                .unwrap();
        }
    }

    #[test]
    fn few_packs_stay() {
        let folder = tempfile::tempdir().unwrap();
        let refs = history(folder.path(), 3);
        compact(folder.path(), &refs).unwrap();
        assert_eq!(packs(folder.path()).unwrap().len(), 3);
    }
}
