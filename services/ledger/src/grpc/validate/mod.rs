//! The form of every field of every request, checked before any rule is asked. The limits are those of the comments in the proto files; the
//! first field that is wrong is named.

mod commands;
mod field;
mod queries;

pub(super) use commands::{ValidatedCommand, CommandRequest, check};
pub(super) use field::request_id;
pub(super) use queries::{account_id, account_ids, currency, owner_id, page_size, token};

#[cfg(test)]
mod tests;
