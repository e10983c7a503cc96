use std::{collections::BTreeSet, time::Duration};

use diptych_kernel::{Partition, Position, RequestId, StreamId, Timestamp, Version, domain::ViewId};
use tonic::Code;
use tonic_types::StatusExt;

use super::{table::DOMAIN, *};
use crate::reasons;

/// The reasons that only the gateway sends, for a service that is down; infra/envoy tests them.
const OF_THE_GATEWAY: [&str; 1] = ["SERVICE_UNAVAILABLE"];

/// The reasons of JSON requests that reach no service; `grpc/json/tests.rs` tests them.
const OF_JSON: [&str; 4] = ["BODY_MALFORMED", "FIELD_UNKNOWN", "FIELD_DUPLICATED", "PATH_UNKNOWN"];

fn request_id() -> RequestId {
    RequestId::parse("7f3c2a9e-5b0d-4c1e-9a52-0d8b6f1f0c11").unwrap()
}

fn stream_id() -> StreamId {
    StreamId::new("seat-7").unwrap()
}

fn position(value: i64) -> Position {
    Position::from_i64(value).unwrap()
}

/// One of each, without the refusals of domains.
fn one_of_each() -> Vec<Failure> {
    let (expected, actual) = (Version::new(3), Version::new(5));
    let view = ViewId { name: "seats", generation: 2 };
    vec![
        Failure::missing("seat_id"),
        Failure::malformed("request_id", "is `x`, which is not a UUID"),
        Failure::too_long("seat_id", "has 65 bytes, and may have 64"),
        Failure::out_of_range("row", "is 0, and may be 1 to 40"),
        Failure::TokenInvalid { field: "consistency".into(), problem: "was changed on the way".into() },
        Failure::PageTokenInvalid { field: "page_token".into() },
        Failure::RequestIdReused { request_id: request_id() },
        Failure::VersionMismatch { stream_id: stream_id(), expected, actual },
        Failure::Contention { stream_id: stream_id(), expected, actual },
        Failure::OutcomeUnknown,
        Failure::WriteUnavailable,
        Failure::WriteSuspended,
        Failure::CommandExpired,
        Failure::StreamQueued { stream_id: stream_id() },
        Failure::ViewBehind { view, partition: Partition::new(4), required: position(9), reached: position(8) },
        Failure::ViewTooOld {
            partition: Partition::new(4),
            required: Timestamp::from_micros(2_000_000),
            reached: Some(Timestamp::from_micros(500_000)),
        },
        Failure::ViewParked { stream_id: stream_id() },
        Failure::ReadUnavailable,
        Failure::Overloaded { what: "command queue" },
        Failure::ShuttingDown,
        Failure::ReceiptNotFound { request_id: request_id() },
        Failure::Internal,
    ]
}

fn taken() -> Failure {
    Failure::Refused(DomainRefusal {
        domain: "theatre.command.v1",
        reason: "SEAT_TAKEN",
        code: Code::FailedPrecondition,
        message: "seat 7 is taken: choose another".into(),
        metadata: vec![("seat_id", "7".into())],
    })
}

fn decoded(details: &[u8]) -> rpc::Status {
    prost::Message::decode(details).unwrap()
}

fn kinds(status: &rpc::Status) -> Vec<&str> {
    status.details.iter().map(|detail| detail.type_url.as_str()).collect()
}

#[test]
fn the_table_agrees_with_the_proto_file() {
    let in_proto: Vec<_> = reasons::all().unwrap().into_iter().filter(|reason| reason.domain == DOMAIN).collect();
    for failure in one_of_each() {
        let explained = in_proto.iter().find(|explained| explained.reason == failure.reason());
        let explained = explained.unwrap_or_else(|| panic!("{failure:?} has no reason in the proto file"));
        // `Code` is named in the source as in the proto file, but for the case.
        let code = format!("{:?}", failure.code());
        assert_eq!(code.to_uppercase(), explained.code.replace('_', ""), "{failure:?}");
    }
    let mut used: BTreeSet<_> = one_of_each().iter().map(Failure::reason).collect();
    assert_eq!(used.len(), one_of_each().len());
    used.extend(OF_THE_GATEWAY.into_iter().chain(OF_JSON));
    let known: BTreeSet<_> = in_proto.iter().map(|explained| explained.reason.as_str()).collect();
    assert_eq!(used, known, "every reason has exactly one failure");
}

#[test]
fn every_status_carries_its_reason() {
    for failure in one_of_each() {
        let status = Status::from(failure.clone());
        assert_eq!(status.code(), failure.code());
        assert!(!status.message().is_empty());
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (failure.reason(), DOMAIN));
        let (inside, alone) = (decoded(status.details()), failure.to_rpc_status());
        assert_eq!((inside.code, &inside.message), (i32::from(status.code()), &alone.message));
        assert_eq!(kinds(&inside), kinds(&alone));
    }
}

#[test]
fn retry_info_is_sent_exactly_when_a_retry_may_succeed() {
    for failure in one_of_each() {
        let may_retry = matches!(failure.code(), Code::Unavailable | Code::ResourceExhausted);
        let delay = Status::from(failure.clone()).get_details_retry_info().and_then(|info| info.retry_delay);
        assert_eq!(delay.is_some(), may_retry, "{failure:?}");
        assert!(delay.is_none_or(|delay| delay >= Duration::from_millis(50)), "{failure:?}");
    }
}

