//! Health, by the standard protocol (`grpc.health.v1`).

use tonic_health::{ServingStatus, server::HealthReporter};

/// What the health service says. It answers by name:
///
/// - `startup`: whether the process has finished starting;
/// - `liveness`: whether it runs at all; whoever gets no answer may kill it;
/// - `readiness`, the empty name, and the name of each mounted service: whether calls should come here now.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    services: Vec<&'static str>,
}

impl Health {
    /// Alive and not ready, whatever is mounted.
    pub(super) async fn starting(reporter: HealthReporter, services: Vec<&'static str>) -> Self {
        let health = Self { reporter, services };
        health.reporter.set_service_status("liveness", ServingStatus::Serving).await;
        health.reporter.set_service_status("startup", ServingStatus::NotServing).await;
        health.set_readiness(ServingStatus::NotServing).await;
        health
    }

    /// Says that the process has started and takes calls.
    pub async fn ready(&self) {
        self.reporter.set_service_status("startup", ServingStatus::Serving).await;
        self.set_readiness(ServingStatus::Serving).await;
    }

    /// Says that calls should go elsewhere. It still lives.
    pub async fn not_ready(&self) {
        self.set_readiness(ServingStatus::NotServing).await;
    }

    async fn set_readiness(&self, status: ServingStatus) {
        for name in ["", "readiness"].iter().chain(&self.services) {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
