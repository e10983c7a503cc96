//! memcached probe: the command `version`.

use tokio::io::{AsyncBufReadExt, BufReader};

use super::{connect::connect, protocol::send};

pub(super) async fn probe(port: u16) -> Result<(), String> {
    let mut stream = connect(port).await?;
    send(&mut stream, b"version\r\n").await?;
    let mut answer = String::new();
    let read = BufReader::new(stream).read_line(&mut answer).await;
    read.map_err(|error| format!("cannot read an answer: {error}"))?;
    if answer.starts_with("VERSION ") { Ok(()) } else { Err(format!("it answered {answer:?} to `version`")) }
}
