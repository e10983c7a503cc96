//! Graceful stop of a service without a failed call.

use tokio::time::Instant;

use crate::{admin, installation::StackInstallation, support::traffic::Traffic};

/// No attempt of a caller fails: a stopping service first reports not ready, and Envoy retries the calls that it
/// refuses.
pub(crate) async fn no_call_fails(installation: &StackInstallation, traffic: &Traffic) {
    for process in ["command-1", "query-1"] {
        let began_at = Instant::now();
        assert!(installation.stack.terminate(process).await.unwrap(), "{process} did not stop gracefully");
        traffic.until_all_succeed(Instant::now()).await;
        traffic.wait_while_correct(process, installation.stack.start_process(process)).await.unwrap();
        admin::until_recovered(installation, traffic).await;
        let failures = traffic.call_log.failures(began_at);
        assert!(failures.is_empty(), "calls failed while {process} was stopped: {failures:#?}");
        println!(
            "{process} was stopped gracefully and started again, without a failed call; {}",
            traffic.call_log.pauses(began_at)
        );
    }
}
