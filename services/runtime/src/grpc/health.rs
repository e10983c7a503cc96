//! Health service (`grpc.health.v1`).

use metrics::{Gauge, describe_gauge, gauge};
use tonic_health::{ServingStatus, server::HealthReporter};

/// The status that the health service reports, by name:
///
/// - `startup`: whether the process has finished starting;
/// - `liveness`: whether the process runs; an orchestrator may kill a process that does not respond;
/// - `readiness`, the empty name, and the name of each service: whether the process accepts calls.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
    services: Vec<&'static str>,
    ready: Gauge,
}

impl Health {
    /// Live and not ready.
    pub(super) async fn starting(reporter: HealthReporter, services: Vec<&'static str>) -> Self {
        describe_gauge!("diptych_ready", "1 while the process accepts calls, as `readiness` reports it; else 0");
        let health = Self { reporter, services, ready: gauge!("diptych_ready") };
        health.reporter.set_service_status("liveness", ServingStatus::Serving).await;
        health.reporter.set_service_status("startup", ServingStatus::NotServing).await;
        health.set_readiness(ServingStatus::NotServing).await;
        health
    }

    /// Reports that the process has started. It may still wait before it accepts calls.
    pub async fn started(&self) {
        self.reporter.set_service_status("startup", ServingStatus::Serving).await;
    }

    /// Reports that the process has started and accepts calls.
    pub async fn ready(&self) {
        self.started().await;
        self.set_readiness(ServingStatus::Serving).await;
    }

    /// Reports that the process accepts no calls. It stays live.
    pub async fn not_ready(&self) {
        self.set_readiness(ServingStatus::NotServing).await;
    }

    async fn set_readiness(&self, status: ServingStatus) {
        self.ready.set(if status == ServingStatus::Serving { 1.0 } else { 0.0 });
        for name in ["", "readiness"].iter().chain(&self.services) {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tonic_health::server::health_reporter;

    use super::*;

    #[test]
    fn the_gauge_follows_readiness() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let shows = |value: u8| handle.render().lines().any(|line| line == format!("diptych_ready {value}"));
        metrics::with_local_recorder(&recorder, || {
            block_on(async {
                let health = Health::starting(health_reporter().0, vec!["ledger"]).await;
                assert!(shows(0), "{}", handle.render());
                health.started().await;
                assert!(shows(0), "a process that has started may still wait");
                health.ready().await;
                assert!(shows(1));
                health.not_ready().await;
                assert!(shows(0));
            });
        });
    }
}
