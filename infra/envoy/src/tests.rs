//! Checks of the template files themselves. Tests with Envoy are in `tests/`.

use std::{collections::BTreeSet, env, fs, path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use diptych_proto::google::rpc::{BadRequest, ErrorInfo, RetryInfo, Status, bad_request::FieldViolation};
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_types::Any;

use super::*;

const EDGE: &str = include_str!("../templates/edge.yaml");
const GATEWAY: &str = include_str!("../templates/gateway.yaml");

fn gateway() -> GatewaySettings {
    let jwt = DevelopmentKey::generate().jwt_settings();
    let services = vec![Endpoint::new("127.0.0.1", 7410)];
    GatewaySettings::new(ProcessSettings::new("gateway-0", 7430, 7431), services.clone(), services, jwt, "set.bin")
}

fn edge() -> EdgeSettings {
    EdgeSettings::new(ProcessSettings::new("edge-0", 7400, 7401), vec![Endpoint::new("::1", 7430)])
}

#[test]
fn every_placeholder_has_a_setting() {
    let tracing = Some(Tracing { host: "collector".into(), port: 4317, sampled_per_million: 500 });
    for tracing in [None, tracing] {
        let (mut edge, mut gateway) = (edge(), gateway());
        edge.process.tracing.clone_from(&tracing);
        gateway.process.tracing.clone_from(&tracing);
        edge.headers_dropped = vec!["traceparent".into()];
        gateway.cors_origins = vec!["https://app.example:8443".into()];
        for text in [edge.render().unwrap(), gateway.render().unwrap()] {
            assert!(!text.contains("{{") && !text.contains("toJson"), "{text}");
            assert_eq!(text.contains("otlp"), tracing.is_some());
        }
    }
}

#[track_caller]
fn refused<T>(rendered: Result<T, RenderError>, expected: &str) {
    match rendered.err() {
        Some(RenderError::Setting { setting, .. }) => assert_eq!(setting, expected),
        other => panic!("{expected}: {other:?}"),
    }
}

#[test]
fn invalid_values_are_refused() {
    let with_gateway = |change: fn(&mut GatewaySettings)| {
        let mut settings = gateway();
        change(&mut settings);
        settings.render()
    };
    refused(with_gateway(|settings| settings.process.node_id = "100%PATH%".into()), "node_id");
    refused(with_gateway(|settings| settings.process.listen_address = "localhost".into()), "listen_address");
    refused(with_gateway(|settings| settings.process.access_log_file = String::new()), "access_log_file");
    refused(with_gateway(|settings| settings.process.connections_max = 0), "connections_max");
    refused(with_gateway(|settings| settings.process.calls_in_flight_max = 0), "calls_in_flight_max");
    refused(with_gateway(|settings| settings.process.heap_bytes_max = 1), "heap_bytes_max");
    refused(with_gateway(|settings| settings.process.stream_idle_timeout = Duration::ZERO), "stream_idle_timeout");
    refused(with_gateway(|settings| settings.process.health_check_interval = Duration::MAX), "health_check_interval");
    refused(with_gateway(|settings| settings.commands.clear()), "commands");
    refused(with_gateway(|settings| settings.queries[0].port = 0), "queries[0].port");
    refused(with_gateway(|settings| settings.queries[0].host = "a: b".into()), "queries[0].host");
    refused(with_gateway(|settings| settings.jwt.jwt_issuer = "a\nb".into()), "jwt_issuer");
    refused(with_gateway(|settings| settings.jwt.jwt_audience = String::new()), "jwt_audience");
    refused(with_gateway(|settings| settings.jwt.jwks = Jwks::Inline("{}".into())), "jwks");
    refused(with_gateway(|settings| settings.cors_origins = vec!["https://a/b".into()]), "cors_origins[0]");
    refused(with_gateway(|settings| settings.descriptor_set_file = String::new()), "descriptor_set_file");
    refused(with_gateway(|settings| settings.call_duration_max = Duration::from_nanos(1)), "call_duration_max");
    refused(with_gateway(|settings| settings.request_bytes_max = 1), "request_bytes_max");
    refused(with_gateway(|settings| settings.calls_per_second_max = 0), "calls_per_second_max");
    refused(with_gateway(|settings| settings.calls_burst_max = 1), "calls_burst_max");

    let mut settings = edge();
    settings.headers_dropped = vec!["Trace Parent".into()];
    refused(settings.render(), "headers_dropped[0]");
    let mut settings = edge();
    settings.process.tracing = Some(Tracing { host: "::1".into(), port: 4317, sampled_per_million: 1_000_001 });
    refused(settings.render(), "tracing.sampled_per_million");
}

#[test]
fn keys_are_random_and_not_shown() {
    let (one, other) = (DevelopmentKey::generate(), DevelopmentKey::generate());
    assert_ne!(one.jwks(), other.jwks());
    assert_eq!(format!("{one:?}"), "DevelopmentKey { .. }");
}

#[test]
fn an_error_does_not_show_the_key_set() {
    let mut settings = gateway();
    settings.jwt.jwks = Jwks::Inline("hunter2".into());
    let message = settings.render().unwrap_err().to_string();
    assert_eq!(message, "jwks is `***`: it must be a JSON Web Key Set with at least one key");
}

/// With this variable a test writes the files of the chart instead of comparing them.
const UPDATE: &str = "DIPTYCH_UPDATE_DOCS";

/// Helm reads only files of its chart, so the chart has copies.
#[test]
fn the_chart_has_copies_of_the_templates_and_the_descriptors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../helm/diptych/files/envoy");
    let originals =
        [("edge.yaml", EDGE.as_bytes()), ("gateway.yaml", GATEWAY.as_bytes()), ("descriptor_set.bin", DESCRIPTOR_SET)];
    for (name, original) in originals {
        let path = folder.join(name);
        if env::var_os(UPDATE).is_some_and(|value| !value.is_empty()) {
            fs::write(&path, original).unwrap();
        }
        let is_current = fs::read(&path).unwrap_or_default() == original;
        assert!(
            is_current,
            "helm/diptych/files/envoy/{name} is not current. Update it with\n    \
             {UPDATE}=1 cargo test --package diptych-envoy copies"
        );
    }
}

