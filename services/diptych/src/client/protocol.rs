//! Identification of what listens at an address, after a gRPC call has failed there.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The protocol of a server, by the first bytes that it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/2, on which gRPC runs.
    Http2,
    /// HTTP/1.
    Http1,
    /// TLS.
    Tls,
    /// The server closes connections without an answer.
    Closed,
    /// The server sends no bytes within the timeout.
    Silent,
    /// Another protocol: the first line of the answer.
    Other(String),
}

/// The connection preface of HTTP/2 and an empty SETTINGS frame.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HTTP1_REQUEST: &[u8] = b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

const FRAME_HEADER_BYTES: usize = 9;
const FRAME_SETTINGS: u8 = 4;
const FRAME_GOAWAY: u8 = 7;
const TLS_ALERT: u8 = 21;
const TLS_HANDSHAKE: u8 = 22;
/// The longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 512;
/// Most characters shown of an answer in an unknown protocol.
const SHOWN_CHARS_MAX: usize = 60;

/// Identifies the protocol at an address, HOST:PORT. A server that closes after the preface of HTTP/2 is tried with
/// HTTP/1 too: servers of HTTP/1 may close without an answer.
///
/// # Errors
/// When no connection can be made.
pub(super) async fn identify(address: &str, answer_timeout: Duration) -> io::Result<Protocol> {
    let protocol = first_answer(address, HTTP2_PREFACE, answer_timeout).await?;
    if protocol != Protocol::Closed {
        return Ok(protocol);
    }
    first_answer(address, HTTP1_REQUEST, answer_timeout).await
}

async fn first_answer(address: &str, question: &[u8], answer_timeout: Duration) -> io::Result<Protocol> {
    let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let mut stream = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    // A server may answer, or close, before it has read the question.
    let _ = stream.write_all(question).await;
    let mut answer = Vec::new();
    let is_silent = timeout(answer_timeout, read_start(&mut stream, &mut answer)).await.is_err() && answer.is_empty();
    Ok(if is_silent { Protocol::Silent } else { classify(&answer) })
}

/// Reads until the answer is long enough to identify it, or ends. A reset connection is an end.
async fn read_start(stream: &mut TcpStream, answer: &mut Vec<u8>) {
    let mut buffer = [0; ANSWER_BYTES_MAX];
    while answer.len() < FRAME_HEADER_BYTES {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => answer.extend(buffer.iter().take(length)),
        }
    }
}

fn classify(answer: &[u8]) -> Protocol {
    // Servers of HTTPS answer a request without TLS in HTTP/1, with an explanation.
    if answer.starts_with(b"HTTP/") {
        return if String::from_utf8_lossy(answer).contains("HTTPS") { Protocol::Tls } else { Protocol::Http1 };
    }
    match answer {
        [] => Protocol::Closed,
        [TLS_ALERT | TLS_HANDSHAKE, 3, ..] => Protocol::Tls,
        [0, _, _, FRAME_SETTINGS | FRAME_GOAWAY, _, 0, 0, 0, 0, ..] => Protocol::Http2,
        other => {
            let text = String::from_utf8_lossy(other);
            Protocol::Other(text.lines().next().unwrap_or_default().chars().take(SHOWN_CHARS_MAX).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn protocols_are_identified_by_the_first_bytes() {
        for (answer, protocol) in [
            (&b"\0\0\x12\x04\0\0\0\0\0\0\x03"[..], Protocol::Http2),
            (b"\0\0\x08\x07\0\0\0\0\0", Protocol::Http2),
            (b"HTTP/1.1 404 Not Found\r\n", Protocol::Http1),
            (b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", Protocol::Tls),
            (b"\x15\x03\x03\0\x02\x02\x0a", Protocol::Tls),
            (b"", Protocol::Closed),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Protocol::Other("SSH-2.0-OpenSSH_9.2".to_owned())),
            (b"\0\0\0\x01", Protocol::Other("\0\0\0\u{1}".to_owned())),
        ] {
            assert_eq!(classify(answer), protocol);
        }
    }

    #[tokio::test]
    async fn a_server_that_never_answers_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(identify(&address, Duration::from_millis(10)).await.unwrap(), Protocol::Silent);
        drop(listener);
        assert!(identify(&address, Duration::from_secs(10)).await.is_err());
    }
}
