//! Pods that end under traffic.

use std::cell::Cell;

use tokio::time::Instant;

use crate::{cluster::eventually, release::Release, support::traffic::Traffic};

/// Components with a budget for disruptions, of two pods each.
const COMPONENTS: [&str; 6] = ["command", "relay", "projector", "query", "edge", "memcached"];

/// Every pod is deleted once, one after the other.
pub(crate) async fn each_pod_is_deleted(release: &Release, traffic: &Traffic) {
    let began_at = Instant::now();
    for component in COMPONENTS {
        for pod in release.namespace.pods(component).await {
            release.namespace.kubectl(&["delete", "pod", &pod, "--wait=false"]).await;
            traffic.wait_while_correct(&pod, release.namespace.until_settled()).await;
            traffic.until_all_succeed(Instant::now()).await;
        }
    }
    report(traffic, began_at, "each pod was deleted");
}

/// All pods are evicted as `kubectl drain` does: those of one component in turn, because of their budget.
pub(crate) async fn pods_are_evicted(release: &Release, traffic: &Traffic) {
    let began_at = Instant::now();
    let refused = Cell::new(0);
    for component in COMPONENTS {
        for pod in release.namespace.pods(component).await {
            let evicted = eventually("the eviction", async || {
                let is_evicted = evict(release, &pod).await;
                refused.set(refused.get() + usize::from(!is_evicted));
                is_evicted.then_some(())
            });
            traffic.wait_while_correct(&pod, evicted).await;
        }
    }
    traffic.wait_while_correct("the new pods", release.namespace.until_settled()).await;
    traffic.until_all_succeed(Instant::now()).await;
    let refused = refused.get();
    assert!(refused >= COMPONENTS.len(), "{refused} evictions were refused: the budgets do not hold");
    report(traffic, began_at, "each pod was evicted");
}

/// Returns whether the pod is evicted; false if the budget of its component does not allow it now.
async fn evict(release: &Release, pod: &str) -> bool {
    let namespace = &release.namespace.name;
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/eviction");
    let eviction = format!(
        r#"{{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {{"name": "{pod}", "namespace": "{namespace}"}}}}"#
    );
    let ended = release.cluster().create_raw(&path, &eviction).await;
    let is_refused = ended.errors.contains("disruption budget");
    assert!(ended.is_success || is_refused, "{}", ended.errors);
    ended.is_success
}

/// From two projectors to one, three, and back to two.
pub(crate) async fn projectors_are_scaled(release: &Release, traffic: &Traffic) {
    let began_at = Instant::now();
    for replicas in [1, 3, 1, 2] {
        let replicas = format!("--replicas={replicas}");
        release.namespace.kubectl(&["scale", "deployment/diptych-projector", &replicas]).await;
        traffic.wait_while_correct(&replicas, release.namespace.until_settled()).await;
        traffic.until_all_succeed(Instant::now()).await;
    }
    report(traffic, began_at, "projectors were scaled");
}

fn report(traffic: &Traffic, began_at: Instant, what: &str) {
    let failures = traffic.call_log.failures(began_at);
    println!("{what}: {} calls were repeated; {}", failures.len(), traffic.call_log.pauses(began_at));
    for failure in failures.iter().take(5) {
        println!("  {failure}");
    }
}
