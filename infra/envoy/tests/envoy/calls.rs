//! gRPC calls: authorization, deadlines, retries and errors.

use std::{collections::HashSet, time::Duration};

use diptych_envoy::{
    DevelopmentKey,
    scope::{COMMANDS_WRITE, QUERIES_READ},
};
use diptych_proto::ledger::{
    command::v1::{ExecuteCommandsRequest, OpenAccountRequest},
    query::v1::GetAccountRequest,
};
use diptych_runtime::TRY_ELSEWHERE;
use futures::{StreamExt, channel::mpsc};
use tokio::time::Instant;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::{
    backend::{Backend, NOT_RETRYABLE, POOR, RETRYABLE, SLOW},
    curl::curl,
    harness::{ALL, EnvoyHarness, channel, deposit},
    process::{Envoy, eventually},
};

#[tokio::test]
async fn commands_and_queries_are_routed_to_their_service() {
    let Some(harness) = EnvoyHarness::start().await else { return };
    harness.deposit("alice").await.unwrap();
    harness.account("alice").await.unwrap();
    let refused = harness.deposit(POOR).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "INSUFFICIENT_FUNDS", "details are passed on");

    let line =
        eventually("a log line", || harness.gateways.iter().find_map(|gateway| gateway.logged("GetAccount"))).await;
    assert_eq!(line["route"], "queries");
    assert_eq!(line["subject"], "tester");
    assert_eq!(line["grpc_status"], "OK");
}

