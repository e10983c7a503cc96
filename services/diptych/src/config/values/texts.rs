//! Texts: lists, addresses of servers, and what must not be shown.

use std::{collections::BTreeMap, fmt, str::FromStr};

/// What stands in the place of a password.
const HIDDEN: &str = "***";
/// What is said of a text that was printed without its secret, and then read again.
const WAS_HIDDEN: &str =
    "this was printed without its secret: write the whole of it, best as a variable of the environment";

/// One or more texts, separated by commas: "one:9042,two:9042".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List(Vec<String>);

/// Where Postgres is: "postgres://user:password@host:5432/database". Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PostgresUrl(String);

/// A password. Never shown. Empty where there is none.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret(String);

/// Properties of a client, separated by commas: "security.protocol=sasl_plaintext,sasl.mechanisms=PLAIN". Values are not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Properties(BTreeMap<String, String>);

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switch(pub(crate) bool);

/// A part of a whole, from 0 to 1. Kept in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share(u32);

/// The name of a process: its own, and the same after a restart. "auto" makes one of machine, role and port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Instance(pub(crate) Option<String>);

/// How long a name may be: it becomes part of names in other systems.
const INSTANCE_BYTES_MAX: usize = 100;

impl List {
    /// A list of one.
    pub(crate) fn one(text: &str) -> Self {
        Self(vec![text.to_owned()])
    }

    /// The same texts.
    pub(crate) fn to_vec(&self) -> Vec<String> {
        self.0.clone()
    }
}

impl PostgresUrl {
    /// A server on this machine.
    pub(crate) fn local() -> Self {
        Self("postgres://postgres@127.0.0.1:5432/diptych".to_owned())
    }

    /// The whole of it, for the driver.
    pub(crate) fn with_password(&self) -> &str {
        &self.0
    }
}

impl Secret {
    /// The secret, if there is one.
    pub(crate) fn revealed(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.clone())
    }
}

impl Properties {
    /// The properties with their values.
    pub(crate) fn revealed(&self) -> BTreeMap<String, String> {
        self.0.clone()
    }
}

impl Share {
    /// Everything.
    pub(crate) const WHOLE: Self = Self(1_000_000);

    /// From 0 to 1.
    pub(crate) fn f64(self) -> f64 {
        f64::from(self.0) / 1_000_000.0
    }
}

impl FromStr for List {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split(',').map(|part| part.trim().to_owned()).collect();
        if parts.iter().any(String::is_empty) {
            return Err("write one or more as host:port, separated by commas".to_owned());
        }
        Ok(Self(parts))
    }
}

impl FromStr for PostgresUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err("write a URL such as postgres://user:password@host:5432/database".to_owned());
        }
        if text.contains(&format!(":{HIDDEN}@")) || text.contains(&format!("password={HIDDEN}")) {
            return Err(WAS_HIDDEN.to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == HIDDEN { Err(WAS_HIDDEN.to_owned()) } else { Ok(Self(text.to_owned())) }
    }
}

impl FromStr for Properties {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut properties = BTreeMap::new();
        for property in text.split(',').map(str::trim).filter(|property| !property.is_empty()) {
            let Some((key, value)) = property.split_once('=') else {
                return Err("write key=value, several separated by commas".to_owned());
            };
            if value == HIDDEN {
                return Err(WAS_HIDDEN.to_owned());
            }
            properties.insert(key.trim().to_owned(), value.trim().to_owned());
        }
        Ok(Self(properties))
    }
}

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| "write true or false".to_owned())
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share: Option<f64> = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        let share = share.ok_or_else(|| "write a number from 0 to 1, such as 0.1 for every tenth".to_owned())?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1,000,000")]
        Ok(Self((share * 1_000_000.0).round() as u32))
    }
}

impl FromStr for Instance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        match text {
            "auto" => Ok(Self(None)),
            name if (1..=INSTANCE_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_part) => {
                Ok(Self(Some(name.to_owned())))
            }
            _ => Err(format!("write auto, or 1 to {INSTANCE_BYTES_MAX} of A-Z, a-z, 0-9, '.', '_', '-'")),
        }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { HIDDEN })
    }
}

