//! What callers talk to: requests checked field by field, handed to the write or the read side, and the answers.
//!
//! Mounted as `CommandServiceServer::new(CommandFace::new(..))` and `query_service_server::QueryServiceServer::new(QueryFace::new(..))`; the
//! latter of `diptych_proto::ledger::query::v1_encoded`, so that stored rows go out as they are.

mod answer;
mod command_face;
mod command_stream;
mod deadline;
mod in_order;
mod page_token;
mod query_face;
mod read_at;
mod status;
mod validate;

pub use command_face::CommandFace;
pub use query_face::QueryFace;
