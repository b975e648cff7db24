//! The clients for the API server, and which requests they repeat. A pass asks for much: what goes wrong with one request of it
//! for a moment must not cost the pass. What lasts longer is the next pass's.

use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response};
use kube::client::{AuthError, Body};
use kube::{Client, Config};

use super::ClusterError;

/// How often one request is tried, all in all.
const TRIES: u32 = 3;
/// At least so long it waits before the second try; before the third twice that.
const PAUSE: Duration = Duration::from_millis(200);
/// No try begins later than this after the first: who asked has looked whether it leads before the first one, and the lease
/// lasts that much longer than `Leadership` says. A server under load asks for one second at first, and then for more.
const LAST_TRY: Duration = Duration::from_secs(3);

/// The client for requests, and the one for watches.
pub(super) fn clients(mut config: Config) -> Result<(Client, Client), ClusterError> {
    let failed = |source| ClusterError::new("set up the connection", source);
    config.connect_timeout = Some(Duration::from_secs(10));
    config.write_timeout = Some(Duration::from_secs(30));
    // Its retries can hold one call for minutes, and know nothing of connections that break.
    config.default_retry = false;
    config.read_timeout = Some(Duration::from_secs(30));
    // From when a request is sent, not from when its connection was last used.
    config.reset_reader_on_write = true;
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
    let began = Instant::now();
    let repeatable = is_repeatable(&request);
    for number in 1..TRIES {
        let Some(copy) = copy(&request) else { break };
        let answer = client.send(request).await;
        let left = LAST_TRY.saturating_sub(began.elapsed());
        let Some(pause) = pause(&answer, repeatable, number).filter(|pause| *pause <= left) else {
            return answer;
        };
        let (method, path) = (copy.method(), copy.uri().path());
        let failure = match &answer {
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.to_string(),
        };
        tracing::debug!(%method, path, failure, ?pause, "the API server is asked again");
        tokio::time::sleep(pause).await;
        request = copy;
    }
    client.send(request).await
}

/// Whether the request may be done twice without a difference. A watch that failed is not begun again here, but by who watches.
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

/// How long to wait before the request is tried again; `None` where the answer stands. What was turned away (429 or 503, with a
/// time) was not done, whatever it is; of what else failed in the server, or got no answer, nobody knows.
fn pause<B>(
    answer: &Result<Response<B>, kube::Error>,
    repeatable: bool,
    number: u32,
) -> Option<Duration> {
    let own = PAUSE * number;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return (repeatable && is_broken(error)).then_some(own),
    };
    let status = answer.status();
    let said = answer.headers().get(RETRY_AFTER);
    let turned_away = said.is_some() && matches!(status.as_u16(), 429 | 503);
    if !turned_away && !(repeatable && (status.as_u16() == 429 || status.is_server_error())) {
        return None;
    }
    match said {
        Some(said) => {
            let seconds = said.to_str().ok()?.trim().parse().ok()?;
            Some(Duration::from_secs(seconds).max(own))
        }
        None => Some(own),
    }
}

/// Whether the connection could not be made, or broke before the answer began: not, that there is nobody to log in as, nor
/// that nothing came in time.
fn is_broken(error: &kube::Error) -> bool {
    if !matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_)) {
        return false;
    }
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        let late = error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
        if late || error.is::<AuthError>() {
            return false;
        }
        source = error.source();
    }
    true
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

    use http::{HeaderMap, Uri};
    use http_body_util::BodyExt;

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
        for (repeatable, number) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
            let if_repeatable = |pause: Option<Duration>| pause.filter(|_| repeatable);
            let own = if_repeatable(Some(PAUSE * number));
            let cases = [
                (Ok(answer(200, None)), None),
                (Ok(answer(404, Some("1"))), None),
                (Ok(answer(409, None)), None),
                (Ok(answer(429, Some("1"))), seconds(1)),
                (Ok(answer(503, Some("2"))), seconds(2)),
                (Ok(answer(429, Some("0"))), Some(PAUSE * number)),
                // It may have been done.
                (Ok(answer(504, Some("1"))), if_repeatable(seconds(1))),
                (Ok(answer(500, None)), own),
                (Ok(answer(503, None)), own),
                (Ok(answer(429, None)), own),
                (Ok(answer(429, Some("Wed, 21 Oct 2026 07:28:00 GMT"))), None),
                (Ok(answer(429, Some("99999999999999999999"))), None),
                (Err(broken("connection closed")), own),
                (Err(timeout()), None),
                (Err(broken(AuthError::UnrefreshableTokenResponse)), None),
            ];
            for (answer, pause) in cases {
                assert_eq!(
                    super::pause(&answer, repeatable, number),
                    pause,
                    "{answer:?}"
                );
            }
        }
    }

    type Seen = (Method, Uri, HeaderMap, Vec<u8>);

    /// A server that answers so, each time the next; the requests that it saw.
    fn server(answers: Vec<Result<Response<()>, &'static str>>) -> (Client, Arc<Mutex<Vec<Seen>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        let server = tower::service_fn(move |request: Request<Body>| {
            let (noted, answers) = (noted.clone(), answers.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes().to_vec();
                let mut noted = noted.lock().unwrap();
                noted.push((head.method, head.uri, head.headers, body));
                match &answers[noted.len() - 1] {
                    Ok(answer) => Ok(answer.clone().map(|()| Body::empty())),
                    Err(error) => Err(tower::BoxError::from(*error)),
                }
            }
        });
        (repeating(Client::new(server, "default")), seen)
    }

    #[tokio::test]
    async fn what_goes_wrong_once_is_tried_again_where_that_makes_no_difference() {
        let merge = "application/merge-patch+json";
        for failure in [Err("connection closed"), Ok(answer(500, None))] {
            for (method, content, tries) in [
                (Method::GET, "", 2),
                (Method::PATCH, APPLY, 2),
                (Method::PATCH, merge, 1),
                (Method::PUT, "application/json", 1),
            ] {
                let (client, seen) = server(vec![failure.clone(), Ok(answer(200, None))]);
                let mut request = request(method.clone(), "/a?fieldManager=b", content);
                let deployer = "system:serviceaccount:shop:deployer".parse().unwrap();
                request.headers_mut().insert("impersonate-user", deployer);
                let sent = (
                    method.clone(),
                    request.uri().clone(),
                    request.headers().clone(),
                    b"{}".to_vec(),
                );
                let answer = client.send(request).await;
                let well = answer.is_ok_and(|answer| answer.status() == 200);
                assert_eq!(well, tries == 2, "{method} {content} {failure:?}");
                let seen = seen.lock().unwrap();
                assert_eq!(*seen, vec![sent; tries], "{failure:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_goes_on_is_told_after_three_tries_and_what_takes_longer_at_once() {
        let never = u64::MAX.to_string();
        for (code, after, tries) in [
            (403, "0", 1),
            (429, "0", 3),
            (503, "0", 3),
            (429, "2", 2),
            (429, "4", 1),
            (429, never.as_str(), 1),
        ] {
            let (client, seen) = server(vec![Ok(answer(code, Some(after))); 3]);
            let request = request(Method::POST, "/a", "application/json");
            assert_eq!(client.send(request).await.unwrap().status(), code);
            assert_eq!(seen.lock().unwrap().len(), tries, "{code} {after}");
        }
    }
}
