//! Validation of settings.

use std::{net::IpAddr, time::Duration};

use serde_json::Value;

use crate::{
    error::RenderError,
    settings::{EdgeSettings, Endpoint, GatewaySettings, Jwks, JwtSettings, ProcessSettings, Tracing},
};

const HEAP_BYTES_MIN: u64 = 64 * 1024 * 1024;
const REQUEST_BYTES_MIN: u32 = 64 * 1024;
const REQUEST_BYTES_MAX: u32 = 16 * 1024 * 1024;

type CheckResult = Result<(), RenderError>;

pub(crate) fn edge(settings: &EdgeSettings) -> CheckResult {
    process(&settings.process)?;
    endpoints("gateways", &settings.gateways)?;
    for (index, name) in settings.headers_dropped.iter().enumerate() {
        let is_allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        let allowed = "the name of a header in lower case";
        check(format!("headers_dropped[{index}]"), name, allowed, !name.is_empty() && name.chars().all(is_allowed))?;
    }
    Ok(())
}

pub(crate) fn gateway(settings: &GatewaySettings) -> CheckResult {
    process(&settings.process)?;
    endpoints("commands", &settings.commands)?;
    endpoints("queries", &settings.queries)?;
    jwt(&settings.jwt)?;
    for (index, origin) in settings.cors_origins.iter().enumerate() {
        let allowed = "an origin such as https://app.example: scheme, host and port, no path";
        check(format!("cors_origins[{index}]"), origin, allowed, is_origin(origin))?;
    }
    file("descriptor_set_file", &settings.descriptor_set_file)?;
    duration("call_duration_max", settings.call_duration_max)?;
    let bytes = settings.request_bytes_max;
    check("request_bytes_max", &bytes, "65536 to 16777216", (REQUEST_BYTES_MIN..=REQUEST_BYTES_MAX).contains(&bytes))?;
    at_least_one("calls_per_second_max", settings.calls_per_second_max)?;
    let burst = settings.calls_burst_max;
    check("calls_burst_max", &burst, "calls_per_second_max or more", burst >= settings.calls_per_second_max)
}

fn process(process: &ProcessSettings) -> CheckResult {
    let name = &process.node_id;
    // It is part of the format of the access log, where a percent sign starts a command operator.
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    check("node_id", name, "letters, digits, '.', '_', '-'", !name.is_empty() && name.chars().all(is_allowed))?;
    let address = &process.listen_address;
    check("listen_address", address, "an IP address", address.parse::<IpAddr>().is_ok())?;
    file("access_log_file", &process.access_log_file)?;
    at_least_one("connections_max", process.connections_max)?;
    at_least_one("calls_in_flight_max", process.calls_in_flight_max)?;
    check("heap_bytes_max", &process.heap_bytes_max, "67108864 or more", process.heap_bytes_max >= HEAP_BYTES_MIN)?;
    duration("stream_idle_timeout", process.stream_idle_timeout)?;
    duration("health_check_interval", process.health_check_interval)?;
    process.tracing.as_ref().map_or(Ok(()), tracing)
}

fn tracing(tracing: &Tracing) -> CheckResult {
    host("tracing.host", &tracing.host)?;
    at_least_one("tracing.port", tracing.port)?;
    let sampled = tracing.sampled_per_million;
    check("tracing.sampled_per_million", &sampled, "0 to 1000000", sampled <= 1_000_000)
}

fn jwt(jwt: &JwtSettings) -> CheckResult {
    line("jwt_issuer", &jwt.jwt_issuer)?;
    line("jwt_audience", &jwt.jwt_audience)?;
    match &jwt.jwks {
        Jwks::File(path) => file("jwks", path),
        // The value is not shown: it may contain a secret.
        Jwks::Inline(set) => check("jwks", "***", "a JSON Web Key Set with at least one key", has_keys(set)),
    }
}

fn has_keys(set: &str) -> bool {
    let set: Option<Value> = serde_json::from_str(set).ok();
    set.is_some_and(|set| set["keys"].as_array().is_some_and(|keys| !keys.is_empty()))
}

fn endpoints(setting: &str, endpoints: &[Endpoint]) -> CheckResult {
    check(setting, "[]", "at least one endpoint", !endpoints.is_empty())?;
    endpoints.iter().enumerate().try_for_each(|(index, endpoint)| {
        host(&format!("{setting}[{index}].host"), &endpoint.host)?;
        at_least_one(&format!("{setting}[{index}].port"), endpoint.port)
    })
}

fn host(setting: &str, host: &str) -> CheckResult {
    let is_name = || {
        let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        host.len() <= 253
            && host.trim_end_matches('.').split('.').all(|label| !label.is_empty() && label.chars().all(is_allowed))
    };
    check(setting, host, "an IP address or the name of a host", host.parse::<IpAddr>().is_ok() || is_name())
}

fn is_origin(origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || ".-:[]".contains(letter);
    matches!(scheme, "http" | "https") && !authority.is_empty() && authority.chars().all(is_allowed)
}

fn file(setting: &str, path: &str) -> CheckResult {
    check(setting, path, "the path of a file", !path.is_empty() && !path.contains('\0'))
}

fn line(setting: &str, text: &str) -> CheckResult {
    check(setting, text, "a line of text", !text.is_empty() && !text.chars().any(char::is_control))
}

fn duration(setting: &str, duration: Duration) -> CheckResult {
    let allowed = "1 ms to 1 day";
    check(setting, &format!("{duration:?}"), allowed, (1..=86_400_000).contains(&duration.as_millis()))
}

fn at_least_one(setting: &str, number: impl Into<u64> + Copy) -> CheckResult {
    let number = number.into();
    check(setting, &number, "1 or more", number >= 1)
}

fn check(setting: impl Into<String>, value: &(impl ToString + ?Sized), allowed: &str, is_valid: bool) -> CheckResult {
    if is_valid {
        return Ok(());
    }
    let problem = format!("is `{}`: it must be {allowed}", value.to_string().escape_debug());
    Err(RenderError::Setting { setting: setting.into(), problem })
}
