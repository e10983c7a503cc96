//! The event log on Kafka.
//!
//! # What stands on the topic
//!
//! Every event is one record, and every watermark is one, each on the partition of its stream. They are CloudEvents in binary mode, so that
//! any consumer can read them:
//!
//! | header | of an event | of a watermark |
//! |---|---|---|
//! | `ce_specversion` | `1.0` | `1.0` |
//! | `ce_id` | its position: unique, and the same when it comes again | unique |
//! | `ce_source` | [`KafkaConfig::ce_source`] | the same |
//! | `ce_type` | the full name of its message | [`WATERMARK_TYPE`] |
//! | `ce_time` | when the write database recorded it (RFC 3339, microseconds) | the time as of which it is true |
//! | `ce_subject` | its stream | |
//! | `ce_position` | its position | everything of the partition up to here stands before it |
//! | `ce_version` | its place in its stream | |
//! | `ce_requestid` | the command that caused it | |
//! | `ce_lastevent` | | the position of the last event of the partition, 0 where it has none |
//! | `ce_tail` | | where the last event stands, as far as its writer knew; for [`EventLog::ends`](diptych_kernel::ports::EventLog::ends) |
//! | `content-type` | `application/protobuf` | |
//! | `traceparent` | the trace of its command, if there is one | |
//! | key | its stream | none |
//! | payload | the encoded message | none |
//!
//! Numbers are decimal text. **Whoever is after events skips records of type [`WATERMARK_TYPE`]**, and knows a repeated event by its id.
//! The time of the record itself is that of its arrival, so that retention counts from there. A record without `ce_position` is another
//! program's and is skipped; one that has it and cannot be read is an error that names its partition and offset.
//!
//! # What the brokers have to allow
//!
//! `group.min.session.timeout.ms` up to [`KafkaConfig::session`]. With access control: to create, describe and describe the configuration
//! of the topic (`ensure_topic`), write to it and write idempotently (relay), read it and read with the group (projector).

mod append;
mod blocking;
mod client;
mod config;
mod context;
mod ends;
mod error;
mod log;
mod member;
mod record;
mod topic;

pub use config::KafkaConfig;
pub use log::KafkaEventLog;
pub use member::KafkaConsumer;
pub use record::WATERMARK_TYPE;
pub use topic::ensure_topic;
