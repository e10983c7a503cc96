//! What a record of the topic looks like; see the documentation of the crate.

mod decode;
mod encode;
mod tail;
mod time;

pub(crate) use decode::{Decoded, Glimpse, decode, glimpse};
pub(crate) use encode::{bytes_max, check_time, draft};
pub(crate) use tail::Tail;

/// The type of a watermark (`ce_type`). Whoever is after events only skips it.
pub const WATERMARK_TYPE: &str = "diptych.log.v1.Watermark";

/// Names of headers.
mod name {
    pub(super) const CONTENT_TYPE: &str = "content-type";
    pub(super) const SPEC_VERSION: &str = "ce_specversion";
    pub(super) const ID: &str = "ce_id";
    pub(super) const SOURCE: &str = "ce_source";
    pub(super) const TYPE: &str = "ce_type";
    pub(super) const TIME: &str = "ce_time";
    pub(super) const SUBJECT: &str = "ce_subject";
    /// What tells a record of ours from a stranger's.
    pub(super) const POSITION: &str = "ce_position";
    pub(super) const VERSION: &str = "ce_version";
    pub(super) const REQUEST_ID: &str = "ce_requestid";
    pub(super) const LAST_EVENT: &str = "ce_lastevent";
    pub(super) const TAIL: &str = "ce_tail";
    pub(super) const TRACEPARENT: &str = "traceparent";
}
