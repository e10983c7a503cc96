//! Shared code of the client subcommands: connections, errors, retries of queries, tokens, printed results.

pub(crate) mod call_error;
pub(crate) mod connect;
pub(crate) mod retry;
pub(crate) mod table;
pub(crate) mod tokens;

pub(crate) use connect::{Connection, Connections, Target};
pub(crate) use table::Output;
pub(crate) use tokens::JoinedTokens;
