//! A key for development and tests, and tokens signed with it.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;
use uuid::Uuid;

use crate::{Identity, Jwks};

const KEY_BYTES: usize = 64;

/// A key that signs and that the gateway verifies with (HS256), for one stack on one machine: whoever reads the gateway's configuration can
/// sign too. A real installation has an issuer with key pairs of its own and gives the gateway the public half ([`Jwks`]).
pub struct DevelopmentKey {
    secret: [u8; KEY_BYTES],
}

impl DevelopmentKey {
    /// The claim `iss` of its tokens.
    pub const ISSUER: &'static str = "diptych-development";
    /// The claim `aud` of its tokens.
    pub const AUDIENCE: &'static str = "diptych";

    /// A new key, unlike any other.
    #[must_use]
    pub fn generate() -> Self {
        let mut secret = [0; KEY_BYTES];
        for part in secret.chunks_exact_mut(16) {
            // 122 bits of the system's randomness each.
            part.copy_from_slice(Uuid::new_v4().as_bytes());
        }
        Self { secret }
    }

    /// The key as a set of one (RFC 7517): what verifies its tokens.
    #[must_use]
    pub fn jwks(&self) -> String {
        let key =
            json!({ "kty": "oct", "alg": "HS256", "kid": "development", "k": URL_SAFE_NO_PAD.encode(self.secret) });
        json!({ "keys": [key] }).to_string()
    }

    /// What makes a gateway accept its tokens, and no others.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            jwt_issuer: Self::ISSUER.to_owned(),
            jwt_audience: Self::AUDIENCE.to_owned(),
            jwks: Jwks::Inline(self.jwks()),
        }
    }

    /// A token for `subject` with these scopes ([`crate::scope`]), good from now on for so long; Envoy allows a minute more.
    #[must_use]
    pub fn token(&self, subject: &str, scopes: &[&str], valid_for: Duration) -> String {
        // Before 1970, and after the year 584 billion, a token is expired.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let header = json!({ "alg": "HS256", "kid": "development", "typ": "JWT" });
        let claims = json!({
            "iss": Self::ISSUER,
            "aud": Self::AUDIENCE,
            "sub": subject,
            "scope": scopes.join(" "),
            "iat": now.as_secs(),
            "exp": now.saturating_add(valid_for).as_secs(),
        });
        let encoded = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encoded(&header), encoded(&claims));
        let mut signature = Hmac::<Sha256>::new((&self.secret).into());
        signature.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.finalize().into_bytes()))
    }
}

impl fmt::Debug for DevelopmentKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DevelopmentKey").finish_non_exhaustive()
    }
}
