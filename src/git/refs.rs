//! Branches and tags, as a server has them and as they were last fetched. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A ref of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRef {
    /// What it points to: a commit, or the object of an annotated tag.
    pub oid: String,
    /// What an annotated tag is of.
    pub peeled: Option<String>,
}

impl RemoteRef {
    /// The commit (or, of an odd tag, whatever it is of).
    pub fn target(&self) -> &str {
        self.peeled.as_deref().unwrap_or(&self.oid)
    }
}

/// The branches and tags of a server, by full name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteRefs(pub BTreeMap<String, RemoteRef>);

impl RemoteRefs {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Only these are mirrored; a server's other names (`refs/pull/…`, or what could not be a ref) never reach the disk.
    pub(super) fn wants(name: &str) -> bool {
        (name.starts_with("refs/heads/") || name.starts_with("refs/tags/"))
            && git2::Reference::is_valid_name(name)
    }

    /// Git's `packed-refs` file.
    pub(super) fn to_packed(&self) -> String {
        let mut text = String::from("# pack-refs with: peeled fully-peeled sorted \n");
        for (name, RemoteRef { oid, peeled }) in &self.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{oid} {name}");
            if let Some(peeled) = peeled {
                let _ = writeln!(text, "^{peeled}");
            }
        }
        text
    }

    /// `None` if the text is not one that [`RemoteRefs::to_packed`] wrote.
    pub(super) fn from_packed(text: &str) -> Option<Self> {
        let mut refs = BTreeMap::new();
        let mut last: Option<String> = None;
        for line in text.strip_prefix('#')?.strip_suffix('\n')?.lines().skip(1) {
            if let Some(peeled) = line.strip_prefix('^') {
                let entry: &mut RemoteRef = refs.get_mut(last.as_deref()?)?;
                entry.peeled = Some(checked_oid(peeled)?);
            } else {
                let (oid, name) = line.split_once(' ')?;
                if !Self::wants(name) {
                    return None;
                }
                let entry = RemoteRef {
                    oid: checked_oid(oid)?,
                    peeled: None,
                };
                refs.insert(name.to_owned(), entry);
                last = Some(name.to_owned());
            }
        }
        Some(Self(refs))
    }
}

fn checked_oid(text: &str) -> Option<String> {
    is_oid(text).then(|| text.to_owned())
}

/// Whether text is a full object name of SHA-1, in lower case.
pub(super) fn is_oid(text: &str) -> bool {
    text.len() == 40
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// A branch or tag that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ref {
    /// The full name.
    pub name: String,
    /// The commit, in full; of an annotated tag the one it is of.
    pub commit: String,
    /// When the commit was made, in seconds since 1970.
    pub time: i64,
}

impl Ref {
    /// The branch's name, if this is one.
    pub fn branch(&self) -> Option<&str> {
        self.name.strip_prefix("refs/heads/")
    }

    /// The tag's name, if this is one.
    pub fn tag(&self) -> Option<&str> {
        self.name.strip_prefix("refs/tags/")
    }
}

/// What was last fetched, sorted by name. Tags of something else than a commit are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refs(pub Vec<Ref>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_refs_read_as_they_were_written() {
        let oid = |c: char| c.to_string().repeat(40);
        let plain = RemoteRef {
            oid: oid('a'),
            peeled: None,
        };
        let tag = RemoteRef {
            oid: oid('b'),
            peeled: Some(oid('a')),
        };
        let refs = RemoteRefs(BTreeMap::from([
            ("refs/heads/main".to_owned(), plain),
            ("refs/tags/v1".to_owned(), tag),
        ]));
        assert_eq!(
            RemoteRefs::from_packed(&refs.to_packed()),
            Some(refs.clone())
        );
        let cut = refs.to_packed();
        assert_eq!(RemoteRefs::from_packed(&cut[..cut.len() - 4]), None);
        assert_eq!(RemoteRefs::from_packed(""), None);
    }

    #[test]
    fn names_that_could_not_be_refs_are_not_wanted() {
        for name in ["refs/heads/main", "refs/tags/a/b", "refs/heads/ü"] {
            assert!(RemoteRefs::wants(name), "{name}");
        }
        for name in [
            "HEAD",
            "refs/pull/1/head",
            "refs/heads/../../x",
            "refs/heads/a b",
            "refs/heads/a\nb",
            "refs/heads/x.lock",
            "refs/heads/",
        ] {
            assert!(!RemoteRefs::wants(name), "{name}");
        }
    }
}
