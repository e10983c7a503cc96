//! Reasons and metadata of refusals, and their stored form: the same `google.rpc.ErrorInfo` that is sent.

use bytes::Bytes;
use diptych_kernel::domain::DecodeError;
use diptych_proto::{google::rpc::ErrorInfo, ledger::command::v1::ErrorReason};
use prost::Message;

use super::{AccountId, Amount, Currency, OverdraftLimit, Refusal, ValueError};

const REFUSAL: &str = "ledger refusal";

/// The reason of a refusal, as it is sent.
pub(crate) fn reason_of(refusal: &Refusal) -> ErrorReason {
    match refusal {
        Refusal::AccountNotFound { .. } => ErrorReason::AccountNotFound,
        Refusal::AccountExists { .. } => ErrorReason::AccountExists,
        Refusal::AccountFrozen { .. } => ErrorReason::AccountFrozen,
        Refusal::AccountNotFrozen { .. } => ErrorReason::AccountNotFrozen,
        Refusal::AccountClosed { .. } => ErrorReason::AccountClosed,
        Refusal::CurrencyMismatch { .. } => ErrorReason::CurrencyMismatch,
        Refusal::InsufficientFunds { .. } => ErrorReason::InsufficientFunds,
        Refusal::SameAccount { .. } => ErrorReason::SameAccount,
        Refusal::BalanceOverflow { .. } => ErrorReason::BalanceOverflow,
        Refusal::BalanceNotZero { .. } => ErrorReason::BalanceNotZero,
    }
}

/// The values of a refusal, as they are sent and stored.
pub(crate) fn metadata_of(refusal: &Refusal) -> Vec<(&'static str, String)> {
    match refusal {
        Refusal::AccountNotFound { account_id }
        | Refusal::AccountExists { account_id }
        | Refusal::AccountFrozen { account_id }
        | Refusal::AccountNotFrozen { account_id }
        | Refusal::AccountClosed { account_id }
        | Refusal::SameAccount { account_id } => vec![("account_id", account_id.to_string())],
        Refusal::CurrencyMismatch { account_id, account_currency, currency } => vec![
            ("account_id", account_id.to_string()),
            ("account_currency_code", account_currency.to_string()),
            ("currency_code", currency.to_string()),
        ],
        Refusal::InsufficientFunds { account_id, amount, balance_minor, overdraft_limit } => vec![
            ("account_id", account_id.to_string()),
            ("amount_minor", amount.minor().to_string()),
            ("balance_minor", balance_minor.to_string()),
            ("overdraft_limit_minor", overdraft_limit.minor().to_string()),
        ],
        Refusal::BalanceOverflow { account_id, amount, balance_minor } => vec![
            ("account_id", account_id.to_string()),
            ("amount_minor", amount.minor().to_string()),
            ("balance_minor", balance_minor.to_string()),
        ],
        Refusal::BalanceNotZero { account_id, balance_minor } => {
            vec![("account_id", account_id.to_string()), ("balance_minor", balance_minor.to_string())]
        }
    }
}

/// Encodes a refusal: its reason and metadata.
pub(crate) fn encode_refusal(refusal: &Refusal) -> Bytes {
    let metadata = metadata_of(refusal).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let info = ErrorInfo { reason: reason_of(refusal).as_str_name().to_owned(), metadata, ..ErrorInfo::default() };
    info.encode_to_vec().into()
}

/// Decodes a refusal, and validates its values.
pub(crate) fn decode_refusal(stored: &[u8]) -> Result<Refusal, DecodeError> {
    let info = ErrorInfo::decode(stored).map_err(|error| DecodeError::new(REFUSAL, error))?;
    let values = Values(&info);
    let account_id = values.account_id()?;
    let reason = ErrorReason::from_str_name(&info.reason).unwrap_or(ErrorReason::Unspecified);
    Ok(match reason {
        ErrorReason::AccountNotFound => Refusal::AccountNotFound { account_id },
        ErrorReason::AccountExists => Refusal::AccountExists { account_id },
        ErrorReason::AccountFrozen => Refusal::AccountFrozen { account_id },
        ErrorReason::AccountNotFrozen => Refusal::AccountNotFrozen { account_id },
        ErrorReason::AccountClosed => Refusal::AccountClosed { account_id },
        ErrorReason::CurrencyMismatch => Refusal::CurrencyMismatch {
            account_id,
            account_currency: values.currency("account_currency_code")?,
            currency: values.currency("currency_code")?,
        },
        ErrorReason::InsufficientFunds => Refusal::InsufficientFunds {
            account_id,
            amount: values.amount()?,
            balance_minor: values.balance_minor()?,
            overdraft_limit: OverdraftLimit::from_minor(values.number("overdraft_limit_minor")?)
                .map_err(|error| invalid("overdraft_limit_minor", error))?,
        },
        ErrorReason::SameAccount => Refusal::SameAccount { account_id },
        ErrorReason::BalanceOverflow => {
            Refusal::BalanceOverflow { account_id, amount: values.amount()?, balance_minor: values.balance_minor()? }
        }
        ErrorReason::BalanceNotZero => Refusal::BalanceNotZero { account_id, balance_minor: values.balance_minor()? },
        ErrorReason::Unspecified => return Err(DecodeError::new(REFUSAL, format_args!("reason {:?}", info.reason))),
    })
}

