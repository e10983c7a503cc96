//! An unreachable OTLP collector delays neither calls nor the shutdown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic fails the test")]

#[path = "../traces/installation.rs"]
mod installation;

use std::time::Duration;

use diptych_integration_tests::spans::Caller;
use diptych_runtime::{
    Shutdown, Tasks,
    telemetry::{LogFormat, LogSettings, TraceSettings, install_logs_and_traces},
};
use installation::{get_account, serve};
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};

const COMMANDS: usize = 50;
const SHUTDOWN_MAX: Duration = Duration::from_secs(2);
/// Time that a slow machine may need on top of a limit.
const SLACK: Duration = Duration::from_secs(10);
/// Time for which the exporter would go on without the shutdown.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_collector_delays_neither_calls_nor_shutdown() {
    // A port on which no process listens.
    let unused_address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let settings = TraceSettings {
        export_interval: Duration::from_millis(5),
        export_timeout: EXPORT_TIMEOUT,
        ..TraceSettings::new(format!("http://{unused_address}"), "installation")
    };
    let traces = install_logs_and_traces(&LogSettings::new("off", LogFormat::Text), Some(&settings)).unwrap();
    let tasks = Tasks::new(Shutdown::new());
    let installation = serve(&tasks).await;

    let account_id = installation.account().await;
    let calls = async {
        for _ in 0..COMMANDS {
            installation.deposit(&account_id, &Caller::sampled().headers()).await;
        }
        while installation.queries().get_account(Caller::sampled().request(get_account(&account_id))).await.is_err() {}
    };
    timeout(EXPORT_TIMEOUT, calls).await.expect("calls succeed");

    let began_at = Instant::now();
    traces.shutdown(SHUTDOWN_MAX).await;
    assert!(began_at.elapsed() < SHUTDOWN_MAX + SLACK, "{:?}", began_at.elapsed());
    installation.deposit(&account_id, &Caller::sampled().headers()).await;
    tasks.shutdown().begin();
    tasks.finish(Duration::from_secs(20)).await.unwrap();
}
