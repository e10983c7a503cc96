//! Currency codes.

use std::fmt;

use super::ValueError;

/// A currency code in the form of ISO 4217: three upper-case ASCII letters. Unassigned codes are accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Parses a code.
    ///
    /// # Errors
    /// When the text is empty or not three upper-case letters.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() {
            return Err(ValueError::Missing);
        }
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(ValueError::Malformed("must be three upper-case letters such as CZK")),
        }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always ASCII: see `parse`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_three_upper_case_letters() {
        assert_eq!(Currency::parse("CZK").unwrap().as_str(), "CZK");
        assert_eq!(Currency::parse(""), Err(ValueError::Missing));
        for bad in ["czk", "CZ", "CZKK", "C1K", "C K", "ČZ", "€"] {
            assert!(matches!(Currency::parse(bad), Err(ValueError::Malformed(_))), "{bad}");
        }
    }
}
