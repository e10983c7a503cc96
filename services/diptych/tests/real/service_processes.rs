//! The four services as processes, behind a gateway.

use super::{gateway::Gateway, installation::TestInstallation, service::Service};

pub(crate) const ROLES: [&str; 4] = ["command", "relay", "projector", "query"];
/// The services of an installation, in the order in which data flows through them.
pub(crate) struct ServiceProcesses<'a> {
    installation: &'a TestInstallation,
    services: Vec<Service>,
    pub(crate) gateway: Gateway,
}

impl<'a> ServiceProcesses<'a> {
    /// Starts all four, and returns when all are ready.
    pub(crate) async fn start(installation: &'a TestInstallation) -> Self {
        let mut services: Vec<_> =
            ROLES.into_iter().map(|role| Service::start(role, &settings(installation, role))).collect();
        for service in &mut services {
            service.until_ready();
        }
        let gateway = Gateway::start(&services[0].url(), &services[3].url(), None).await;
        Self { installation, services, gateway }
    }

    /// Stops a service by this signal, and restarts it with the same address and name.
    pub(crate) async fn restart(&mut self, role: &str, signal: &str) {
        let index = ROLES.iter().position(|known| *known == role).unwrap();
        let service = self.services.remove(index);
        let address = service.address.clone();
        service.signal(signal);
        let (status, log) = service.ended().await;
        if signal == "TERM" {
            assert_eq!(status.code(), Some(0), "{role}: {log:#?}");
            let stopped = log.iter().filter(|line| line["message"] == "shutdown phase finished");
            let stopped: Vec<_> = stopped.map(|line| line["phase"].as_str().unwrap()).collect();
            assert_eq!(stopped, ["grpc", role, "metrics"], "{role}: {log:#?}");
        }
        let mut service = Service::start_at(role, &address, &settings(self.installation, role));
        service.until_ready();
        self.services.insert(index, service);
    }
}

/// The settings of one service, with an instance name of its own.
fn settings<'a>(installation: &'a TestInstallation, role: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut settings = installation.settings();
    settings.push(("DIPTYCH_INSTANCE", role));
    settings
}
