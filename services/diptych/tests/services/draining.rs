//! Graceful shutdown.

use tonic_health::pb::health_check_response::ServingStatus;

use super::service::Service;

#[tokio::test]
async fn shutdown_turns_readiness_off_first_and_keeps_serving_for_the_drain_delay() {
    let mut service = Service::start("dev", &[("DIPTYCH_DRAIN_DELAY", "10m")]);
    service.until_ready();
    for name in ["", "startup", "liveness", "readiness", "ledger.command.v1.CommandService"] {
        assert_eq!(service.health(name).await, ServingStatus::Serving, "{name}");
    }
    service.signal("TERM");
    service.until_logged(|line| line["message"].as_str().is_some_and(|text| text.starts_with("shutting down")));
    while service.health("readiness").await == ServingStatus::Serving {}
    for name in ["startup", "liveness"] {
        assert_eq!(service.health(name).await, ServingStatus::Serving, "{name}");
    }
    service.signal("TERM");
    let (status, log) = service.ended().await;
    assert_eq!(status.code(), Some(130), "{log:#?}");
}
