//! gRPC calls: who may, for how long, and what errors look like.

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
    backend::{AWAY, BEHIND, Backend, POOR, SLOW},
    curl::curl,
    process::{Envoy, eventually},
    site::{ALL, Site, channel, deposit},
};

#[tokio::test]
async fn commands_and_queries_go_to_their_service() {
    let Some(site) = Site::start().await else { return };
    site.deposit("alice").await.unwrap();
    site.account("alice").await.unwrap();
    let refused = site.deposit(POOR).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "INSUFFICIENT_FUNDS", "details come through");

    let line = eventually("a log line", || site.gateways.iter().find_map(|gateway| gateway.logged("GetAccount"))).await;
    assert_eq!(line["route"], "queries");
    assert_eq!(line["subject"], "tester");
    assert_eq!(line["grpc_status"], "OK");
}

#[tokio::test]
async fn a_token_with_the_scope_is_needed() {
    let Some(site) = Site::start().await else { return };
    let with = |authorization: Option<String>| {
        let site = &site;
        async move {
            let mut request = Request::new(deposit("alice"));
            if let Some(value) = authorization {
                request.metadata_mut().insert("authorization", value.parse().unwrap());
            }
            site.commands().deposit(request).await.map(|_| ()).map_err(|status| status.code())
        }
    };
    let key = &site.key;
    let hour = Duration::from_secs(3_600);
    assert_eq!(with(None).await, Err(Code::Unauthenticated));
    assert_eq!(with(Some("Bearer x".into())).await, Err(Code::Unauthenticated));
    let stranger = DevelopmentKey::generate().token("eve", &ALL, hour);
    assert_eq!(with(Some(format!("Bearer {stranger}"))).await, Err(Code::Unauthenticated));
    // Envoy allows clocks to differ by a minute, and a token cannot expire before it is made.
    assert_eq!(with(Some(format!("Bearer {}", key.token("me", &ALL, Duration::ZERO)))).await, Ok(()));
    assert_eq!(with(Some(site.bearer(&[]))).await, Err(Code::PermissionDenied));
    assert_eq!(with(Some(site.bearer(&[QUERIES_READ]))).await, Err(Code::PermissionDenied));
    assert_eq!(with(Some(site.bearer(&[COMMANDS_WRITE]))).await, Ok(()));

    let mut request = Request::new(GetAccountRequest::default());
    request.metadata_mut().insert("authorization", site.bearer(&[COMMANDS_WRITE]).parse().unwrap());
    let denied = site.queries().get_account(request).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert!(denied.message().contains("queries:read"), "{denied:?}");

    let seen: Vec<_> = site.backends.iter().flat_map(|backend| backend.stub.calls("alice")).collect();
    assert_eq!(seen.len(), 2, "what is refused does not arrive");
    assert!(seen.iter().all(|metadata| metadata.get("authorization").is_none()), "tokens end at the gateway");
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_or_at_the_limit() {
    let limit = Duration::from_secs(2);
    let Some(site) = Site::start_with(|gateway| gateway.call_duration_max = limit, |_| ()).await else { return };
    let began_at = Instant::now();
    let ended = site.deposit(SLOW).await.unwrap_err();
    assert!(began_at.elapsed() >= limit);
    // The limit is the gateway's, and the outcome is not known.
    is_nobody_there(&ended);

    // By curl, because tonic's client would end the call by itself.
    let ask = |timeout: &str| {
        let began_at = Instant::now();
        let timeout = format!("grpc-timeout: {timeout}");
        let answer = curl(&["-H", &site.header(&ALL), "-H", &timeout, &site.edge.url("/v1/accounts/slow")]);
        (began_at.elapsed(), answer.json()["code"].as_i64().unwrap())
    };
    // Edge, gateway and service have the same deadline, and the same word for it.
    let (took, code) = ask("100m");
    assert!(took < limit && code == 4, "{code}");
    let (took, code) = ask("60S");
    assert!(took >= limit && matches!(code, 4 | 14), "{code}");
    let seen = site.backends.iter().flat_map(|backend| backend.stub.calls(SLOW));
    let told: HashSet<_> =
        seen.map(|seen| seen.get("grpc-timeout").map(|told| told.to_str().unwrap().to_owned())).collect();
    assert_eq!(
        told,
        HashSet::from([None, Some("100m".to_owned()), Some("2000m".to_owned())]),
        "told what the caller said, or may say"
    );
}

#[tokio::test]
async fn a_stream_outlives_the_limit_of_calls() {
    let limit = Duration::from_millis(200);
    let Some(site) = Site::start_with(|gateway| gateway.call_duration_max = limit, |_| ()).await else { return };
    let began_at = Instant::now();
    let (mut commands, stream) = mpsc::channel(1);
    let mut answers = site.commands().execute_commands(site.request(stream)).await.unwrap().into_inner();
    let mut sent = 0;
    while began_at.elapsed() < limit * 4 {
        commands.try_send(ExecuteCommandsRequest::default()).unwrap();
        sent += 1;
        assert_eq!(answers.next().await.unwrap().unwrap().sequence, sent);
    }
    drop(commands);
    assert!(answers.next().await.is_none(), "it ends without an error");
}

#[tokio::test]
async fn a_stream_that_stands_still_is_ended() {
    let idle = Duration::from_millis(300);
    let site = Site::start_with(|gateway| gateway.process.stream_idle_timeout = idle, |_| ()).await;
    let Some(site) = site else { return };
    let (mut commands, stream) = mpsc::channel(1);
    let mut answers = site.commands().execute_commands(site.request(stream)).await.unwrap().into_inner();
    commands.try_send(ExecuteCommandsRequest::default()).unwrap();
    answers.next().await.unwrap().unwrap();
    let cut = answers.next().await.unwrap().unwrap_err();
    // Its answer has begun, so that all Envoy can do is to reset it.
    assert_eq!(cut.code(), Code::Internal, "{cut:?}");
}

#[tokio::test]
async fn a_large_message_is_refused_with_its_reason() {
    let Some(site) = Site::start().await else { return };
    let open = async |bytes: usize| {
        let message = OpenAccountRequest { account_id: "a".repeat(bytes), ..OpenAccountRequest::default() };
        site.commands().open_account(site.request(message)).await
    };
    open(1_000_000).await.expect("the service's own limit decides");
    // The first is refused by the service, the others by the gateway.
    for bytes in [1_060_000, 1_200_000, 3_000_000] {
        let refused = open(bytes).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{bytes} {refused:?}");
        assert_eq!(refused.get_details_error_info().unwrap().reason, "FIELD_TOO_LONG", "{bytes}");
        assert_eq!(refused.get_details_bad_request().unwrap().field_violations[0].field, "message", "{bytes}");
    }
    site.deposit("alice").await.expect("nobody else is hurt");
}

/// Only because a command carries its request_id is it right to send it again.
#[tokio::test]
async fn what_another_may_do_is_tried_again_elsewhere() {
    let Some(site) = Site::start().await else { return };
    let refused = site.deposit(AWAY).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "WRITE_UNAVAILABLE", "the service's own words");
    assert!(!refused.metadata().contains_key(TRY_ELSEWHERE), "that is between service and gateway");
    let tries = |account_id: &str| -> Vec<usize> {
        site.backends.iter().map(|backend| backend.stub.calls(account_id).len()).collect()
    };
    let of_command = tries(AWAY);
    assert_eq!(of_command.iter().sum::<usize>(), 4);
    assert!(of_command.iter().all(|tries| *tries > 0), "each was asked: {of_command:?}");
    site.account(AWAY).await.unwrap_err();
    assert_eq!(tries(AWAY).iter().sum::<usize>(), 8);

    site.deposit(POOR).await.unwrap_err();
    assert_eq!(tries(POOR).iter().sum::<usize>(), 1, "a refusal is an answer");

    let behind = site.account(BEHIND).await.unwrap_err();
    assert_eq!(behind.get_details_error_info().unwrap().reason, "OUTCOME_UNKNOWN");
    assert_eq!(tries(BEHIND).iter().sum::<usize>(), 1, "the caller's time may be up: he must hear why");
}

