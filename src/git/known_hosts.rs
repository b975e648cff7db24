//! Which key an ssh host must have: the text of a `known_hosts` file. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// The lines that can be read; others (and `@cert-authority`, whose certificates libssh2 cannot check) admit nobody.
pub(super) struct KnownHosts(Vec<Line>);

struct Line {
    hosts: Hosts,
    revoked: bool,
    key: Vec<u8>,
}

enum Hosts {
    Patterns(Vec<String>),
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

/// What the lines say of a key that a host offers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Known,
    /// No line is about the host.
    Unknown,
    /// Lines are about the host, with other keys.
    Changed {
        expected: Vec<String>,
    },
    Revoked,
}

impl KnownHosts {
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(Line::parse).collect())
    }

    fn about<'a>(&'a self, host: &str, port: u16) -> impl Iterator<Item = &'a Line> {
        let host = host.to_ascii_lowercase();
        let name = if port == 22 {
            host
        } else {
            format!("[{host}]:{port}")
        };
        self.0.iter().filter(move |line| line.hosts.matches(&name))
    }

    pub(super) fn verdict(&self, host: &str, port: u16, key: &[u8]) -> Verdict {
        let lines: Vec<&Line> = self.about(host, port).collect();
        if lines.iter().any(|line| line.revoked && line.key == key) {
            return Verdict::Revoked;
        }
        let valid = || lines.iter().filter(|line| !line.revoked);
        if valid().any(|line| line.key == key) {
            return Verdict::Known;
        }
        let expected: Vec<String> = valid().map(|line| fingerprint(&line.key)).collect();
        if expected.is_empty() {
            return Verdict::Unknown;
        }
        Verdict::Changed { expected }
    }

    /// The types of key that the host is known by, so that it is asked for one of them.
    pub(super) fn key_types(&self, host: &str, port: u16) -> Vec<String> {
        self.about(host, port)
            .filter_map(|line| key_type(&line.key))
            .collect()
    }
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let mut first = words.next().filter(|word| !word.starts_with('#'))?;
        let revoked = first == "@revoked";
        if revoked {
            first = words.next()?;
        } else if first.starts_with('@') {
            return None;
        }
        let (kind, key) = (words.next()?, words.next()?);
        let key = STANDARD.decode(key).ok()?;
        if key_type(&key)? != kind {
            return None;
        }
        let hosts = match first.strip_prefix("|1|") {
            Some(hashed) => {
                let (salt, hash) = hashed.split_once('|')?;
                Hosts::Hashed {
                    salt: STANDARD.decode(salt).ok()?,
                    hash: STANDARD.decode(hash).ok()?,
                }
            }
            None => Hosts::Patterns(first.split(',').map(str::to_ascii_lowercase).collect()),
        };
        Some(Self {
            hosts,
            revoked,
            key,
        })
    }
}

impl Hosts {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, hash } => {
                let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(salt) else {
                    return false;
                };
                mac.update(name.as_bytes());
                mac.verify_slice(hash).is_ok()
            }
            Self::Patterns(patterns) => {
                let mut found = false;
                for pattern in patterns {
                    if let Some(not) = pattern.strip_prefix('!') {
                        if wildcard(not.as_bytes(), name.as_bytes()) {
                            return false;
                        }
                    } else {
                        found |= wildcard(pattern.as_bytes(), name.as_bytes());
                    }
                }
                found
            }
        }
    }
}

