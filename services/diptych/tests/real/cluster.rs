//! Four services as processes, behind a gateway.

use super::{gateway::Gateway, service::Service, site::Site};

pub(crate) const ROLES: [&str; 4] = ["command", "relay", "projector", "query"];
/// What each stops between the gRPC server and the metrics.
const STAGES: [&str; 4] = ["write", "relay", "project", "read"];

/// The services of a site, in the order of the data.
pub(crate) struct Cluster<'a> {
    site: &'a Site,
    services: Vec<Service>,
    pub(crate) gateway: Gateway,
}

impl<'a> Cluster<'a> {
    /// Starts all four, and returns when all are ready.
    pub(crate) async fn start(site: &'a Site) -> Self {
        let mut services: Vec<_> = ROLES.into_iter().map(|role| Service::start(role, &settings(site, role))).collect();
        for service in &mut services {
            service.until_ready();
        }
        let gateway = Gateway::start(&services[0].url(), &services[3].url(), None).await;
        Self { site, services, gateway }
    }

    /// Stops a service in order, or kills it, and starts it again where and as what it was.
    pub(crate) async fn restart(&mut self, role: &str, signal: &str) {
        let place = ROLES.iter().position(|known| *known == role).unwrap();
        let service = self.services.remove(place);
        let address = service.address.clone();
        service.signal(signal);
        let (status, log) = service.ended().await;
        if signal == "TERM" {
            assert_eq!(status.code(), Some(0), "{role}: {log:#?}");
            let stopped = log.iter().filter(|line| line["message"] == "stage stopped");
            let stopped: Vec<_> = stopped.map(|line| line["stage"].as_str().unwrap()).collect();
            assert_eq!(stopped, ["server", STAGES[place], "watch"], "{role}: {log:#?}");
        }
        let mut service = Service::start_at(role, &address, &settings(self.site, role));
        service.until_ready();
        self.services.insert(place, service);
    }
}

/// Each has a name of its own, which it keeps.
fn settings<'a>(site: &'a Site, role: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut settings = site.settings();
    settings.push(("DIPTYCH_INSTANCE", role));
    settings
}
