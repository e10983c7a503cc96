//! Header names and the type of watermarks.

/// CloudEvents type of a watermark (`ce_type`). A consumer of events skips records of this type.
pub const WATERMARK_TYPE: &str = "diptych.log.v1.Watermark";

pub(super) const CONTENT_TYPE: &str = "content-type";
pub(super) const SPEC_VERSION: &str = "ce_specversion";
pub(super) const ID: &str = "ce_id";
pub(super) const SOURCE: &str = "ce_source";
pub(super) const TYPE: &str = "ce_type";
pub(super) const TIME: &str = "ce_time";
pub(super) const SUBJECT: &str = "ce_subject";
/// Present on every record of Diptych; a record without it belongs to another program.
pub(super) const POSITION: &str = "ce_position";
pub(super) const VERSION: &str = "ce_version";
pub(super) const REQUEST_ID: &str = "ce_requestid";
/// The history that the position belongs to.
pub(super) const HISTORY: &str = "ce_history";
pub(super) const LAST_EVENT: &str = "ce_lastevent";
pub(super) const TAIL: &str = "ce_tail";
pub(super) const TRACEPARENT: &str = "traceparent";
