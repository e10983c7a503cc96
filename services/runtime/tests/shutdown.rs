//! Export of the last spans of a process that ends.

use std::time::Duration;

use diptych_runtime::{
    Shutdown, Tasks,
    telemetry::{LogFormat, LogSettings, TraceSettings, install_logs_and_traces},
    testing::OtlpReceiver,
    trace,
};
use tokio::time::Instant;
use tracing::info_span;

/// Longer than the export takes on a slow machine.
const SHUTDOWN_MAX: Duration = Duration::from_secs(60);

// On a runtime of one thread: shutdown must not block the connection that the last spans are sent over.
#[tokio::test]
async fn the_last_spans_are_exported() {
    let tasks = Tasks::new(Shutdown::new());
    let collector = OtlpReceiver::start(&tasks).await;

    // So long that only the shutdown exports.
    let settings = TraceSettings {
        export_interval: Duration::from_secs(600),
        ..TraceSettings::new(collector.endpoint(), "theatre")
    };
    let traces = install_logs_and_traces(&LogSettings::new("info", LogFormat::Text), Some(&settings)).unwrap();
    assert!(trace::is_on());
    for name in ["first", "last"] {
        info_span!(target: trace::TARGET, parent: None, "work", otel.name = name).in_scope(|| ());
    }
    let began_at = Instant::now();
    traces.shutdown(SHUTDOWN_MAX).await;
    assert!(began_at.elapsed() < SHUTDOWN_MAX, "{:?}", began_at.elapsed());
    let names: Vec<_> = collector.all().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["first", "last"]);
    assert!(!trace::is_on(), "no spans are made after the shutdown");
}
