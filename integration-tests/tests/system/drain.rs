//! A service that is stopped in order is not missed.

use tokio::time::Instant;

use crate::{installation::Installation, traffic::Traffic};

/// Not one attempt of a caller fails: whoever stops lets others take its calls first, and Envoy sends on what it refuses.
pub(crate) async fn nobody_feels_a_stop_in_order(installation: &Installation, traffic: &Traffic) {
    for part in ["command-1", "query-1"] {
        let began_at = Instant::now();
        assert!(installation.stack.terminate(part).await.unwrap(), "{part} did not stop in order");
        traffic.until_all_succeed(Instant::now()).await;
        traffic.while_all_is_right(part, installation.stack.start_again(part)).await.unwrap();
        traffic.until_all_are_fine(installation).await;
        let failures = traffic.journal.failures(began_at);
        assert!(failures.is_empty(), "callers felt that {part} was stopped: {failures:#?}");
        println!(
            "{part} was stopped in order and came back, without a failed call; {}",
            traffic.journal.felt(began_at)
        );
    }
}