#[tokio::test]
async fn a_token_with_the_scope_is_required() {
    let Some(harness) = EnvoyHarness::start().await else { return };
    let call_with = |authorization: Option<String>| {
        let harness = &harness;
        async move {
            let mut request = Request::new(deposit("alice"));
            if let Some(value) = authorization {
                request.metadata_mut().insert("authorization", value.parse().unwrap());
            }
            harness.commands().deposit(request).await.map(|_| ()).map_err(|status| status.code())
        }
    };
    let key = &harness.key;
    let hour = Duration::from_secs(3_600);
    assert_eq!(call_with(None).await, Err(Code::Unauthenticated));
    assert_eq!(call_with(Some("Bearer x".into())).await, Err(Code::Unauthenticated));
    let foreign_token = DevelopmentKey::generate().token("eve", &ALL, hour);
    assert_eq!(call_with(Some(format!("Bearer {foreign_token}"))).await, Err(Code::Unauthenticated));
    // Envoy allows a clock skew of a minute, so this token is still valid.
    assert_eq!(call_with(Some(format!("Bearer {}", key.token("me", &ALL, Duration::ZERO)))).await, Ok(()));
    assert_eq!(call_with(Some(harness.bearer(&[]))).await, Err(Code::PermissionDenied));
    assert_eq!(call_with(Some(harness.bearer(&[QUERIES_READ]))).await, Err(Code::PermissionDenied));
    assert_eq!(call_with(Some(harness.bearer(&[COMMANDS_WRITE]))).await, Ok(()));

    let mut request = Request::new(GetAccountRequest::default());
    request.metadata_mut().insert("authorization", harness.bearer(&[COMMANDS_WRITE]).parse().unwrap());
    let denied = harness.queries().get_account(request).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert!(denied.message().contains("queries:read"), "{denied:?}");

    let received: Vec<_> = harness.backends.iter().flat_map(|backend| backend.stub.calls("alice")).collect();
    assert_eq!(received.len(), 2, "refused calls are not passed on");
    assert!(received.iter().all(|metadata| metadata.get("authorization").is_none()), "the gateway removes tokens");
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_or_at_call_duration_max() {
    // A call with a deadline of 0.1 s must end before it, on a slow machine too.
    let limit = Duration::from_secs(5);
    let Some(harness) = EnvoyHarness::start_with(|gateway| gateway.call_duration_max = limit, |_| ()).await else {
        return;
    };
    let began_at = Instant::now();
    let ended = harness.deposit(SLOW).await.unwrap_err();
    assert!(began_at.elapsed() >= limit);
    // The gateway's limit has ended the call, and its outcome is unknown.
    assert_service_unavailable(&ended);

    // By curl, because tonic's client would end the call by itself.
    let call_with_timeout = |timeout: &str| {
        let began_at = Instant::now();
        let timeout = format!("grpc-timeout: {timeout}");
        let answer = curl(&["-H", &harness.header(&ALL), "-H", &timeout, &harness.edge.url("/v1/accounts/slow")]);
        (began_at.elapsed(), answer.json()["code"].as_i64().unwrap())
    };
    // Edge, gateway and service have the same deadline, and report the same code.
    let (took, code) = call_with_timeout("100m");
    assert!(took < limit && code == 4, "{code}");
    let (took, code) = call_with_timeout("60S");
    assert!(took >= limit && matches!(code, 4 | 14), "{code}");
    let received = harness.backends.iter().flat_map(|backend| backend.stub.calls(SLOW));
    let timeouts: HashSet<_> =
        received.map(|call| call.get("grpc-timeout").map(|timeout| timeout.to_str().unwrap().to_owned())).collect();
    assert_eq!(
        timeouts,
        HashSet::from([None, Some("100m".to_owned()), Some("5000m".to_owned())]),
        "the service gets the caller's timeout, up to the limit"
    );
}

#[tokio::test]
async fn a_stream_is_not_bounded_by_call_duration_max() {
    let limit = Duration::from_millis(200);
    let Some(harness) = EnvoyHarness::start_with(|gateway| gateway.call_duration_max = limit, |_| ()).await else {
        return;
    };
    let began_at = Instant::now();
    let (mut commands, stream) = mpsc::channel(1);
    let mut answers = harness.commands().execute_commands(harness.request(stream)).await.unwrap().into_inner();
    let mut sent = 0;
    while began_at.elapsed() < limit * 4 {
        commands.try_send(ExecuteCommandsRequest::default()).unwrap();
        sent += 1;
        assert_eq!(answers.next().await.unwrap().unwrap().sequence, sent);
    }
    drop(commands);
    assert!(answers.next().await.is_none(), "the stream ends without an error");
}

#[tokio::test]
async fn an_idle_stream_is_ended() {
    // Longer than the first answer takes on a slow machine.
    let idle = Duration::from_secs(3);
    let harness = EnvoyHarness::start_with(|gateway| gateway.process.stream_idle_timeout = idle, |_| ()).await;
    let Some(harness) = harness else { return };
    let (mut commands, stream) = mpsc::channel(1);
    let mut answers = harness.commands().execute_commands(harness.request(stream)).await.unwrap().into_inner();
    commands.try_send(ExecuteCommandsRequest::default()).unwrap();
    answers.next().await.unwrap().unwrap();
    let reset = answers.next().await.unwrap().unwrap_err();
    // The response has begun, so Envoy can only reset the stream.
    assert_eq!(reset.code(), Code::Internal, "{reset:?}");
}

#[tokio::test]
async fn a_large_message_is_refused_with_a_reason() {
    let Some(harness) = EnvoyHarness::start().await else { return };
    let open = async |bytes: usize| {
        let message = OpenAccountRequest { account_id: "a".repeat(bytes), ..OpenAccountRequest::default() };
        harness.commands().open_account(harness.request(message)).await
    };
    open(1_000_000).await.expect("the service's own limit decides");
    // The first is refused by the service, the others by the gateway.
    for bytes in [1_060_000, 1_200_000, 3_000_000] {
        let refused = open(bytes).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{bytes} {refused:?}");
        assert_eq!(refused.get_details_error_info().unwrap().reason, "FIELD_TOO_LONG", "{bytes}");
        assert_eq!(refused.get_details_bad_request().unwrap().field_violations[0].field, "message", "{bytes}");
    }
    harness.deposit("alice").await.expect("other calls succeed");
}

/// A command may be sent again only because it carries its request_id.
#[tokio::test]
async fn an_error_of_one_instance_is_retried_on_another() {
    let Some(harness) = EnvoyHarness::start().await else { return };
    let refused = harness.deposit(RETRYABLE).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(
        refused.get_details_error_info().unwrap().reason,
        "WRITE_UNAVAILABLE",
        "the service's own error is passed on"
    );
    assert!(!refused.metadata().contains_key(TRY_ELSEWHERE), "the gateway removes this header");
    let tries = |account_id: &str| -> Vec<usize> {
        harness.backends.iter().map(|backend| backend.stub.calls(account_id).len()).collect()
    };
    let command_tries = tries(RETRYABLE);
    assert_eq!(command_tries.iter().sum::<usize>(), 4);
    assert!(command_tries.iter().all(|tries| *tries > 0), "each instance was tried: {command_tries:?}");
    harness.account(RETRYABLE).await.unwrap_err();
    assert_eq!(tries(RETRYABLE).iter().sum::<usize>(), 8);

    harness.deposit(POOR).await.unwrap_err();
    assert_eq!(tries(POOR).iter().sum::<usize>(), 1, "a refusal is an answer");

    let not_retryable = harness.account(NOT_RETRYABLE).await.unwrap_err();
    assert_eq!(not_retryable.get_details_error_info().unwrap().reason, "OUTCOME_UNKNOWN");
    assert_eq!(tries(NOT_RETRYABLE).iter().sum::<usize>(), 1, "a retry could use up the deadline and hide the reason");
}

#[track_caller]
pub(crate) fn assert_service_unavailable(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("SERVICE_UNAVAILABLE", "diptych.v1"));
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(1)));
    assert!(status.message().contains("request_id"), "{status:?}");
}

