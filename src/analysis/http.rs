//! One HTTP request with its limits: of time, and of how much is read.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// So much of an answer is read.
const MOST: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot connect to {0}: {1}")]
    Connect(String, String),
    #[error("{0} did not answer: {1}")]
    Answer(String, String),
    #[error("{0} did not answer within {1:?}")]
    Late(String, Duration),
}

/// Sends a request without a body to the host of `url`.
pub(super) async fn send(
    url: &Url,
    request: http::request::Builder,
    timeout: Duration,
) -> Result<Response<Bytes>, Error> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or(80);
    let place = format!("{host}:{port}");
    let connect = async {
        TcpStream::connect((host.trim_matches(['[', ']']), port))
            .await
            .map_err(|error| Error::Connect(place.clone(), error.to_string()))
    };
    let stream = tokio::time::timeout(timeout, connect)
        .await
        .map_err(|_| Error::Connect(place.clone(), "no answer".to_owned()))??;
    let mut path = url.path().to_owned();
    if let Some(query) = url.query() {
        path = format!("{path}?{query}");
    }
    let request = request
        .uri(path)
        .body(Empty::<Bytes>::new())
        .map_err(|error| Error::Answer(place.clone(), error.to_string()))?;
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
    tokio::time::timeout(timeout, exchange)
        .await
        .map_err(|_| Error::Late(place.clone(), timeout))?
}

async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    place: &str,
) -> Result<Response<Bytes>, Error>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let failed = |error: hyper::Error| Error::Answer(place.to_owned(), error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(failed)?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(failed)?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MOST)
        .collect()
        .await
        .map_err(|error| Error::Answer(place.to_owned(), error.to_string()))?
        .to_bytes();
    connection.abort();
    Ok(Response::from_parts(head, body))
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
