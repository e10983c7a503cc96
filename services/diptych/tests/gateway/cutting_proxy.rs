//! A TCP proxy that breaks connections: in the middle of an answer, or with invalid bytes.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use diptych_runtime::{Shutdown, Tasks};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};

/// Bytes of answers that each connection passes on beyond the one before: a few answers, and no multiple of any frame
/// size.
const STEP_BYTES: usize = 457;
/// Bytes that no HTTP/2 frame begins with.
const INVALID_BYTES: [u8; 64] = [0xff; 64];

/// A proxy between a client and a server that breaks its first connections.
pub(crate) struct CuttingProxy {
    /// Its URL.
    pub(crate) url: String,
    cuts: Arc<AtomicUsize>,
    tasks: Tasks,
}

impl CuttingProxy {
    /// Breaks this many connections to the server at this URL, and passes the others on.
    pub(crate) async fn start(server: &str, cuts: usize) -> Self {
        let server = server.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (counted, tasks) = (Arc::<AtomicUsize>::default(), Tasks::new(Shutdown::new()));
        let (made, connections, shutdown) = (Arc::clone(&counted), tasks.clone(), tasks.shutdown());
        tasks.spawn("cutting proxy", async move {
            for number in 0.. {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = shutdown.begun() => return,
                };
                let (client, server) = (accepted.unwrap().0, TcpStream::connect(&server).await.unwrap());
                let made = Arc::clone(&made);
                connections.spawn("connection", async move {
                    // The end of one connection does not affect the others.
                    if number < cuts {
                        let _ = cut(client, server, number).await;
                        made.fetch_add(1, Ordering::SeqCst);
                    } else {
                        let _ = pass(client, server).await;
                    }
                });
            }
        });
        Self { url, cuts: counted, tasks }
    }

    /// The number of connections broken so far.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        self.tasks.shutdown().begin();
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(|_| ())
}

/// Passes more on than the connection before; every second one ends in invalid bytes.
async fn cut(client: TcpStream, server: TcpStream, number: usize) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let mut answers = from_server.take(u64::try_from((number + 1) * STEP_BYTES).unwrap());
    tokio::select! {
        asked = copy(&mut from_client, &mut to_server) => asked.map(|_| ()),
        answered = copy(&mut answers, &mut to_client) => {
            answered?;
            if number % 2 == 1 { to_client.write_all(&INVALID_BYTES).await } else { Ok(()) }
        }
    }
}
