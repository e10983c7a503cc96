//! Making connections.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use deadpool_postgres::Connect;
use diptych_kernel::ports::PortResult;
use futures::future::select_ok;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, Error, NoTls, Notification, Socket, error::Severity, tls::NoTlsStream,
};

use super::Distrust;
use crate::PostgresConfig;

/// Committed once on every connection.
const PROVE: &str = include_str!("../../queries/schema/prove_connection.sql");

/// Who is told what comes from the server without being asked for.
type Listen = Arc<dyn Fn(Notification) + Send + Sync>;

/// Makes connections to whichever host allows writes and acknowledges a commit.
///
/// What a connection shows is safe from that commit on. It also keeps away from a primary that has lost its lead and does not know it: such
/// a one takes commits, and acknowledges none.
#[derive(Clone)]
pub(crate) struct Connector {
    hosts: Vec<Config>,
    settings: String,
    warnings: Arc<AtomicU64>,
    distrust: Distrust,
    listen: Option<Listen>,
}

impl Connector {
    /// For these hosts and settings.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub(crate) fn new(config: &PostgresConfig) -> PortResult<Self> {
        Ok(Self {
            hosts: config.hosts()?,
            settings: config.session_settings(),
            warnings: Arc::default(),
            distrust: Distrust::default(),
            listen: None,
        })
    }

    /// The same with somebody who is told of notifications.
    pub(crate) fn listening(self, listen: impl Fn(Notification) + Send + Sync + 'static) -> Self {
        Self { listen: Some(Arc::new(listen)), ..self }
    }

    /// How many warnings have come over all of its connections. A commit during which this grows is in doubt: the only warning that the
    /// server has for a commit is that its wait for the standby was cancelled. It comes before the answer.
    pub(crate) fn warnings(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.warnings)
    }

    /// Which of its connections may still be used.
    pub(crate) fn distrust(&self) -> Distrust {
        self.distrust.clone()
    }

    /// Connects. All hosts are tried at the same time, so that one that stands still or leads in vain holds nobody up.
    ///
    /// # Errors
    /// When no host will do. Waits as long as one of them is silent: the caller sets the bound.
    pub(crate) async fn wire(&self) -> Result<Wire, Error> {
        let attempts = self.hosts.iter().map(|host| Box::pin(self.attempt(host)));
        select_ok(attempts).await.map(|(wire, _others)| wire)
    }

    async fn attempt(&self, host: &Config) -> Result<Wire, Error> {
        let (client, connection) = host.connect(NoTls).await?;
        let is_in_use = Arc::new(AtomicBool::new(false));
        let drive = self.clone().drive(connection, Arc::clone(&is_in_use));
        #[allow(clippy::disallowed_methods, reason = "the task is owned by its wire, and ends with it")]
        let task = tokio::spawn(drive);
        let guard = Guard(Some(task.abort_handle()));
        client.batch_execute(&self.settings).await?;
        loop {
            let before = self.warnings.load(Ordering::Acquire);
            client.batch_execute(PROVE).await?;
            if self.warnings.load(Ordering::Acquire) == before {
                is_in_use.store(true, Ordering::Release);
                return Ok(Wire { client, task, guard });
            }
        }
    }

    /// Moves the bytes of a connection until it ends.
    async fn drive(self, mut connection: Connection<Socket, NoTlsStream>, is_in_use: Arc<AtomicBool>) {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(AsyncMessage::Notice(notice)) if notice.parsed_severity() == Some(Severity::Warning) => {
                    self.warnings.fetch_add(1, Ordering::AcqRel);
                    tracing::warn!(code = notice.code().code(), message = notice.message(), "the write database warns");
                }
                Ok(AsyncMessage::Notification(notification)) => {
                    if let Some(listen) = &self.listen {
                        listen(notification);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    // Whoever waits for an answer is told by the driver, and decides what it means.
                    tracing::debug!(%error, "a connection to the write database broke off");
                    if is_in_use.load(Ordering::Acquire) {
                        self.distrust.begin();
                    }
                    return;
                }
            }
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Connect for Connector {
    fn connect(
        &self,
        _pool_config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(async { Ok(self.wire().await?.into_parts()) })
    }
}

/// A connection and the task that moves its bytes.
pub(crate) struct Wire {
    pub(crate) client: Client,
    task: JoinHandle<()>,
    guard: Guard,
}

impl Wire {
    /// For an owner who ends the task himself.
    fn into_parts(self) -> (Client, JoinHandle<()>) {
        let Self { client, task, mut guard } = self;
        guard.0 = None;
        (client, task)
    }
}

/// Ends a task with its owner. Without it, a task whose server says nothing would wait for ever.
struct Guard(Option<AbortHandle>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
