//! An open socket to a server, with timeouts.

use std::{
    future::Future,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    time::Duration,
};

use memcache::exp::{AsyncMetaConnection, Error, SetOptions, build_set, parse_meta_result};
use metrics::Gauge;
use tokio::time::{Instant, timeout};

use super::{
    batch::BatchCommand,
    command::{CasMask, Reply, ReplyContext},
};
use crate::key::Key;

/// Time to live of the probe item. It is not needed any more once the server has answered.
const PROBE_TTL_S: u32 = 60;

/// Timeouts of connecting and of a round trip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) request: Duration,
}

/// A socket with no known error. After an error it must be dropped, as it is unknown which response comes next.
pub(crate) struct Socket {
    inner: AsyncMetaConnection,
    cas_mask: CasMask,
    used_at: Instant,
    /// True if a round trip has succeeded since the probe.
    has_served: bool,
    timeouts: Timeouts,
    _open: OpenGauge,
}

impl Socket {
    /// Connects to a server and probes it. Also returns the CAS unique of the probe item, the newest item on the server
    /// at that moment.
    pub(crate) async fn open(
        server: &str,
        probe_key: &Key,
        timeouts: Timeouts,
        open_connections: Gauge,
    ) -> Result<(Self, u64), Error> {
        let inner = within(timeouts.connect, AsyncMetaConnection::connect(server)).await?;
        // Every `RandomState` has other keys: random enough for masks that only have to differ.
        let cas_mask = CasMask::from_random(RandomState::new().build_hasher().finish());
        let open = OpenGauge::new(open_connections);
        let mut socket = Self { inner, cas_mask, used_at: Instant::now(), has_served: false, timeouts, _open: open };
        let newest_cas = socket.probe(probe_key).await?;
        Ok((socket, newest_cas))
    }

    /// Stores a small item under a key of its own and returns its CAS unique. This shows that the server answers and
    /// speaks the protocol, and where its item counter is: every item with a smaller number was stored before.
    pub(crate) async fn probe(&mut self, probe_key: &Key) -> Result<u64, Error> {
        let mut options = SetOptions::default();
        options.ttl = Some(PROBE_TTL_S);
        options.return_cas = true;
        let command = build_set(probe_key, *b"1", &options)?;
        let answer = parse_meta_result(within(self.timeouts.request, self.inner.execute(&command)).await?)?;
        answer.cas.ok_or_else(|| Error::Protocol(format!("unexpected response {:?} to the probe", answer.rc)))
    }

    /// Returns whether the connection has worked before. Its end does not mean that the server is down then, as the
    /// server may have been restarted.
    pub(crate) fn has_served(&self) -> bool {
        self.has_served
    }

    /// The time since the last round trip.
    pub(crate) fn idle_time(&self) -> Duration {
        self.used_at.elapsed()
    }

    /// Executes a batch in one round trip. Values with a CAS unique below `cas_floor` may be stale.
    pub(crate) async fn round_trip(&mut self, batch: &[BatchCommand], cas_floor: u64) -> Result<Vec<Reply>, Error> {
        let cas_mask = self.cas_mask;
        let commands = batch.iter().enumerate().map(|(number, item)| item.command.to_wire(number, cas_mask));
        let commands = commands.collect::<Result<Vec<_>, _>>()?;
        let responses = within(self.timeouts.request, self.inner.execute_batch(&commands)).await?;
        let context = ReplyContext { cas_mask, cas_floor };
        let replies = batch.iter().zip(responses).enumerate();
        let replies = replies.map(|(number, (item, response))| item.command.reply(number, context, response));
        let replies = replies.collect::<Result<Vec<_>, _>>()?;
        self.used_at = Instant::now();
        self.has_served = true;
        Ok(replies)
    }
}

async fn within<T>(bound: Duration, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match timeout(bound, step).await {
        Ok(done) => done,
        Err(_) => Err(Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("timed out after {bound:?}")))),
    }
}

/// Returns whether the connection has been closed or broken, as opposed to a timeout.
pub(crate) fn is_hangup(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() != io::ErrorKind::TimedOut)
}

/// Returns whether the server has answered with a refusal. The outcome of the other commands in the same round trip is
/// unknown then.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Server(_) | Error::Rejected(_))
}

/// Counts a socket in the gauge of open connections while it exists.
struct OpenGauge(Gauge);

impl OpenGauge {
    fn new(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for OpenGauge {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
