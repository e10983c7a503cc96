use std::fs;

use clap::Parser;
use futures::FutureExt;

use super::*;

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    args: Args,
}

#[track_caller]
fn run_with(line: &str) -> anyhow::Result<ExitCode> {
    let args = CommandLine::try_parse_from(line.split(' ')).unwrap().args;
    // Nothing is waited for but by `drain`.
    run(args).now_or_never().unwrap()
}

#[test]
fn a_gateway_is_written_with_its_descriptors_and_accepts_the_tokens_of_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().display();
    run_with(&format!("envoy development-key --to {to}")).unwrap();
    run_with(&format!(
        "envoy gateway --to {to} --commands command:7400 --queries one:7400,[::1]:7401 --development-key {to} \
         --listen 0.0.0.0:7500 --otlp collector:4317"
    ))
    .unwrap();
    let text = fs::read_to_string(folder.path().join("gateway.yaml")).unwrap();
    for part in [
        r#"address: "command", port_value: 7400"#,
        r#"address: "one", port_value: 7400"#,
        r#"address: "::1", port_value: 7401"#,
        r#"address: "0.0.0.0", port_value: 7500"#,
        r#"address: "collector", port_value: 4317"#,
        &format!(r#"local_jwks: {{"filename":"{to}/jwks.json"}}"#),
        &format!(r#"proto_descriptor: "{to}/descriptor_set.bin""#),
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let descriptors = fs::read(folder.path().join("descriptor_set.bin")).unwrap();
    assert_eq!(descriptors, diptych_envoy::DESCRIPTOR_SET);
}

#[test]
fn a_key_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("envoy development-key --to {}", folder.path().display());
    run_with(&line).unwrap();
    let before = fs::read(folder.path().join("token")).unwrap();
    run_with(&line).unwrap();
    assert_eq!(fs::read(folder.path().join("token")).unwrap(), before);
}

#[test]
fn an_edge_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().display();
    run_with(&format!("envoy edge --to {to} --gateways gateway:7400 --headers-dropped traceparent,tracestate"))
        .unwrap();
    let text = fs::read_to_string(folder.path().join("edge.yaml")).unwrap();
    assert!(
        text.contains(r#"address: "gateway", port_value: 7400"#) && text.contains(r#"{remove: "tracestate"}"#),
        "{text}"
    );
}

#[test]
fn a_gateway_needs_to_know_whose_tokens_it_accepts() {
    let line = "envoy gateway --to x --commands command:7400 --queries query:7400";
    let error = CommandLine::try_parse_from(line.split(' ')).unwrap_err().to_string();
    assert!(error.contains("--issuer") && error.contains("--jwks"), "{error}");
    let line = format!("{line} --issuer a --audience b --jwks c --development-key d");
    assert!(CommandLine::try_parse_from(line.split(' ')).is_err());
}
