//! Helpers for binary protocols: big-endian integers and length-prefixed messages.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Upper bound for the length of an answer; the expected answers are far smaller.
const ANSWER_BYTES_MAX: usize = 1 << 20;

pub(super) async fn send(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), String> {
    stream.write_all(bytes).await.map_err(|error| format!("cannot send: {error}"))
}

pub(super) async fn receive<const N: usize>(stream: &mut TcpStream) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(|error| format!("cannot read an answer: {error}"))?;
    Ok(bytes)
}

/// Reads an answer of this length, which is bounded in case another protocol answers.
pub(super) async fn receive_bytes(stream: &mut TcpStream, length: usize) -> Result<Vec<u8>, String> {
    if length > ANSWER_BYTES_MAX {
        return Err(format!("the answer declares a length of {length} bytes: another server listens there"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.map_err(|error| format!("cannot read an answer: {error}"))?;
    Ok(bytes)
}

/// Decodes the length prefix of an answer, in bytes.
pub(super) fn length(bytes: [u8; 4]) -> Result<usize, String> {
    let number = i32::from_be_bytes(bytes);
    usize::try_from(number)
        .map_err(|_| format!("the answer declares a length of {number} bytes: another server listens there"))
}

/// Reads the fields of an answer in order.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or("the answer is cut off")?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn int32(&mut self) -> Result<i32, String> {
        self.take().map(i32::from_be_bytes)
    }

    /// Skips a string with a 16-bit length prefix; -1 is a null string.
    pub(super) fn skip_text(&mut self) -> Result<(), String> {
        let length = usize::try_from(self.take().map(i16::from_be_bytes)?).unwrap_or(0);
        self.0 = self.0.get(length..).ok_or("the answer is cut off")?;
        Ok(())
    }
}
