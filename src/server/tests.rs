use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use axum::body::to_bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;

const BODY: &str = "{\"ref\":\"refs/heads/main\"}";

#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<Name>>>);

/// `shop/shop` has the token `hunter2`, `shop/empty` an empty one, `shop/lost` names a Secret that is not there, `shop/plain`
/// has no webhook; `shop/down` cannot be asked for.
fn server(asked: &Asked) -> (Router, watch::Sender<bool>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let (set_ready, ready) = watch::channel(false);
    let asked = asked.clone();
    let hooks = Hooks::new(
        |name| match (name.namespace.as_str(), name.repository.as_str()) {
            ("shop", name @ ("shop" | "empty" | "lost" | "down")) => Some(name.to_owned()),
            _ => None,
        },
        async |namespace: String, secret: String| {
            assert_eq!(namespace, "shop");
            Ok(match secret.as_str() {
                "shop" | "down" => Some(b"hunter2".to_vec()),
                "empty" => Some(Vec::new()),
                _ => None,
            })
        },
        move |name: Name| {
            let asked = asked.clone();
            async move {
                anyhow::ensure!(name.repository != "down", "the API server is down");
                asked.0.lock().unwrap().push(name);
                Ok(())
            }
        },
    );
    let server = Server {
        metrics: metrics.clone(),
        ready,
        hooks: Arc::new(hooks),
    };
    (router(server), set_ready, metrics)
}

fn sign(token: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let digest = mac.finalize().into_bytes();
    let pairs: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.concat()
}

