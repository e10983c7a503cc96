//! Envoy takes what is rendered.

use std::{fs, process::Command, time::Duration};

use diptych_envoy::{DESCRIPTOR_SET, DevelopmentKey, EdgeSettings, Endpoint, GatewaySettings, Jwks, Process, Tracing};

use super::process::binary;

/// Asks Envoy; a warning, such as of a field that will go away, counts as a fault.
#[track_caller]
fn valid(yaml: &str) {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.yaml");
    fs::write(&file, yaml).unwrap();
    let out = Command::new(binary).args(["--mode", "validate", "-l", "warning", "-c"]).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && !said.contains("[warning]"), "{said}\n{yaml}");
}

fn tracing() -> Option<Tracing> {
    Some(Tracing { host: "localhost".into(), port: 4317, sampled_per_million: 1_000_000 })
}

fn localhost(ports: std::ops::Range<u16>) -> Vec<Endpoint> {
    ports.map(|port| Endpoint::new("localhost", port)).collect()
}

#[test]
fn an_edge_is_valid() {
    valid(&EdgeSettings::new(Process::new("edge-0", 7400, 7401), localhost(1..2)).render().unwrap());
    let process = Process {
        listen_address: "::1".into(),
        tracing: tracing(),
        stream_idle_timeout: Duration::from_millis(1),
        ..Process::new("edge_0.A", 0, 0)
    };
    let mut settings = EdgeSettings::new(process, localhost(1..20));
    settings.headers_dropped = vec!["traceparent".into(), "tracestate".into()];
    valid(&settings.render().unwrap());
}

#[test]
fn a_gateway_is_valid() {
    let key = DevelopmentKey::generate();
    let folder = tempfile::tempdir().unwrap();
    // A name that would be something else in YAML.
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (set, jwks, log) = (path("set: \"#1\" {{ .x }}"), path("{jwks'}"), path("a\n- b: 'c'"));
    fs::write(&set, DESCRIPTOR_SET).unwrap();
    fs::write(&jwks, key.jwks()).unwrap();
    let settings = |process| GatewaySettings::new(process, localhost(1..2), localhost(2..3), key.identity(), &set);
    valid(&settings(Process::new("gateway-0", 7430, 7431)).render().unwrap());

    let process = Process { access_log_file: log, tracing: tracing(), ..Process::new("gateway-0", 0, 0) };
    let mut settings = settings(process);
    (settings.commands, settings.queries) = (localhost(1..20), localhost(20..40));
    settings.cors_origins = vec!["https://app.example".into(), "http://[::1]:5173".into()];
    settings.identity.jwt_issuer = "https://issuer.example/a?b={c}&d=\"e\" # f".into();
    settings.identity.jwks = Jwks::File(jwks);
    valid(&settings.render().unwrap());
}