#[test]
fn an_invalid_field_is_named_with_its_problem() {
    let status = Status::from(Failure::out_of_range("rows[2].number", "is 0, and may be 1 to 40"));
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].field, "rows[2].number");
    assert_eq!(violations[0].description, "is 0, and may be 1 to 40");
    assert_eq!(status.message(), "rows[2].number is 0, and may be 1 to 40");
    assert_eq!(status.get_details_error_info().unwrap().metadata["field"], "rows[2].number");
    assert!(Status::from(Failure::Internal).get_details_bad_request().is_none());
}

#[test]
fn all_invalid_fields_are_named_at_once() {
    let mut invalid = InvalidFields::default();
    assert_eq!(invalid.check(Ok(7)), Some(7));
    assert_eq!(invalid.check::<()>(Err(Failure::missing("seat_id"))), None);
    invalid.check::<()>(Err(Failure::out_of_range("row", "is 0, and may be 1 to 40")));
    let status = Status::from(invalid.finish(Some(())).unwrap_err());
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "2 fields are invalid: seat_id is missing: set it; row is 0, and may be 1 to 40");
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.metadata["field"].as_str()), ("FIELD_MISSING", "seat_id"));
    let bad = bad_request(&status);
    let violations = bad.field_violations.iter().map(|violation| (violation.field.as_str(), violation.reason.as_str()));
    assert_eq!(violations.collect::<Vec<_>>(), [("seat_id", "FIELD_MISSING"), ("row", "FIELD_OUT_OF_RANGE")]);
}

#[test]
fn one_invalid_field_is_its_own_failure() {
    let mut invalid = InvalidFields::default();
    let seat_id: Option<u8> = invalid.check(Err(Failure::missing("seat_id")));
    assert_eq!(invalid.finish(seat_id), Err(Failure::missing("seat_id")));
    assert_eq!(InvalidFields::default().finish(Some(7)), Ok(7));
    assert_eq!(InvalidFields::default().finish(None::<u8>), Err(Failure::Internal));
}

#[test]
fn many_invalid_fields_fit_into_a_header() {
    let of = |count: usize| {
        let mut invalid = InvalidFields::default();
        for index in 0..count {
            invalid.check::<()>(Err(Failure::malformed(format!("seat_ids[{index}]"), "ü".repeat(1_000))));
        }
        Status::from(invalid.finish::<()>(None).unwrap_err())
    };
    assert_eq!(bad_request(&of(10)).field_violations.len(), 10);
    for count in [2, 10, 100, 10_000] {
        let status = of(count);
        assert!(status.details().len() < 4_096 && status.message().len() < 600, "{count}");
        assert!(status.message().starts_with(&format!("{count} fields are invalid: seat_ids[0] ")));
    }
}

/// Read by our own type: that of `tonic_types` has no reason.
fn bad_request(status: &Status) -> rpc::BadRequest {
    let details = decoded(status.details()).details;
    let bad = details.iter().find(|detail| detail.type_url.ends_with("google.rpc.BadRequest")).unwrap();
    prost::Message::decode(bad.value.as_slice()).unwrap()
}

#[test]
fn versions_and_positions_are_in_the_metadata() {
    let first = |fits: fn(&Failure) -> bool| one_of_each().into_iter().find(fits).unwrap();
    let mismatch = first(|failure| matches!(failure, Failure::VersionMismatch { .. }));
    let metadata = Status::from(mismatch.clone()).get_details_error_info().unwrap().metadata;
    let expected = [("stream_id", "seat-7"), ("expected_version", "3"), ("actual_version", "5")];
    assert_eq!(metadata, expected.map(|(key, value)| (key.into(), value.into())).into());
    let resource = Status::from(mismatch).get_details_resource_info().unwrap();
    assert_eq!((resource.resource_type.as_str(), resource.resource_name.as_str()), ("stream", "seat-7"));

    let behind = first(|failure| matches!(failure, Failure::ViewBehind { .. }));
    let metadata = Status::from(behind).get_details_error_info().unwrap().metadata;
    let expected = [("view", "seats_g2"), ("partition", "4"), ("required_position", "9"), ("reached_position", "8")];
    assert_eq!(metadata, expected.map(|(key, value)| (key.into(), value.into())).into());
}

#[test]
fn a_refusal_is_sent_as_the_domain_made_it() {
    let status = Status::from(taken());
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "seat 7 is taken: choose another"));
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.domain.as_str(), info.reason.as_str()), ("theatre.command.v1", "SEAT_TAKEN"));
    assert_eq!(info.metadata["seat_id"], "7");
    assert!(status.get_details_retry_info().is_none());
}

#[test]
fn long_texts_are_truncated_at_a_character() {
    let status = Status::from(Failure::malformed("name", "ü".repeat(100_000)));
    assert!(status.message().len() < 600 && status.message().ends_with('…'));
    assert!(status.details().len() < 2_000);
    let mut refused = taken();
    if let Failure::Refused(refused) = &mut refused {
        refused.metadata = vec![("seat_id", "7".repeat(100_000))];
    }
    assert!(Status::from(refused).details().len() < 2_000);
}

#[test]
fn only_failures_that_may_succeed_elsewhere_are_retried_elsewhere() {
    let is_marked = |failure: &Failure| Status::from(failure.clone()).metadata().contains_key(TRY_ELSEWHERE);
    let marked: Vec<_> = one_of_each().into_iter().filter(is_marked).collect();
    assert_eq!(marked, [Failure::WriteUnavailable, Failure::ShuttingDown]);
}
