//! Values with secrets in them, which are never shown: URLs with passwords, passwords, client properties.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::value::{PartValue, SettingValue};

/// Printed in place of a secret.
const HIDDEN: &str = "***";
/// The error for a printed configuration that is read back: its secrets are missing.
const WAS_HIDDEN: &str =
    "this was printed without its secret: write the whole value, preferably as an environment variable";

/// A Postgres URL: "postgres://user:password@host:5432/database". Displayed without its password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PostgresUrl(String);

/// A password, empty for none. Never displayed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret(String);

/// ClientProperties of a client library, separated by commas: "security.protocol=sasl_plaintext,sasl.mechanisms=PLAIN".
/// Their values are never displayed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct ClientProperties(BTreeMap<String, String>);

impl PostgresUrl {
    /// The default database of a server on this machine.
    pub(crate) fn local() -> Self {
        Self("postgres://postgres@127.0.0.1:5432/diptych".to_owned())
    }

    /// The whole URL, for the driver.
    pub(crate) fn with_password(&self) -> &str {
        &self.0
    }

    /// The hosts of the URL, without user, password, database and parameters; empty where it names none.
    pub(crate) fn hosts(&self) -> &str {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        rest.split_once('/').map_or(rest, |(hosts, _)| hosts)
    }
}

impl Secret {
    /// Returns whether there is no secret.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl SettingValue for PostgresUrl {
    fn allowed() -> String {
        "postgres://user:password@host:port/database".to_owned()
    }
}

impl SettingValue for Secret {
    fn allowed() -> String {
        "text, may be empty".to_owned()
    }
}

impl SettingValue for ClientProperties {
    fn allowed() -> String {
        "key=value, several separated by commas".to_owned()
    }
}

/// An empty secret means `None`.
impl PartValue<Option<String>> for Secret {
    fn from_part(value: Option<String>) -> Self {
        Self(value.unwrap_or_default())
    }

    fn to_part(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.clone())
    }
}

impl PartValue<BTreeMap<String, String>> for ClientProperties {
    fn from_part(value: BTreeMap<String, String>) -> Self {
        Self(value)
    }

    fn to_part(&self) -> BTreeMap<String, String> {
        self.0.clone()
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

impl FromStr for ClientProperties {
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

impl fmt::Display for ClientProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.0.keys().map(|key| format!("{key}={HIDDEN}")).collect();
        f.write_str(&shown.join(","))
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

impl fmt::Debug for ClientProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Returns the text that was given under a key, without secrets. Decided by the key's name, so that a secret under a
/// misspelt key is hidden too.
pub(in crate::config) fn redacted(key: &str, text: &str) -> String {
    let key = key.to_lowercase();
    if ["password", "passwd", "secret", "token", "extra"].iter().any(|word| key.contains(word)) {
        HIDDEN.to_owned()
    } else if key.ends_with("url") || text.contains("://") {
        without_password(text)
    } else {
        text.to_owned()
    }
}

/// Returns a URL without its password, in its user part or its parameters. Anything but a URL is hidden as a whole.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return HIDDEN.to_owned() };
    let (authority, query) = rest.split_once('?').map_or((rest, None), |(authority, query)| (authority, Some(query)));
    // The last `@`: a password that is not percent-encoded may contain others.
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:{HIDDEN}@{host}"),
            None => format!("{user}@{host}"),
        },
        None => authority.to_owned(),
    };
    let Some(query) = query else { return format!("{scheme}://{authority}") };
    let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some(("password", _)) => format!("password={HIDDEN}"),
        _ => parameter.to_owned(),
    });
    format!("{scheme}://{authority}?{}", parameters.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_hidden_anywhere_in_a_url() {
        for (url, shown) in [
            ("postgres://ada@one/bank", "postgres://ada@one/bank"),
            ("postgres://ada:hush@one:5432,two/bank", "postgres://ada:***@one:5432,two/bank"),
            ("postgres://ada:hu@sh:@one/bank?x=1", "postgres://ada:***@one/bank?x=1"),
            ("postgresql://one/bank?user=ada&password=hush&x=1", "postgresql://one/bank?user=ada&password=***&x=1"),
        ] {
            let url: PostgresUrl = url.parse().unwrap();
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
        }
        let properties: ClientProperties = "sasl.username=ada, sasl.password=hu=sh".parse().unwrap();
        assert_eq!(properties.to_string(), "sasl.password=***,sasl.username=***");
        assert_eq!(properties.to_part()["sasl.password"], "hu=sh");
        assert_eq!(format!("{:?}", "hush".parse::<Secret>().unwrap()), "***");
        assert_eq!(Secret::default().to_string(), "");
    }

    #[test]
    fn a_hidden_secret_cannot_be_read_back() {
        let url = "postgres://ada:***@one/bank".parse::<PostgresUrl>().unwrap_err();
        assert!(url.contains("without its secret"), "{url}");
        assert!("postgres://one/bank?password=***".parse::<PostgresUrl>().is_err());
        assert!("***".parse::<Secret>().is_err());
        assert!("sasl.password=***".parse::<ClientProperties>().is_err());
    }

    #[test]
    fn a_secret_under_a_misspelt_key_is_hidden() {
        for key in ["scylla.pasword.password", "kafka.extra", "postgres.passwd", "secret"] {
            assert_eq!(redacted(key, "hush"), "***");
        }
        assert_eq!(redacted("postgres_url", "postgres://a:hush@b"), "postgres://a:***@b");
        assert_eq!(redacted("postgres.url", "host=b password=hush"), "***");
        assert_eq!(redacted("postgres.uri", "postgres://a:hush@b"), "postgres://a:***@b");
        for (key, shown) in [("kafka.topic", "events"), ("postgres.statement_timeout", "10s")] {
            assert_eq!(redacted(key, shown), shown);
        }
    }

    #[test]
    fn the_hosts_of_a_url_have_neither_password_nor_database() {
        for (url, hosts) in [
            ("postgres://ada:hush@one:5432,two/bank?x=1", "one:5432,two"),
            ("postgres://ada:hu@sh@one/bank", "one"),
            ("postgres:///bank?host=/tmp", ""),
            ("postgres://one", "one"),
        ] {
            assert_eq!(url.parse::<PostgresUrl>().unwrap().hosts(), hosts, "{url}");
        }
    }
}
