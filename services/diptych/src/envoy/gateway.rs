//! `diptych envoy gateway`.

use std::path::PathBuf;

use diptych_envoy::{DESCRIPTOR_SET, DevelopmentKey, Endpoint, GatewaySettings, Jwks, JwtSettings};

use super::{
    development_key::KEYS,
    process_flags::{ProcessFlags, endpoint},
};

const DESCRIPTOR_SET_FILE: &str = "descriptor_set.bin";

/// Write DIR/gateway.yaml, and DIR/descriptor_set.bin, which Envoy must find at the same path.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Command services: host:port, several separated by commas; every address of a host name is one of them.
    #[arg(long, value_name = "SERVERS", required = true, value_delimiter = ',', value_parser = endpoint)]
    commands: Vec<Endpoint>,

    /// Query services, in the same form.
    #[arg(long, value_name = "SERVERS", required = true, value_delimiter = ',', value_parser = endpoint)]
    queries: Vec<Endpoint>,

    /// Folder of `diptych envoy development-key`, whose tokens are accepted, in place of the three flags below.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["issuer", "audience", "jwks"])]
    development_key: Option<PathBuf>,

    /// Issuer of callers' tokens: the required claim `iss`.
    #[arg(long, value_name = "TEXT", required_unless_present = "development_key")]
    issuer: Option<String>,

    /// Audience of callers' tokens: the required claim `aud`.
    #[arg(long, value_name = "TEXT", required_unless_present = "development_key")]
    audience: Option<String>,

    /// File with the issuer's public keys (JWKS). Envoy reads it when it starts.
    #[arg(long, value_name = "FILE", required_unless_present = "development_key")]
    jwks: Option<PathBuf>,

    /// Origins of web pages that may call, such as https://app.example, separated by commas.
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    cors_origins: Vec<String>,

    /// Most calls per second, of all callers. Default: 10000, and as many in a burst.
    #[arg(long, value_name = "COUNT")]
    calls_per_second_max: Option<u32>,

    #[command(flatten)]
    process: ProcessFlags,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let descriptor_set = args.process.path(DESCRIPTOR_SET_FILE);
    let mut settings = GatewaySettings::new(
        args.process.settings("gateway"),
        args.commands.clone(),
        args.queries.clone(),
        args.tokens(),
        descriptor_set.display().to_string(),
    );
    settings.cors_origins.clone_from(&args.cors_origins);
    if let Some(rate) = args.calls_per_second_max {
        settings.calls_per_second_max = rate;
        settings.calls_burst_max = rate;
    }
    let text = settings.render()?;
    args.process.write(DESCRIPTOR_SET_FILE, DESCRIPTOR_SET)?;
    args.process.write("gateway.yaml", text.as_bytes())
}

impl Args {
    /// Which tokens are accepted. The command line has either the folder of a key or all three others.
    fn tokens(&self) -> JwtSettings {
        let file = |path: PathBuf| Jwks::File(path.display().to_string());
        if let Some(folder) = &self.development_key {
            return JwtSettings {
                jwt_issuer: DevelopmentKey::ISSUER.to_owned(),
                jwt_audience: DevelopmentKey::AUDIENCE.to_owned(),
                jwks: file(folder.join(KEYS)),
            };
        }
        JwtSettings {
            jwt_issuer: self.issuer.clone().unwrap_or_default(),
            jwt_audience: self.audience.clone().unwrap_or_default(),
            jwks: file(self.jwks.clone().unwrap_or_default()),
        }
    }
}
