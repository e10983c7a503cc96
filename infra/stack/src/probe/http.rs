//! HTTP probe: a GET that must be answered with status 200.

use tokio::io::{AsyncBufReadExt, BufReader};

use super::{connect::connect, protocol::send};

pub(super) async fn probe(port: u16, path: &str) -> Result<(), String> {
    let mut stream = connect(port).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    send(&mut stream, request.as_bytes()).await?;
    let mut status = String::new();
    let read = BufReader::new(stream).read_line(&mut status).await;
    read.map_err(|error| format!("cannot read an answer: {error}"))?;
    match status.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(format!("it answered {:?} to GET {path}", status.trim_end())),
    }
}
