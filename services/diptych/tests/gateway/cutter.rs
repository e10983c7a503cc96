//! What a network does at its worst: connections that end in the middle of an answer, or in nonsense.

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

/// How much more of the answers each connection lets through than the one before: a few answers, and no multiple of any size that
/// frames have.
const STEP_BYTES: usize = 457;
/// What no frame of HTTP/2 begins with.
const NONSENSE: [u8; 64] = [0xff; 64];

/// Stands between a client and a server, and cuts.
pub(crate) struct Cutter {
    /// Where it listens.
    pub(crate) url: String,
    cuts: Arc<AtomicUsize>,
    tasks: Tasks,
}

impl Cutter {
    /// Cuts the first so many connections to the server at this URL, and no others.
    pub(crate) async fn start(server: &str, cuts: usize) -> Self {
        let server = server.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (counted, tasks) = (Arc::<AtomicUsize>::default(), Tasks::new(Shutdown::new()));
        let (made, connections, shutdown) = (Arc::clone(&counted), tasks.clone(), tasks.shutdown());
        tasks.spawn("cutter", async move {
            for number in 0.. {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = shutdown.begun() => return,
                };
                let (client, server) = (accepted.unwrap().0, TcpStream::connect(&server).await.unwrap());
                let made = Arc::clone(&made);
                connections.spawn("connection", async move {
                    // However one ends, the others go on.
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

    /// How many connections were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.tasks.shutdown().begin();
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(|_| ())
}

/// Each lets more through than the one before; every second one ends in nonsense.
async fn cut(client: TcpStream, server: TcpStream, number: usize) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let mut answers = from_server.take(u64::try_from((number + 1) * STEP_BYTES).unwrap());
    tokio::select! {
        asked = copy(&mut from_client, &mut to_server) => asked.map(|_| ()),
        answered = copy(&mut answers, &mut to_client) => {
            answered?;
            if number % 2 == 1 { to_client.write_all(&NONSENSE).await } else { Ok(()) }
        }
    }
}
