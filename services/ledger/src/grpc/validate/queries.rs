//! Requests of the query service.

use std::collections::HashSet;

use diptych_kernel::{Partitions, Token};
use diptych_proto::diptych::v1::Consistency;
use diptych_runtime::Failure;

use super::field;
use crate::domain::{AccountId, Currency, ValueError, OwnerId};

/// How many accounts one call may ask for.
const ACCOUNT_IDS_MAX: usize = 100;

/// How long a page is where the caller does not say.
const PAGE_SIZE_DEFAULT: usize = 50;

/// How long a page may be; who asks for more gets this.
const PAGE_SIZE_MAX: usize = 500;

const TOKEN_FIELD: &str = "consistency.at_least_as_fresh.value";

pub(in crate::grpc) fn account_id(text: &str) -> Result<AccountId, Failure> {
    field::account_id("account_id", text)
}

pub(in crate::grpc) fn owner_id(text: &str) -> Result<OwnerId, Failure> {
    field::owner_id("owner_id", text)
}

pub(in crate::grpc) fn currency(text: &str) -> Result<Currency, Failure> {
    field::currency("currency_code", text)
}

/// 1 to 100 ids. Each comes once, in the order asked for.
pub(in crate::grpc) fn account_ids(texts: &[String]) -> Result<Vec<AccountId>, Failure> {
    if texts.is_empty() {
        return Err(Failure::missing("account_ids"));
    }
    if texts.len() > ACCOUNT_IDS_MAX {
        let problem = format!("has {} ids, and may have at most {ACCOUNT_IDS_MAX}", texts.len());
        return Err(Failure::too_long("account_ids", problem));
    }
    let mut ids = Vec::with_capacity(texts.len());
    let mut seen = HashSet::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let id = match AccountId::parse(text) {
            Ok(id) => id,
            Err(_) => field::account_id(format!("account_ids[{index}]"), text)?,
        };
        if seen.insert(id.clone()) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// 0 means the default, too many means the most.
pub(in crate::grpc) fn page_size(size: i32) -> Result<usize, Failure> {
    match usize::try_from(size) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
        Err(_) => Err(field::number_failure("page_size", ValueError::OutOfRange("must not be negative"), size.into())),
    }
}

/// What the answer must have seen; nothing where the caller does not say.
pub(in crate::grpc) fn token(consistency: Option<Consistency>, partitions: Partitions) -> Result<Token, Failure> {
    let Some(token) = consistency.and_then(|consistency| consistency.at_least_as_fresh) else {
        return Ok(Token::default());
    };
    Token::decode(&token.value, partitions).map_err(|error| Failure::TokenInvalid {
        field: TOKEN_FIELD.into(),
        problem: format!("is not usable: {error}"),
    })
}
