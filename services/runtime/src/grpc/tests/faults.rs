//! What goes wrong before a service sees the call.

use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt;

use super::{super::Limits, Running, wire};

#[tokio::test]
async fn a_message_that_cannot_be_read_is_the_callers_mistake() {
    let running = Running::start(Limits::default()).await;
    // Field 1 as a text of 9 bytes, of which one is there.
    let status = running.call_with("Reserve", &[0x0a, 9, b'x']).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "FIELD_MALFORMED");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused() {
    let running = Running::start(Limits { message_received_bytes_max: 64, ..Limits::default() }).await;
    let mut large = vec![0x0a, 100];
    large.extend([b'x'; 100]);
    let status = running.call_with("Reserve", &large).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "FIELD_TOO_LONG");
    assert!(status.message().contains("64"), "{status:?}");
}

#[tokio::test]
async fn an_unknown_method_says_where_to_look() {
    let running = Running::start(Limits::default()).await;
    for path in ["/theatre.v1.Opera/Sing", "/"] {
        let status = running.call_path(path, &[]).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}: {status:?}");
        assert!(status.message().contains("grpcurl"), "{path}: {status:?}");
    }
}

#[tokio::test]
async fn a_call_without_end_is_ended() {
    let call_duration_max = Duration::from_millis(50);
    let running = Running::start(Limits { call_duration_max, ..Limits::default() }).await;
    let status = running.call("Wait").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(status.message().contains("50ms, the most that this server gives"), "{status:?}");
    running.theatre.until_nobody_waits().await;
}

#[tokio::test]
async fn a_caller_whose_deadline_has_come_is_told_so() {
    let running = Running::start(Limits::default()).await;
    // Many, because tonic's own deadline is due at the same moment.
    for _ in 0..20 {
        let status = wire::call(&running, "Wait", "20m").await;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert!(status.message().contains("took longer than 20ms, the caller's deadline"), "{status:?}");
        running.theatre.until_nobody_waits().await;
    }
    assert_eq!(wire::call(&running, "Reserve", "20S").await.code(), Code::Ok);
}
