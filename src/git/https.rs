//! A server that speaks Git's smart protocol over https. Credentials go to the URL's own host only, inside TLS.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::credentials::Credentials;
use super::deadline::Deadline;
use super::error::GitError;
use super::protocol::{Advertisement, Answer, Packets};
use super::refs::RemoteRefs;
use super::remote::Remote;
use super::tls::{self, chain};
use super::transport::Customer;

const MAX_REDIRECTS: usize = 3;
const LIST: &str = "/info/refs?service=git-upload-pack";
/// Some servers take only a client that calls itself git for one.
const USER_AGENT: &str = concat!("git/2.0 (driftless ", env!("CARGO_PKG_VERSION"), ")");

pub(super) fn converse(
    remote: &Remote,
    cancel: &AtomicBool,
    customer: &mut dyn Customer,
) -> Result<RemoteRefs, GitError> {
    let deadline = Deadline::new(remote, cancel);
    runtime(remote)?.block_on(async {
        let (mut connection, advertisement) = Connection::advertised(&deadline).await?;
        if let Some(order) = customer.order(&advertisement.refs)? {
            let request = advertisement
                .request(&order)
                .map_err(|error| remote.protocol(error))?;
            connection.receive(request, customer).await?;
        }
        Ok(advertisement.refs)
    })
}

/// A conversation is one thread's: it blocks, and nothing of it outlives it.
fn runtime(remote: &Remote) -> Result<Runtime, GitError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| connect_failed(remote, &error))
}

fn connect_failed(remote: &Remote, error: &dyn Error) -> GitError {
    GitError::Connect {
        url: remote.url.clone(),
        message: chain(error),
    }
}

/// One connection, and the path under which the repository answered.
struct Connection<'a> {
    deadline: &'a Deadline<'a>,
    sender: SendRequest<Full<Bytes>>,
    path: String,
}

impl<'a> Connection<'a> {
    /// Connects and reads the refs, following redirects that stay on the host.
    async fn advertised(
        deadline: &'a Deadline<'a>,
    ) -> Result<(Connection<'a>, Advertisement), GitError> {
        let mut path = deadline.remote.url.request_path().to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let mut connection = Self::open(deadline, path).await?;
            let response = connection.send(&Method::GET, LIST, Bytes::new()).await?;
            if response.status().is_redirection() {
                path = connection.redirected(&response)?;
                continue;
            }
            connection.check(&response, "application/x-git-upload-pack-advertisement")?;
            let advertisement = connection.read_advertisement(response).await?;
            return Ok((connection, advertisement));
        }
        Err(GitError::Redirect {
            url: deadline.remote.url.clone(),
            target: "itself again and again".to_owned(),
        })
    }

    async fn open(deadline: &'a Deadline<'a>, path: String) -> Result<Self, GitError> {
        let remote = deadline.remote;
        let stream = deadline
            .wait("connecting", remote.limits.connect, connect(remote))
            .await??;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| connect_failed(remote, &error))?;
        tokio::spawn(async move {
            // Its errors reach the request that is under way.
            let _ = connection.await;
        });
        Ok(Self {
            deadline,
            sender,
            path,
        })
    }

    async fn send(
        &mut self,
        method: &Method,
        action: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, GitError> {
        let remote = self.deadline.remote;
        let request = request(remote, method, &format!("{}{action}", self.path), body)?;
        self.deadline
            .wait(
                "waiting for an answer",
                remote.limits.idle,
                self.sender.send_request(request),
            )
            .await?
            .map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &dyn Error) -> GitError {
        GitError::Connection {
            url: self.deadline.remote.url.clone(),
            message: chain(error),
        }
    }

    /// The path that a redirect leads to. Another host, port or scheme is refused: it would get the credentials.
    fn redirected(&self, response: &Response<Incoming>) -> Result<String, GitError> {
        let url = &self.deadline.remote.url;
        let refused = |target: String| GitError::Redirect {
            url: url.clone(),
            target,
        };
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|location| location.to_str().ok())
            .ok_or_else(|| refused("nowhere".to_owned()))?;
        let here = url::Url::parse(&url.to_string())
            .and_then(|base| base.join(&format!("{}{LIST}", self.path)))
            .map_err(|error| self.broken(&error))?;
        let target = here
            .join(location)
            .map_err(|_| refused("what is no URL".to_owned()))?;
        let shown = format!(
            "{}://{}{}",
            target.scheme(),
            target.host_str().unwrap_or_default(),
            target
                .port()
                .map(|port| format!(":{port}"))
                .unwrap_or_default()
        );
        if target.origin() != here.origin() || !target.username().is_empty() {
            return Err(refused(shown));
        }
        let same = target.query() == here.query();
        match target.path().strip_suffix("/info/refs") {
            Some(path) if same => Ok(path.to_owned()),
            _ => Err(GitError::NotGit {
                url: url.clone(),
                message: format!("the server redirects to {shown}{}", target.path()),
            }),
        }
    }

    /// That a Git server answers, and yes.
    fn check(&self, response: &Response<Incoming>, expected: &str) -> Result<(), GitError> {
        let remote = self.deadline.remote;
        let url = remote.url.clone();
        let status = response.status();
        let text = format!("HTTP {status}");
        let anonymous = remote.access.credentials == Credentials::None;
        match status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if anonymous => {
                return Err(GitError::AuthNeeded { url, status: text });
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(GitError::AuthRefused { url, status: text });
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                return Err(GitError::NotFound { url, status: text });
            }
            StatusCode::TOO_MANY_REQUESTS => {
                return Err(GitError::Unavailable { url, status: text });
            }
            _ if status.is_server_error() => {
                return Err(GitError::Unavailable { url, status: text });
            }
            _ => return Err(GitError::NotGit { url, message: text }),
        }
        let kind = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .and_then(|kind| kind.split(';').next())
            .map(str::trim)
            .unwrap_or_default();
        if kind == expected {
            return Ok(());
        }
        let message = if kind == "text/html" {
            "the server answers with a web page, perhaps a login page".to_owned()
        } else {
            format!("the server answers with {kind:?}")
        };
        Err(GitError::NotGit { url, message })
    }

    /// The next bytes of a body; `None` at its end.
    async fn next(&self, body: &mut Incoming) -> Result<Option<Bytes>, GitError> {
        let idle = self.deadline.remote.limits.idle;
        loop {
            let frame = self
                .deadline
                .wait("waiting for data", idle, body.frame())
                .await?;
            let Some(frame) = frame else {
                return Ok(None);
            };
            if let Ok(data) = frame.map_err(|error| self.broken(&error))?.into_data() {
                return Ok(Some(data));
            }
        }
    }

    async fn read_advertisement(
        &self,
        response: Response<Incoming>,
    ) -> Result<Advertisement, GitError> {
        let remote = self.deadline.remote;
        let mut body = response.into_body();
        let mut advertisement = Advertisement::default();
        let mut packets = Packets::default();
        let mut received = 0;
        while let Some(bytes) = self.next(&mut body).await? {
            received += bytes.len() as u64;
            if received > remote.limits.refs {
                return Err(GitError::Limit {
                    url: remote.url.clone(),
                    what: "bytes in the list of refs",
                    limit: remote.limits.refs,
                });
            }
            packets.push(&bytes);
            while let Some(packet) = packets.next().map_err(|error| remote.protocol(error))? {
                advertisement
                    .feed(&packet)
                    .map_err(|error| remote.protocol(error))?;
            }
        }
        if !advertisement.complete || !packets.is_empty() {
            return Err(remote.cut());
        }
        Ok(advertisement)
    }

    async fn receive(
        &mut self,
        request: Vec<u8>,
        customer: &mut dyn Customer,
    ) -> Result<(), GitError> {
        let remote = self.deadline.remote;
        let response = self
            .send(&Method::POST, "/git-upload-pack", request.into())
            .await?;
        if response.status().is_redirection() {
            return Err(GitError::Redirect {
                url: remote.url.clone(),
                target: "another place in the middle of a fetch".to_owned(),
            });
        }
        self.check(&response, "application/x-git-upload-pack-result")?;
        let mut body = response.into_body();
        let mut packets = Packets::default();
        let mut answer = Answer::default();
        while let Some(bytes) = self.next(&mut body).await? {
            packets.push(&bytes);
            while let Some(packet) = packets.next().map_err(|error| remote.protocol(error))? {
                let pack = answer
                    .feed(&packet)
                    .map_err(|error| remote.protocol(error))?;
                if let Some(pack) = pack {
                    customer.take(pack)?;
                }
            }
        }
        if !answer.complete {
            return Err(remote.cut());
        }
        Ok(())
    }
}