impl fmt::Display for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.0.keys().map(|key| format!("{key}={HIDDEN}")).collect();
        f.write_str(&shown.join(","))
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.f64().fmt(f)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("auto"))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that was given under a key, as far as it may be shown. By the key's name, so that a secret under a misspelt key is not shown either.
pub(in crate::config) fn as_far_as_may_be_shown(key: &str, text: &str) -> String {
    let key = key.to_lowercase();
    if ["password", "passwd", "secret", "token", "extra"].iter().any(|word| key.contains(word)) {
        HIDDEN.to_owned()
    } else if key.ends_with("url") || text.contains("://") {
        without_password(text)
    } else {
        text.to_owned()
    }
}

/// A URL without its password, wherever that stands. Of what is no URL only that it is there.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return HIDDEN.to_owned() };
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    // The last one: a password that was not encoded may have others in it.
    let place = match place.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:{HIDDEN}@{host}"),
            None => format!("{user}@{host}"),
        },
        None => place.to_owned(),
    };
    let Some(query) = query else { return format!("{scheme}://{place}") };
    let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some(("password", _)) => format!("password={HIDDEN}"),
        _ => parameter.to_owned(),
    });
    format!("{scheme}://{place}?{}", parameters.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown_wherever_it_stands() {
        for (url, shown) in [
            ("postgres://ada@one/bank", "postgres://ada@one/bank"),
            ("postgres://ada:hush@one:5432,two/bank", "postgres://ada:***@one:5432,two/bank"),
            ("postgres://ada:hu@sh:@one/bank?x=1", "postgres://ada:***@one/bank?x=1"),
            ("postgresql://one/bank?user=ada&password=hush&x=1", "postgresql://one/bank?user=ada&password=***&x=1"),
        ] {
            let url: PostgresUrl = url.parse().unwrap();
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
        }
        let properties: Properties = "sasl.username=ada, sasl.password=hu=sh".parse().unwrap();
        assert_eq!(properties.to_string(), "sasl.password=***,sasl.username=***");
        assert_eq!(properties.revealed()["sasl.password"], "hu=sh");
        assert_eq!(format!("{:?}", "hush".parse::<Secret>().unwrap()), "***");
        assert_eq!(Secret::default().to_string(), "");
    }

    #[test]
    fn what_was_hidden_cannot_be_read_again() {
        let url = "postgres://ada:***@one/bank".parse::<PostgresUrl>().unwrap_err();
        assert!(url.contains("without its secret"), "{url}");
        assert!("postgres://one/bank?password=***".parse::<PostgresUrl>().is_err());
        assert!("***".parse::<Secret>().is_err());
        assert!("sasl.password=***".parse::<Properties>().is_err());
    }

    #[test]
    fn what_is_given_under_a_misspelt_key_is_not_shown_either() {
        for key in ["scylla.pasword.password", "kafka.extra", "postgres.passwd", "secret"] {
            assert_eq!(as_far_as_may_be_shown(key, "hush"), "***");
        }
        assert_eq!(as_far_as_may_be_shown("postgres_url", "postgres://a:hush@b"), "postgres://a:***@b");
        assert_eq!(as_far_as_may_be_shown("postgres.url", "host=b password=hush"), "***");
        assert_eq!(as_far_as_may_be_shown("postgres.uri", "postgres://a:hush@b"), "postgres://a:***@b");
        for (key, shown) in [("kafka.topic", "events"), ("postgres.statement_timeout", "10s")] {
            assert_eq!(as_far_as_may_be_shown(key, shown), shown);
        }
    }

    #[test]
    fn lists_shares_and_names_are_checked() {
        assert_eq!("a:1, b:2".parse::<List>().unwrap().to_vec(), ["a:1", "b:2"]);
        for bad in ["", ",", "a:1,", " "] {
            assert!(bad.parse::<List>().is_err(), "{bad:?}");
        }
        assert_eq!("0.25".parse(), Ok(Share(250_000)));
        for bad in ["-0.1", "1.1", "NaN", "half"] {
            assert!(bad.parse::<Share>().is_err(), "{bad:?}");
        }
        assert_eq!("auto".parse(), Ok(Instance(None)));
        assert_eq!("pod-7.x".parse(), Ok(Instance(Some("pod-7.x".into()))));
        assert!("a b".parse::<Instance>().is_err() && "".parse::<Instance>().is_err());
    }
}
