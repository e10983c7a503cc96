//! Test harness: the installation that all tests of this process share, and its OTLP receiver.

use std::{ops::Deref, sync::OnceLock, time::Duration};

use diptych_runtime::{
    Shutdown, Tasks,
    telemetry::{LogFormat, LogSettings, TraceSettings, Traces, install_logs_and_traces},
    testing::OtlpReceiver,
};
use tokio::runtime::{Builder, Runtime};

use super::installation::{EmbeddedInstallation, serve};

/// The shared installation.
pub(crate) struct TracingHarness {
    pub(crate) runtime: Runtime,
    pub(crate) receiver: OtlpReceiver,
    installation: EmbeddedInstallation,
    _traces: Traces,
    _tasks: Tasks,
}

impl TracingHarness {
    /// The harness of this process.
    pub(crate) fn shared() -> &'static Self {
        static HARNESS: OnceLock<TracingHarness> = OnceLock::new();
        HARNESS.get_or_init(|| {
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let (receiver, installation, traces, tasks) = runtime.block_on(start());
            Self { runtime, receiver, installation, _traces: traces, _tasks: tasks }
        })
    }
}

impl Deref for TracingHarness {
    type Target = EmbeddedInstallation;

    fn deref(&self) -> &EmbeddedInstallation {
        &self.installation
    }
}

async fn start() -> (OtlpReceiver, EmbeddedInstallation, Traces, Tasks) {
    let tasks = Tasks::new(Shutdown::new());
    let receiver = OtlpReceiver::start(&tasks).await;
    let settings = TraceSettings {
        export_interval: Duration::from_millis(20),
        ..TraceSettings::new(receiver.endpoint(), "installation")
    };
    let traces = install_logs_and_traces(&LogSettings::new("warn", LogFormat::Text), Some(&settings)).unwrap();
    let installation = serve(&tasks).await;
    (receiver, installation, traces, tasks)
}
