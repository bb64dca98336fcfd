//! A proxy in front of the registry, which may spoil an answer.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

/// What becomes of an answer. Bytes count from its status line.
pub(crate) enum Fate {
    /// It passes.
    Whole,
    /// It passes with pauses: so many, after as many bytes each.
    Slow { pauses: u32, bytes: u64, pause: Duration },
    /// The connection is closed in the middle.
    Cut { after: u64 },
    /// Nothing more comes, and the connection stays open.
    Stall { after: u64 },
}

pub(crate) struct Proxy {
    address: String,
    stalled: Arc<AtomicBool>,
}

impl Proxy {
    /// Listens on a free port. `fate` decides about each request by its path. The threads end with the test.
    pub(crate) fn start(registry: &str, fate: impl Fn(&str) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stalled = Arc::new(AtomicBool::new(false));
        let (registry, fate, set) = (registry.to_owned(), Arc::new(fate), Arc::clone(&stalled));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (registry, fate, stalled) = (registry.clone(), Arc::clone(&fate), Arc::clone(&set));
                // An error ends this connection, which the test sees.
                thread::spawn(move || pass(client, &registry, &*fate, &stalled));
            }
        });
        Self { address, stalled }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether an answer has stalled.
    pub(crate) fn has_stalled(&self) -> bool {
        self.stalled.load(Ordering::SeqCst)
    }
}

/// Passes one request and its answer on, on connections that end with it.
fn pass(mut client: TcpStream, registry: &str, fate: &dyn Fn(&str) -> Fate, stalled: &AtomicBool) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let fate = fate(head.split(' ').nth(1).unwrap_or_default());
    let mut server = TcpStream::connect(registry)?;
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    server.write_all(head.as_bytes())?;
    match fate {
        Fate::Whole => drop(io::copy(&mut server, &mut client)?),
        Fate::Slow { pauses, bytes, pause } => {
            for _ in 0..pauses {
                io::copy(&mut Read::by_ref(&mut server).take(bytes), &mut client)?;
                sleep(pause);
            }
            io::copy(&mut server, &mut client)?;
        }
        Fate::Cut { after } => drop(io::copy(&mut server.take(after), &mut client)?),
        Fate::Stall { after } => {
            io::copy(&mut server.take(after), &mut client)?;
            stalled.store(true, Ordering::SeqCst);
            // Until the client has enough of it.
            let _ = client.read(&mut [0]);
        }
    }
    client.shutdown(Shutdown::Both)
}
