//! Postgres probe: opens a session as user `postgres` and waits until the server is ready for a query.

use std::fmt;

use tokio::net::TcpStream;

use super::{
    PROBE_TIMEOUT,
    connect::connect,
    protocol::{length, receive, receive_bytes, send},
};

/// Protocol 3.0, supported since Postgres 7.4.
const PROTOCOL: u32 = 3 << 16;

/// SQLSTATE of an existing database.
const DUPLICATE_DATABASE: &str = "42P04";

pub(super) async fn probe(port: u16) -> Result<(), String> {
    let mut stream = connect(port).await?;
    send(&mut stream, &startup()).await?;
    until_ready(&mut stream).await.map_err(|error| error.to_string())?;
    // Terminate; without it the server would log a lost connection.
    send(&mut stream, b"X\0\0\0\x04").await
}

/// Creates a database unless it exists. `name` must consist of letters.
pub(crate) async fn create_database(port: u16, name: &str) -> Result<(), String> {
    match execute(port, &format!("CREATE DATABASE {name}")).await {
        Err(error) if error.code != DUPLICATE_DATABASE => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Commits something, which leaves nothing behind: a message in the log that no one reads. With synchronous standbys,
/// this returns when one of them has it.
pub(crate) async fn commit(port: u16) -> Result<(), String> {
    let committing = execute(port, "SELECT pg_logical_emit_message(true, 'diptych-stack', '')");
    let answer = tokio::time::timeout(PROBE_TIMEOUT, committing).await;
    let answer = answer.map_err(|_| format!("it did not commit within {} s", PROBE_TIMEOUT.as_secs()))?;
    answer.map_err(|error| error.to_string())
}

async fn execute(port: u16, statement: &str) -> Result<(), PostgresError> {
    let mut stream = connect(port).await.map_err(PostgresError::connection)?;
    send(&mut stream, &startup()).await.map_err(PostgresError::connection)?;
    until_ready(&mut stream).await?;
    let length = u32::try_from(statement.len() + 5).unwrap_or(u32::MAX).to_be_bytes();
    let query = [b"Q", &length[..], statement.as_bytes(), b"\0"].concat();
    send(&mut stream, &query).await.map_err(PostgresError::connection)?;
    until_ready(&mut stream).await?;
    send(&mut stream, b"X\0\0\0\x04").await.map_err(PostgresError::connection)
}

/// Reads messages until the server is ready for a query.
async fn until_ready(stream: &mut TcpStream) -> Result<(), PostgresError> {
    loop {
        match message(stream).await.map_err(PostgresError::connection)? {
            (b'Z', _) => return Ok(()),
            (b'E', body) => return Err(PostgresError::read(&body)),
            // Session parameters, the cancel key, authentication success, completion of a statement.
            _ => {}
        }
    }
}

fn startup() -> Vec<u8> {
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    body.extend_from_slice(b"user\0postgres\0database\0postgres\0application_name\0diptych-stack\0\0");
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &body].concat()
}

async fn message(stream: &mut TcpStream) -> Result<(u8, Vec<u8>), String> {
    let [kind] = receive(stream).await?;
    // The length includes itself.
    let length = length(receive(stream).await?)?.saturating_sub(4);
    Ok((kind, receive_bytes(stream, length).await?))
}

/// Error of the server, or of the connection to it.
struct PostgresError {
    code: String,
    text: String,
}

impl PostgresError {
    fn connection(text: String) -> Self {
        Self { code: String::new(), text }
    }

    /// Reads the message (M) and the SQLSTATE (C).
    fn read(body: &[u8]) -> Self {
        let field = |letter: char| {
            let mut fields = body.split(|byte| *byte == 0).map(String::from_utf8_lossy);
            fields.find_map(|field| field.strip_prefix(letter).map(str::to_owned)).unwrap_or_default()
        };
        Self { code: field('C'), text: field('M') }
    }
}

impl fmt::Display for PostgresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code.as_str() {
            "" => f.write_str(&self.text),
            code => write!(f, "it answered {:?} ({code})", self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_displayed_with_its_code() {
        let body = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0Fpostmaster.c\0\0";
        assert_eq!(
            PostgresError::read(body).to_string(),
            r#"it answered "the database system is starting up" (57P03)"#
        );
    }
}
