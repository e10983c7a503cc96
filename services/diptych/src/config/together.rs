//! What no setting can see by itself.

use diptych_runtime::telemetry::{check_endpoint, check_filter};

use super::{Config, load::Origins, mistake::Mistake};

const OTLP_ENDPOINT: &str =
    "write a collector for OTLP over gRPC without TLS, such as http://127.0.0.1:4317, or nothing";

/// Finds what does not go together, and names that the servers would refuse.
pub(super) fn check_together(config: &Config, origins: &Origins, mistakes: &mut Vec<Mistake>) {
    let wrong = rules(config).into_iter().filter(|(_, is_right, _)| !is_right);
    mistakes.extend(wrong.map(|(key, _, allowed)| mistake(origins, key, allowed)));
    if let Err(error) = check_filter(&config.log.filter) {
        mistakes.push(mistake(origins, "log.filter", &error.to_string()));
    }
    let endpoint = &config.telemetry.otlp_endpoint;
    if !endpoint.is_empty() && check_endpoint(endpoint).is_err() {
        mistakes.push(mistake(origins, "telemetry.otlp_endpoint", OTLP_ENDPOINT));
    }
}

/// For each rule the key that a mistake is told under, whether it is kept, and what is allowed.
fn rules(config: &Config) -> [(&'static str, bool, &'static str); 8] {
    let Config { listen, metrics_listen, postgres, kafka, scylla, memcached, .. } = config;
    [
        (
            "metrics_listen",
            listen != metrics_listen || listen.0.port() == 0,
            "choose another address than that of listen",
        ),
        (
            "postgres.statement_timeout",
            postgres.statement_timeout.duration() < postgres.answer_timeout.duration(),
            "choose less than postgres.answer_timeout, so that it is the server that says no",
        ),
        (
            "kafka.topic",
            is_name(&kafka.topic, 249, |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
            "write 1 to 249 of A-Z, a-z, 0-9, '.', '_', '-'",
        ),
        (
            "kafka.revoke_wait_max",
            kafka.revoke_wait_max.duration() < kafka.session_timeout.duration(),
            "choose less than kafka.session_timeout: the group would drop a member that is still finishing its work",
        ),
        ("scylla.keyspace", is_keyspace(&scylla.keyspace), "write 1 to 48 of a-z, 0-9, '_', a letter first"),
        (
            "scylla.user",
            scylla.user.is_empty() == scylla.password.revealed().is_none(),
            "give scylla.user and scylla.password, or neither",
        ),
        (
            "memcached.key_prefix",
            is_name(&memcached.key_prefix, 64, |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
            "write 1 to 64 of A-Z, a-z, 0-9, '.', '_', '-'",
        ),
        ("memcached.servers", is_each_once(&memcached.servers.to_vec()), "name every server once"),
    ]
}

fn is_name(text: &str, bytes_max: usize, is_part: impl Fn(u8) -> bool) -> bool {
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(is_part)
}

fn is_keyspace(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    is_name(text, 48, is_part) && text.starts_with(|first: char| first.is_ascii_lowercase())
}

fn is_each_once(texts: &[String]) -> bool {
    (1..texts.len()).all(|index| !texts.iter().take(index).any(|before| Some(before) == texts.get(index)))
}

fn mistake(origins: &Origins, key: &str, allowed: &str) -> Mistake {
    let path: Vec<_> = key.split('.').map(str::to_owned).collect();
    origins.mistake(&path, allowed.to_owned())
}
