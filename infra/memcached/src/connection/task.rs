//! The task that owns the socket of a connection.

use std::{slice, sync::Arc, time::Duration};

use diptych_runtime::Backoff;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    batch::{self, BatchCommand},
    command::{CacheCommand, Reply},
    error::CallError,
    socket::{Socket, is_hangup, is_refusal},
    state::{ConnectionSettings, ConnectionState},
};

/// The number of failed round trips in a row after which the server counts as down.
const FAILURES_MAX: u32 = 3;

/// The time that a server has to be up until the reconnect delays start again from the shortest one.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// The longest idle time after which a socket is still used. Firewalls and NAT gateways on the path drop idle
/// connections silently.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// The commands of one caller.
pub(super) struct Request {
    pub(super) commands: Vec<CacheCommand>,
    pub(super) reply_to: oneshot::Sender<Result<Vec<Reply>, CallError>>,
}

/// Executes all requests queued so far in as few round trips as possible, again and again.
pub(super) struct ConnectionTask {
    state: Arc<ConnectionState>,
    settings: ConnectionSettings,
    requests: mpsc::Receiver<Request>,
    socket: Option<Socket>,
    /// Items with a smaller CAS unique may be stale.
    cas_floor: u64,
    /// True if everything that the server has stored by now may be stale.
    is_floor_due: bool,
    /// The number of failed round trips since the last successful one.
    failures: u32,
    /// The pauses before attempts to reconnect; they continue to grow when the server comes back and fails again.
    reconnect_delays: Backoff,
    up_since: Instant,
}

impl ConnectionTask {
    pub(super) fn new(
        state: Arc<ConnectionState>,
        settings: ConnectionSettings,
        requests: mpsc::Receiver<Request>,
    ) -> Self {
        let reconnect_delays = settings.reconnect_delays();
        Self {
            state,
            settings,
            requests,
            socket: None,
            cas_floor: 0,
            is_floor_due: false,
            failures: 0,
            reconnect_delays,
            up_since: Instant::now(),
        }
    }

    /// Runs until the connection is dropped.
    pub(super) async fn run(mut self) {
        // So that the first caller finds an open socket. If this fails, the server counts as down.
        let _ = self.connected().await;
        loop {
            if self.state.is_down() && !self.recover().await {
                return;
            }
            if !self.state.pending_invalidations.is_empty() {
                // Failures are counted, and end in the branch above. Callers are served in between.
                if self.exchange(&batch::of_invalidations(&self.state.pending_invalidations)).await.is_ok()
                    && let Ok(request) = self.requests.try_recv()
                {
                    self.serve(request).await;
                }
                if self.requests.is_closed() && self.requests.is_empty() {
                    return;
                }
                continue;
            }
            tokio::select! {
                biased;
                request = self.requests.recv() => match request {
                    Some(request) => self.serve(request).await,
                    None => return,
                },
                () = self.state.pending_invalidations.added() => {}
            }
        }
    }

    /// Serves a request together with all others queued by now.
    async fn serve(&mut self, first: Request) {
        let mut count = first.commands.len();
        let mut requests = vec![first];
        while count < batch::COMMANDS_MAX
            && let Ok(request) = self.requests.try_recv()
        {
            count += request.commands.len();
            requests.push(request);
        }
        // A caller that is gone needs no answer; its changes are pending invalidations.
        requests.retain(|request| !request.reply_to.is_closed());
        let waiting: Vec<_> = requests.iter().map(|request| request.commands.len()).collect();
        let (commands, reply_to): (Vec<_>, Vec<_>) =
            requests.into_iter().map(|request| (request.commands, request.reply_to)).unzip();
        let mut commands = commands.into_iter().flatten().peekable();
        let mut replies = Vec::with_capacity(count);
        let mut failure = None;
        while failure.is_none() && commands.peek().is_some() {
            match self.exchange(&batch::next(&mut commands, &self.state.pending_invalidations)).await {
                Ok(more) => replies.extend(more),
                Err(error) => failure = Some(error),
            }
        }
        let mut replies = replies.into_iter();
        for (count, reply_to) in waiting.into_iter().zip(reply_to) {
            let own: Vec<_> = replies.by_ref().take(count).collect();
            let is_complete = own.len() == count;
            let failed = || failure.clone().unwrap_or_else(|| CallError::closed(&self.state.server));
            // The caller may have gone in the meantime.
            let _ = reply_to.send(if is_complete { Ok(own) } else { Err(failed()) });
        }
    }

    /// One round trip; two where the socket turns out to be closed. Executing a batch twice is harmless, as every store
    /// names the item that it may replace.
    async fn exchange(&mut self, batch: &[BatchCommand]) -> Result<Vec<Reply>, CallError> {
        let mut may_repeat = true;
        loop {
            let (socket, cas_floor) = self.connected().await?;
            let has_served = socket.has_served();
            match socket.round_trip(batch, cas_floor).await {
                Ok(replies) => return Ok(self.complete(batch, replies)),
                Err(error) if is_refusal(&error) => return self.exchange_one_by_one(batch, error).await,
                Err(error) if is_hangup(&error) && has_served && may_repeat => {
                    self.socket = None;
                    may_repeat = false;
                }
                Err(error) => return Err(self.record_failure(CallError::interrupted(&self.state.server, &error))),
            }
        }
    }

