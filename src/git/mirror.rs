//! The bare mirror of a remote: a cache that can be lost at any time. Only this module, with `odb`, writes to the disk.
//!
//! Every object in it is whole: a pack comes in only after all that it refers to was found in it or here. The refs are
//! one file, replaced at once, so that they are always those of one moment of the server.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use git2::{Oid, Repository, RepositoryInitOptions, Sort};

use super::commit::{CommitFiles, Subject, is_absent, subject};
use super::compact::compact;
use super::error::GitError;
use super::odb::{PackSink, Quarantine, corrupt, disk, open_bare, peel_tags};
use super::refs::{Ref, Refs, RemoteRefs};
use super::remote::Remote;
use super::transport::{Customer, Looking, Order, converse};

/// How many of our commits a server is told of, so that it sends only newer ones.
const MAX_HAVES: usize = 256;
/// How often a fetch begins again because somebody pushed in the middle of it.
const MAX_MOVED: usize = 3;

/// The mirrors that are open, by directory: one that is opened again is the same, and two never write into one.
static OPEN: Mutex<BTreeMap<PathBuf, Weak<Shared>>> = Mutex::new(BTreeMap::new());

/// A bare repository in a directory of its own. Clones are handles of the same one; all calls block.
#[derive(Clone)]
pub struct Mirror(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    /// Something was found missing: the next fetch starts anew.
    damaged: Arc<AtomicBool>,
    fetching: Mutex<()>,
    state: Mutex<State>,
}

struct State {
    repository: Repository,
    fetched: RemoteRefs,
    /// The same, looked up; made when first asked for.
    refs: Option<Arc<Refs>>,
}

impl Mirror {
    /// Opens the mirror in `dir`, or makes an empty one where there is none, or one that cannot be read.
    pub fn open_or_create(dir: &Path) -> Result<Self, GitError> {
        let failed = disk("make its directory");
        fs::create_dir_all(dir).map_err(&failed)?;
        let dir = dir.canonicalize().map_err(failed)?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = open.get(&dir).and_then(Weak::upgrade) {
            return Ok(Self(shared));
        }
        open.retain(|_, mirror| mirror.strong_count() > 0);
        let state = State::open(&dir).or_else(|error| {
            if dir.join("HEAD").exists() {
                tracing::warn!(directory = %dir.display(), %error, "the mirror is made anew");
            }
            create(&dir)?;
            State::open(&dir)
        })?;
        Quarantine::clean(&dir)?;
        let shared = Arc::new(Shared {
            dir: dir.clone(),
            damaged: Arc::default(),
            fetching: Mutex::default(),
            state: Mutex::new(state),
        });
        open.insert(dir, Arc::downgrade(&shared));
        Ok(Self(shared))
    }

    /// The server's branches and tags, now (`git ls-remote`).
    pub fn list_remote(
        &self,
        remote: &Remote,
        cancel: &AtomicBool,
    ) -> Result<RemoteRefs, GitError> {
        converse(remote, cancel, &mut Looking)
    }

    /// Whether the mirror is what `wanted` says, so that there is nothing to fetch.
    pub fn is_current(&self, wanted: &RemoteRefs) -> bool {
        !self.0.damaged.load(Ordering::Relaxed) && self.state().fetched == *wanted
    }

    /// Whether something was found missing: the next fetch makes it anew.
    pub fn is_damaged(&self) -> bool {
        self.0.damaged.load(Ordering::Relaxed)
    }

    /// Lists and fetches in one conversation; at rest it is an `ls-remote`. Returns the refs, which the mirror then has.
    /// On any error the mirror stays as it was; history that was rewritten is followed.
    pub fn update(&self, remote: &Remote, cancel: &AtomicBool) -> Result<RemoteRefs, GitError> {
        let mut moved = 0;
        loop {
            match self.exchange(remote, None, cancel) {
                // Somebody pushed at this moment.
                Err(GitError::Moved { .. }) if moved < MAX_MOVED => moved += 1,
                outcome => return outcome.map(|(refs, _)| refs),
            }
        }
    }

    /// Fetches what is missing of `wanted`, which was listed before, and makes the refs exactly those; else as
    /// [`Mirror::update`]. Returns how many bytes of packs came.
    pub fn fetch(
        &self,
        remote: &Remote,
        wanted: &RemoteRefs,
        cancel: &AtomicBool,
    ) -> Result<u64, GitError> {
        self.exchange(remote, Some(wanted), cancel)
            .map(|(_, received)| received)
    }

    fn exchange(
        &self,
        remote: &Remote,
        wanted: Option<&RemoteRefs>,
        cancel: &AtomicBool,
    ) -> Result<(RemoteRefs, u64), GitError> {
        match self.exchange_once(remote, wanted, cancel) {
            // What we have is in the way: without it there is only more to fetch.
            Err(error) if error.is_corrupt() => {
                tracing::warn!(directory = %self.0.dir.display(), %error, "the mirror cannot be read");
                self.note_damage();
                self.exchange_once(remote, wanted, cancel)
            }
            outcome => outcome,
        }
    }

