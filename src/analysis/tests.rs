//! Verdicts on what servers really say, over real connections.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;
use crate::api::{
    Builtin, CompareSpec, HttpCheck, HumanDuration, JsonCheck, PrometheusCheck, Router,
};

/// A server that answers each request head with what `answer` has for it: an empty answer closes the connection, `None` keeps
/// silent.
struct Server {
    port: u16,
    /// The heads of all requests.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let (log, answer) = (seen.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, log, answer) = (stream.unwrap(), log.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") {
                        if stream.read_exact(&mut byte).is_err() {
                            return;
                        }
                        head.push(byte[0]);
                    }
                    let head = String::from_utf8(head).unwrap();
                    log.lock().unwrap().push(head.clone());
                    match answer(&head) {
                        Some(text) => {
                            let _ = stream.write_all(text.as_bytes());
                        }
                        // Until the other side gives up.
                        None => while matches!(stream.read(&mut byte), Ok(1)) {},
                    }
                });
            }
        });
        Self { port, seen }
    }

    fn saying(status: u16, body: &str) -> Self {
        let text = said(status, body);
        Self::start(move |_| Some(text.clone()))
    }

    fn pod(&self) -> Target {
        Target {
            name: "api-canary-1".to_owned(),
            ip: "127.0.0.1".to_owned(),
            port: Some(self.port),
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn said(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn seconds(seconds: u64) -> HumanDuration {
    HumanDuration::from_secs(seconds)
}

fn names() -> Names {
    Names {
        namespace: "shop".to_owned(),
        workload: "api".to_owned(),
        service: "api".to_owned(),
        stable_hash: Some("5d8f".to_owned()),
        ..Names::default()
    }
}

#[tokio::test]
async fn what_pods_answer() {
    let check = |timeout: u64| HttpCheck {
        path: "/cart?x=1".to_owned(),
        method: Some("POST".to_owned()),
        requests: Some(3),
        timeout: Some(seconds(timeout)),
        ..HttpCheck::default()
    };
    let headers = Headers::default();
    let well = Server::saying(200, "ok");
    let one = probe::probe(&check(5), &headers, &[well.pod()]).await.0;
    assert_eq!(one, (Outcome::Pass, "200".to_owned()));
    let seen = well.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 3);
    assert!(
        seen[0].starts_with("POST /cart?x=1 HTTP/1.1\r\n"),
        "{}",
        seen[0]
    );

    let ill = Server::saying(500, "");
    let both = probe::probe(&check(5), &headers, &[well.pod(), ill.pod()])
        .await
        .0;
    assert_eq!(both.0, Outcome::Fail);
    assert_eq!(both.1, "pod api-canary-1: 500 (request 1 of 3)");

    let closes = Server::start(|_| Some(String::new()));
    let told = probe::probe(&check(5), &headers, &[closes.pod()]).await.0;
    assert!(
        told.0 == Outcome::Fail && told.1.contains("did not answer"),
        "{told:?}"
    );

    let silent = Server::start(|_| None);
    let told = probe::probe(&check(1), &headers, &[silent.pod()]).await.0;
    assert!(
        told.0 == Outcome::Fail && told.1.contains("within 1s"),
        "{told:?}"
    );

    let refused = Target {
        port: Some(1),
        ..well.pod()
    };
    let told = probe::probe(&check(5), &headers, &[refused]).await.0;
    assert!(
        told.0 == Outcome::Fail && told.1.contains("cannot connect"),
        "{told:?}"
    );
    let nowhere = Target {
        ip: "nobody.invalid".to_owned(),
        ..well.pod()
    };
    let told = probe::probe(&check(5), &headers, &[nowhere]).await.0;
    assert!(
        told.0 == Outcome::NoData && told.1.contains("cannot connect"),
        "{told:?}"
    );
    let none = probe::probe(&check(5), &headers, &[]).await.0;
    assert_eq!(none.0, Outcome::NoData);
}

/// Prometheus's answer for a value at a time.
fn value(at: f64, value: &str) -> String {
    said(
        200,
        &format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[{at},"{value}"]}}]}}}}"#
        ),
    )
}

const NOW: i64 = 1_795_288_011;

async fn ask(check: &PrometheusCheck) -> (Outcome, String) {
    let now = Timestamp::from_second(NOW).unwrap();
    let traffic = TrafficSpec::default();
    prometheus::query(check, Some(&traffic), &Headers::default(), &names(), now).await
}

