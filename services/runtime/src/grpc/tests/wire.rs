//! A caller without a clock: tonic's own would give up at its deadline, and never hear what the server says to it.

use http::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::{Status, body::Body};

use super::{Running, theatre::NAME};

/// An empty message, as it is framed: not compressed, and no bytes.
const NOTHING: &str = "\0\0\0\0\0";

/// Calls a method that answers before it sends anything; returns how the server says that it ended.
pub(super) async fn call(running: &Running, method: &str, timeout: &str) -> Status {
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let request = Request::post(format!("http://{}/{NAME}/{method}", running.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .body(Body::new(NOTHING.to_owned()))
        .unwrap();
    tokio::select! {
        answer = sender.send_request(request) => {
            let answer = answer.unwrap();
            // Of an answer that goes well, the status comes after it.
            Status::from_header_map(answer.headers()).unwrap_or_else(|| Status::ok(""))
        }
        ended = connection => panic!("the connection has ended: {ended:?}"),
    }
}
