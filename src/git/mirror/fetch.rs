//! Fetches into the mirror: what is missing comes, is checked, and the refs are replaced at once. On any error the mirror
//! stays as it was.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use git2::{Oid, Repository, Sort};

use super::state::{State, create, write_refs};
use super::{Mirror, oid};
use crate::git::compact::compact;
use crate::git::error::GitError;
use crate::git::odb::{PackSink, Quarantine, corrupt, open_bare};
use crate::git::refs::RemoteRefs;
use crate::git::remote::Remote;
use crate::git::transport::{Customer, Order, converse};

/// How many of our commits a server is told of, so that it sends only newer ones.
const MAX_HAVES: usize = 256;

/// How often a fetch begins again because somebody pushed in the middle of it.
const MAX_MOVED: usize = 3;

impl Mirror {
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
