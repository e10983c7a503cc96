//! What the binary protocols share: numbers in network order, and answers that say how long they are.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// No answer to one of our questions comes near this.
const ANSWER_BYTES_MAX: usize = 1 << 20;

pub(super) async fn send(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), String> {
    stream.write_all(bytes).await.map_err(|error| format!("cannot send: {error}"))
}

pub(super) async fn receive<const N: usize>(stream: &mut TcpStream) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(|error| format!("cannot read an answer: {error}"))?;
    Ok(bytes)
}

/// An answer of this length. Whoever sends nonsense is not asked for gigabytes.
pub(super) async fn receive_bytes(stream: &mut TcpStream, length: usize) -> Result<Vec<u8>, String> {
    if length > ANSWER_BYTES_MAX {
        return Err(format!("the answer says that it has {length} bytes: another server is there"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.map_err(|error| format!("cannot read an answer: {error}"))?;
    Ok(bytes)
}

/// The length that an answer begins with, in bytes.
pub(super) fn length(bytes: [u8; 4]) -> Result<usize, String> {
    let number = i32::from_be_bytes(bytes);
    usize::try_from(number).map_err(|_| format!("the answer says that it has {number} bytes: another server is there"))
}

/// Takes an answer apart from the left.
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

    /// Passes over bytes whose length stands before them in 16 bits; -1 is none.
    pub(super) fn skip_text(&mut self) -> Result<(), String> {
        let length = usize::try_from(self.take().map(i16::from_be_bytes)?).unwrap_or(0);
        self.0 = self.0.get(length..).ok_or("the answer is cut off")?;
        Ok(())
    }
}
