//! The admin port is restricted to a few paths.

use super::{curl::curl, harness::EnvoyHarness};

#[tokio::test]
async fn the_admin_port_allows_few_paths() {
    let Some(harness) = EnvoyHarness::start().await else { return };
    for envoy in [&harness.edge, &harness.gateways[0]] {
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
