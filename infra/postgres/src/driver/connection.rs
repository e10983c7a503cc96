//! Opens connections to the primary.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::Connect;
use diptych_kernel::ports::{PortError, PortResult};
use futures::future::select_ok;
use tokio::{
    task::{AbortHandle, JoinHandle},
    time::{sleep, timeout},
};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, Error, NoTls, Notification, Socket,
    error::{DbError, Severity},
    tls::NoTlsStream,
};

use super::{pool_epoch::PoolEpoch, target::ConnectionTarget};
use crate::config::PostgresConfig;

/// Committed once on every connection.
const VERIFY_CONNECTION: &str = include_str!("../../queries/schema/verify_connection.sql");

/// Pause before a commit that verifies a connection is repeated.
const VERIFY_PAUSE: Duration = Duration::from_millis(20);

/// Receives notifications (`NOTIFY`) of a connection.
type OnNotification = Arc<dyn Fn(Notification) + Send + Sync>;

/// Opens connections to whichever host allows writes and acknowledges a commit.
///
/// What a connection reads is durable from that commit on. The commit also excludes a demoted primary that has not
/// noticed: it accepts commits, and acknowledges none.
#[derive(Clone)]
pub(crate) struct ConnectionFactory {
    hosts: Vec<Config>,
    target: ConnectionTarget,
    settings: String,
    cancelled_waits: Arc<AtomicU64>,
    pool_epoch: PoolEpoch,
    on_notification: Option<OnNotification>,
}

impl ConnectionFactory {
    /// Creates a factory for the hosts and settings of a configuration.
    ///
    /// # Errors
    /// When the URL is invalid.
    pub(crate) fn new(config: &PostgresConfig) -> PortResult<Self> {
        let hosts = config.hosts()?;
        Ok(Self {
            target: ConnectionTarget::new(&hosts),
            hosts,
            settings: config.session_settings(),
            cancelled_waits: Arc::default(),
            pool_epoch: PoolEpoch::default(),
            on_notification: None,
        })
    }

    /// The same factory, whose connections pass notifications to a callback.
    pub(crate) fn with_notifications(self, callback: impl Fn(Notification) + Send + Sync + 'static) -> Self {
        Self { on_notification: Some(Arc::new(callback)), ..self }
    }

    /// The number of warnings, on all connections of this factory, that a commit's wait for the standby was cancelled.
    /// The outcome of a commit during which it grows is unknown. The warning comes before the answer.
    pub(crate) fn cancelled_waits(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.cancelled_waits)
    }

    /// The epoch of all connections of this factory.
    pub(crate) fn pool_epoch(&self) -> PoolEpoch {
        self.pool_epoch.clone()
    }

    /// The server that connections go to, for error messages.
    pub(crate) fn target(&self) -> &ConnectionTarget {
        &self.target
    }

    /// Opens a connection. All hosts are tried at the same time, so a host that hangs does not delay the others.
    ///
    /// # Errors
    /// When every host refuses. Waits while any host is silent: the caller sets a timeout.
    pub(crate) async fn connect(&self) -> Result<DriverConnection, Error> {
        let attempts = self.hosts.iter().map(|host| Box::pin(self.connect_to(host)));
        select_ok(attempts).await.map(|(connection, _others)| connection)
    }

    /// Opens a connection outside the pools, within the connect timeout.
    ///
    /// # Errors
    /// When every host refuses or none is ready in time.
    pub(crate) async fn connect_once(&self, config: &PostgresConfig) -> Result<DriverConnection, PortError> {
        match timeout(config.connect_timeout, self.connect()).await {
            Ok(connected) => connected.map_err(|error| self.target.connect_error(error)),
            Err(_) => Err(self.target.timeout_error(config.connect_timeout)),
        }
    }

    async fn connect_to(&self, host: &Config) -> Result<DriverConnection, Error> {
        let (client, connection) = host.connect(NoTls).await?;
        let is_verified = Arc::new(AtomicBool::new(false));
        let receive = self.clone().receive(connection, Arc::clone(&is_verified));
        #[allow(clippy::disallowed_methods, reason = "the task is owned by its connection, and ends with it")]
        let task = tokio::spawn(receive);
        let guard = AbortOnDrop(Some(task.abort_handle()));
        client.batch_execute(&self.settings).await?;
        loop {
            let cancelled_before = self.cancelled_waits.load(Ordering::Acquire);
            client.batch_execute(VERIFY_CONNECTION).await?;
            if self.cancelled_waits.load(Ordering::Acquire) == cancelled_before {
                is_verified.store(true, Ordering::Release);
                return Ok(DriverConnection { client, task, guard });
            }
            // The caller's timeout ends it.
            sleep(VERIFY_PAUSE).await;
        }
    }

    /// Sends and receives the messages of a connection until it ends.
    async fn receive(self, mut connection: Connection<Socket, NoTlsStream>, is_verified: Arc<AtomicBool>) {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(AsyncMessage::Notice(notice)) if notice.parsed_severity() == Some(Severity::Warning) => {
                    if is_cancelled_wait(&notice) {
                        self.cancelled_waits.fetch_add(1, Ordering::AcqRel);
                    }
                    let (code, warning) = (notice.code().code(), notice.message());
                    tracing::warn!(code, warning, "the write database sent a warning");
                }
                Ok(AsyncMessage::Notification(notification)) => {
                    if let Some(callback) = &self.on_notification {
                        callback(notification);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    // The driver reports the error to every caller that waits for an answer, and they decide what it
                    // means.
                    tracing::debug!(%error, "a connection to the write database broke");
                    if is_verified.load(Ordering::Acquire) {
                        self.pool_epoch.advance();
                    }
                    return;
                }
            }
        }
    }
}

/// Returns whether a warning says that a commit's wait for the standby was cancelled. Other warnings say nothing about
/// the commit: near the wraparound of transaction ids, for example, every statement gets one.
///
/// Its SQLSTATE is that of all warnings, and its text is in the server's language; the routine that sends it has the
/// same name in all versions (`SyncRepWaitForLSN` in Postgres' syncrep.c).
fn is_cancelled_wait(warning: &DbError) -> bool {
    warning.routine() == Some("SyncRepWaitForLSN") || warning.message().contains("wait for synchronous replication")
}

impl fmt::Debug for ConnectionFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionFactory").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Connect for ConnectionFactory {
    fn connect(
        &self,
        _pool_config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(async { Ok(self.connect().await?.into_parts()) })
    }
}

/// A connection and the task that sends and receives its messages.
pub(crate) struct DriverConnection {
    pub(crate) client: Client,
    task: JoinHandle<()>,
    guard: AbortOnDrop,
}

impl DriverConnection {
    /// Splits it, for an owner that aborts the task itself.
    fn into_parts(self) -> (Client, JoinHandle<()>) {
        let Self { client, task, mut guard } = self;
        guard.0 = None;
        (client, task)
    }
}

/// Aborts a task when its owner is dropped. Otherwise a task whose server is silent would wait for ever.
struct AbortOnDrop(Option<AbortHandle>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
