//! Connections that send a token with every call.

use std::fmt;

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

/// A connection that reconnects by itself, and sends the token.
pub(crate) type Connection = InterceptedService<Channel, TokenInterceptor>;

/// Adds the token, if there is one, to every call.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenInterceptor {
    token: Option<BearerToken>,
}

impl TokenInterceptor {
    /// Adds this token.
    pub(super) fn new(token: Option<BearerToken>) -> Self {
        Self { token }
    }
}

/// The value of an `authorization` header: "Bearer TOKEN". Its debug form is redacted.
#[derive(Clone)]
pub(super) struct BearerToken(MetadataValue<Ascii>);

impl Interceptor for TokenInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(BearerToken(token)) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl std::str::FromStr for BearerToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = MetadataValue::try_from(format!("Bearer {}", text.trim()));
        let mut value = value.map_err(|_| "a token has letters, digits and punctuation only".to_owned())?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer ***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_and_never_displayed() {
        let token: BearerToken = " abc.def\n".parse().unwrap();
        let mut interceptor = TokenInterceptor::new(Some(token));
        assert!(!format!("{interceptor:?}").contains("abc"), "{interceptor:?}");
        let request = interceptor.call(Request::new(())).unwrap();
        assert_eq!(request.metadata().get("authorization").unwrap().as_bytes(), b"Bearer abc.def");
        assert!(!format!("{request:?}").contains("abc"), "{request:?}");
        assert!(TokenInterceptor::default().call(Request::new(())).unwrap().metadata().is_empty());
        assert!("a\nb".parse::<BearerToken>().is_err());
    }
}
