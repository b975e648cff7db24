//! The address of a remote, validated once. Pure.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// Where a repository is: `https`, `ssh` or `file`. Never holds credentials, and can therefore be shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteUrl(Arc<url::Url>);

/// Why text is not the address of a remote. No variant repeats a part that may hold a credential.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum UrlError {
    #[error("the repository's URL is empty")]
    Empty,
    #[error("the repository's URL contains a space or a control character")]
    ControlCharacter,
    #[error("the repository's URL is in scp's form; write {suggestion}")]
    ScpForm { suggestion: String },
    #[error("the repository's URL is not a URL: {message}")]
    Malformed { message: String },
    #[error("the repository's URL has the scheme {scheme}; use https, ssh or file")]
    Scheme { scheme: String },
    #[error(
        "the repository's URL contains credentials; put them into a Secret and name it in spec.credentials"
    )]
    EmbeddedCredentials,
    #[error(
        "the repository's URL has a query or a fragment, which may hold credentials; remove it"
    )]
    Query,
    #[error("the repository's URL names no host")]
    NoHost,
    #[error("the repository's URL names a host where there must be none; write file:///path")]
    FileHost,
    #[error("the repository's URL names no path")]
    NoPath,
    #[error("the {part} of the repository's URL starts with a dash")]
    LeadingDash { part: &'static str },
}

impl FromStr for RemoteUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.is_empty() {
            return Err(UrlError::Empty);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(UrlError::ControlCharacter);
        }
        if let Some(suggestion) = scp_form(text) {
            return Err(UrlError::ScpForm { suggestion });
        }
        let url = url::Url::parse(text).map_err(|error| UrlError::Malformed {
            message: error.to_string(),
        })?;
        if !matches!(url.scheme(), "https" | "ssh" | "file") {
            return Err(UrlError::Scheme {
                scheme: url.scheme().to_owned(),
            });
        }
        if url.password().is_some() || (url.scheme() != "ssh" && !url.username().is_empty()) {
            return Err(UrlError::EmbeddedCredentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError::Query);
        }
        let host = url.host_str().unwrap_or_default();
        match url.scheme() {
            "file" if !host.is_empty() => return Err(UrlError::FileHost),
            "https" | "ssh" if host.is_empty() => return Err(UrlError::NoHost),
            _ => {}
        }
        let parsed = Self(Arc::new(url));
        let path = parsed.decoded_path()?;
        if path.trim_matches('/').is_empty() {
            return Err(UrlError::NoPath);
        }
        for (part, value) in [
            ("user", parsed.user().unwrap_or_default()),
            ("host", parsed.host().unwrap_or_default().to_owned()),
            ("path", path.trim_start_matches('/').to_owned()),
        ] {
            if value.starts_with('-') {
                return Err(UrlError::LeadingDash { part });
            }
            if value.chars().any(char::is_control) {
                return Err(UrlError::ControlCharacter);
            }
        }
        Ok(parsed)
    }
}

/// `git@host:path` has no scheme, and a colon before the first slash.
fn scp_form(text: &str) -> Option<String> {
    if text.contains("://") {
        return None;
    }
    let (host, path) = text.split_once(':')?;
    if host.is_empty() || host.contains('/') || path.is_empty() {
        return None;
    }
    Some(format!("ssh://{host}/{}", path.trim_start_matches('/')))
}

impl RemoteUrl {
    /// `None` for `file`. An IPv6 address stands without its brackets.
    pub fn host(&self) -> Option<&str> {
        let host = self.0.host_str().filter(|host| !host.is_empty())?;
        Some(host.trim_start_matches('[').trim_end_matches(']'))
    }

    /// The port, the scheme's own where none is given; 0 for `file`.
    pub fn port(&self) -> u16 {
        match self.0.scheme() {
            "ssh" => self.0.port().unwrap_or(22),
            _ => self.0.port_or_known_default().unwrap_or_default(),
        }
    }

    pub fn is_file(&self) -> bool {
        self.0.scheme() == "file"
    }

    pub fn is_ssh(&self) -> bool {
        self.0.scheme() == "ssh"
    }

    /// The user of an ssh URL; `None` where it names none.
    pub(super) fn user(&self) -> Option<String> {
        let user = self.0.username();
        (!user.is_empty()).then(|| decode(user).unwrap_or_default())
    }