async fn connect(remote: &Remote) -> Result<TlsStream<TcpStream>, GitError> {
    let host = remote.url.host().unwrap_or_default();
    let failed = |problem| GitError::Tls {
        url: remote.url.clone(),
        problem,
    };
    let name =
        ServerName::try_from(host.to_owned()).map_err(|error| connect_failed(remote, &error))?;
    let config = tls::config(remote).map_err(failed)?;
    let stream = TcpStream::connect((host, remote.url.port()))
        .await
        .map_err(|error| connect_failed(remote, &error))?;
    // Without it the request of a fetch waits for the answer to its first packet.
    stream
        .set_nodelay(true)
        .map_err(|error| connect_failed(remote, &error))?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| {
            // A connection that breaks in the handshake says nothing of certificates.
            let inner = error.get_ref();
            let of_tls = inner.is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some());
            if of_tls {
                failed(tls::problem(&error))
            } else {
                connect_failed(remote, &error)
            }
        })
}

fn request(
    remote: &Remote,
    method: &Method,
    path: &str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, GitError> {
    let host = remote.url.host().unwrap_or_default();
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let host = match remote.url.port() {
        443 => host,
        port => format!("{host}:{port}"),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*");
    if *method == Method::POST {
        request = request.header(
            header::CONTENT_TYPE,
            "application/x-git-upload-pack-request",
        );
    }
    if let Some(authorization) = authorization(&remote.access.credentials) {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    request
        .body(Full::new(body))
        .map_err(|error| connect_failed(remote, &error))
}

fn authorization(credentials: &Credentials) -> Option<HeaderValue> {
    let pair = match credentials {
        Credentials::Basic { username, password } => format!("{username}:{password}"),
        // GitHub, GitLab, Gitea, Forgejo and Azure look only at the token; the name must not be empty.
        Credentials::Token(token) => format!("x-access-token:{token}"),
        Credentials::None | Credentials::Ssh { .. } => return None,
    };
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}
