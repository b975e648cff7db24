//! Files that are parsed once for all builds that read them: the same content is the same documents. Must not grow past
//! its bound, nor keep what could not be parsed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::yaml::{Document, Limits, Node};

/// The documents of one file, and what they took.
#[derive(Debug)]
pub struct Documents {
    pub list: Vec<Document>,
    /// The bytes of the file.
    pub bytes: usize,
    nodes: usize,
}

impl Documents {
    pub fn new(list: Vec<Document>, bytes: usize) -> Self {
        let nodes = list.iter().map(|document| document.tree.size()).sum();
        Self { list, bytes, nodes }
    }

    /// The memory that they take, about.
    fn size(&self) -> usize {
        self.nodes * (size_of::<Node>() + 32) + self.bytes
    }
}

/// Parsed files by the fingerprints of their contents, shared between builds and threads.
#[derive(Debug)]
pub struct ParsedFiles {
    /// Half of the bytes that may be kept.
    half: usize,
    kept: Mutex<Kept>,
    parsed: AtomicUsize,
    reused: AtomicUsize,
}

/// In two generations: what is not asked for while the younger one fills goes with the older one.
#[derive(Debug, Default)]
struct Kept {
    young: HashMap<Key, Arc<Documents>>,
    old: HashMap<Key, Arc<Documents>>,
    /// The memory that the young ones take.
    size: usize,
}

/// The fingerprint, and the depth that was allowed.
type Key = (String, usize);

impl ParsedFiles {
    /// Keeps files that take at most so many bytes of memory, about.
    pub fn new(bytes: usize) -> Self {
        Self {
            half: bytes / 2,
            kept: Mutex::default(),
            parsed: AtomicUsize::new(0),
            reused: AtomicUsize::new(0),
        }
    }

    /// How many files were parsed, and how often a parsed one was used again.
    pub fn counts(&self) -> (usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        (count(&self.parsed), count(&self.reused))
    }

    /// The documents of a file with this fingerprint, if they are known and stay within the limits.
    pub(super) fn get(&self, fingerprint: &str, limits: &Limits) -> Option<Arc<Documents>> {
        let key = (fingerprint.to_owned(), limits.depth);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match kept.young.get(&key) {
            Some(found) => found.clone(),
            None => {
                let found = kept.old.remove(&key)?;
                self.put(&mut kept, key, &found);
                found
            }
        };
        drop(kept);
        if found.nodes > limits.nodes || found.bytes > limits.bytes {
            return None;
        }
        self.reused.fetch_add(1, Ordering::Relaxed);
        Some(found)
    }

    /// Keeps the documents of a file.
    pub(super) fn keep(&self, fingerprint: String, limits: &Limits, documents: &Arc<Documents>) {
        self.parsed.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(&mut kept, (fingerprint, limits.depth), documents);
    }

    fn put(&self, kept: &mut Kept, key: Key, documents: &Arc<Documents>) {
        let size = documents.size();
        if size > self.half {
            return;
        }
        if kept.size + size > self.half {
            kept.old = std::mem::take(&mut kept.young);
            kept.size = 0;
        }
        if kept.young.insert(key, documents.clone()).is_none() {
            kept.size += size;
        }
    }

    /// The memory that everything kept takes, about.
    #[cfg(test)]
    fn size(&self) -> usize {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let all = kept.young.values().chain(kept.old.values());
        all.map(|documents| documents.size()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::read;

    fn documents(text: &str) -> Arc<Documents> {
        let list = read(text.as_bytes(), "", &Limits::default()).expect("YAML");
        Arc::new(Documents::new(list, text.len()))
    }

    #[test]
    fn keeps_what_is_used_and_no_more_than_it_may() {
        let limits = Limits::default();
        let one = documents("a: 1\n");
        let files = ParsedFiles::new(10 * one.size());
        files.keep("used".to_owned(), &limits, &one);
        for number in 0..100 {
            files.keep(number.to_string(), &limits, &one);
            assert!(files.get("used", &limits).is_some(), "{number}");
            assert!(files.size() <= 10 * one.size(), "{number}");
        }
        assert!(files.get("0", &limits).is_none());
        assert!(files.get("99", &limits).is_some());
        assert_eq!(files.counts(), (101, 101));
    }

    #[test]
    fn what_exceeds_a_limit_is_parsed_again() {
        let files = ParsedFiles::new(1 << 20);
        let limits = Limits::default();
        files.keep("x".to_owned(), &limits, &documents("a: [1, 2, 3]\n"));
        let few = Limits { nodes: 3, ..limits };
        let short = Limits { bytes: 3, ..limits };
        let flat = Limits { depth: 1, ..limits };
        for less in [few, short, flat] {
            assert!(files.get("x", &less).is_none(), "{less:?}");
        }
        assert!(files.get("x", &limits).is_some());
    }

    #[test]
    fn what_is_larger_than_all_is_not_kept() {
        let files = ParsedFiles::new(100);
        let limits = Limits::default();
        files.keep("x".to_owned(), &limits, &documents("a: [1, 2, 3]\n"));
        assert!(files.get("x", &limits).is_none());
    }
}
