//! Shared code of the client subcommands: connections, errors, retries of queries, tokens, printed results.

mod address;
pub(crate) mod call_error;
mod connect;
mod connection;
mod diagnosis;
mod protocol;
mod required_services;
pub(crate) mod retry;
pub(crate) mod table;
pub(crate) mod tokens;

pub(crate) use connect::{Connections, Target};
pub(crate) use connection::Connection;
pub(crate) use required_services::RequiredServices;
pub(crate) use table::Output;
pub(crate) use tokens::JoinedTokens;
