//! Plain HTTP to the agent: its webhook and its metrics.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The answer's code and body.
pub fn get(url: &str, path: &str) -> (u16, String) {
    request(url, &format!("GET {path} HTTP/1.1\r\n"), "")
}

/// A push's webhook as GitHub sends it, signed with `token`; gives the answer's code.
pub fn hook(url: &str, repository: &str, token: &str) -> u16 {
    let body = r#"{"ref":"refs/heads/main"}"#;
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(token.as_bytes()).expect("any key will do");
    mac.update(body.as_bytes());
    let mut signature = String::new();
    for byte in mac.finalize().into_bytes() {
        write!(signature, "{byte:02x}").expect("a String takes everything");
    }
    let head = format!(
        "POST /hooks/{repository} HTTP/1.1\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: sha256={signature}\r\n"
    );
    request(url, &head, body).0
}

/// `driftless_renders_total` of every environment.
pub fn renders(url: &str) -> BTreeMap<String, u64> {
    let (code, body) = get(url, "/metrics");
    assert_eq!(code, 200, "{body}");
    body.lines()
        .filter_map(|line| {
            let (labels, value) = line
                .strip_prefix("driftless_renders_total{")?
                .split_once("} ")?;
            let (_, environment) = labels.split_once("environment=\"")?;
            let (environment, _) = environment.split_once('"')?;
            Some((environment.to_owned(), value.trim().parse().ok()?))
        })
        .collect()
}

fn request(url: &str, head: &str, body: &str) -> (u16, String) {
    let host = url.strip_prefix("http://").expect("an http URL");
    let mut stream = TcpStream::connect(host).expect("the agent listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout can be set");
    let length = body.len();
    let text = format!(
        "{head}Host: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).expect("the agent reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the agent answers");
    let answer = String::from_utf8_lossy(&answer);
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (code.expect("an HTTP answer"), body.to_owned())
}