#[track_caller]
pub(crate) fn is_nobody_there(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("SERVICE_UNAVAILABLE", "diptych.v1"));
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(1)));
    assert!(status.message().contains("request_id"), "{status:?}");
}

/// Calls until it is refused: what the administration tells, the workers learn a moment later.
async fn until_refused(site: &Site) -> Status {
    loop {
        if let Err(status) = site.deposit("alice").await {
            return status;
        }
    }
}

async fn until_json_is_refused(site: &Site) {
    let url = site.edge.url("/v1/accounts/alice");
    let refusal =
        eventually("a refusal", || Some(curl(&["-H", &site.header(&ALL), &url])).filter(|answer| answer.status == 503));
    let error = refusal.await.json();
    assert_eq!((&error["code"], &error["details"][0]["reason"]), (&14.into(), &"SERVICE_UNAVAILABLE".into()));
    assert_eq!(
        (&error["details"][0]["domain"], &error["details"][1]["retryDelay"]),
        (&"diptych.v1".into(), &"1s".into())
    );
}

#[tokio::test]
async fn nobody_there_is_unavailable_with_a_time_to_ask_again() {
    let Some(mut site) = Site::start().await else { return };
    for backend in &site.backends {
        backend.not_ready().await;
    }
    let by_gateway = until_refused(&site).await;
    until_json_is_refused(&site).await;
    site.gateways.iter_mut().for_each(Envoy::kill);
    site.edge.sees("gateways", 0).await;
    let by_edge = until_refused(&site).await;
    for status in [by_gateway, by_edge] {
        is_nobody_there(&status);
    }
    until_json_is_refused(&site).await;
}

