//! The installation of all tests of this process, and its collector.

use std::{ops::Deref, sync::OnceLock, time::Duration};

use diptych_runtime::{
    Shutdown, Tasks,
    telemetry::{LogFormat, LogSettings, TraceSettings, Traces, install_logs_and_traces},
    testing::OtlpReceiver,
};
use tokio::runtime::{Builder, Runtime};

use super::installation::{Installation, serve};

/// All of it.
pub(crate) struct Stage {
    pub(crate) runtime: Runtime,
    pub(crate) collector: OtlpReceiver,
    installation: Installation,
    _traces: Traces,
    _tasks: Tasks,
}

impl Stage {
    /// The one of this process.
    pub(crate) fn shared() -> &'static Self {
        static STAGE: OnceLock<Stage> = OnceLock::new();
        STAGE.get_or_init(|| {
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let (collector, installation, traces, tasks) = runtime.block_on(start());
            Self { runtime, collector, installation, _traces: traces, _tasks: tasks }
        })
    }
}

impl Deref for Stage {
    type Target = Installation;

    fn deref(&self) -> &Installation {
        &self.installation
    }
}

async fn start() -> (OtlpReceiver, Installation, Traces, Tasks) {
    let tasks = Tasks::new(Shutdown::new());
    let collector = OtlpReceiver::start(&tasks).await;
    let settings = TraceSettings {
        export_interval: Duration::from_millis(20),
        ..TraceSettings::new(collector.endpoint(), "installation")
    };
    let traces = install_logs_and_traces(&LogSettings::new("warn", LogFormat::Text), Some(&settings)).unwrap();
    let installation = serve(&tasks).await;
    (collector, installation, traces, tasks)
}
