//! What every subcommand that talks to a server shares: connecting, reading errors, joining tokens, printing results.

pub(crate) mod ask;
pub(crate) mod connect;
pub(crate) mod failure;
pub(crate) mod table;
pub(crate) mod tokens;

pub(crate) use connect::{Connection, Link, Target};
pub(crate) use table::Output;
pub(crate) use tokens::Tokens;