    /// Repeats a batch one command per round trip: after a refusal it is unknown which command was refused and what
    /// happened to the others.
    async fn exchange_one_by_one(
        &mut self,
        batch: &[BatchCommand],
        mut refusal: memcache::exp::Error,
    ) -> Result<Vec<Reply>, CallError> {
        self.socket = None;
        let mut replies = Vec::with_capacity(batch.len());
        for item in batch {
            if batch.len() > 1 {
                let (socket, cas_floor) = self.connected().await?;
                match socket.round_trip(slice::from_ref(item), cas_floor).await {
                    Ok(reply) => {
                        replies.extend(reply);
                        continue;
                    }
                    Err(error) if is_refusal(&error) => refusal = error,
                    Err(error) => return Err(self.record_failure(CallError::interrupted(&self.state.server, &error))),
                }
                self.socket = None;
            }
            self.state.record_refusal(&refusal);
            replies.push(Reply::Refused);
        }
        Ok(self.complete(batch, replies))
    }

    /// Completes the pending invalidations in a batch and returns the replies to the callers' commands.
    fn complete(&mut self, batch: &[BatchCommand], replies: Vec<Reply>) -> Vec<Reply> {
        self.failures = 0;
        self.state.metrics.batch_commands.record(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
        let mut own = Vec::with_capacity(replies.len());
        for (item, reply) in batch.iter().zip(replies) {
            let Some(invalidation) = item.invalidation else {
                own.push(reply);
                continue;
            };
            // A server that refuses even a delete will refuse it again, so the whole server is distrusted instead.
            self.is_floor_due |= reply == Reply::Refused;
            self.state.pending_invalidations.complete(item.command.key(), invalidation);
            self.state.metrics.invalidations_completed.increment(1);
        }
        own
    }

    /// An open socket, and the CAS unique below which its items may be stale.
    async fn connected(&mut self) -> Result<(&mut Socket, u64), CallError> {
        if self.socket.as_ref().is_some_and(|socket| socket.idle_time() > IDLE_MAX) {
            self.socket = None;
        }
        self.is_floor_due |= self.state.pending_invalidations.take_overflow();
        let socket = match self.socket.take() {
            Some(mut socket) => {
                if self.is_floor_due {
                    let newest_cas = socket.probe(&self.settings.probe_key).await;
                    let newest_cas = newest_cas.map_err(|error| {
                        let failure = CallError::interrupted(&self.state.server, &error);
                        self.record_failure(failure)
                    })?;
                    self.raise_floor(newest_cas);
                }
                socket
            }
            None => self.connect().await?,
        };
        Ok((self.socket.insert(socket), self.cas_floor))
    }

    async fn connect(&mut self) -> Result<Socket, CallError> {
        let gauge = self.state.metrics.connections.clone();
        let ConnectionSettings { probe_key, timeouts, .. } = &self.settings;
        match Socket::open(&self.state.server, probe_key, *timeouts, gauge).await {
            Ok((socket, newest_cas)) => {
                if self.is_floor_due {
                    self.raise_floor(newest_cas);
                } else if newest_cas < self.cas_floor {
                    // The server was restarted and counts from 1 again, so all its items are new.
                    self.cas_floor = 0;
                }
                Ok(socket)
            }
            Err(error) => {
                let failure = self.record_failure(CallError::unreachable(&self.state.server, &error));
                self.become_down(&failure);
                Err(failure)
            }
        }
    }

    fn raise_floor(&mut self, newest_cas: u64) {
        self.cas_floor = newest_cas;
        self.is_floor_due = false;
    }

    fn record_failure(&mut self, failure: CallError) -> CallError {
        self.socket = None;
        self.state.metrics.failures.increment(1);
        self.failures += 1;
        if self.failures >= FAILURES_MAX {
            self.become_down(&failure);
        }
        failure
    }

    fn become_down(&mut self, failure: &CallError) {
        // The keys of every call until it is back are pending invalidations.
        if self.state.set_down(true) {
            warn!(%failure, "a cache server is down; its keys are read from the read database");
        }
    }

    /// Tries to reconnect until it succeeds, with growing pauses. Returns `false` when the connection was dropped.
    async fn recover(&mut self) -> bool {
        let down_since = Instant::now();
        if down_since.duration_since(self.up_since) >= STEADY_AFTER {
            self.reconnect_delays.reset();
        }
        loop {
            let next_attempt = Instant::now() + self.reconnect_delays.next_delay();
            loop {
                tokio::select! {
                    request = self.requests.recv() => match request {
                        // It was queued before the server was known to be down.
                        Some(request) => { let _ = request.reply_to.send(Err(CallError::down(&self.state.server))); }
                        None => return false,
                    },
                    () = sleep_until(next_attempt) => break,
                }
            }
            if let Ok(socket) = self.connect().await {
                self.socket = Some(socket);
                // An answered probe does not prove that the server answers anything else in time: one more failure and
                // it is down again.
                self.failures = FAILURES_MAX - 1;
                self.up_since = Instant::now();
                self.state.set_down(false);
                info!(server = %self.state.server, after_ms = down_since.elapsed().as_millis(), "a cache server is back");
                return true;
            }
        }
    }
}