#[tokio::test]
async fn the_stable_side_is_asked_for_the_same_time() {
    let server = Server::start(|head| {
        let at = if head.contains("time=1795288010.5") {
            1_795_288_010.5
        } else {
            1.0
        };
        Some(if head.contains("timestamp%28") {
            value(at, "1795288010.5")
        } else if head.contains("5d8f") {
            value(at, "0.2")
        } else {
            value(1_795_288_010.5, "0.3")
        })
    });
    let check = PrometheusCheck {
        url: server.url(),
        query: Some("a{pod=~\"{{pods}}\"}".to_owned()),
        compare: Some(CompareSpec {
            max_ratio: Some(1.2),
            ..CompareSpec::default()
        }),
        ..PrometheusCheck::default()
    };
    let (outcome, told) = ask(&check).await;
    assert_eq!(
        told,
        "canary 0.3, stable 0.2: the ratio 1.5 is more than 1.2"
    );
    assert_eq!(outcome, Outcome::Fail);
    let seen = server.seen.lock().unwrap().clone();
    let stable = seen.iter().find(|head| head.contains("5d8f")).unwrap();
    assert!(stable.contains("&time=1795288010.5 "), "{stable}");
}

#[tokio::test]
async fn what_prometheus_does_not_know_is_no_data() {
    let now = f64::from(i32::try_from(NOW).unwrap());
    let query = |server: &Server| PrometheusCheck {
        url: server.url(),
        query: Some("job:errors:ratio".to_owned()),
        window: Some(seconds(60)),
        max: Some(1.0),
        ..PrometheusCheck::default()
    };
    let no_data = async |server: &Server, why: &str| {
        let (outcome, told) = ask(&query(server)).await;
        assert!(
            outcome == Outcome::NoData && told.contains(why),
            "{outcome:?}: {told}"
        );
    };
    // A recording rule that is no longer evaluated.
    let old = (now - 200.0).to_string();
    let stale = Server::start(move |head| {
        let text = if head.contains("timestamp%28") {
            old.as_str()
        } else {
            "0.1"
        };
        Some(value(now, text))
    });
    no_data(&stale, "the value is 200 s old").await;
    let cached = Server::start(move |head| {
        let text = (now - 100.0).to_string();
        let text = if head.contains("timestamp%28") {
            text.as_str()
        } else {
            "0.1"
        };
        Some(value(now - 100.0, text))
    });
    no_data(&cached, "100 s ago").await;
    let silent = Server::start(move |head| {
        let fails = head.contains("timestamp%28");
        Some(if fails {
            said(503, "<html>")
        } else {
            value(now, "0.1")
        })
    });
    no_data(&silent, "its age: ").await;
    no_data(&Server::saying(503, "<html>"), "(503)").await;
    let unknown = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
    no_data(&Server::saying(400, unknown), "parse error (400)").await;
    let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    no_data(&Server::saying(200, empty), "no result").await;
    let nobody = PrometheusCheck {
        url: "http://127.0.0.1:1".to_owned(),
        ..query(&stale)
    };
    let (outcome, told) = ask(&nobody).await;
    assert!(
        outcome == Outcome::NoData && told.contains("cannot connect"),
        "{told}"
    );
}

#[tokio::test]
async fn a_scalar_is_of_now() {
    let at = f64::from(i32::try_from(NOW).unwrap());
    let body =
        format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[{at},"0.1"]}}}}"#);
    let server = Server::saying(200, &body);
    let check = PrometheusCheck {
        url: server.url(),
        query: Some("scalar(up)".to_owned()),
        max: Some(1.0),
        ..PrometheusCheck::default()
    };
    assert_eq!(ask(&check).await, (Outcome::Pass, "0.1".to_owned()));
    assert_eq!(server.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn too_few_requests_are_no_data() {
    let now = f64::from(i32::try_from(NOW).unwrap());
    let counting = |requests: &'static str| {
        Server::start(move |head| {
            let text = match () {
                () if head.contains("timestamp%28") => NOW.to_string(),
                () if head.contains("increase%28") => requests.to_owned(),
                () => "0.5".to_owned(),
            };
            Some(value(now, &text))
        })
    };
    let check = |server: &Server| PrometheusCheck {
        url: server.url(),
        builtin: Some(Builtin::SuccessRate),
        router: Some(Router::Traefik),
        min: Some(0.99),
        ..PrometheusCheck::default()
    };
    let few = ask(&check(&counting("9.5"))).await;
    assert_eq!(
        few,
        (
            Outcome::NoData,
            "9.5 requests in 60s, of at least 10".to_owned()
        )
    );
    let enough = ask(&check(&counting("10"))).await;
    assert_eq!(enough, (Outcome::Fail, "0.5 is less than 0.99".to_owned()));
}

