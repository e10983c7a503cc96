//! Helpers for tests of processes (feature `testing`).
#![allow(clippy::unwrap_used, reason = "a panic here is the report of a test")]

mod otlp_receiver;

pub use opentelemetry_proto::tonic::{
    common::v1::any_value::Value as AttributeValue,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};

pub use otlp_receiver::{OtlpReceiver, hex};
