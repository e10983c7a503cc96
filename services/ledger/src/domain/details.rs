//! Information from the client about a posting.

use std::fmt;

use diptych_proto::ledger::event::v1 as event;
use jiff::civil::Date;

use super::ValueError;

/// A short text from the client: at most 140 bytes, without control characters. May be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Maximum length of a text, in bytes.
    pub const BYTES_MAX: usize = 140;

    /// Parses a text.
    ///
    /// # Errors
    /// When it is too long or has a control character. The error contains the text.
    pub fn parse(text: String) -> Result<Self, (String, ValueError)> {
        if text.len() > Self::BYTES_MAX {
            return Err((text, ValueError::TooLong("may have at most 140 bytes")));
        }
        if text.chars().any(char::is_control) {
            return Err((text, ValueError::Malformed("must not have control characters")));
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value date of a posting: a day of the years 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueDate(Date);

impl ValueDate {
    /// Parses a date in the form YYYY-MM-DD, and in no other form.
    ///
    /// # Errors
    /// When the text has another form, or the day does not exist.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        parse_date(text).map(Self).ok_or(ValueError::Malformed("must be a day that exists, as YYYY-MM-DD"))
    }
}

impl fmt::Display for ValueDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn parse_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str, count| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.next().is_some() || !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
        return None;
    }
    let year = year.parse().ok().filter(|year| *year > 0)?;
    Date::new(year, month.parse().ok()?, day.parse().ok()?).ok()
}

/// Information from the client about a posting. Every field is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The value date of the posting.
    pub value_date: Option<ValueDate>,
    /// The client's reference.
    pub reference: Text,
    /// The purpose of the payment.
    pub purpose: Text,
    /// The other party.
    pub counterparty: Text,
}

impl Details {
    /// Converts it to the message in an event; `None` when every field is empty.
    pub(super) fn to_event(&self) -> Option<event::PostingDetails> {
        if *self == Self::default() {
            return None;
        }
        Some(event::PostingDetails {
            value_date: self.value_date.map(|date| date.to_string()).unwrap_or_default(),
            reference: self.reference.0.clone(),
            purpose: self.purpose.0.clone(),
            counterparty: self.counterparty.0.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_date_is_a_day_that_exists_in_one_form() {
        for good in ["1993-01-01", "2024-02-29", "0001-01-01", "9999-12-31"] {
            assert_eq!(ValueDate::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-01-32",
            "2024-1-1",
            "20240101",
            "0000-01-01",
            "24-01-01",
            "2024-01-01T00:00",
            " 2024-01-01",
            "2024-01-01-",
            "-2024-01-01",
            "+024-01-01",
            "２０２４-01-01",
        ] {
            assert!(ValueDate::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_text_is_short_and_printable() {
        assert_eq!(Text::parse("é".repeat(70)).unwrap().as_str().len(), 140);
        assert!(matches!(Text::parse("é".repeat(71)), Err((_, ValueError::TooLong(_)))));
        for bad in ["a\nb", "\0", "\u{7f}", "\u{85}"] {
            assert!(matches!(Text::parse(bad.to_owned()), Err((_, ValueError::Malformed(_)))), "{bad:?}");
        }
    }
}
