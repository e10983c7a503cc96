//! HTTP requests, and the HTTP probe: a GET that must be answered with status 200.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::{connect::connect, protocol::send};

/// Upper bound for the length of an answer; the expected answers are far smaller.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

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

/// Sends a request with a body of JSON, and returns the status and the body of the answer. HTTP/1.0, so that the answer
/// ends with the connection.
pub(super) async fn exchange(port: u16, method: &str, path: &str, body: &str) -> Result<(u16, String), String> {
    let mut stream = connect(port).await?;
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    send(&mut stream, request.as_bytes()).await?;
    let mut answer = Vec::new();
    let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await;
    read.map_err(|error| format!("cannot read an answer: {error}"))?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1).and_then(|status| status.parse().ok()) {
        Some(status) => Ok((status, body.to_owned())),
        None => Err(format!("it answered {:?} to {method} {path}", head.lines().next().unwrap_or_default())),
    }
}
