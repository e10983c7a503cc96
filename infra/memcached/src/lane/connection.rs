//! One connection to one server.

use std::{future::Future, io, time::Duration};

use memcache::exp::{AsyncMetaConnection, Error, SetOptions, build_set, parse_meta_result};
use metrics::Gauge;
use tokio::time::{Instant, timeout};

use super::{
    batch::Piece,
    command::{Reply, Salt, Terms},
    random,
};
use crate::key::Key;

/// How long the greeting stays on the server. It has done its work when it is answered.
const GREETING_TTL_S: u32 = 60;

/// How long it and a round trip may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) request: Duration,
}

/// A connection that works as far as is known. After an error it must be dropped: nobody knows which response comes next.
pub(crate) struct Connection {
    wire: AsyncMetaConnection,
    salt: Salt,
    used_at: Instant,
    /// Whether anything was answered since the greeting.
    has_served: bool,
    timeouts: Timeouts,
    _shown: Shown,
}

impl Connection {
    /// Connects to a server, and greets it. Also returns the number of the newest item that the server had at that moment.
    pub(crate) async fn open(
        server: &str,
        greeting: &Key,
        timeouts: Timeouts,
        shown: Gauge,
    ) -> Result<(Self, u64), Error> {
        let wire = within(timeouts.connect, AsyncMetaConnection::connect(server)).await?;
        let salt = Salt::from_random(random());
        let shown = Shown::new(shown);
        let mut connection = Self { wire, salt, used_at: Instant::now(), has_served: false, timeouts, _shown: shown };
        let newest = connection.greet(greeting).await?;
        Ok((connection, newest))
    }

    /// Stores something small under a key of its own, to hear that the server answers, that it speaks the protocol, and how far its counter of
    /// items is: whatever has a smaller number was stored before.
    pub(crate) async fn greet(&mut self, greeting: &Key) -> Result<u64, Error> {
        let mut options = SetOptions::default();
        options.ttl = Some(GREETING_TTL_S);
        options.return_cas = true;
        let command = build_set(greeting, *b"1", &options)?;
        let answer = parse_meta_result(within(self.timeouts.request, self.wire.execute(&command)).await?)?;
        answer.cas.ok_or_else(|| Error::Protocol(format!("{:?} is no response to a greeting", answer.rc)))
    }

    /// Whether it has worked before, so that an end of it says nothing about the server: it may have been restarted since.
    pub(crate) fn has_served(&self) -> bool {
        self.has_served
    }

    /// How long nothing was asked.
    pub(crate) fn idle_time(&self) -> Duration {
        self.used_at.elapsed()
    }

    /// Does all of it in one round trip. Values with numbers below `floor` are doubtful.
    pub(crate) async fn ask(&mut self, pieces: &[Piece], floor: u64) -> Result<Vec<Reply>, Error> {
        let salt = self.salt;
        let commands = pieces.iter().enumerate().map(|(number, piece)| piece.command.to_wire(number, salt));
        let commands = commands.collect::<Result<Vec<_>, _>>()?;
        let responses = within(self.timeouts.request, self.wire.execute_batch(&commands)).await?;
        let terms = Terms { salt, floor };
        let replies = pieces.iter().zip(responses).enumerate();
        let replies = replies.map(|(number, (piece, response))| piece.command.reply(number, terms, response));
        let replies = replies.collect::<Result<Vec<_>, _>>()?;
        self.used_at = Instant::now();
        self.has_served = true;
        Ok(replies)
    }
}

async fn within<T>(bound: Duration, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match timeout(bound, step).await {
        Ok(done) => done,
        Err(_) => Err(Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("took longer than {bound:?}")))),
    }
}

/// Whether a connection has come to its end, other than by taking too long.
pub(crate) fn is_hangup(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() != io::ErrorKind::TimedOut)
}

/// Whether the server has answered, and would not do it. Nothing is known then of what was asked in the same round trip.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Server(_) | Error::Rejected(_))
}

/// Counts a connection for as long as there is one.
struct Shown(Gauge);

impl Shown {
    fn new(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
