//! Signing key for development and tests, and tokens signed with it.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;
use uuid::Uuid;

use crate::settings::{Jwks, JwtSettings};

const KEY_BYTES: usize = 64;

/// A symmetric key (HS256) for one stack on one machine. Its users sign tokens with it and the gateway verifies them,
/// so a user who can read the gateway's configuration can also sign. A production installation has an issuer with key
/// pairs, and the gateway gets the public keys ([`Jwks`]).
pub struct DevelopmentKey {
    secret: [u8; KEY_BYTES],
}

impl DevelopmentKey {
    /// Claim `iss` of its tokens.
    pub const ISSUER: &'static str = "diptych-development";
    /// Claim `aud` of its tokens.
    pub const AUDIENCE: &'static str = "diptych";

    /// Generates a random key.
    #[must_use]
    pub fn generate() -> Self {
        let mut secret = [0; KEY_BYTES];
        for part in secret.chunks_exact_mut(16) {
            // Each has 122 bits from the system's random number generator.
            part.copy_from_slice(Uuid::new_v4().as_bytes());
        }
        Self { secret }
    }

    /// The JSON Web Key Set with this key (RFC 7517), which verifies its tokens.
    #[must_use]
    pub fn jwks(&self) -> String {
        let key =
            json!({ "kty": "oct", "alg": "HS256", "kid": "development", "k": URL_SAFE_NO_PAD.encode(self.secret) });
        json!({ "keys": [key] }).to_string()
    }

    /// Settings with which a gateway accepts this key's tokens, and no others.
    #[must_use]
    pub fn jwt_settings(&self) -> JwtSettings {
        JwtSettings {
            jwt_issuer: Self::ISSUER.to_owned(),
            jwt_audience: Self::AUDIENCE.to_owned(),
            jwks: Jwks::Inline(self.jwks()),
        }
    }

    /// Signs a token for `subject` with these scopes ([`crate::scope`]), valid from now on; Envoy allows a minute more.
    #[must_use]
    pub fn token(&self, subject: &str, scopes: &[&str], valid_for: Duration) -> String {
        // A system time before 1970 makes an expired token.
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
