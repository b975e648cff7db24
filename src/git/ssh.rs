//! A server that runs `git-upload-pack` over ssh, through libssh2. Nothing is sent before the host's key is known.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use ssh2::{Channel, ErrorCode, MethodType, Session};

use super::credentials::Credentials;
use super::deadline::{Deadline, TICK};
use super::error::GitError;
use super::known_hosts::{KnownHosts, Verdict, fingerprint};
use super::protocol::{Advertisement, Answer, Packet, Packets};
use super::refs::RemoteRefs;
use super::remote::Remote;
use super::text::printable;
use super::transport::Customer;

/// The user where the URL names none.
const USER: &str = "git";
/// SHA-1 signatures (`ssh-rsa`) are not among them.
const HOST_KEYS: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

// libssh2's numbers, of which its Rust binding has no names.
const TIMEOUT: i32 = -9;
/// The private key cannot be read, or its passphrase is wrong.
const FILE: i32 = -16;
const METHOD_NONE: i32 = -17;
const AUTHENTICATION_FAILED: i32 = -18;
const PUBLICKEY_UNVERIFIED: i32 = -19;

pub(super) fn converse(
    remote: &Remote,
    cancel: &AtomicBool,
    customer: &mut dyn Customer,
) -> Result<RemoteRefs, GitError> {
    let deadline = Deadline::new(remote, cancel);
    let mut conversation = Conversation::open(&deadline)?;
    let advertisement = conversation.advertisement()?;
    match customer.order(&advertisement.refs)? {
        Some(order) => {
            let request = advertisement
                .request(&order)
                .map_err(|error| remote.protocol(error))?;
            conversation.write(&request)?;
            conversation.receive(customer)?;
        }
        None => conversation.write(b"0000")?,
    }
    Ok(advertisement.refs)
}

/// `git-upload-pack` running on the server.
struct Conversation<'a> {
    deadline: &'a Deadline<'a>,
    channel: Channel,
    packets: Packets,
}

impl<'a> Conversation<'a> {
    fn open(deadline: &'a Deadline<'a>) -> Result<Self, GitError> {
        let remote = deadline.remote;
        let failed = |error: ssh2::Error| connection(remote, &error);
        let session = log_in(deadline)?;
        let mut channel = session.channel_session().map_err(failed)?;
        let path = remote.url.ssh_path().replace('\'', r"'\''");
        channel
            .exec(&format!("git-upload-pack '{path}'"))
            .map_err(failed)?;
        session.set_timeout(milliseconds(TICK));
        Ok(Self {
            deadline,
            channel,
            packets: Packets::default(),
        })
    }

