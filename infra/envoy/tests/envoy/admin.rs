//! The administration is for whoever runs the process, and even there for little.

use super::{curl::curl, site::Site};

#[tokio::test]
async fn the_administration_is_locked() {
    let Some(site) = Site::start().await else { return };
    for envoy in [&site.edge, &site.gateways[0]] {
        for path in ["/config_dump", "/certs", "/runtime", "/server_info", "/memory", "/"] {
            assert_eq!(envoy.admin("GET", path).status, 403, "{path}");
        }
        for path in ["/quitquitquit", "/runtime_modify?a=b", "/logging?level=trace", "/reset_counters"] {
            assert_eq!(envoy.admin("POST", path).status, 403, "{path}");
        }
        for path in ["/ready", "/stats/prometheus", "/clusters", "/listeners"] {
            assert_eq!(envoy.admin("GET", path).status, 200, "{path}");
        }
        assert_eq!(curl(&[&envoy.url("/ready")]).status, 200);
        envoy.admin("POST", "/healthcheck/fail");
        assert_eq!(curl(&[&envoy.url("/ready")]).status, 503);
        envoy.admin("POST", "/healthcheck/ok");
        assert_eq!(curl(&[&envoy.url("/ready")]).status, 200);
    }
}