    /// The path as the server's file system has it.
    fn decoded_path(&self) -> Result<String, UrlError> {
        decode(self.0.path()).ok_or_else(|| UrlError::Malformed {
            message: "the path is not UTF-8".to_owned(),
        })
    }

    /// The path that `git-upload-pack` is given over ssh; `~user` stands without the slash before it.
    pub(super) fn ssh_path(&self) -> String {
        let path = self.decoded_path().unwrap_or_default();
        match path.strip_prefix('/') {
            Some(home) if home.starts_with('~') => home.to_owned(),
            _ => path,
        }
    }

    /// The directory of a `file` URL.
    pub(super) fn file_path(&self) -> PathBuf {
        PathBuf::from(self.decoded_path().unwrap_or_default())
    }

    /// The path of an https URL as it stands in a request, without a trailing slash.
    pub(super) fn request_path(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%'
            && let [high, low, after @ ..] = tail
            && let (Some(high), Some(low)) = (
                char::from(*high).to_digit(16),
                char::from(*low).to_digit(16),
            )
        {
            bytes.push(u8::try_from(high * 16 + low).ok()?);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RemoteUrl, UrlError> {
        text.parse()
    }

    #[test]
    fn takes_https_ssh_and_file() {
        let url = parse("https://git.example.com:8443/shop/deploy.git").unwrap();
        assert_eq!(
            (url.host(), url.port(), url.request_path()),
            (Some("git.example.com"), 8443, "/shop/deploy.git")
        );
        let url = parse("ssh://git@[::1]/~bob/a%20b.git").unwrap();
        assert_eq!((url.host(), url.port()), (Some("::1"), 22));
        assert_eq!(
            (url.user().as_deref(), url.ssh_path().as_str()),
            (Some("git"), "~bob/a b.git")
        );
        let url = parse("file:///srv/git/deploy.git").unwrap();
        assert!(url.is_file() && url.host().is_none());
        assert_eq!(url.file_path(), PathBuf::from("/srv/git/deploy.git"));
    }

    #[test]
    fn refuses_what_is_dangerous() {
        let dash = |part| UrlError::LeadingDash { part };
        for (text, error) in [
            ("", UrlError::Empty),
            ("https://h/a\nb", UrlError::ControlCharacter),
            ("https://h/a%0ab", UrlError::ControlCharacter),
            ("ssh://a%00b@h/p", UrlError::ControlCharacter),
            ("https://bob:secret@h/p", UrlError::EmbeddedCredentials),
            ("https://token@h/p", UrlError::EmbeddedCredentials),
            ("ssh://bob:secret@h/p", UrlError::EmbeddedCredentials),
            ("https://h/p?sig=secret", UrlError::Query),
            ("https://h/p#secret", UrlError::Query),
            ("ssh://-oProxyCommand=x@h/p", dash("user")),
            ("ssh://%2dl@h/p", dash("user")),
            ("ssh://-oProxyCommand=x/p", dash("host")),
            ("ssh://h/-p", dash("path")),
            ("ssh://h/%2Dp", dash("path")),
            ("https://h", UrlError::NoPath),
            ("https://h//", UrlError::NoPath),
            ("ssh:///p", UrlError::NoHost),
            ("file://host/p", UrlError::FileHost),
        ] {
            assert_eq!(parse(text).unwrap_err(), error, "{text}");
        }
        for scheme in ["http", "git", "ext", "ftp"] {
            let error = parse(&format!("{scheme}://h/p")).unwrap_err();
            assert!(matches!(error, UrlError::Scheme { .. }), "{scheme}");
        }
    }

    #[test]
    fn suggests_the_url_for_the_scp_form() {
        let error = parse("git@github.com:shop/deploy.git").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the repository's URL is in scp's form; write ssh://git@github.com/shop/deploy.git"
        );
    }

    #[test]
    fn no_error_repeats_a_credential() {
        for text in [
            "https://bob:hunter2@h/p",
            "https://h/p?token=hunter2",
            "https://hunter2@/",
            "https://bob:hunter2@h:x/p",
            "http://bob:hunter2@h/p",
        ] {
            let error = parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}");
        }
    }
}