#[tokio::test]
async fn json_is_asked_for_with_names_and_a_body() {
    let server = Server::saying(200, r#"{"errors": 1}"#);
    let check = JsonCheck {
        url: format!(
            "{}/queues/{{{{canary}}}}?of={{{{namespace}}}}",
            server.url()
        ),
        method: Some("POST".to_owned()),
        body: Some("{}".to_owned()),
        condition: "self.errors < 3".to_owned(),
        ..JsonCheck::default()
    };
    let fill = |text: &str| names().fill(text, Side::Canary, Duration::ZERO);
    let told = json::ask(&check, &Headers::default(), fill).await;
    assert_eq!(
        told,
        (
            Outcome::Pass,
            "errors = 1 (self.errors < 3: true)".to_owned()
        )
    );
    let head = server.seen.lock().unwrap()[0].clone();
    assert!(
        head.starts_with("POST /queues/api-canary?of=shop HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("content-length: 2\r\n"), "{head}");
}

/// When a check that is made every 30 s is due at second 1000, by how far it looks back; from second 0.
fn due_in(window: Option<u64>, started: Option<i64>, since: i64) -> i64 {
    let at = |second| Timestamp::from_second(second).unwrap();
    let check = Check {
        spec: crate::api::CheckSpec {
            prometheus: window.map(|window| PrometheusCheck {
                window: Some(seconds(window)),
                ..PrometheusCheck::default()
            }),
            ..crate::api::CheckSpec::default()
        },
        interval: Duration::from_secs(30),
        failure_limit: 3,
        count: 1,
        job: None,
    };
    due(&check, started.map(at), at(since), at(1000)).as_second() - 1000
}

#[test]
fn a_check_is_due_when_it_sees_only_what_came_since() {
    assert_eq!(due_in(None, None, 995), 0, "it looks at now");
    assert_eq!(
        due_in(Some(60), None, 995),
        55,
        "the weight before is in it"
    );
    assert_eq!(due_in(Some(60), None, 900), 0);
    assert_eq!(due_in(Some(60), Some(980), 900), 10, "the interval");
    assert_eq!(due_in(Some(60), Some(980), 990), 50, "another weight since");
    assert_eq!(due_in(None, Some(980), 990), 0);
}

#[test]
fn a_clock_that_was_set_back_stops_no_check() {
    assert_eq!(due_in(None, Some(5000), 900), 0);
    assert_eq!(due_in(None, Some(5000), 4000), 0);
    assert_eq!(due_in(Some(60), None, 4000), 0);
    assert_eq!(due_in(Some(60), Some(990), 4000), 20, "not at each look");
}

#[test]
fn a_pod_that_is_taken_away_meanwhile_is_not_at_fault() {
    let pod = |name: &str| Target {
        name: name.to_owned(),
        ip: "10.0.0.1".to_owned(),
        port: Some(80),
    };
    let by = |ready: &[Target]| {
        let fault = |name: &str| Fault {
            pod: pod(name),
            value: format!("pod {name}: refused"),
        };
        let verdict = Verdict {
            check: "probe".to_owned(),
            outcome: Outcome::Fail,
            value: "pod one: refused".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        };
        let faults = vec![fault("one"), fault("two")];
        let Verdict { outcome, value, .. } = Fallen { verdict, faults }.now(ready);
        (outcome, value)
    };
    let told = |outcome, value: &str| (outcome, value.to_owned());
    let (one, two) = (pod("one"), pod("two"));
    assert_eq!(
        by(&[two.clone(), one]),
        told(Outcome::Fail, "pod one: refused")
    );
    assert_eq!(by(&[two]), told(Outcome::Fail, "pod two: refused"));
    let gone = "pod one: refused; it is not ready any more";
    assert_eq!(by(&[]), told(Outcome::NoData, gone));
}