    fn exchange_once(
        &self,
        remote: &Remote,
        wanted: Option<&RemoteRefs>,
        cancel: &AtomicBool,
    ) -> Result<(RemoteRefs, u64), GitError> {
        let one_at_a_time = self.0.fetching.lock();
        let _one_at_a_time = one_at_a_time.unwrap_or_else(PoisonError::into_inner);
        Quarantine::clean(&self.0.dir)?;
        let repository = OnceCell::new();
        let mut fetching = Fetching {
            mirror: self,
            remote,
            wanted,
            cancel,
            repository: &repository,
            sink: None,
        };
        let told = converse(remote, cancel, &mut fetching)?;
        let received = match fetching.sink {
            Some(sink) => sink.finish(&self.0.dir)?,
            None => 0,
        };
        let refs = wanted.cloned().unwrap_or(told);
        if !self.is_current(&refs) {
            self.check_arrived(remote, &refs)?;
            self.publish(&refs)?;
            self.tidy(&refs);
        }
        Ok((refs, received))
    }

    /// Every fetch brings a pack; many of them are made one. That this fails is no failure of the fetch.
    fn tidy(&self, refs: &RemoteRefs) {
        if let Err(error) = compact(&self.0.dir, refs) {
            if error.is_corrupt() {
                self.note_damage();
            }
            tracing::warn!(directory = %self.0.dir.display(), %error, "the packs were not made one");
        }
    }

    /// The newest commits that we have.
    fn haves(&self, repository: &Repository) -> Result<Vec<Oid>, GitError> {
        let failed = corrupt("read its commits");
        let mut walk = repository.revwalk().map_err(&failed)?;
        walk.set_sorting(Sort::TIME).map_err(&failed)?;
        for reference in &self.refs()?.0 {
            walk.push(oid(&reference.commit)?).map_err(&failed)?;
        }
        let haves: Result<Vec<Oid>, _> = walk.take(MAX_HAVES).collect();
        haves.map_err(|error| {
            self.0.damaged.store(true, Ordering::Relaxed);
            failed(error)
        })
    }

    /// That the server kept its word.
    fn check_arrived(&self, remote: &Remote, wanted: &RemoteRefs) -> Result<(), GitError> {
        // Opened again: the objects that came are surely seen.
        let repository = open_bare(&self.0.dir)?;
        let odb = repository.odb().map_err(corrupt("open its objects"))?;
        for (name, reference) in &wanted.0 {
            if !odb.exists(oid(&reference.oid)?) {
                return Err(GitError::Incomplete {
                    url: remote.url.clone(),
                    message: format!("{name} at {} did not come", reference.oid),
                });
            }
        }
        Ok(())
    }

    /// Replaces all refs at once.
    fn publish(&self, wanted: &RemoteRefs) -> Result<(), GitError> {
        let mut state = self.state();
        if state.fetched != *wanted {
            write_refs(&self.0.dir, wanted)?;
        }
        *state = State::open(&self.0.dir)?;
        Ok(())
    }