async fn send(
    router: &Router,
    path: &str,
    header: (&str, &str),
    body: impl Into<Body>,
) -> (u16, String) {
    let request = Request::post(path)
        .header(header.0, header.1)
        .body(body.into())
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn get_text(router: &Router, path: &str) -> (u16, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn each_git_servers_signature_is_taken() {
    let good = sign("hunter2", BODY);
    let upper = good.to_uppercase();
    let prefixed = format!("sha256={good}");
    for header in [
        ("x-hub-signature-256", prefixed.as_str()),
        ("x-gitea-signature", &good),
        ("x-gogs-signature", &good),
        ("x-signature-256", &good),
        ("x-signature-256", &prefixed),
        ("x-gitea-signature", &upper),
        ("x-gitlab-token", "hunter2"),
    ] {
        let asked = Asked::default();
        let (router, ..) = server(&asked);
        let answer = send(&router, "/hooks/shop/shop", header, BODY).await;
        assert_eq!(
            answer,
            (202, "{\"status\":\"accepted\"}\n".to_owned()),
            "{header:?}"
        );
        assert_eq!(asked.0.lock().unwrap().len(), 1, "{header:?}");
    }
}

#[tokio::test]
async fn everything_else_is_refused_alike_and_asks_for_nothing() {
    let good = format!("sha256={}", sign("hunter2", BODY));
    let other_token = format!("sha256={}", sign("hunter3", BODY));
    let no_token = format!("sha256={}", sign("", BODY));
    let other_body = format!("sha256={}", sign("hunter2", "{}"));
    let asked = Asked::default();
    let (router, _, metrics) = server(&asked);
    let cases = [
        ("/hooks/shop/shop", ("x-other", "1")),
        ("/hooks/shop/shop", ("x-hub-signature-256", "")),
        ("/hooks/shop/shop", ("x-hub-signature-256", "sha256=")),
        ("/hooks/shop/shop", ("x-hub-signature-256", &good[..70])),
        ("/hooks/shop/shop", ("x-hub-signature-256", &other_token)),
        ("/hooks/shop/shop", ("x-hub-signature-256", &other_body)),
        ("/hooks/shop/shop", ("x-hub-signature", &good)),
        ("/hooks/shop/shop", ("x-gitlab-token", "")),
        ("/hooks/shop/shop", ("x-gitlab-token", "hunter22")),
        ("/hooks/shop/plain", ("x-hub-signature-256", &good)),
        ("/hooks/shop/plain", ("x-hub-signature-256", &no_token)),
        ("/hooks/shop/empty", ("x-hub-signature-256", &no_token)),
        ("/hooks/shop/empty", ("x-gitlab-token", "")),
        ("/hooks/shop/lost", ("x-hub-signature-256", &no_token)),
        ("/hooks/shop/nobody", ("x-hub-signature-256", &good)),
        ("/hooks/other/shop", ("x-hub-signature-256", &good)),
        ("/hooks/shop/..%2fshop", ("x-hub-signature-256", &good)),
    ];
    for (path, header) in cases {
        let answer = send(&router, path, header, BODY).await;
        assert_eq!(
            answer,
            (401, "{\"status\":\"refused\"}\n".to_owned()),
            "{path} {header:?}"
        );
    }
    assert!(asked.0.lock().unwrap().is_empty());
    let counted = format!(
        "driftless_webhooks_total{{outcome=\"refused\"}} {}",
        cases.len()
    );
    assert!(metrics.exposition().contains(&counted));
}

#[tokio::test]
async fn a_repository_is_asked_for_once_a_second_and_the_last_push_is_not_lost() {
    let asked = Asked::default();
    let (router, ..) = server(&asked);
    let push = async || {
        send(
            &router,
            "/hooks/shop/shop",
            ("x-gitlab-token", "hunter2"),
            BODY,
        )
        .await
    };
    assert!(push().await.1.contains("accepted"));
    for _ in 0..5 {
        assert!(push().await.1.contains("coalesced"));
    }
    assert_eq!(asked.0.lock().unwrap().len(), 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(asked.0.lock().unwrap().len(), 2, "the five as one");
    assert!(
        push().await.1.contains("coalesced"),
        "the second request was just now"
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(asked.0.lock().unwrap().len(), 3);
    assert!(push().await.1.contains("accepted"));
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_said_and_can_be_tried_again_at_once() {
    let (router, ..) = server(&Asked::default());
    for _ in 0..2 {
        let (status, _) = send(
            &router,
            "/hooks/shop/down",
            ("x-gitlab-token", "hunter2"),
            BODY,
        )
        .await;
        assert_eq!(status, 503);
    }
}

#[tokio::test]
async fn large_bodies_are_refused_whether_announced_or_not() {
    let asked = Asked::default();
    let (router, ..) = server(&asked);
    let token = ("x-gitlab-token", "hunter2");
    let chunks =
        futures::stream::repeat_with(|| Ok::<_, std::convert::Infallible>(vec![0_u8; 1 << 20]));
    let endless = Body::from_stream(chunks);
    assert_eq!(
        send(&router, "/hooks/shop/shop", token, endless).await.0,
        413
    );
    let announced = Request::post("/hooks/shop/shop")
        .header("content-length", "99999999")
        .header("x-gitlab-token", "hunter2")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        router.oneshot(announced).await.unwrap().status().as_u16(),
        413
    );
    assert!(asked.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn probes_and_metrics() {
    let (router, ready, metrics) = server(&Asked::default());
    assert_eq!(get_text(&router, "/healthz").await.0, 200);
    assert_eq!(get_text(&router, "/readyz").await.0, 503);
    ready.send_replace(true);
    assert_eq!(get_text(&router, "/readyz").await.0, 200);
    metrics.leads(true);
    let (status, text) = get_text(&router, "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("driftless_leader 1\n"));
    assert_eq!(get_text(&router, "/hooks/shop/shop").await.0, 405);
    assert_eq!(get_text(&router, "/").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_hung_up_on_and_delays_nobody() {
    let (router, ..) = server(&Asked::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let limits = Limits {
        connections: 2,
        header_time: Duration::from_millis(200),
        drain_time: Duration::from_secs(1),
    };
    let stopped = stop.clone();
    let running =
        tokio::spawn(async move { serve(listener, router, limits, stopped.cancelled()).await });
    let answer = tokio::task::spawn_blocking(move || {
        let slow: Vec<_> = (0..2)
            .map(|_| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(b"GET /healthz HT").unwrap();
                stream
            })
            .collect();
        // Both places are taken; this one waits for one of them.
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        drop(slow);
        answer
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), running).await;
    ended.unwrap().unwrap();
}
