//! Connections to ports on 127.0.0.1.

use std::net::Ipv4Addr;

use tokio::net::TcpStream;

/// Human-readable reason why a process is not ready.
pub(super) type NotReadyReason = String;

/// Connects to a port.
pub(super) async fn connect(port: u16) -> Result<TcpStream, NotReadyReason> {
    let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
    connected.map_err(|error| format!("cannot connect to port {port}: {error}"))
}