/// The metadata of a stored refusal.
struct Values<'a>(&'a ErrorInfo);

impl Values<'_> {
    fn text(&self, key: &'static str) -> Result<&str, DecodeError> {
        let text =
            self.0.metadata.get(key).ok_or_else(|| DecodeError::new(REFUSAL, format_args!("{key} is missing")))?;
        Ok(text.as_str())
    }

    fn number(&self, key: &'static str) -> Result<i64, DecodeError> {
        self.text(key)?.parse().map_err(|error| DecodeError::new(REFUSAL, format_args!("{key}: {error}")))
    }

    fn account_id(&self) -> Result<AccountId, DecodeError> {
        AccountId::parse(self.text("account_id")?).map_err(|error| invalid("account_id", error))
    }

    fn currency(&self, key: &'static str) -> Result<Currency, DecodeError> {
        Currency::parse(self.text(key)?).map_err(|error| invalid(key, error))
    }

    fn amount(&self) -> Result<Amount, DecodeError> {
        Amount::from_minor(self.number("amount_minor")?).map_err(|error| invalid("amount_minor", error))
    }

    fn balance_minor(&self) -> Result<i64, DecodeError> {
        self.number("balance_minor")
    }
}

fn invalid(key: &'static str, error: ValueError) -> DecodeError {
    DecodeError::new(REFUSAL, format_args!("{key} {error}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use diptych_kernel::ports::REFUSAL_BYTES_MAX;

    use super::*;

    /// One refusal of each kind, with the longest values.
    pub(crate) fn refusals() -> Vec<Refusal> {
        let account_id = AccountId::parse(&"a".repeat(64)).unwrap();
        let id = || account_id.clone();
        let code = |text| Currency::parse(text).unwrap();
        vec![
            Refusal::AccountNotFound { account_id: id() },
            Refusal::AccountExists { account_id: id() },
            Refusal::AccountFrozen { account_id: id() },
            Refusal::AccountNotFrozen { account_id: id() },
            Refusal::AccountClosed { account_id: id() },
            Refusal::CurrencyMismatch { account_id: id(), account_currency: code("CZK"), currency: code("EUR") },
            Refusal::InsufficientFunds {
                account_id: id(),
                amount: Amount::MAX,
                balance_minor: i64::MIN,
                overdraft_limit: OverdraftLimit::MAX,
            },
            Refusal::SameAccount { account_id: id() },
            Refusal::BalanceOverflow { account_id: id(), amount: Amount::MAX, balance_minor: i64::MAX },
            Refusal::BalanceNotZero { account_id: id(), balance_minor: -1 },
        ]
    }

    #[test]
    fn every_refusal_is_read_back_as_it_was_stored() {
        for refusal in refusals() {
            let stored = encode_refusal(&refusal);
            assert!(stored.len() <= REFUSAL_BYTES_MAX / 8, "{refusal:?} has {} bytes", stored.len());
            assert_eq!(decode_refusal(&stored), Ok(refusal));
        }
    }

    #[test]
    fn a_stored_refusal_with_invalid_values_is_an_error() {
        let info = |reason: &str, metadata: &[(&str, &str)]| {
            let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            ErrorInfo { reason: reason.to_owned(), metadata, ..ErrorInfo::default() }.encode_to_vec()
        };
        let overflow = "ERROR_REASON_BALANCE_OVERFLOW";
        let invalid = [
            vec![0xff],
            info("ERROR_REASON_ACCOUNT_FROZEN", &[]),
            info("ERROR_REASON_ACCOUNT_FROZEN", &[("account_id", "?")]),
            info("ERROR_REASON_UNKNOWN", &[("account_id", "a")]),
            info(overflow, &[("account_id", "a"), ("amount_minor", "0"), ("balance_minor", "1")]),
            info(overflow, &[("account_id", "a"), ("amount_minor", "1"), ("balance_minor", "x")]),
        ];
        for stored in invalid {
            assert!(decode_refusal(&stored).is_err(), "{stored:?}");
        }
    }
}
