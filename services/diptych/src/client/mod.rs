//! What all client subcommands share: connecting, reading errors, retrying queries, joining tokens, printing results.

pub(crate) mod call_error;
pub(crate) mod connect;
pub(crate) mod retry;
pub(crate) mod table;
pub(crate) mod tokens;

pub(crate) use connect::{Connection, Connections, Target};
pub(crate) use table::Output;
pub(crate) use tokens::JoinedTokens;
