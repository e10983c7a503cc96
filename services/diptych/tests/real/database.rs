//! Creating and copying databases for a test, by a few messages of the Postgres protocol: only the adapter may use a
//! driver.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// Protocol 3.0.
const PROTOCOL: u32 = 3 << 16;

/// Creates a database on the server of this URL, whose user must need no password; returns the URL of the new database.
pub(crate) fn create(url: &str, name: &str) -> String {
    execute(url, &format!("CREATE DATABASE {name}"));
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

/// Replaces a database by a copy of another one, of the same server. Nobody may be connected to either.
pub(crate) fn replace(url: &str, name: &str, by: &str) {
    execute(url, &format!("DROP DATABASE IF EXISTS {name}"));
    execute(url, &format!("CREATE DATABASE {name} TEMPLATE {by}"));
}

/// Executes a statement, connected to the database of this URL, whose user must need no password.
fn execute(url: &str, statement: &str) {
    let (server, database) = url.rsplit_once('/').unwrap_or_else(|| panic!("{url} names no database"));
    let (user, address) = server.split_once("://").unwrap().1.split_once('@').expect("the URL names a user");
    let user = user.split(':').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    let startup = format!("user\0{user}\0database\0{database}\0\0");
    send(&mut stream, &[&PROTOCOL.to_be_bytes()[..], startup.as_bytes()].concat());
    until_ready(&mut stream);
    stream.write_all(b"Q").unwrap();
    send(&mut stream, format!("{statement}\0").as_bytes());
    until_ready(&mut stream);
}

/// Sends a message: its length, itself included, and its content.
fn send(stream: &mut TcpStream, content: &[u8]) {
    let length = u32::try_from(content.len() + 4).unwrap();
    stream.write_all(&[&length.to_be_bytes()[..], content].concat()).unwrap();
}

/// Reads until the server is ready for the next statement.
fn until_ready(stream: &mut TcpStream) {
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes(head[1..].try_into().unwrap());
        let mut content = vec![0; usize::try_from(length).unwrap() - 4];
        stream.read_exact(&mut content).unwrap();
        match head[0] {
            b'Z' => return,
            b'E' => panic!("the server refused: {}", String::from_utf8_lossy(&content)),
            _ => {}
        }
    }
}
