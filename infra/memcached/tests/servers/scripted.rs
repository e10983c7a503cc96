//! A server that answers by a script, for behaviour that a real server does not show on demand.

use std::{slice, sync::Arc, time::Duration};

use diptych_kernel::ports::{CacheRead, ViewCache};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    harness::{SEATS, cached_position, config, key, lease, open, row, wait_until_down},
    server::SHORT_TIMEOUT,
};

/// The response to a command line.
type Script = fn(line: &str) -> String;

struct ScriptedServer {
    address: String,
    received: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl ScriptedServer {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (received, mut tasks) = (Arc::<Mutex<Vec<String>>>::default(), JoinSet::new());
        let note = Arc::clone(&received);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, script, Arc::clone(&note)));
            }
        });
        Self { address, received, _tasks: tasks }
    }

    /// The number of commands of a kind received so far, without probes.
    fn received(&self, kind: &str) -> usize {
        self.received.lock().iter().filter(|line| line.starts_with(kind) && !is_probe(line)).count()
    }
}

fn is_probe(line: &str) -> bool {
    line.contains(":~ ")
}

async fn serve(stream: TcpStream, script: Script, received: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while let Ok(1..) = stream.read_line(&mut line).await {
        let words: Vec<_> = line.split_whitespace().collect();
        if let ["ms", _, size, ..] = words.as_slice() {
            let mut value = vec![0; size.parse::<usize>().unwrap() + 2];
            stream.read_exact(&mut value).await.unwrap();
        }
        let answer = script(line.trim_end());
        received.lock().push(line.trim_end().to_owned());
        line.clear();
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The opaque token, which a response has to repeat.
fn opaque(line: &str) -> &str {
    line.split(' ').find(|word| word.starts_with('O')).unwrap_or_default()
}

#[tokio::test]
async fn a_server_without_the_meta_protocol_is_down() {
    let server = ScriptedServer::start(|_| "ERROR\r\n".into()).await;
    let cache = open(&config(&[&server.address])).await;
    wait_until_down(&cache, 1).await;
    assert!(cache.read(SEATS, &[key(1)]).await.is_err());
    assert_eq!(server.received("m"), 0, "only probes may be sent");
}

#[tokio::test]
async fn a_refused_fill_leaves_no_lease() {
    let server = ScriptedServer::start(|line| match line.get(..2) {
        Some("ms") if is_probe(line) => "HD c1\r\n".into(),
        Some("ms") => "SERVER_ERROR out of memory storing object\r\n".into(),
        Some("mg") => format!("VA 0 c2 {} W\r\n\r\n", opaque(line)),
        _ => format!("HD {}\r\n", opaque(line)),
    })
    .await;
    let cache = open(&config(&[&server.address])).await;
    let granted = lease(&cache, 1).await;
    assert!(!cache.fill(SEATS, &key(1), granted, row(5)).await.unwrap());
    assert_eq!((server.received("ms"), server.received("md")), (1, 1));
}

/// A caller that got the response to another command would return a wrong row.
#[tokio::test]
async fn a_response_to_another_command_is_a_failure() {
    let server =
        ScriptedServer::start(|line| if is_probe(line) { "HD c1\r\n".into() } else { "EN O77\r\n".into() }).await;
    let cache = open(&config(&[&server.address])).await;
    let error = cache.read(SEATS, &[key(1)]).await.unwrap_err();
    assert!(error.to_string().contains("another command"), "{error}");
}

#[tokio::test]
async fn a_row_that_others_keep_changing_is_invalidated_in_the_end() {
    let server = ScriptedServer::start(|line| match line.get(..2) {
        Some("ms") if is_probe(line) => "HD c1\r\n".into(),
        Some("ms") => format!("EX {}\r\n", opaque(line)),
        Some("mg") => format!("VA 0 c2 {} Z\r\n\r\n", opaque(line)),
        _ => format!("HD {}\r\n", opaque(line)),
    })
    .await;
    let cache = open(&config(&[&server.address])).await;
    cache.refresh(SEATS, &[(key(1), row(5))]).await.unwrap();
    assert_eq!((server.received("mg"), server.received("ms"), server.received("md")), (8, 8, 1));
}

#[tokio::test]
async fn a_server_without_room_for_a_placeholder_gives_no_lease() {
    let server = ScriptedServer::start(|line| match line.get(..2) {
        Some("mg") => "SERVER_ERROR out of memory writing get response\r\n".into(),
        _ => format!("HD c1 {}\r\n", opaque(line)),
    })
    .await;
    let cache = open(&config(&[&server.address])).await;
    let reads = cache.read(SEATS, &[key(1), key(2)]).await.unwrap();
    assert_eq!(reads, [CacheRead::Filling, CacheRead::Filling]);
    // A refresh of a key that cannot be read invalidates it.
    cache.refresh(SEATS, &[(key(1), row(5))]).await.unwrap();
    assert_eq!(server.received("md"), 1);
}

#[tokio::test]
async fn a_truncated_value_is_a_failure() {
    let server = ScriptedServer::start(|line| match line.get(..2) {
        Some("mg") => format!("VA 500 c2 {}\r\nnot all of it", opaque(line)),
        _ => format!("HD c1 {}\r\n", opaque(line)),
    })
    .await;
    let mut config = config(&[&server.address]);
    config.request_timeout = Duration::from_millis(100);
    let cache = open(&config).await;
    assert!(cache.read(SEATS, slice::from_ref(&key(1))).await.is_err());
}

/// A row with a CAS unique below that of the probe, and a key whose reads are never answered.
#[tokio::test]
async fn a_single_failed_round_trip_is_not_an_outage() {
    let server = ScriptedServer::start(|line| match line.get(..2) {
        Some("mg") if line.contains("seat-13:") => String::new(),
        Some("mg") => {
            let value = format!("\u{1}{}\u{1}at 0", "\0".repeat(24));
            format!("VA {} c2 {}\r\n{value}\r\n", value.len(), opaque(line))
        }
        _ => format!("HD c5 {}\r\n", opaque(line)),
    })
    .await;
    let mut config = config(&[&server.address]);
    config.request_timeout = SHORT_TIMEOUT;
    let cache = open(&config).await;
    assert_eq!(cached_position(&cache, 1).await, Some(0));
    assert!(cache.read(SEATS, slice::from_ref(&key(13))).await.is_err());
    // The cached row is still a hit, and the server was never down.
    assert_eq!(cached_position(&cache, 1).await, Some(0));
}
