//! A proxy between a handle and a server, with which a test can disturb the network.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// The state of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Works,
    /// Nothing arrives; everything sent arrives when the network works again, even from connections closed since.
    Stalls,
    /// Connections break, and new ones break at once.
    Broken,
}

/// Forwards connections to a server.
pub(crate) struct Proxy {
    pub(crate) address: String,
    network: watch::Sender<Network>,
    round_trips: Arc<AtomicUsize>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (network, _) = watch::channel(Network::Works);
        let (round_trips, connections) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<AbortHandle>>>::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(
            listener,
            server.to_owned(),
            network.clone(),
            Arc::clone(&round_trips),
            Arc::clone(&connections),
        ));
        Self { address, network, round_trips, connections, _tasks: tasks }
    }

    pub(crate) fn set(&self, network: Network) {
        self.network.send_replace(network);
        if network == Network::Broken {
            self.connections.lock().drain(..).for_each(|connection| connection.abort());
        }
    }

    /// Breaks the open connections; new ones work.
    pub(crate) fn break_once(&self) {
        self.connections.lock().drain(..).for_each(|connection| connection.abort());
    }

    /// The number of round trips: requests that were sent after the last answer.
    pub(crate) fn round_trips(&self) -> usize {
        self.round_trips.load(Ordering::SeqCst)
    }
}

async fn accept(
    listener: TcpListener,
    server: String,
    network: watch::Sender<Network>,
    round_trips: Arc<AtomicUsize>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
) {
    let mut forwarding = JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.unwrap();
        if *network.borrow() == Network::Broken {
            continue;
        }
        let (server, network, round_trips) = (server.clone(), network.subscribe(), Arc::clone(&round_trips));
        let handle = forwarding.spawn(async move {
            let Ok(far) = TcpStream::connect(server).await else { return };
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            let answered = AtomicBool::new(true);
            let asked = || {
                if answered.swap(false, Ordering::SeqCst) {
                    round_trips.fetch_add(1, Ordering::SeqCst);
                }
            };
            let there = pump(from_near, to_far, network.clone(), asked);
            let back = pump(from_far, to_near, network, || answered.store(true, Ordering::SeqCst));
            tokio::join!(there, back);
        });
        connections.lock().push(handle);
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut network: watch::Receiver<Network>, note: impl Fn()) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if network.wait_for(|network| *network != Network::Stalls).await.is_err() {
            return;
        }
        note();
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
