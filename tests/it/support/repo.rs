//! Builds Git repositories: commits, branches, tags, rewritten histories.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use git2::{FileMode, Oid, Repository, RepositoryInitOptions, Signature, build::TreeUpdateBuilder};
use tempfile::TempDir;

/// A bare repository. Nothing is checked out: a commit is made from the tree of the one before.
pub struct GitRepo {
    repository: Repository,
    /// Held where the folder is our own.
    folder: Option<TempDir>,
}

impl GitRepo {
    /// In a temporary folder of its own.
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("driftless-repo-").expect("a temporary folder");
        let mut repo = Self::at(&folder.path().join("repo.git"));
        repo.folder = Some(folder);
        repo
    }

    /// At `path`, made if it is missing.
    pub fn at(path: &Path) -> Self {
        let repository = Repository::open_bare(path).unwrap_or_else(|_| {
            let mut options = RepositoryInitOptions::new();
            options.bare(true).mkpath(true).initial_head("main");
            Repository::init_opts(path, &options).expect("a repository can be made")
        });
        Self {
            repository,
            folder: None,
        }
    }

    pub fn path(&self) -> PathBuf {
        self.repository.path().to_owned()
    }

    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Writes `files` on top of `main`; gives the commit's full name.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        self.commit_on("main", files)
    }

    /// Writes `files` on top of `branch`, which starts at `main` if it is new.
    pub fn commit_on(&self, branch: &str, files: &[(&str, &str)]) -> String {
        self.change(branch, |tree| {
            for (path, text) in files {
                tree.upsert(*path, self.blob(text), FileMode::Blob);
            }
        })
    }

    /// Removes `paths` from `main`.
    pub fn remove(&self, paths: &[&str]) -> String {
        self.change("main", |tree| {
            for path in paths {
                tree.remove(*path);
            }
        })
    }

    /// Every file of `folder`, under its relative path, on top of `main`.
    pub fn commit_folder(&self, folder: &Path) -> String {
        let mut files = Vec::new();
        walk(folder, folder, &mut files);
        self.change("main", |tree| {
            for (path, content) in &files {
                let blob = self
                    .repository
                    .blob(content)
                    .expect("a blob can be written");
                tree.upsert(path.as_str(), blob, FileMode::Blob);
            }
        })
    }

    /// Any change of the tree of `branch`: links (`FileMode::Link`), submodules (`FileMode::Commit`), what else a test needs.
    pub fn change(&self, branch: &str, edit: impl FnOnce(&mut TreeUpdateBuilder)) -> String {
        let parent = self.tip(branch).or_else(|| self.tip("main"));
        let mut update = TreeUpdateBuilder::new();
        edit(&mut update);
        let empty = self
            .repository
            .treebuilder(None)
            .and_then(|tree| tree.write())
            .expect("an empty tree");
        let base = match parent {
            Some(parent) => self
                .repository
                .find_commit(parent)
                .and_then(|commit| commit.tree()),
            None => self.repository.find_tree(empty),
        };
        let tree = update
            .create_updated(&self.repository, &base.expect("the tree is there"))
            .expect("a tree can be written");
        let commit = self.commit_tree(tree, parent, &format!("Change {branch}"));
        self.set(branch, &commit);
        commit
    }

    /// A commit of `branch` without any file.
    pub fn empty(&self, branch: &str) -> String {
        let tree = self
            .repository
            .treebuilder(None)
            .and_then(|tree| tree.write())
            .expect("an empty tree");
        let commit = self.commit_tree(tree, self.tip(branch), "Remove everything");
        self.set(branch, &commit);
        commit
    }

    /// Undoes the last commit of `branch` by a new one, as `git revert HEAD` does.
    pub fn revert(&self, branch: &str) -> String {
        let tip = self.tip(branch).expect("the branch is there");
        let before = self
            .repository
            .find_commit(tip)
            .and_then(|commit| commit.parent(0))
            .expect("there is a commit before");
        let commit = self.commit_tree(before.tree_id(), Some(tip), "Revert the last commit");
        self.set(branch, &commit);
        commit
    }

    /// Points `branch` at `commit`, whatever it was: a new branch, or a rewritten history.
    pub fn set(&self, branch: &str, commit: &str) {
        let commit = Oid::from_str(commit).expect("a commit's full name");
        let name = format!("refs/heads/{branch}");
        self.repository
            .reference(&name, commit, true, "set by a test")
            .expect("a branch can be set");
    }

    pub fn delete_branch(&self, branch: &str) {
        let mut reference = self
            .repository
            .find_reference(&format!("refs/heads/{branch}"))
            .expect("the branch is there");
        reference.delete().expect("it can be deleted");
    }

    /// A lightweight tag on the tip of `main`.
    pub fn tag(&self, name: &str) -> String {
        let tip = self.tip("main").expect("main is there");
        self.repository
            .reference(&format!("refs/tags/{name}"), tip, true, "set by a test")
            .expect("a tag can be set");
        tip.to_string()
    }

    /// An annotated tag on the tip of `main`; gives the commit's name, not the tag object's.
    pub fn annotated_tag(&self, name: &str) -> String {
        let tip = self.tip("main").expect("main is there");
        let object = self
            .repository
            .find_object(tip, None)
            .expect("the commit is there");
        self.repository
            .tag(name, &object, &author(), name, true)
            .expect("a tag can be set");
        tip.to_string()
    }

    pub fn tip(&self, branch: &str) -> Option<Oid> {
        self.repository
            .refname_to_id(&format!("refs/heads/{branch}"))
            .ok()
    }

    pub fn blob(&self, text: &str) -> Oid {
        self.repository
            .blob(text.as_bytes())
            .expect("a blob can be written")
    }

    fn commit_tree(&self, tree: Oid, parent: Option<Oid>, message: &str) -> String {
        let tree = self.repository.find_tree(tree).expect("the tree is there");
        let parent = parent.map(|parent| {
            self.repository
                .find_commit(parent)
                .expect("the parent is there")
        });
        let parents: Vec<_> = parent.iter().collect();
        let author = author();
        let commit = self
            .repository
            .commit(None, &author, &author, message, &tree, &parents);
        commit.expect("a commit can be written").to_string()
    }
}

impl Default for GitRepo {
    fn default() -> Self {
        Self::new()
    }
}

/// The `git` program without the machine's and the user's configuration.
pub fn git() -> Command {
    let mut git = Command::new("git");
    git.envs([
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
    ]);
    for role in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{role}_NAME"), "test")
            .env(format!("GIT_{role}_EMAIL"), "test@example.com");
    }
    git
}

fn author() -> Signature<'static> {
    Signature::now("test", "test@example.com").expect("a valid name")
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            walk(root, &path, files);
        } else {
            let name = path
                .strip_prefix(root)
                .expect("it is below")
                .to_str()
                .expect("UTF-8")
                .to_owned();
            files.push((name, std::fs::read(&path).expect("a readable file")));
        }
    }
}
