//! Rate limit and limit of calls in flight.

use std::time::Duration;

use futures::future::{join_all, select_all};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    backend::SLOW,
    calls::assert_service_unavailable,
    curl::curl,
    harness::{ALL, EnvoyHarness},
    process::eventually,
};

#[track_caller]
fn assert_overloaded(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "OVERLOADED");
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn too_many_calls_a_second_are_refused() {
    let few = |gateway: &mut diptych_envoy::GatewaySettings| {
        (gateway.calls_per_second_max, gateway.calls_burst_max) = (2, 2);
    };
    let Some(harness) = EnvoyHarness::start_with(few, |_| ()).await else { return };
    let results = join_all((0..20).map(|_| harness.deposit("alice"))).await;
    let refused: Vec<&Status> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(refused.len() >= 10 && refused.len() < 20, "{} refused", refused.len());
    refused.into_iter().for_each(assert_overloaded);

    let header = harness.header(&ALL);
    let answer = eventually("a refusal of JSON", || {
        let answer = curl(&["-H", &header, &harness.edge.url("/v1/accounts/alice")]);
        (answer.status == 429).then_some(answer)
    });
    let error = answer.await.json();
    assert_eq!((&error["code"], &error["details"][0]["reason"]), (&8.into(), &"OVERLOADED".into()));
    // Health checks are not limited.
    harness.edge.until_healthy("gateways", 2).await;
}

/// Not RESOURCE_EXHAUSTED, which promises that nothing was stored: Envoy reports this limit also for a retry that it
/// may not send.
#[tokio::test]
async fn too_many_calls_in_flight_are_unavailable() {
    let few = |gateway: &mut diptych_envoy::GatewaySettings| gateway.process.calls_in_flight_max = 1;
    let Some(harness) = EnvoyHarness::start_with(few, |_| ()).await else { return };
    // Each of two gateways has one call in flight and one waiting; these are never answered.
    let calls = (0..6).map(|_| Box::pin(harness.account(SLOW)));
    let (first_to_end, _, _) = select_all(calls).await;
    assert_service_unavailable(&first_to_end.unwrap_err());
}
