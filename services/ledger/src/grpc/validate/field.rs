//! Validates single fields: parses a value, or names the field and what is wrong with it.

use std::{borrow::Cow, time::Duration};

use diptych_kernel::{RequestId, Version};
use diptych_runtime::Failure;

use crate::domain::{AccountId, Amount, Currency, OverdraftLimit, OwnerId, Text, ValueDate, ValueError};

/// Maximum length of the excerpt of an invalid value in an error message, in characters.
const EXCERPT_CHARACTERS_MAX: usize = 64;

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// The path of a field in the request message, such as `details.value_date`.
pub(super) type Field = Cow<'static, str>;

/// Required. The UUID of a command.
pub(in crate::grpc) fn request_id(text: &str) -> Result<RequestId, Failure> {
    if text.is_empty() {
        return Err(Failure::missing("request_id"));
    }
    RequestId::parse(text)
        .map_err(|error| Failure::malformed("request_id", format!("is {}, which {error}", excerpt(text))))
}

/// A duration of more than 0.
pub(super) fn duration(field: impl Into<Field>, duration: prost_types::Duration) -> Result<Duration, Failure> {
    let prost_types::Duration { seconds, nanos } = duration;
    // By hand, as the conversion of prost overflows.
    let (whole, rest) = (u64::try_from(seconds), u32::try_from(nanos).ok().filter(|nanos| *nanos < NANOS_PER_SECOND));
    match (whole, rest) {
        (Ok(whole), Some(rest)) if (whole, rest) != (0, 0) => Ok(Duration::new(whole, rest)),
        _ => {
            let problem = format!("has {seconds} s and {nanos} ns, and must be a duration of more than 0 s");
            Err(Failure::out_of_range(field, problem))
        }
    }
}

pub(super) fn account_id(field: impl Into<Field>, text: &str) -> Result<AccountId, Failure> {
    AccountId::parse(text).map_err(|error| text_failure(field, error, text))
}

pub(super) fn owner_id(field: impl Into<Field>, text: &str) -> Result<OwnerId, Failure> {
    OwnerId::parse(text).map_err(|error| text_failure(field, error, text))
}

pub(super) fn currency(field: impl Into<Field>, text: &str) -> Result<Currency, Failure> {
    Currency::parse(text).map_err(|error| text_failure(field, error, text))
}

pub(super) fn amount(field: impl Into<Field>, minor: i64) -> Result<Amount, Failure> {
    Amount::from_minor(minor).map_err(|error| number_failure(field, error, minor))
}

pub(super) fn overdraft_limit(field: impl Into<Field>, minor: i64) -> Result<OverdraftLimit, Failure> {
    OverdraftLimit::from_minor(minor).map_err(|error| number_failure(field, error, minor))
}

/// Optional: empty means that it is not set.
pub(super) fn value_date(field: impl Into<Field>, text: &str) -> Result<Option<ValueDate>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    ValueDate::parse(text).map(Some).map_err(|error| text_failure(field, error, text))
}

/// Optional: may be empty.
pub(super) fn text(field: impl Into<Field>, text: String) -> Result<Text, Failure> {
    Text::parse(text).map_err(|(text, error)| text_failure(field, error, &text))
}

/// Optional: 1 to the largest version of a stream.
pub(super) fn expected_version(number: Option<i64>) -> Result<Option<Version>, Failure> {
    let Some(number) = number else { return Ok(None) };
    match u32::try_from(number) {
        Ok(version) if version > 0 => Ok(Some(Version::new(version))),
        _ => Err(number_failure("expected_version", ValueError::OutOfRange("must be 1 to 4294967295"), number)),
    }
}

fn text_failure(field: impl Into<Field>, error: ValueError, text: &str) -> Failure {
    match error {
        ValueError::Missing => Failure::missing(field),
        ValueError::Malformed(rule) => Failure::malformed(field, format!("is {}, and {rule}", excerpt(text))),
        ValueError::TooLong(rule) => Failure::too_long(field, format!("has {} bytes, and {rule}", text.len())),
        ValueError::OutOfRange(rule) => Failure::out_of_range(field, rule),
    }
}

pub(super) fn number_failure(field: impl Into<Field>, error: ValueError, number: i64) -> Failure {
    Failure::out_of_range(field, format!("is {number}, and {error}"))
}

/// The beginning of a value, quoted, with control characters escaped.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARACTERS_MAX) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}
