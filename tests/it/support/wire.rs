//! Servers that misbehave: a web server that answers what a test says, and a proxy that cuts or stalls.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Serves https on the loopback, one request per connection, with a self-made authority. Ends with the tests.
pub struct WebServer {
    port: u16,
    ca: String,
    requests: Arc<Mutex<Vec<String>>>,
}

/// A whole answer.
pub fn response(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

impl WebServer {
    /// Its certificate is for `names`; `answer` is given the head of each request.
    pub fn start(names: &[&str], answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let (config, ca) = certificate(names);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection =
                    ServerConnection::new(Arc::clone(&config)).expect("a valid configuration");
                let mut tls = StreamOwned::new(connection, stream);
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && matches!(tls.read(&mut byte), Ok(1)) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                if !head.is_empty() {
                    seen.lock()
                        .expect("no test panicked here")
                        .push(head.clone());
                    // The client may have gone.
                    let _ = tls.write_all(&answer(&head));
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
            }
        });
        Self { port, ca, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// The authority, PEM.
    pub fn ca(&self) -> String {
        self.ca.clone()
    }

    /// The heads of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no test panicked here").clone()
    }
}

/// A server's certificate for these names, and its authority.
pub fn certificate(names: &[&str]) -> (Arc<ServerConfig>, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("valid");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let ca = authority
        .self_signed(&authority_key)
        .expect("a certificate")
        .pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(names).expect("valid names");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a valid certificate");
    (Arc::new(config), ca)
}

/// Passes bytes on to a port of the loopback, until it is told to stop after some from the server. Ends with the tests.
pub struct Proxy {
    port: u16,
    rule: Arc<Rule>,
}

struct Rule {
    /// How many bytes of the server pass per connection; negative: and then nothing comes, and nothing ends.
    limit: AtomicI64,
    passed: AtomicU64,
}

impl Proxy {
    pub fn start(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let rule = Arc::new(Rule {
            limit: AtomicI64::new(i64::MAX),
            passed: AtomicU64::new(0),
        });
        let shared = Arc::clone(&rule);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else {
                    continue;
                };
                let rule = Arc::clone(&shared);
                let up = (client.try_clone(), server.try_clone());
                thread::spawn(move || {
                    if let (Ok(mut client), Ok(mut server)) = up {
                        let _ = std::io::copy(&mut client, &mut server);
                        let _ = server.shutdown(Shutdown::Write);
                    }
                });
                thread::spawn(move || rule.pass(server, client));
            }
        });
        Self { port, rule }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends each connection after so many bytes of the server.
    pub fn cut_after(&self, bytes: i64) {
        self.rule.limit.store(bytes, Ordering::SeqCst);
    }

    /// Passes nothing on after so many bytes of the server.
    pub fn stall_after(&self, bytes: i64) {
        self.rule.limit.store(-bytes, Ordering::SeqCst);
    }

    /// Passes everything on.
    pub fn pass(&self) {
        self.rule.limit.store(i64::MAX, Ordering::SeqCst);
    }

    /// How many bytes of the server passed so far.
    pub fn passed(&self) -> u64 {
        self.rule.passed.load(Ordering::SeqCst)
    }
}

impl Rule {
    fn pass(&self, mut server: TcpStream, mut client: TcpStream) {
        let mut passed = 0;
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = server.read(&mut buffer) {
            let limit = self.limit.load(Ordering::SeqCst);
            if passed >= limit.abs() {
                if limit < 0 {
                    thread::sleep(Duration::from_mins(1));
                }
                break;
            }
            if client.write_all(&buffer[..length]).is_err() {
                break;
            }
            passed += i64::try_from(length).expect("a small number");
            self.passed.fetch_add(length as u64, Ordering::SeqCst);
        }
        let _ = client.shutdown(Shutdown::Both);
    }
}
