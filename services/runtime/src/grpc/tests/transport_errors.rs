//! Calls that fail before a service gets them, and deadlines.

use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt;

use super::{super::Limits, TestServer, raw_client};

#[tokio::test]
async fn a_message_that_cannot_be_read_is_an_invalid_argument() {
    let server = TestServer::start(Limits::default()).await;
    // Field 1 as a text of 9 bytes, of which one is there.
    let status = server.call_with("Reserve", &[0x0a, 9, b'x']).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "FIELD_MALFORMED");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused() {
    let server = TestServer::start(Limits { message_received_bytes_max: 64, ..Limits::default() }).await;
    let mut large = vec![0x0a, 100];
    large.extend([b'x'; 100]);
    let status = server.call_with("Reserve", &large).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "FIELD_TOO_LONG");
    assert!(status.message().contains("64"), "{status:?}");
}

#[tokio::test]
async fn the_error_for_an_unknown_method_names_grpcurl() {
    let server = TestServer::start(Limits::default()).await;
    for path in ["/theatre.v1.Opera/Sing", "/"] {
        let status = server.call_path(path, &[]).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}: {status:?}");
        assert!(status.message().contains("grpcurl"), "{path}: {status:?}");
    }
}

#[tokio::test]
async fn a_call_ends_at_the_maximum_of_the_server() {
    let call_duration_max = Duration::from_millis(50);
    let server = TestServer::start(Limits { call_duration_max, ..Limits::default() }).await;
    let status = server.call("Wait").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(status.message().contains("50ms, the maximum of this server"), "{status:?}");
    server.box_office.until_no_call_waits().await;
}

#[tokio::test]
async fn a_call_past_its_deadline_gets_deadline_exceeded() {
    let server = TestServer::start(Limits::default()).await;
    // Many times, because tonic's own deadline is at the same moment.
    for _ in 0..20 {
        let status = raw_client::call(&server, "Wait", "20m").await;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert!(status.message().contains("took longer than 20ms, the caller's deadline"), "{status:?}");
        server.box_office.until_no_call_waits().await;
    }
    assert_eq!(raw_client::call(&server, "Reserve", "20S").await.code(), Code::Ok);
}
