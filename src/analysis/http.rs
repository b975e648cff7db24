//! One HTTP request with its limits: of time, of how much is read, and of where it goes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use url::Url;

use super::headers::Headers;

/// So much of an answer is read; what comes after it is not waited for.
const MOST: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot connect to {0}: {1}")]
    Connect(String, String),
    #[error("cannot connect to {0}: {1}")]
    Refused(String, std::io::Error),
    #[error("{0} did not answer: {1}")]
    Answer(String, String),
    #[error("{0} did not answer within {1:?}")]
    Late(String, Duration),
}

/// What is sent, and how long it may take from the connection to the last byte.
pub(super) struct Call<'a> {
    pub method: Method,
    pub headers: &'a Headers,
    pub body: String,
    pub timeout: Duration,
}

/// Sends a request to the host of `url`, on a connection of its own. Redirects are not followed.
pub(super) async fn send(url: &Url, call: Call<'_>) -> Result<Response<Bytes>, Error> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or(80);
    let place = format!("{host}:{port}");
    let timeout = call.timeout;
    let deadline = Instant::now() + timeout;
    let request = request(url, &host, call)
        .map_err(|error| Error::Answer(place.clone(), error.to_string()))?;
    let stream = tokio::time::timeout_at(deadline, connect(host.trim_matches(['[', ']']), port))
        .await
        .map_err(|_| Error::Connect(place.clone(), "no answer".to_owned()))?
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => Error::Refused(place.clone(), error),
            _ => Error::Connect(place.clone(), error.to_string()),
        })?;
    let exchange = async {
        if url.scheme() == "https" {
            let name = ServerName::try_from(host.clone())
                .map_err(|error| Error::Connect(place.clone(), error.to_string()))?;
            let stream = TlsConnector::from(tls())
                .connect(name, stream)
                .await
                .map_err(|error| Error::Connect(place.clone(), error.to_string()))?;
            exchange(TokioIo::new(stream), request, &place).await
        } else {
            exchange(TokioIo::new(stream), request, &place).await
        }
    };
    tokio::time::timeout_at(deadline, exchange)
        .await
        .map_err(|_| Error::Late(place.clone(), timeout))?
}

fn request(url: &Url, host: &str, call: Call<'_>) -> Result<Request<Full<Bytes>>, http::Error> {
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let mut request = Request::builder().method(call.method).uri(path);
    if !call
        .headers
        .all
        .iter()
        .any(|(name, _)| name == header::HOST)
    {
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        request = request.header(header::HOST, host);
    }
    for (name, value) in &call.headers.all {
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::from(call.body)))
}

async fn connect(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let all = tokio::net::lookup_host((host, port)).await?;
    let addresses: Vec<SocketAddr> = all
        .filter(|address| !is_of_the_cloud(address.ip()))
        .collect();
    if addresses.is_empty() {
        return Err(std::io::Error::other(
            "checks are not sent to link-local addresses, nor to a cloud's metadata service",
        ));
    }
    TcpStream::connect(&addresses[..]).await
}

/// There the cloud answers for the machine, and who may write a policy is not who may ask it.
fn is_of_the_cloud(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || METADATA.contains(&address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => is_of_the_cloud(IpAddr::V4(address)),
            None => address.is_unicast_link_local() || METADATA_6.contains(&address),
        },
    }
}

/// What is not link-local: Azure's and Alibaba Cloud's.
const METADATA: [Ipv4Addr; 2] = [
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
];
/// AWS's (for machines, and for pods), and Google Cloud's.
const METADATA_6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    place: &str,
) -> Result<Response<Bytes>, Error>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let failed = |error: hyper::Error| Error::Answer(place.to_owned(), error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(failed)?;
    let connection = AbortOnDrop(tokio::spawn(connection).abort_handle());
    let answer = sender.send_request(request).await.map_err(failed)?;
    let (head, mut body) = answer.into_parts();
    let mut read = Vec::new();
    while read.len() < MOST
        && let Some(frame) = body.frame().await
    {
        if let Some(data) = frame.map_err(failed)?.data_ref() {
            read.extend_from_slice(data);
        }
    }
    read.truncate(MOST);
    drop(connection);
    Ok(Response::from_parts(head, Bytes::from(read)))
}

/// A request that is given up leaves no connection.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The system's authorities.
fn tls() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    CONFIG
        .get_or_init(|| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Arc::new(
                ClientConfig::builder()
                    .with_root_certificates(roots)
                    .with_no_client_auth(),
            )
        })
        .clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_s_metadata_is_not_asked() {
        let is = |text: &str| is_of_the_cloud(text.parse().unwrap());
        assert!(is("169.254.169.254") && is("fe80::1") && is("::ffff:169.254.169.254"));
        assert!(is("fd00:ec2::254") && is("fd00:ec2::23") && is("fd20:ce::254"));
        assert!(is("168.63.129.16") && is("::ffff:100.100.100.200"));
        assert!(!is("10.0.0.1") && !is("127.0.0.1") && !is("fd00:ec2::1"));
    }

    #[test]
    fn the_host_is_that_of_the_url_unless_a_header_says_otherwise() {
        let host = |url: &str, headers: &Headers| {
            let url = Url::parse(url).unwrap();
            let call = Call {
                method: Method::POST,
                headers,
                body: "x".to_owned(),
                timeout: Duration::ZERO,
            };
            let request = request(&url, url.host_str().unwrap(), call).unwrap();
            (request.uri().to_string(), request.headers()["host"].clone())
        };
        let none = Headers::default();
        let seen = host("http://[fd00::1]:8080/a?b=c", &none);
        assert_eq!(
            seen,
            ("/a?b=c".to_owned(), "[fd00::1]:8080".parse().unwrap())
        );
        assert_eq!(host("https://example.com", &none).1, "example.com");
        let mut named = Headers::default();
        named.all.push((header::HOST, "shop".parse().unwrap()));
        assert_eq!(host("http://10.0.0.1", &named).1, "shop");
    }
}