/// The gateway must know every command that names a stream, and the field that names it.
#[test]
fn every_command_is_hashed_by_its_stream() {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
    let service = pool.get_service_by_name("ledger.command.v1.CommandService").unwrap();
    let expected: Vec<String> = service
        .methods()
        .filter_map(|method| {
            let has_field = |name: &&str| method.input().get_field_by_name(name).is_some();
            let field = ["account_id", "from_account_id"].into_iter().find(has_field)?;
            Some(format!("{}: {{request_field_extractions: {{{field}: {{}}}}}}", method.full_name()))
        })
        .collect();
    let lines = GATEWAY.lines().map(str::trim).filter(|line| line.contains("request_field_extractions"));
    assert_eq!(lines.collect::<Vec<_>>(), expected);
    assert_eq!(expected.len(), 7);
}

/// The text between `before` and `after` in a line.
fn between<'t>(line: &'t str, before: &str, after: &str) -> Option<&'t str> {
    line.trim_start().strip_prefix(before)?.split(after).next()
}

/// The statuses that a template gives to callers of gRPC: the text, the code, and the details.
fn statuses(template: &str) -> Vec<(String, i32, Status)> {
    let mut statuses = Vec::new();
    let (mut text, mut code) = ("", "");
    for line in template.lines() {
        text = between(line, "body: {inline_string: \"", "\"").unwrap_or(text);
        code = between(line, "- {header: {key: grpc-status, value: \"", "\"").unwrap_or(code);
        if let Some(details) = between(line, "- {header: {key: grpc-status-details-bin, value: ", "}") {
            let status = Status::decode(STANDARD_NO_PAD.decode(details).unwrap().as_slice()).unwrap();
            statuses.push((text.to_owned(), code.parse().unwrap(), status));
        }
    }
    statuses
}

fn any(full_name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{full_name}"), value: message.encode_to_vec() }
}

fn error_info(reason: &str, metadata: &[(&str, &str)]) -> Any {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    any("google.rpc.ErrorInfo", &ErrorInfo { reason: reason.into(), domain: "diptych.v1".into(), metadata })
}

#[test]
fn encoded_details_match_the_texts() {
    let a_second = prost_types::Duration { seconds: 1, nanos: 0 };
    let retry = any("google.rpc.RetryInfo", &RetryInfo { retry_delay: Some(a_second) });
    let violation = FieldViolation {
        field: "message".into(),
        description: "is too large".into(),
        reason: "FIELD_TOO_LONG".into(),
        ..FieldViolation::default()
    };
    let bad_request = any("google.rpc.BadRequest", &BadRequest { field_violations: vec![violation] });
    let full = (8, vec![error_info("OVERLOADED", &[("what", "a limit of the gateway")]), retry.clone()]);
    let too_long = (3, vec![error_info("FIELD_TOO_LONG", &[("field", "message")]), bad_request]);
    let unavailable = (14, vec![error_info("SERVICE_UNAVAILABLE", &[]), retry]);

    for (template, expected) in [(EDGE, vec![unavailable.clone()]), (GATEWAY, vec![full, too_long, unavailable])] {
        let statuses = statuses(template);
        assert_eq!(statuses.len(), expected.len());
        for ((text, code, status), (expected_code, details)) in statuses.into_iter().zip(expected) {
            assert_eq!(code, expected_code);
            assert_eq!(status, Status { code, message: text, details });
        }
    }
}

/// The reasons in JSON error bodies and in gRPC error details, each with its code.
fn reasons(template: &str) -> BTreeSet<(String, i32)> {
    let mut reasons = BTreeSet::new();
    let mut code = 0;
    for line in template.lines() {
        code = between(line, "code: ", " ").and_then(|code| code.parse().ok()).unwrap_or(code);
        let reason = line.split("reason: ").nth(1).map(|rest| rest.split([',', '}']).next().unwrap_or(rest));
        reasons.extend(reason.map(|reason| (reason.to_owned(), code)));
    }
    for (_, code, status) in statuses(template) {
        let infos = status.details.iter().filter(|any| any.type_url.ends_with(".ErrorInfo"));
        reasons.extend(infos.map(|any| (ErrorInfo::decode(any.value.as_slice()).unwrap().reason, code)));
    }
    reasons
}

#[test]
fn every_reason_is_in_the_contract_with_its_code() {
    let code_of = |reason: &str| {
        let explained = diptych_runtime::reasons::explain(reason).unwrap();
        explained.into_iter().find(|explained| explained.domain == "diptych.v1").map(|explained| explained.code)
    };
    for template in [EDGE, GATEWAY] {
        let reasons = reasons(template);
        assert!(reasons.iter().any(|(reason, _)| reason == "SERVICE_UNAVAILABLE"), "{reasons:?}");
        for (reason, code) in reasons {
            let name = match code {
                3 => "INVALID_ARGUMENT",
                8 => "RESOURCE_EXHAUSTED",
                14 => "UNAVAILABLE",
                other => panic!("{reason} comes with code {other}"),
            };
            assert_eq!(code_of(&reason).as_deref(), Some(name), "{reason}");
        }
    }
}
