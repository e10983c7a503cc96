//! Whether settings are within what their fields allow.

use std::{net::IpAddr, time::Duration};

use serde_json::Value;

use crate::{EdgeSettings, Endpoint, GatewaySettings, Identity, Jwks, Process, RenderError, Tracing};

const HEAP_BYTES_MIN: u64 = 64 * 1024 * 1024;
const REQUEST_BYTES_MIN: u32 = 64 * 1024;
const REQUEST_BYTES_MAX: u32 = 16 * 1024 * 1024;

type Checked = Result<(), RenderError>;

pub(crate) fn edge(settings: &EdgeSettings) -> Checked {
    process(&settings.process)?;
    endpoints("gateways", &settings.gateways)?;
    for (index, name) in settings.headers_dropped.iter().enumerate() {
        let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        let allowed = "the name of a header in lower case";
        check(format!("headers_dropped[{index}]"), name, allowed, !name.is_empty() && name.chars().all(fits))?;
    }
    Ok(())
}

pub(crate) fn gateway(settings: &GatewaySettings) -> Checked {
    process(&settings.process)?;
    endpoints("commands", &settings.commands)?;
    endpoints("queries", &settings.queries)?;
    identity(&settings.identity)?;
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

fn process(process: &Process) -> Checked {
    let name = &process.node_id;
    // It stands in the format of the access log, where a percent sign means something else.
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    check("node_id", name, "letters, digits, '.', '_', '-'", !name.is_empty() && name.chars().all(fits))?;
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

fn tracing(tracing: &Tracing) -> Checked {
    host("tracing.host", &tracing.host)?;
    at_least_one("tracing.port", tracing.port)?;
    let sampled = tracing.sampled_per_million;
    check("tracing.sampled_per_million", &sampled, "0 to 1000000", sampled <= 1_000_000)
}

fn identity(identity: &Identity) -> Checked {
    line("jwt_issuer", &identity.jwt_issuer)?;
    line("jwt_audience", &identity.jwt_audience)?;
    match &identity.jwks {
        Jwks::File(path) => file("jwks", path),
        // Not shown: it may hold a secret.
        Jwks::Inline(set) => check("jwks", "what was given", "a JSON Web Key Set with at least one key", has_keys(set)),
    }
}

fn has_keys(set: &str) -> bool {
    let set: Option<Value> = serde_json::from_str(set).ok();
    set.is_some_and(|set| set["keys"].as_array().is_some_and(|keys| !keys.is_empty()))
}

fn endpoints(setting: &str, endpoints: &[Endpoint]) -> Checked {
    check(setting, "[]", "at least one endpoint", !endpoints.is_empty())?;
    endpoints.iter().enumerate().try_for_each(|(index, endpoint)| {
        host(&format!("{setting}[{index}].host"), &endpoint.host)?;
        at_least_one(&format!("{setting}[{index}].port"), endpoint.port)
    })
}

fn host(setting: &str, host: &str) -> Checked {
    let is_name = || {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        host.len() <= 253
            && host.trim_end_matches('.').split('.').all(|label| !label.is_empty() && label.chars().all(fits))
    };
    check(setting, host, "an IP address or the name of a host", host.parse::<IpAddr>().is_ok() || is_name())
}

fn is_origin(origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let fits = |letter: char| letter.is_ascii_alphanumeric() || ".-:[]".contains(letter);
    matches!(scheme, "http" | "https") && !authority.is_empty() && authority.chars().all(fits)
}

fn file(setting: &str, path: &str) -> Checked {
    check(setting, path, "the path of a file", !path.is_empty() && !path.contains('\0'))
}

fn line(setting: &str, text: &str) -> Checked {
    check(setting, text, "a line of text", !text.is_empty() && !text.chars().any(char::is_control))
}

fn duration(setting: &str, duration: Duration) -> Checked {
    let allowed = "1 ms to 1 day";
    check(setting, &format!("{duration:?}"), allowed, (1..=86_400_000).contains(&duration.as_millis()))
}

fn at_least_one(setting: &str, number: impl Into<u64> + Copy) -> Checked {
    let number = number.into();
    check(setting, &number, "1 or more", number >= 1)
}

fn check(setting: impl Into<String>, value: &(impl ToString + ?Sized), allowed: &str, fits: bool) -> Checked {
    if fits {
        return Ok(());
    }
    let problem = format!("is `{}`: it must be {allowed}", value.to_string().escape_debug());
    Err(RenderError::Setting { setting: setting.into(), problem })
}