#[tokio::test]
async fn what_is_not_served_is_unimplemented() {
    let Some(site) = Site::start().await else { return };
    let call = async |path: &'static str| {
        let mut client = tonic::client::Grpc::new(channel(&site.edge));
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<GetAccountRequest, GetAccountRequest>::default();
        let request = site.request(GetAccountRequest::default());
        client.unary(request, path.parse().unwrap(), codec).await.map(|_| ()).map_err(|status| status.code())
    };
    for path in ["/no.such.Service/Do", "/ledger.query.v1.QueryService/Nope", "/grpc.channelz.v1.Channelz/GetServers"] {
        assert_eq!(call(path).await, Err(Code::Unimplemented), "{path}");
    }
    for path in ["/x", "/ledger.query.v1.QueryService/GetAccount/"] {
        assert_eq!(call(path).await, Err(Code::InvalidArgument), "{path} is no path of a method");
    }
}

#[tokio::test]
async fn health_and_reflection_need_no_token() {
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
    let Some(site) = Site::start().await else { return };
    let channel = channel(&site.edge);
    let request = HealthCheckRequest { service: "readiness".to_owned() };
    let health = HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner();
    assert_eq!(health.status(), ServingStatus::Serving);

    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let symbol = MessageRequest::FileContainingSymbol("ledger.query.v1.QueryService".into());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
    let asked = futures::stream::once(std::future::ready(request));
    let mut answers = ServerReflectionClient::new(channel).server_reflection_info(asked).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
}

/// A stream has no answer that could still be changed, so its caller sees a cut, and sends again what was not answered.
#[tokio::test]
async fn a_stream_to_a_killed_instance_is_cut() {
    let Some(mut site) = Site::start().await else { return };
    let (mut commands, stream) = mpsc::channel(1);
    let mut answers = site.commands().execute_commands(site.request(stream)).await.unwrap().into_inner();
    commands.try_send(ExecuteCommandsRequest::default()).unwrap();
    answers.next().await.unwrap().unwrap();
    site.backends.iter_mut().for_each(Backend::kill);
    let cut = answers.next().await.unwrap().unwrap_err();
    assert_eq!(cut.code(), Code::Internal, "{cut:?}");
    assert!(cut.message().contains("h2 protocol error") && cut.details().is_empty(), "{cut:?}");
}
