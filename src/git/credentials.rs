//! What to log in with, from the data of a Secret. Pure; nothing here shows a secret.

use std::collections::BTreeMap;
use std::fmt;

use super::url::RemoteUrl;

/// How to log in.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    #[default]
    None,
    Basic {
        username: String,
        password: String,
    },
    Token(String),
    Ssh {
        identity: String,
        passphrase: Option<String>,
        known_hosts: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(…)",
            Self::Token(_) => "Token(…)",
            Self::Ssh { .. } => "Ssh(…)",
        })
    }
}

/// Credentials, and whom to trust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    pub credentials: Credentials,
    /// PEM certificates. Where given, only these authorities are trusted; else the system's.
    pub ca: Option<Vec<u8>>,
}

/// Why the data of a Secret cannot be used for a URL.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CredentialsError {
    #[error("the Secret has no key {missing}; for {scheme} it needs {needs}")]
    Missing {
        missing: &'static str,
        scheme: &'static str,
        needs: &'static str,
    },
    #[error("the Secret has the keys {keys}, which mean nothing for {scheme}; it takes {takes}")]
    Unknown {
        keys: String,
        scheme: &'static str,
        takes: &'static str,
    },
    #[error("the Secret has both a token and a password; give one")]
    TokenAndPassword,
    #[error("the key {key} of the Secret is empty")]
    Empty { key: &'static str },
    #[error("the key {key} of the Secret is not text")]
    NotText { key: &'static str },
    #[error("the key {key} of the Secret contains a line break or another control character")]
    ControlCharacter { key: &'static str },
    #[error("the key ca.crt of the Secret holds no PEM certificate")]
    NoCertificate,
    #[error("a file:// repository takes no credentials")]
    File,
    #[error("an ssh:// repository needs spec.credentials, a Secret with identity and known_hosts")]
    SshNeedsSecret,
}

const HTTPS: &str = "`token`, or `username` and `password`; and `ca.crt`";
const SSH: &str = "`identity` and `known_hosts`; and `password` for a passphrase";

impl Access {
    /// Without a Secret. ssh has no such access: its host must be known.
    pub fn anonymous(url: &RemoteUrl) -> Result<Self, CredentialsError> {
        if url.is_ssh() {
            return Err(CredentialsError::SshNeedsSecret);
        }
        Ok(Self::default())
    }

    /// From a Secret's data. Keys that mean nothing for the URL's scheme are refused, so that a misspelt one is seen.
    pub fn from_secret(
        url: &RemoteUrl,
        data: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, CredentialsError> {
        if url.is_file() {
            return Err(CredentialsError::File);
        }
        if url.is_ssh() { ssh(data) } else { https(data) }
    }
}

fn https(data: &BTreeMap<String, Vec<u8>>) -> Result<Access, CredentialsError> {
    refuse_unknown(
        data,
        &["token", "username", "password", "ca.crt"],
        "https",
        HTTPS,
    )?;
    let ca = data.get("ca.crt").cloned();
    if let Some(ca) = &ca
        && !String::from_utf8_lossy(ca).contains("-----BEGIN CERTIFICATE-----")
    {
        return Err(CredentialsError::NoCertificate);
    }
    let token = line(data, "token")?;
    let username = line(data, "username")?;
    let password = line(data, "password")?;
    let missing = |missing| CredentialsError::Missing {
        missing,
        scheme: "https",
        needs: HTTPS,
    };
    let credentials = match (token, username, password) {
        (Some(_), _, Some(_)) => return Err(CredentialsError::TokenAndPassword),
        // Some servers want a name of their own with a token.
        (Some(password), Some(username), None) | (None, Some(username), Some(password)) => {
            Credentials::Basic { username, password }
        }
        (Some(token), None, None) => Credentials::Token(token),
        (None, Some(_), None) => return Err(missing("password")),
        (None, None, Some(_)) => return Err(missing("username")),
        (None, None, None) if ca.is_some() => Credentials::None,
        (None, None, None) => return Err(missing("token")),
    };
    Ok(Access { credentials, ca })
}

fn ssh(data: &BTreeMap<String, Vec<u8>>) -> Result<Access, CredentialsError> {
    // `kubectl create secret` from a key pair adds the public half; it is not needed, and no misspelling.
    let known = ["identity", "identity.pub", "known_hosts", "password"];
    refuse_unknown(data, &known, "ssh", SSH)?;
    let need = |key: &'static str| {
        text(data, key)?.ok_or(CredentialsError::Missing {
            missing: key,
            scheme: "ssh",
            needs: SSH,
        })
    };
    let mut identity = need("identity")?;
    if !identity.ends_with('\n') {
        identity.push('\n');
    }
    Ok(Access {
        credentials: Credentials::Ssh {
            identity,
            passphrase: line(data, "password")?,
            known_hosts: need("known_hosts")?,
        },
        ca: None,
    })
}

fn refuse_unknown(
    data: &BTreeMap<String, Vec<u8>>,
    known: &[&str],
    scheme: &'static str,
    takes: &'static str,
) -> Result<(), CredentialsError> {
    let unknown: Vec<&str> = data
        .keys()
        .map(String::as_str)
        .filter(|key| !known.contains(key))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(CredentialsError::Unknown {
        keys: unknown.join(", "),
        scheme,
        takes,
    })
}

fn text(
    data: &BTreeMap<String, Vec<u8>>,
    key: &'static str,
) -> Result<Option<String>, CredentialsError> {
    let Some(bytes) = data.get(key) else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes.clone()).map_err(|_| CredentialsError::NotText { key })?;
    if text.trim().is_empty() {
        return Err(CredentialsError::Empty { key });
    }
    Ok(Some(text))
}

/// One line; the line break that an editor leaves at its end is no part of it.
fn line(
    data: &BTreeMap<String, Vec<u8>>,
    key: &'static str,
) -> Result<Option<String>, CredentialsError> {
    let Some(text) = text(data, key)? else {
        return Ok(None);
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.chars().any(char::is_control) {
        return Err(CredentialsError::ControlCharacter { key });
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, data: &[(&str, &str)]) -> Result<Access, CredentialsError> {
        let data = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
            .collect();
        Access::from_secret(&url.parse().unwrap(), &data)
    }

    const CA: &str = "-----BEGIN CERTIFICATE-----\n";

    #[test]
    fn reads_what_each_scheme_takes() {
        let access = read("https://h/p", &[("token", "abc\n")]).unwrap();
        assert!(access.credentials == Credentials::Token("abc".to_owned()));
        let access = read(
            "https://h/p",
            &[("username", "bob"), ("password", "x y"), ("ca.crt", CA)],
        )
        .unwrap();
        assert!(matches!(access.credentials, Credentials::Basic { .. }) && access.ca.is_some());
        let access = read("https://h/p", &[("ca.crt", CA)]).unwrap();
        assert!(access.credentials == Credentials::None);
        let access = read("ssh://h/p", &[("identity", "key"), ("known_hosts", "h k")]).unwrap();
        assert!(
            matches!(access.credentials, Credentials::Ssh { identity, .. } if identity == "key\n")
        );
    }

    #[test]
    fn names_what_is_missing_or_means_nothing() {
        for (url, data, words) in [
            ("https://h/p", &[("username", "bob")][..], "no key password"),
            ("https://h/p", &[("password", "x")], "no key username"),
            ("https://h/p", &[], "no key token"),
            ("https://h/p", &[("Token", "x")], "keys Token"),
            ("https://h/p", &[("identity", "x")], "keys identity"),
            (
                "https://h/p",
                &[("token", "x"), ("password", "y")],
                "both a token and",
            ),
            (
                "https://h/p",
                &[("token", "\n")],
                "token of the Secret is empty",
            ),
            ("https://h/p", &[("token", "a\nX-Evil: 1")], "line break"),
            ("https://h/p", &[("token", "x"), ("ca.crt", "no")], "no PEM"),
            ("ssh://h/p", &[("identity", "x")], "no key known_hosts"),
            ("ssh://h/p", &[("known_hosts", "x")], "no key identity"),
            ("file:///p", &[("token", "x")], "takes no credentials"),
        ] {
            let error = read(url, data).unwrap_err().to_string();
            assert!(error.contains(words), "{error} / {words}");
        }
        assert!(Access::anonymous(&"ssh://h/p".parse().unwrap()).is_err());
    }

    #[test]
    fn debug_shows_nothing_secret() {
        let access = read("https://h/p", &[("token", "hunter2")]).unwrap();
        assert!(!format!("{access:?}").contains("hunter2"));
        let access = read(
            "ssh://h/p",
            &[("identity", "hunter2"), ("known_hosts", "h")],
        )
        .unwrap();
        assert!(!format!("{access:?}").contains("hunter2"));
    }
}
