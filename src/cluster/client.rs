//! The clients for the API server, and which requests they repeat. A pass asks for much: what goes wrong with one request of it
//! for a moment must not cost the pass. What lasts longer is the next pass's.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response};
use kube::client::Body;
use kube::{Client, Config};

use super::ClusterError;

/// How often one request is tried, all in all.
const TRIES: u32 = 3;
/// Before the second try where the server does not say when; before the third it is twice that.
const PAUSE: Duration = Duration::from_millis(200);
/// What a server may ask for with `Retry-After`: the API server under load says one second. For longer nothing waits here.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The client for requests, and the one for watches.
pub(super) fn clients(mut config: Config) -> Result<(Client, Client), ClusterError> {
    let failed = |source| ClusterError::new("set up the connection", source);
    config.connect_timeout = Some(Duration::from_secs(10));
    config.write_timeout = Some(Duration::from_secs(30));
    // Its retries can hold one call for minutes, and know nothing of connections that break.
    config.default_retry = false;
    config.read_timeout = Some(Duration::from_secs(30));
    let client = Client::try_from(config.clone()).map_err(failed)?;
    // Bookmarks come every minute: a watch that is silent for longer is dead.
    config.read_timeout = Some(Duration::from_mins(4));
    let watching = Client::try_from(config).map_err(failed)?;
    Ok((repeating(client), repeating(watching)))
}

/// The same client, but for requests that are tried again.
fn repeating(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| send(client.clone(), request));
    Client::new(service, namespace)
}

async fn send(client: Client, mut request: Request<Body>) -> Result<Response<Body>, kube::Error> {
    let repeatable = is_repeatable(&request);
    for number in 1..TRIES {
        let Some(copy) = copy(&request) else { break };
        let answer = client.send(request).await;
        match pause(&answer, repeatable, number) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return answer,
        }
        request = copy;
    }
    client.send(request).await
}

/// Whether the request may be done twice without a difference. A watch is not: who watches starts it again.
fn is_repeatable<B>(request: &Request<B>) -> bool {
    let watches = request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|part| part.starts_with("watch=")));
    let applies = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/apply-patch"));
    match *request.method() {
        Method::GET => !watches,
        Method::PATCH => applies,
        _ => false,
    }
}

/// How long to wait before the request is tried again; `None` where the answer stands. What the server wants to be asked
/// again was not done, whatever it is.
fn pause<B>(
    answer: &Result<Response<B>, kube::Error>,
    repeatable: bool,
    number: u32,
) -> Option<Duration> {
    let own = repeatable.then_some(PAUSE * number);
    match answer {
        Ok(answer) if answer.status().as_u16() == 429 || answer.status().is_server_error() => {
            match answer.headers().get(RETRY_AFTER) {
                Some(said) => {
                    let seconds = said.to_str().ok()?.trim().parse().ok()?;
                    Some(Duration::from_secs(seconds)).filter(|pause| *pause <= LONGEST_PAUSE)
                }
                None => own,
            }
        }
        Ok(_) => None,
        Err(error) if is_lost(error) => own,
        Err(_) => None,
    }
}

/// Whether the connection could not be made, or broke. An answer that did not come in time is another matter: that took
/// long enough.
fn is_lost(error: &kube::Error) -> bool {
    let connection = matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_));
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
        {
            return false;
        }
        source = error.source();
    }
    connection
}

fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const APPLY: &str = "application/apply-patch+yaml";

    fn request(method: Method, uri: &str, content: &str) -> Request<Body> {
        Request::builder()
            .method(method)
            .uri(uri)
            .header(CONTENT_TYPE, content)
            .body(Body::from(b"{}".to_vec()))
            .unwrap()
    }

    fn answer(code: u16, after: Option<&str>) -> Response<()> {
        let mut answer = Response::builder().status(code);
        if let Some(after) = after {
            answer = answer.header(RETRY_AFTER, after);
        }
        answer.body(()).unwrap()
    }

    fn broken(error: impl Into<tower::BoxError>) -> kube::Error {
        kube::Error::Service(error.into())
    }

    #[test]
    fn what_changes_something_each_time_is_not_repeated() {
        let cases = [
            (Method::GET, "/api/v1/pods", "", true),
            (Method::GET, "/api/v1/pods?watch=true", "", false),
            (Method::GET, "/api/v1/pods?limit=1&watch=1", "", false),
            (Method::PATCH, "/api/v1/pods/a?dryRun=All", APPLY, true),
            (Method::PATCH, "/a", "application/json-patch+json", false),
            (Method::PUT, "/a", "application/json", false),
            (Method::POST, "/a", "application/json", false),
            (Method::DELETE, "/a", "application/json", false),
        ];
        for (method, uri, content, repeatable) in cases {
            let request = request(method.clone(), uri, content);
            assert_eq!(is_repeatable(&request), repeatable, "{method} {uri}");
        }
    }

    #[test]
    fn how_long_it_waits() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let timeout = || broken(std::io::Error::from(std::io::ErrorKind::TimedOut));
        for repeatable in [false, true] {
            let own = |number| repeatable.then_some(PAUSE * number);
            let cases = [
                (Ok(answer(200, None)), None),
                (Ok(answer(404, Some("1"))), None),
                (Ok(answer(409, None)), None),
                (Ok(answer(429, Some("1"))), seconds(1)),
                (Ok(answer(503, Some("2"))), seconds(2)),
                // Never earlier than it was said: what would take too long is told.
                (Ok(answer(429, Some("3"))), None),
                (Ok(answer(429, Some("Wed, 21 Oct 2026 07:28:00 GMT"))), None),
                (Ok(answer(429, Some("99999999999999999999"))), None),
                (Ok(answer(502, None)), own(2)),
                (Err(broken("connection closed")), own(2)),
                (Err(timeout()), None),
            ];
            for (answer, pause) in cases {
                assert_eq!(super::pause(&answer, repeatable, 2), pause, "{answer:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_goes_on_is_told_after_three_tries() {
        for (code, after, tries) in [
            (200, "0", 1),
            (403, "0", 1),
            (429, "0", 3),
            (500, "0", 3),
            (503, "9", 1),
        ] {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let noted = seen.clone();
            let server = tower::service_fn(move |request: Request<Body>| {
                let noted = noted.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = http_body_util::BodyExt::collect(body).await?.to_bytes();
                    noted.lock().unwrap().push((head.method, body));
                    let answer = Response::builder().status(code).header(RETRY_AFTER, after);
                    Ok::<_, tower::BoxError>(answer.body(Body::empty())?)
                }
            });
            let client = repeating(Client::new(server, "default"));
            let answer = client
                .send(request(Method::POST, "/a", "application/json"))
                .await;
            assert_eq!(answer.unwrap().status(), code);
            let seen = seen.lock().unwrap();
            assert_eq!(seen.len(), tries, "{code} {after}");
            assert!(
                seen.iter()
                    .all(|(method, body)| method == Method::POST && **body == *b"{}")
            );
        }
    }
}
