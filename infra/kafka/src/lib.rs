//! The event log on Kafka.
//!
//! # Record format
//!
//! Every event is one record, and every watermark is one, each on the partition of its stream. They are CloudEvents in
//! binary mode, so that any consumer can read them:
//!
//! | header | of an event | of a watermark |
//! |---|---|---|
//! | `ce_specversion` | `1.0` | `1.0` |
//! | `ce_id` | its position: unique, and the same in a repeat | unique |
//! | `ce_source` | [`KafkaConfig::ce_source`] | the same |
//! | `ce_type` | full name of its message | [`WATERMARK_TYPE`] |
//! | `ce_time` | when the write database recorded it (RFC 3339, microseconds) | the time as of which it holds |
//! | `ce_subject` | its stream | |
//! | `ce_position` | its position | all events of the partition up to this position precede the record |
//! | `ce_version` | its version in its stream | |
//! | `ce_requestid` | the command that caused it | |
//! | `ce_history` | the history that its position belongs to (a UUID) | the same |
//! | `ce_lastevent` | | position of the last event of the partition, 0 if there is none |
//! | `ce_tail` | | offset, position and command of the last event, as far as the writer knew; see [`EventLog::ends`] |
//! | `content-type` | `application/protobuf` | |
//! | `traceparent` | trace context of its command, if there is one | |
//! | key | its stream | none |
//! | payload | the encoded message | none |
//!
//! Numbers are decimal text. **A consumer of events skips records of type [`WATERMARK_TYPE`]**, and recognises a
//! repeated event by its id. The record's own timestamp is its time of arrival, so that retention counts from there. A
//! record without `ce_position` belongs to another program and is skipped; a record that has it and cannot be decoded
//! is an error that names its partition and offset. So is a record of another installation's history. One whose event a
//! restore of the write database has lost is skipped.
//!
//! # Required broker settings and permissions
//!
//! `group.min.session.timeout.ms` should be at most [`KafkaConfig::session_timeout`], so that a dead member is replaced
//! soon. With access control, allow: create, describe and describe configs of the topic (`ensure_topic`), write to it
//! and write idempotently (relay), read it and read with the group (projector).
//!
//! [`EventLog::ends`]: diptych_kernel::ports::EventLog::ends

mod append;
mod blocking;
mod client_config;
mod client_context;
mod config;
mod consumer;
mod end_offsets;
mod error;
mod event_log;
mod record;
mod topic;
mod topic_safety;

pub use config::KafkaConfig;
pub use consumer::KafkaConsumer;
pub use event_log::KafkaEventLog;
pub use record::WATERMARK_TYPE;
pub use topic::ensure_topic;