/// `*` and `?` only: brackets stand for themselves.
fn wildcard(pattern: &[u8], name: &[u8]) -> bool {
    // The place after the last star, and what of the name it has swallowed: enough, for a later star can do no less.
    let (mut at, mut to) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while to < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, to));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[to] => {
                at += 1;
                to += 1;
            }
            _ => match star {
                Some((after, swallowed)) => {
                    star = Some((after, swallowed + 1));
                    at = after;
                    to = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// A key's own name of its type.
fn key_type(key: &[u8]) -> Option<String> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    String::from_utf8(rest.get(..length)?.to_vec()).ok()
}

/// As `ssh-keygen -l` shows it.
pub(super) fn fingerprint(key: &[u8]) -> String {
    let digest = STANDARD_NO_PAD.encode(Sha256::digest(key));
    let kind = key_type(key).filter(|kind| kind.bytes().all(|byte| byte.is_ascii_graphic()));
    format!("{} SHA256:{digest}", kind.as_deref().unwrap_or("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key with a type's name and one byte after it.
    fn key(kind: &str, byte: u8) -> Vec<u8> {
        let length = u32::try_from(kind.len()).unwrap().to_be_bytes();
        [&length[..], kind.as_bytes(), &[byte]].concat()
    }

    fn line(hosts: &str, key: &[u8]) -> String {
        format!(
            "{hosts} {} {} comment\n",
            key_type(key).unwrap(),
            STANDARD.encode(key)
        )
    }

    #[test]
    fn names() {
        let good = key("ssh-ed25519", 1);
        for (hosts, host, port, known) in [
            ("git.example.com", "git.example.com", 22, true),
            ("git.example.com", "GIT.example.com", 22, true),
            ("git.example.com", "git.example.com", 2222, false),
            ("[git.example.com]:2222", "git.example.com", 2222, true),
            ("[git.example.com]:2222", "git.example.com", 22, false),
            ("a,git.example.com,b", "git.example.com", 22, true),
            ("*.example.com", "git.example.com", 22, true),
            (
                "*.example.com,!git.example.com",
                "git.example.com",
                22,
                false,
            ),
            ("g?t.example.com", "git.example.com", 22, true),
            ("*.org", "git.example.com", 22, false),
            ("[::1]:2222", "::1", 2222, true),
        ] {
            let lines = KnownHosts::parse(&line(hosts, &good));
            let expected = if known {
                Verdict::Known
            } else {
                Verdict::Unknown
            };
            assert_eq!(
                lines.verdict(host, port, &good),
                expected,
                "{hosts} {host}:{port}"
            );
        }
    }

    #[test]
    fn hashed_names() {
        let good = key("ssh-ed25519", 1);
        let mut mac = Hmac::<Sha1>::new_from_slice(b"salt").unwrap();
        mac.update(b"[git.example.com]:2222");
        let hash = STANDARD.encode(mac.finalize().into_bytes());
        let hosts = format!("|1|{}|{hash}", STANDARD.encode("salt"));
        let lines = KnownHosts::parse(&line(&hosts, &good));
        assert_eq!(
            lines.verdict("git.example.com", 2222, &good),
            Verdict::Known
        );
        assert_eq!(
            lines.verdict("git.example.org", 2222, &good),
            Verdict::Unknown
        );
    }

    #[test]
    fn other_keys() {
        let (good, bad) = (key("ssh-ed25519", 1), key("ssh-ed25519", 2));
        let lines = KnownHosts::parse(&line("h", &good));
        let expected = vec![fingerprint(&good)];
        assert_eq!(lines.verdict("h", 22, &bad), Verdict::Changed { expected });
        assert_eq!(lines.key_types("h", 22), ["ssh-ed25519"]);
        let text = line("h", &good) + "@revoked " + &line("*", &good);
        assert_eq!(
            KnownHosts::parse(&text).verdict("h", 22, &good),
            Verdict::Revoked
        );
        for text in [
            format!("@cert-authority {}", line("h", &good)),
            format!("# {}", line("h", &good)),
            format!("h ssh-rsa {}", STANDARD.encode(&good)),
            "h ssh-ed25519 !!!".to_owned(),
            String::new(),
        ] {
            assert_eq!(
                KnownHosts::parse(&text).verdict("h", 22, &good),
                Verdict::Unknown,
                "{text}"
            );
        }
    }
}
