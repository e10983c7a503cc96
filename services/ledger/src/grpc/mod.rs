//! The gRPC services of the ledger: validate a request, pass it to the write or the read side, and convert the result.
//!
//! To serve them, wrap [`LedgerCommandService`] in `CommandServiceServer`, and [`LedgerQueryService`] in the
//! `QueryServiceServer` of `diptych_proto::ledger::query::v1_encoded`, which sends stored rows without decoding them.

mod command_service;
mod command_stream;
mod convert;
mod deadline;
mod ordered_futures;
mod page_token;
mod query_service;
mod read_at;
mod status;
mod validate;

pub use command_service::LedgerCommandService;
pub use query_service::LedgerQueryService;
pub(crate) use validate::decode_command;
