//! A server that answers by a script: for what no real one does when a test wants it.

use std::{slice, sync::Arc, time::Duration};

use diptych_kernel::ports::{CacheRead, ViewCache};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    server::SOON,
    stage::{SEATS, cached, config, key, lease, open, row, until_down},
};

/// What a server says to a line.
type Script = fn(line: &str) -> String;

struct Scripted {
    address: String,
    said: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (said, mut tasks) = (Arc::<Mutex<Vec<String>>>::default(), JoinSet::new());
        let note = Arc::clone(&said);
        tasks.spawn(async move {
            let mut talking = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                talking.spawn(talk(stream, script, Arc::clone(&note)));
            }
        });
        Self { address, said, _tasks: tasks }
    }

    /// The commands of a kind so far, greetings left out.
    fn said(&self, kind: &str) -> usize {
        self.said.lock().iter().filter(|line| line.starts_with(kind) && !is_greeting(line)).count()
    }
}

fn is_greeting(line: &str) -> bool {
    line.contains(":~ ")
}

async fn talk(stream: TcpStream, script: Script, said: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while let Ok(1..) = stream.read_line(&mut line).await {
        let words: Vec<_> = line.split_whitespace().collect();
        if let ["ms", _, size, ..] = words.as_slice() {
            let mut value = vec![0; size.parse::<usize>().unwrap() + 2];
            stream.read_exact(&mut value).await.unwrap();
        }
        let answer = script(line.trim_end());
        said.lock().push(line.trim_end().to_owned());
        line.clear();
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// What a response has to repeat.
fn number(line: &str) -> &str {
    line.split(' ').find(|word| word.starts_with('O')).unwrap_or_default()
}

#[tokio::test]
async fn a_server_of_another_protocol_is_down() {
    let server = Scripted::start(|_| "ERROR\r\n".into()).await;
    let cache = open(&config(&[&server.address])).await;
    until_down(&cache, 1).await;
    assert!(cache.read(SEATS, &[key(1)]).await.is_err());
    assert_eq!(server.said("m"), 0, "nothing but greetings");
}

#[tokio::test]
async fn a_fill_that_is_refused_leaves_no_lease() {
    let server = Scripted::start(|line| match line.get(..2) {
        Some("ms") if is_greeting(line) => "HD c1\r\n".into(),
        Some("ms") => "SERVER_ERROR out of memory storing object\r\n".into(),
        Some("mg") => format!("VA 0 c2 {} W\r\n\r\n", number(line)),
        _ => format!("HD {}\r\n", number(line)),
    })
    .await;
    let cache = open(&config(&[&server.address])).await;
    let given = lease(&cache, 1).await;
    assert!(!cache.fill(SEATS, &key(1), given, row(5)).await.unwrap());
    assert_eq!((server.said("ms"), server.said("md")), (1, 1));
}

/// Whoever gets the response to another command would tell a row that is somebody else's.
#[tokio::test]
async fn a_response_to_another_command_is_a_failure() {
    let server = Scripted::start(|line| if is_greeting(line) { "HD c1\r\n".into() } else { "EN O77\r\n".into() }).await;
    let cache = open(&config(&[&server.address])).await;
    let error = cache.read(SEATS, &[key(1)]).await.unwrap_err();
    assert!(error.to_string().contains("another command"), "{error}");
}

#[tokio::test]
async fn a_row_that_others_keep_changing_is_forgotten_in_the_end() {
    let server = Scripted::start(|line| match line.get(..2) {
        Some("ms") if is_greeting(line) => "HD c1\r\n".into(),
        Some("ms") => format!("EX {}\r\n", number(line)),
        Some("mg") => format!("VA 0 c2 {} Z\r\n\r\n", number(line)),
        _ => format!("HD {}\r\n", number(line)),
    })
    .await;
    let cache = open(&config(&[&server.address])).await;
    cache.refresh(SEATS, &[(key(1), row(5))]).await.unwrap();
    assert_eq!((server.said("mg"), server.said("ms"), server.said("md")), (8, 8, 1));
}

#[tokio::test]
async fn a_server_without_room_for_a_placeholder_gives_no_lease() {
    let server = Scripted::start(|line| match line.get(..2) {
        Some("mg") => "SERVER_ERROR out of memory writing get response\r\n".into(),
        _ => format!("HD c1 {}\r\n", number(line)),
    })
    .await;
    let cache = open(&config(&[&server.address])).await;
    let reads = cache.read(SEATS, &[key(1), key(2)]).await.unwrap();
    assert_eq!(reads, [CacheRead::Filling, CacheRead::Filling]);
    // A refresh of what cannot be looked at forgets it.
    cache.refresh(SEATS, &[(key(1), row(5))]).await.unwrap();
    assert_eq!(server.said("md"), 1);
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_value_is_a_failure() {
    let server = Scripted::start(|line| match line.get(..2) {
        Some("mg") => format!("VA 500 c2 {}\r\nnot all of it", number(line)),
        _ => format!("HD c1 {}\r\n", number(line)),
    })
    .await;
    let mut config = config(&[&server.address]);
    config.request_timeout = Duration::from_millis(100);
    let cache = open(&config).await;
    assert!(cache.read(SEATS, slice::from_ref(&key(1))).await.is_err());
}

/// A row with a number below that of the greeting, and a key about which nothing is ever said.
#[tokio::test]
async fn one_round_trip_that_fails_is_no_outage() {
    let server = Scripted::start(|line| match line.get(..2) {
        Some("mg") if line.contains("seat-13:") => String::new(),
        Some("mg") => {
            let value = format!("\u{1}{}\u{1}at 0", "\0".repeat(24));
            format!("VA {} c2 {}\r\n{value}\r\n", value.len(), number(line))
        }
        _ => format!("HD c5 {}\r\n", number(line)),
    })
    .await;
    let mut config = config(&[&server.address]);
    config.request_timeout = SOON;
    let cache = open(&config).await;
    assert_eq!(cached(&cache, 1).await, Some(0));
    assert!(cache.read(SEATS, slice::from_ref(&key(13))).await.is_err());
    // Nothing of it has become doubtful, and nobody had to wait for it to come back.
    assert_eq!(cached(&cache, 1).await, Some(0));
}
