//! Health service (`grpc.health.v1`).

use tonic_health::{ServingStatus, server::HealthReporter};

/// The status that the health service reports, by name:
///
/// - `startup`: whether the process has finished starting;
/// - `liveness`: whether the process runs; an orchestrator may kill a process that does not respond;
/// - `readiness`, the empty name, and the name of each service: whether the process accepts calls.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    services: Vec<&'static str>,
}

impl Health {
    /// Live and not ready.
    pub(super) async fn starting(reporter: HealthReporter, services: Vec<&'static str>) -> Self {
        let health = Self { reporter, services };
        health.reporter.set_service_status("liveness", ServingStatus::Serving).await;
        health.reporter.set_service_status("startup", ServingStatus::NotServing).await;
        health.set_readiness(ServingStatus::NotServing).await;
        health
    }

    /// Reports that the process has started and accepts calls.
    pub async fn ready(&self) {
        self.reporter.set_service_status("startup", ServingStatus::Serving).await;
        self.set_readiness(ServingStatus::Serving).await;
    }

    /// Reports that the process accepts no calls. It stays live.
    pub async fn not_ready(&self) {
        self.set_readiness(ServingStatus::NotServing).await;
    }

    async fn set_readiness(&self, status: ServingStatus) {
        for name in ["", "readiness"].iter().chain(&self.services) {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
