//! Envoy accepts the rendered configurations.

use std::{fs, process::Command, time::Duration};

use diptych_envoy::{
    DESCRIPTOR_SET, DevelopmentKey, EdgeSettings, Endpoint, GatewaySettings, Jwks, ProcessSettings, Tracing,
};

use super::process::binary;

/// Runs `envoy --mode validate`; a warning, such as about a deprecated field, is a failure.
#[track_caller]
fn assert_valid(yaml: &str) {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.yaml");
    fs::write(&file, yaml).unwrap();
    let out = Command::new(binary).args(["--mode", "validate", "-l", "warning", "-c"]).arg(file).output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && !stderr.contains("[warning]"), "{stderr}\n{yaml}");
}

fn tracing() -> Option<Tracing> {
    Some(Tracing { host: "localhost".into(), port: 4317, sampled_per_million: 1_000_000 })
}

fn localhost(ports: std::ops::Range<u16>) -> Vec<Endpoint> {
    ports.map(|port| Endpoint::new("localhost", port)).collect()
}

#[test]
fn an_edge_is_valid() {
    assert_valid(&EdgeSettings::new(ProcessSettings::new("edge-0", 7400, 7401), localhost(1..2)).render().unwrap());
    let process = ProcessSettings {
        listen_address: "::1".into(),
        tracing: tracing(),
        stream_idle_timeout: Duration::from_millis(1),
        ..ProcessSettings::new("edge_0.A", 0, 0)
    };
    let mut settings = EdgeSettings::new(process, localhost(1..20));
    settings.headers_dropped = vec!["traceparent".into(), "tracestate".into()];
    assert_valid(&settings.render().unwrap());
}

#[test]
fn a_gateway_is_valid() {
    let key = DevelopmentKey::generate();
    let folder = tempfile::tempdir().unwrap();
    // File names with YAML syntax.
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (set, jwks, log) = (path("set: \"#1\" {{ .x }}"), path("{jwks'}"), path("a\n- b: 'c'"));
    fs::write(&set, DESCRIPTOR_SET).unwrap();
    fs::write(&jwks, key.jwks()).unwrap();
    let settings = |process| GatewaySettings::new(process, localhost(1..2), localhost(2..3), key.jwt_settings(), &set);
    assert_valid(&settings(ProcessSettings::new("gateway-0", 7430, 7431)).render().unwrap());

    let process =
        ProcessSettings { access_log_file: log, tracing: tracing(), ..ProcessSettings::new("gateway-0", 0, 0) };
    let mut settings = settings(process);
    (settings.commands, settings.queries) = (localhost(1..20), localhost(20..40));
    settings.cors_origins = vec!["https://app.example".into(), "http://[::1]:5173".into()];
    settings.jwt.jwt_issuer = "https://issuer.example/a?b={c}&d=\"e\" # f".into();
    settings.jwt.jwks = Jwks::File(jwks);
    assert_valid(&settings.render().unwrap());
}
