//! `diptych envoy development-key`.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context;
use diptych_envoy::{DevelopmentKey, scope};

use super::files;

/// File with the key set, for gateways.
pub(super) const KEYS: &str = "jwks.json";
/// File with the token, for callers.
const TOKEN: &str = "token";
const SECONDS_PER_DAY: u64 = 24 * 3_600;

/// Make a key for trying Diptych without an issuer of tokens, and print a token that allows every call.
///
/// Writes DIR/jwks.json and DIR/token, unless they exist; then the same token is printed. Who can read either file can
/// call everything.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder to write to.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// Days for which the token is valid.
    #[arg(long, value_name = "COUNT", default_value_t = 365)]
    days: u32,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (keys, token) = (args.to.join(KEYS), args.to.join(TOKEN));
    if !keys.exists() || !token.exists() {
        let key = DevelopmentKey::generate();
        let valid_for = Duration::from_secs(u64::from(args.days) * SECONDS_PER_DAY);
        let all = [scope::COMMANDS_WRITE, scope::QUERIES_READ];
        files::write(&keys, key.jwks().as_bytes())?;
        files::write(&token, key.token("developer", &all, valid_for).as_bytes())?;
    }
    let text = fs::read_to_string(&token).with_context(|| format!("cannot read {}", token.display()))?;
    println!("{text}");
    Ok(())
}
