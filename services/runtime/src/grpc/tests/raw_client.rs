//! A client without a timer of its own: tonic's would time out at its deadline and not get the server's response.

use http::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::{Status, body::Body};

use super::{TestServer, box_office::NAME};

/// The frame of an empty message: not compressed, no bytes.
const EMPTY_FRAME: &str = "\0\0\0\0\0";

/// Calls a method, and returns the status from the headers of the response.
pub(super) async fn call(server: &TestServer, method: &str, timeout: &str) -> Status {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let request = Request::post(format!("http://{}/{NAME}/{method}", server.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .body(Body::new(EMPTY_FRAME.to_owned()))
        .unwrap();
    tokio::select! {
        response = sender.send_request(request) => {
            let response = response.unwrap();
            // A successful response has its status in the trailers.
            Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok(""))
        }
        ended = connection => panic!("the connection ended: {ended:?}"),
    }
}