    /// Throws everything away; the next fetch is a whole one. Until then there are no refs.
    fn make_anew(&self) -> Result<(), GitError> {
        tracing::warn!(directory = %self.0.dir.display(), "the mirror is damaged and made anew");
        let mut state = self.state();
        create(&self.0.dir)?;
        *state = State::open(&self.0.dir)?;
        self.0.damaged.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// The branches and tags that were last fetched.
    pub fn refs(&self) -> Result<Arc<Refs>, GitError> {
        let mut state = self.state();
        if let Some(refs) = &state.refs {
            return Ok(Arc::clone(refs));
        }
        let refs = Arc::new(state.look_up().inspect_err(|_| self.note_damage())?);
        state.refs = Some(Arc::clone(&refs));
        Ok(refs)
    }

    /// Whether `descendant` is `ancestor` or has it among its ancestors. A commit that is not here is in no history.
    pub fn contains(&self, descendant: &str, ancestor: &str) -> Result<bool, GitError> {
        let state = self.state();
        let repository = &state.repository;
        let (descendant, ancestor) = (oid(descendant)?, oid(ancestor)?);
        match repository.find_commit(ancestor) {
            Ok(_) => {}
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => {
                self.note_damage();
                return Err(corrupt("read a commit")(error));
            }
        }
        if descendant == ancestor {
            return Ok(true);
        }
        repository
            .graph_descendant_of(descendant, ancestor)
            .map_err(|error| {
                self.note_damage();
                corrupt("read its history")(error)
            })
    }

    /// The files of a commit.
    pub fn commit(&self, commit: &str) -> Result<CommitFiles, GitError> {
        let repository = open_bare(&self.0.dir)?;
        let root = repository
            .find_commit(oid(commit)?)
            .map(|found| found.tree_id())
            .map_err(|error| {
                self.note_damage();
                corrupt("read a commit")(error)
            })?;
        let damaged = Arc::clone(&self.0.damaged);
        Ok(CommitFiles::new(repository, commit, root, damaged))
    }

    /// What a commit is called, and by whom.
    pub fn subject(&self, commit: &str) -> Result<Subject, GitError> {
        let state = self.state();
        let found = state
            .repository
            .find_commit(oid(commit)?)
            .map_err(corrupt("read a commit"))?;
        Ok(subject(&found))
    }

    fn note_damage(&self) {
        self.0.damaged.store(true, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fetch into the mirror.
struct Fetching<'a> {
    mirror: &'a Mirror,
    remote: &'a Remote,
    /// What shall be fetched; everything where nothing is said.
    wanted: Option<&'a RemoteRefs>,
    cancel: &'a AtomicBool,
    /// Opened when the server has answered.
    repository: &'a OnceCell<Repository>,
    sink: Option<PackSink<'a>>,
}

impl Customer for Fetching<'_> {
    fn order(&mut self, told: &RemoteRefs) -> Result<Option<Order>, GitError> {
        let mirror = self.mirror;
        if mirror.0.damaged.load(Ordering::Relaxed) {
            mirror.make_anew()?;
        }
        let opened = open_bare(&mirror.0.dir)?;
        let repository = self.repository.get_or_init(|| opened);
        let wants = missing(repository, self.wanted.unwrap_or(told))?;
        if wants.is_empty() {
            return Ok(None);
        }
        self.remote.check_wants(told, &wants)?;
        let haves = mirror.haves(repository)?;
        let odb = repository.odb().map_err(corrupt("open its objects"))?;
        self.sink = Some(PackSink::new(self.remote, &mirror.0.dir, &odb)?);
        Ok(Some(Order { wants, haves }))
    }

    fn take(&mut self, pack: &[u8]) -> Result<(), GitError> {
        if self.cancel.load(Ordering::Relaxed) {
            let url = self.remote.url.clone();
            return Err(GitError::Cancelled { url });
        }
        match &mut self.sink {
            Some(sink) => sink.write(pack),
            None => Ok(()),
        }
    }
}

impl State {
    fn open(dir: &Path) -> Result<Self, GitError> {
        let repository = open_bare(dir)?;
        let path = dir.join("packed-refs");
        let text = fs::read_to_string(&path).map_err(disk("read its refs"))?;
        let fetched = RemoteRefs::from_packed(&text).ok_or_else(|| GitError::Corrupt {
            action: "read its refs",
            message: "packed-refs is cut or was not written by this program".to_owned(),
        })?;
        let mut state = Self {
            repository,
            fetched,
            refs: None,
        };
        state.refs = Some(Arc::new(state.look_up()?));
        Ok(state)
    }

    fn look_up(&self) -> Result<Refs, GitError> {
        let mut refs = Vec::with_capacity(self.fetched.len());
        for (name, reference) in &self.fetched.0 {
            let object = self
                .repository
                .find_object(oid(&reference.oid)?, None)
                .and_then(peel_tags)
                .map_err(corrupt("read what a ref points to"))?;
            let Some(commit) = object.as_commit() else {
                tracing::debug!(reference = %name, "is of something else than a commit");
                continue;
            };
            refs.push(Ref {
                name: name.clone(),
                commit: commit.id().to_string(),
                time: commit.time().seconds(),
            });
        }
        Ok(Refs(refs))
    }
}

/// What `wanted` points to and is not here.
fn missing(repository: &Repository, wanted: &RemoteRefs) -> Result<Vec<Oid>, GitError> {
    let odb = repository.odb().map_err(corrupt("open its objects"))?;
    let mut missing = BTreeSet::new();
    for reference in wanted.0.values() {
        let oid = oid(&reference.oid)?;
        if !odb.exists(oid) {
            missing.insert(oid);
        }
    }
    Ok(missing.into_iter().collect())
}

/// An empty mirror, in place of whatever is there.
fn create(dir: &Path) -> Result<(), GitError> {
    let failed = "make it anew";
    for entry in fs::read_dir(dir).map_err(disk(failed))? {
        let path = entry.map_err(disk(failed))?.path();
        let is_dir = path.symlink_metadata().map_err(disk(failed))?.is_dir();
        if is_dir {
            fs::remove_dir_all(&path).map_err(disk(failed))?;
        } else {
            fs::remove_file(&path).map_err(disk(failed))?;
        }
    }
    let mut options = RepositoryInitOptions::new();
    options
        .bare(true)
        .no_reinit(true)
        .external_template(false)
        .initial_head("main");
    Repository::init_opts(dir, &options).map_err(|error| GitError::Disk {
        action: failed,
        source: std::io::Error::other(error.message().to_owned()),
    })?;
    write_refs(dir, &RemoteRefs::default())
}

fn write_refs(dir: &Path, refs: &RemoteRefs) -> Result<(), GitError> {
    let failed = disk("write its refs");
    let new: PathBuf = dir.join("packed-refs.new");
    let mut file = fs::File::create(&new).map_err(&failed)?;
    file.write_all(refs.to_packed().as_bytes())
        .map_err(&failed)?;
    file.sync_all().map_err(&failed)?;
    fs::rename(&new, dir.join("packed-refs")).map_err(failed)
}

/// Text that should be an object's name.
pub(super) fn oid(text: &str) -> Result<Oid, GitError> {
    Oid::from_str(text).map_err(corrupt("read the name of an object"))
}

#[cfg(test)]
mod tests;
