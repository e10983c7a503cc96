//! CQL probe: a session and a query. A starting server accepts connections before it answers.

use tokio::net::TcpStream;

use super::{
    connect::connect,
    protocol::{length, receive, receive_bytes, send},
};

/// Version 4 of the native protocol, the newest that Cassandra and ScyllaDB share.
const REQUEST_V4: u8 = 0x04;

// Opcodes of frames.
const ERROR: u8 = 0x00;
const STARTUP: u8 = 0x01;
const READY: u8 = 0x02;
const QUERY: u8 = 0x07;
const RESULT: u8 = 0x08;

pub(super) async fn probe(port: u16) -> Result<(), String> {
    let mut stream = connect(port).await?;
    // One entry: CQL_VERSION = 3.0.0
    call(&mut stream, STARTUP, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0", READY).await?;
    let text = b"SELECT release_version FROM system.local";
    let consistency_one_no_flags = [0, 1, 0];
    let length = u32::try_from(text.len()).unwrap_or(0).to_be_bytes();
    call(&mut stream, QUERY, &[&length[..], text, &consistency_one_no_flags].concat(), RESULT).await
}

async fn call(stream: &mut TcpStream, opcode: u8, body: &[u8], expected: u8) -> Result<(), String> {
    let length_sent = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    // Version, no flags, stream 0, opcode, length.
    send(stream, &[&[REQUEST_V4, 0, 0, 0, opcode][..], &length_sent, body].concat()).await?;
    let [_version, _flags, _, _, answered, length_received @ ..] = receive::<9>(stream).await?;
    let answer = receive_bytes(stream, length(length_received)?).await?;
    match answered {
        _ if answered == expected => Ok(()),
        // The number of the error, the length of its text, its text.
        ERROR => Err(format!("it answered {:?}", String::from_utf8_lossy(answer.get(6..).unwrap_or_default()))),
        _ => Err(format!("it answered with opcode {answered} instead of {expected}: another server listens there")),
    }
}
