//! Validates every field of every request before the domain sees it. The limits are those of the comments in the proto
//! files. A failure names all invalid fields of the request.

mod commands;
mod field;
mod options;
mod queries;

pub(crate) use commands::decode as decode_command;
pub(super) use commands::{CommandRequest, ValidatedCommand, command};
pub(super) use field::request_id;
pub(super) use options::queue_token;
pub(super) use queries::{account_id, account_ids, age_max, currency, owner_id, page_size, token};

#[cfg(test)]
mod tests;
