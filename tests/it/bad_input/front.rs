//! What may stand before a Git server: a network that cuts, a proxy with a login page, a server that is not Git.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::support::git::GitServer;

/// How it behaves towards the next connection.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// Everything goes through.
    Pass,
    /// The connection breaks after so many bytes of the server.
    Cut(usize),
    /// The connection is closed at once.
    Close,
    /// TLS is fine, and this is the answer to everything.
    Answer(&'static str),
}

/// Listens on a port of its own with the Git server's certificate.
pub struct Front {
    port: u16,
    mode: Arc<Mutex<Mode>>,
}

impl Front {
    pub fn of(server: &GitServer) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let mode = Arc::new(Mutex::new(Mode::Pass));
        let repository = server.path("any");
        let folder = repository.ancestors().nth(2).expect("DIR/repos/NAME.git");
        let (tls, behind, shared) = (tls(folder), server.port(), mode.clone());
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let mode = *shared.lock().unwrap_or_else(PoisonError::into_inner);
                let tls = tls.clone();
                // What goes wrong with one connection is what the client sees.
                thread::spawn(move || {
                    let _ = serve(connection, mode, tls, behind);
                });
            }
        });
        Self { port, mode }
    }

    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    pub fn url(&self, name: &str) -> String {
        format!("https://127.0.0.1:{}/{name}.git", self.port)
    }
}

fn serve(
    client: TcpStream,
    mode: Mode,
    tls: Arc<ServerConfig>,
    behind: u16,
) -> std::io::Result<()> {
    match mode {
        Mode::Pass => relay(&client, behind, usize::MAX),
        Mode::Cut(bytes) => relay(&client, behind, bytes),
        Mode::Close => client.shutdown(Shutdown::Both),
        Mode::Answer(answer) => {
            client.set_read_timeout(Some(Duration::from_secs(5)))?;
            let connection = ServerConnection::new(tls).map_err(std::io::Error::other)?;
            let mut stream = StreamOwned::new(connection, client);
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                match stream.read(&mut buffer)? {
                    0 => return Ok(()),
                    read => request.extend_from_slice(&buffer[..read]),
                }
            }
            stream.write_all(answer.as_bytes())?;
            stream.conn.send_close_notify();
            stream.flush()
        }
    }
}

fn relay(client: &TcpStream, port: u16, limit: usize) -> std::io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let mut limited = (&server).take(limit as u64);
    let result = std::io::copy(&mut limited, &mut &*client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    result.map(|_| ())
}

fn tls(folder: &Path) -> Arc<ServerConfig> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = CertificateDer::from_pem_file(folder.join("server.crt"))
        .expect("the server has a certificate");
    let key =
        PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("the server has a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key fits the certificate");
    Arc::new(config)
}