/// Calls until a call is refused: Envoy's workers learn of a change a moment after the admin port shows it.
async fn until_refused(harness: &EnvoyHarness) -> Status {
    loop {
        if let Err(status) = harness.deposit("alice").await {
            return status;
        }
    }
}

async fn until_json_is_refused(harness: &EnvoyHarness) {
    let url = harness.edge.url("/v1/accounts/alice");
    let refusal = eventually("a refusal", || {
        Some(curl(&["-H", &harness.header(&ALL), &url])).filter(|answer| answer.status == 503)
    });
    let error = refusal.await.json();
    assert_eq!((&error["code"], &error["details"][0]["reason"]), (&14.into(), &"SERVICE_UNAVAILABLE".into()));
    assert_eq!(
        (&error["details"][0]["domain"], &error["details"][1]["retryDelay"]),
        (&"diptych.v1".into(), &"1s".into())
    );
}

#[tokio::test]
async fn no_ready_instance_is_unavailable_with_a_retry_delay() {
    let Some(mut harness) = EnvoyHarness::start().await else { return };
    for backend in &harness.backends {
        backend.not_ready().await;
    }
    let by_gateway = until_refused(&harness).await;
    until_json_is_refused(&harness).await;
    harness.gateways.iter_mut().for_each(Envoy::kill);
    harness.edge.until_healthy("gateways", 0).await;
    let by_edge = until_refused(&harness).await;
    for status in [by_gateway, by_edge] {
        assert_service_unavailable(&status);
    }
    until_json_is_refused(&harness).await;
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let Some(harness) = EnvoyHarness::start().await else { return };
    let call = async |path: &'static str| {
        let mut client = tonic::client::Grpc::new(channel(&harness.edge));
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<GetAccountRequest, GetAccountRequest>::default();
        let request = harness.request(GetAccountRequest::default());
        client.unary(request, path.parse().unwrap(), codec).await.map(|_| ()).map_err(|status| status.code())
    };
    for path in ["/no.such.Service/Do", "/ledger.query.v1.QueryService/Nope", "/grpc.channelz.v1.Channelz/GetServers"] {
        assert_eq!(call(path).await, Err(Code::Unimplemented), "{path}");
    }
    for path in ["/x", "/ledger.query.v1.QueryService/GetAccount/"] {
        assert_eq!(call(path).await, Err(Code::InvalidArgument), "{path} is not the path of a method");
    }
}

#[tokio::test]
async fn health_and_reflection_need_no_token() {
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
    let Some(harness) = EnvoyHarness::start().await else { return };
    let channel = channel(&harness.edge);
    let request = HealthCheckRequest { service: "readiness".to_owned() };
    let health = HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner();
    assert_eq!(health.status(), ServingStatus::Serving);

    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let symbol = MessageRequest::FileContainingSymbol("ledger.query.v1.QueryService".into());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
    let requests = futures::stream::once(std::future::ready(request));
    let mut answers = ServerReflectionClient::new(channel).server_reflection_info(requests).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
}

/// The response of a stream has begun, so it is reset, and its caller sends again the commands without an answer.
#[tokio::test]
async fn a_stream_to_a_killed_instance_is_reset() {
    let Some(mut harness) = EnvoyHarness::start().await else { return };
    let (mut commands, stream) = mpsc::channel(1);
    let mut answers = harness.commands().execute_commands(harness.request(stream)).await.unwrap().into_inner();
    commands.try_send(ExecuteCommandsRequest::default()).unwrap();
    answers.next().await.unwrap().unwrap();
    harness.backends.iter_mut().for_each(Backend::kill);
    let reset = answers.next().await.unwrap().unwrap_err();
    assert_eq!(reset.code(), Code::Internal, "{reset:?}");
    assert!(reset.message().contains("h2 protocol error") && reset.details().is_empty(), "{reset:?}");
}