    /// The next packet; `None` where the server ended.
    fn packet(&mut self) -> Result<Option<Packet>, GitError> {
        let remote = self.deadline.remote;
        loop {
            let packet = self
                .packets
                .next()
                .map_err(|error| remote.protocol(error))?;
            if packet.is_some() {
                return Ok(packet);
            }
            let mut buffer = [0; 16 * 1024];
            let length = self.patiently("waiting for data", |channel| channel.read(&mut buffer))?;
            if length == 0 {
                return Ok(None);
            }
            self.packets.push(&buffer[..length]);
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), GitError> {
        while !bytes.is_empty() {
            let length = self.patiently("sending", |channel| channel.write(bytes))?;
            if length == 0 {
                return Err(self.deadline.remote.cut());
            }
            bytes = &bytes[length..];
        }
        self.patiently("sending", Channel::flush)
    }

    /// Tries again while nothing comes, until a limit is reached.
    fn patiently<T>(
        &mut self,
        action: &'static str,
        mut attempt: impl FnMut(&mut Channel) -> std::io::Result<T>,
    ) -> Result<T, GitError> {
        let since = Instant::now();
        let remote = self.deadline.remote;
        loop {
            self.deadline.check(action, since, remote.limits.idle)?;
            match attempt(&mut self.channel) {
                Ok(done) => return Ok(done),
                Err(error)
                    if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {}
                Err(error) => {
                    return Err(GitError::Connection {
                        url: remote.url.clone(),
                        message: error.to_string(),
                    });
                }
            }
        }
    }

    fn advertisement(&mut self) -> Result<Advertisement, GitError> {
        let remote = self.deadline.remote;
        let mut advertisement = Advertisement::default();
        let mut received = 0;
        while !advertisement.complete {
            let Some(packet) = self.packet()? else {
                return Err(self.why_it_ended());
            };
            if let Packet::Data(data) = &packet {
                received += data.len() as u64;
            }
            if received > remote.limits.refs {
                return Err(GitError::Limit {
                    url: remote.url.clone(),
                    what: "bytes in the list of refs",
                    limit: remote.limits.refs,
                });
            }
            advertisement
                .feed(&packet)
                .map_err(|error| remote.protocol(error))?;
        }
        Ok(advertisement)
    }

    fn receive(&mut self, customer: &mut dyn Customer) -> Result<(), GitError> {
        let remote = self.deadline.remote;
        let mut answer = Answer::default();
        while !answer.complete {
            let Some(packet) = self.packet()? else {
                return Err(remote.cut());
            };
            let pack = answer
                .feed(&packet)
                .map_err(|error| remote.protocol(error))?;
            if let Some(pack) = pack {
                customer.take(pack)?;
            }
        }
        Ok(())
    }

    /// A server that has no such repository says so on its standard error, in its own words.
    fn why_it_ended(&mut self) -> GitError {
        let mut buffer = [0; 2048];
        let said = self.patiently("waiting for data", |channel| {
            channel.stderr().read(&mut buffer)
        });
        let words = printable(&buffer[..said.unwrap_or_default()]);
        let url = self.deadline.remote.url.clone();
        let lower = words.to_lowercase();
        let missing = ["not found", "does not appear", "does not exist", "no such"];
        if missing.iter().any(|part| lower.contains(part)) {
            return GitError::NotFound { url, status: words };
        }
        let message = if words.is_empty() {
            "git-upload-pack ended without a word".to_owned()
        } else {
            format!("the server says: {words}")
        };
        GitError::NotGit { url, message }
    }
}

fn milliseconds(duration: Duration) -> u32 {
    // 0 would be for ever.
    u32::try_from(duration.as_millis())
        .unwrap_or(u32::MAX)
        .max(1)
}

fn connection(remote: &Remote, error: &ssh2::Error) -> GitError {
    let url = remote.url.clone();
    if error.code() == ErrorCode::Session(TIMEOUT) {
        return timeout(remote);
    }
    let message = error.message().to_owned();
    GitError::Connection { url, message }
}

fn timeout(remote: &Remote) -> GitError {
    GitError::Timeout {
        url: remote.url.clone(),
        action: "connecting",
        seconds: remote.limits.connect.as_secs(),
    }
}

fn log_in(deadline: &Deadline<'_>) -> Result<Session, GitError> {
    let remote = deadline.remote;
    let failed = |error: ssh2::Error| connection(remote, &error);
    let Credentials::Ssh {
        identity,
        passphrase,
        known_hosts,
    } = &remote.access.credentials
    else {
        return Err(GitError::AuthNeeded {
            url: remote.url.clone(),
            status: "no private key is given".to_owned(),
        });
    };
    let since = Instant::now();
    let known = KnownHosts::parse(known_hosts);
    let stream = connect(remote)?;
    let mut session = Session::new().map_err(failed)?;
    session.set_timeout(milliseconds(remote.limits.connect));
    session.set_tcp_stream(stream);
    session
        .method_pref(MethodType::HostKey, &preferred(remote, &known))
        .map_err(failed)?;
    session.handshake().map_err(failed)?;
    check_host(remote, &known, &session)?;
    deadline.check("connecting", since, remote.limits.connect)?;
    let user = remote.url.user();
    let user = user.as_deref().unwrap_or(USER);
    session
        .userauth_pubkey_memory(user, None, identity, passphrase.as_deref())
        .map_err(|error| refused(remote, &error))?;
    Ok(session)
}

fn connect(remote: &Remote) -> Result<TcpStream, GitError> {
    let failed = |error: std::io::Error| GitError::Connect {
        url: remote.url.clone(),
        message: error.to_string(),
    };
    let host = remote.url.host().unwrap_or_default();
    let mut last = None;
    for address in (host, remote.url.port())
        .to_socket_addrs()
        .map_err(failed)?
    {
        match TcpStream::connect_timeout(&address, remote.limits.connect) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(failed)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => return Err(timeout(remote)),
            Err(error) => last = Some(error),
        }
    }
    Err(failed(last.unwrap_or_else(|| {
        std::io::Error::other("the host has no address")
    })))
}

/// The types of key that the host is known by come first: it has several, and only one is offered.
fn preferred(remote: &Remote, known: &KnownHosts) -> String {
    let host = remote.url.host().unwrap_or_default();
    let types = known.key_types(host, remote.url.port());
    let is_known = |algorithm: &str| {
        types.iter().any(|kind| {
            kind == algorithm || (kind == "ssh-rsa" && algorithm.starts_with("rsa-sha2-"))
        })
    };
    let (first, rest): (Vec<&str>, Vec<&str>) = HOST_KEYS
        .into_iter()
        .partition(|algorithm| is_known(algorithm));
    [first, rest].concat().join(",")
}

fn check_host(remote: &Remote, known: &KnownHosts, session: &Session) -> Result<(), GitError> {
    let url = remote.url.clone();
    let Some((key, _)) = session.host_key() else {
        return Err(GitError::Connection {
            url,
            message: "the server offers no host key".to_owned(),
        });
    };
    let offered = fingerprint(key);
    let host = remote.url.host().unwrap_or_default();
    match known.verdict(host, remote.url.port(), key) {
        Verdict::Known => Ok(()),
        Verdict::Unknown => Err(GitError::HostKeyUnknown { url, offered }),
        Verdict::Changed { expected } => Err(GitError::HostKeyMismatch {
            url,
            offered,
            expected,
        }),
        Verdict::Revoked => Err(GitError::HostKeyRevoked { url, offered }),
    }
}

fn refused(remote: &Remote, error: &ssh2::Error) -> GitError {
    let url = remote.url.clone();
    let message = error.message().to_owned();
    match error.code() {
        ErrorCode::Session(FILE | METHOD_NONE) => GitError::Identity { url, message },
        ErrorCode::Session(AUTHENTICATION_FAILED | PUBLICKEY_UNVERIFIED) => GitError::AuthRefused {
            url,
            status: message,
        },
        _ => connection(remote, error),
    }
}
