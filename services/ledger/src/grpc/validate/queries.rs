//! Validates the fields of query requests.

use std::{collections::HashSet, time::Duration};

use diptych_kernel::{Partitions, Token, vocabulary::TokenIssuer};
use diptych_proto::diptych::v1::Consistency;
use diptych_runtime::{Failure, InvalidFields};

use super::field;
use crate::domain::{AccountId, Currency, OwnerId, ValueError};

/// Maximum number of accounts in one `BatchGetAccounts`.
const ACCOUNT_IDS_MAX: usize = 100;

/// Rows per page where the caller sets no page size.
const PAGE_SIZE_DEFAULT: usize = 50;

/// Maximum number of rows per page. A larger page size is lowered to it.
const PAGE_SIZE_MAX: usize = 500;

const TOKEN_FIELD: &str = "consistency.at_least_as_fresh.value";
const AGE_FIELD: &str = "consistency.not_older_than";

pub(in crate::grpc) fn account_id(text: &str) -> Result<AccountId, Failure> {
    field::account_id("account_id", text)
}

pub(in crate::grpc) fn owner_id(text: &str) -> Result<OwnerId, Failure> {
    field::owner_id("owner_id", text)
}

pub(in crate::grpc) fn currency(text: &str) -> Result<Currency, Failure> {
    field::currency("currency_code", text)
}

/// Validates 1 to 100 ids, and removes duplicates. The order is kept. `None` where `invalid` has recorded a failure.
pub(in crate::grpc) fn account_ids(texts: &[String], invalid: &mut InvalidFields) -> Option<Vec<AccountId>> {
    if texts.is_empty() {
        return invalid.check(Err(Failure::missing("account_ids")));
    }
    if texts.len() > ACCOUNT_IDS_MAX {
        let problem = format!("has {} ids, and may have at most {ACCOUNT_IDS_MAX}", texts.len());
        return invalid.check(Err(Failure::too_long("account_ids", problem)));
    }
    let mut ids = Vec::with_capacity(texts.len());
    let mut seen = HashSet::with_capacity(texts.len());
    let mut all_valid = true;
    for (index, text) in texts.iter().enumerate() {
        let id = AccountId::parse(text).or_else(|_| field::account_id(format!("account_ids[{index}]"), text));
        match invalid.check(id) {
            Some(id) if seen.insert(id.clone()) => ids.push(id),
            Some(_) => {}
            None => all_valid = false,
        }
    }
    all_valid.then_some(ids)
}

/// Returns the number of rows per page: the default for 0, and at most [`PAGE_SIZE_MAX`].
pub(in crate::grpc) fn page_size(size: i32) -> Result<usize, Failure> {
    match usize::try_from(size) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
        Err(_) => Err(field::number_failure("page_size", ValueError::OutOfRange("must not be negative"), size.into())),
    }
}

/// Returns the consistency token of a request; an empty token where it has none.
pub(in crate::grpc) fn token(
    consistency: Option<&Consistency>,
    tokens: &TokenIssuer,
    partitions: Partitions,
) -> Result<Token, Failure> {
    let Some(token) = consistency.and_then(|consistency| consistency.at_least_as_fresh.as_ref()) else {
        return Ok(Token::default());
    };
    tokens
        .decode(&token.value, partitions)
        .map_err(|error| Failure::TokenInvalid { field: TOKEN_FIELD.into(), problem: format!("is not valid: {error}") })
}

/// Returns the age that the response may have; `None` for any.
pub(in crate::grpc) fn age_max(consistency: Option<&Consistency>) -> Result<Option<Duration>, Failure> {
    let age = consistency.and_then(|consistency| consistency.not_older_than);
    age.map(|age| field::duration(AGE_FIELD, age)).transpose()
}
