//! What callers talk to: requests checked field by field, handed to the write or the read side, and the answers.
//!
//! Mounted as `CommandServiceServer::new(LedgerCommandService::new(..))` and `query_service_server::QueryServiceServer::new(LedgerQueryService::new(..))`; the
//! latter of `diptych_proto::ledger::query::v1_encoded`, so that stored rows go out as they are.

mod convert;
mod command_service;
mod command_stream;
mod deadline;
mod ordered_futures;
mod page_token;
mod query_service;
mod read_at;
mod status;
mod validate;

pub use command_service::LedgerCommandService;
pub use query_service::LedgerQueryService;
