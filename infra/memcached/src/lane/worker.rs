//! The task that has a connection.

use std::{slice, sync::Arc, time::Duration};

use diptych_runtime::Backoff;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    LaneSettings, Shared,
    batch::{self, Piece},
    command::{Command, Reply},
    connection::{Connection, is_hangup, is_refusal},
    failure::Failure,
};

/// How many round trips may fail in a row before the server counts as down.
const FAILURES_MAX: u32 = 3;

/// How long a server has to be up before the next time that it is down counts as the first one.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// How long a connection may be unused and still be trusted. Boxes on the way forget quiet ones.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Commands of one caller.
pub(super) struct Job {
    pub(super) commands: Vec<Command>,
    pub(super) answer: oneshot::Sender<Result<Vec<Reply>, Failure>>,
}

/// Takes what has been asked in the meantime, does it in as few round trips as possible, and again.
pub(super) struct Worker {
    shared: Arc<Shared>,
    settings: LaneSettings,
    jobs: mpsc::Receiver<Job>,
    connection: Option<Connection>,
    /// Items with a smaller number are doubtful.
    floor: u64,
    /// Whether everything that the server has by now has become doubtful.
    is_floor_due: bool,
    /// How many round trips have failed since the last one that did not.
    failures: u32,
    /// Delays between attempts to connect. They keep growing where the server comes back and fails again.
    delays: Backoff,
    up_since: Instant,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, settings: LaneSettings, jobs: mpsc::Receiver<Job>) -> Self {
        let delays = Backoff::new(settings.reconnect_delay_min, settings.reconnect_delay_max);
        Self {
            shared,
            settings,
            jobs,
            connection: None,
            floor: 0,
            is_floor_due: false,
            failures: 0,
            delays,
            up_since: Instant::now(),
        }
    }

    /// Ends when nobody can ask any more.
    pub(super) async fn run(mut self) {
        // So that the first caller finds a connection. If it fails, the server counts as down.
        let _ = self.connected().await;
        loop {
            if self.shared.is_down() && !self.recover().await {
                return;
            }
            if !self.shared.debts.is_empty() {
                // Failures are counted, and end in the branch above. Callers have their turn in between.
                if self.exchange(&batch::of_debts(&self.shared.debts)).await.is_ok()
                    && let Ok(job) = self.jobs.try_recv()
                {
                    self.serve(job).await;
                }
                if self.jobs.is_closed() && self.jobs.is_empty() {
                    return;
                }
                continue;
            }
            tokio::select! {
                biased;
                job = self.jobs.recv() => match job {
                    Some(job) => self.serve(job).await,
                    None => return,
                },
                () = self.shared.debts.incurred() => {}
            }
        }
    }

    /// Does what is asked, with whatever else has been asked by now.
    async fn serve(&mut self, first: Job) {
        let mut count = first.commands.len();
        let mut jobs = vec![first];
        while count < batch::COMMANDS_MAX
            && let Ok(job) = self.jobs.try_recv()
        {
            count += job.commands.len();
            jobs.push(job);
        }
        // Who has given up has seen to it that the keys are forgotten.
        jobs.retain(|job| !job.answer.is_closed());
        let waiting: Vec<_> = jobs.iter().map(|job| job.commands.len()).collect();
        let (commands, answers): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.commands, job.answer)).unzip();
        let mut commands = commands.into_iter().flatten().peekable();
        let mut replies = Vec::with_capacity(count);
        let mut failure = None;
        while failure.is_none() && commands.peek().is_some() {
            match self.exchange(&batch::next(&mut commands, &self.shared.debts)).await {
                Ok(more) => replies.extend(more),
                Err(error) => failure = Some(error),
            }
        }
        let mut replies = replies.into_iter();
        for (count, answer) in waiting.into_iter().zip(answers) {
            let own: Vec<_> = replies.by_ref().take(count).collect();
            let whole = own.len() == count;
            let failed = || failure.clone().unwrap_or_else(|| Failure::closed(&self.shared.server));
            // Who has gone by now does not want it.
            let _ = answer.send(if whole { Ok(own) } else { Err(failed()) });
        }
    }

    /// One round trip; two where the connection had come to its end unseen. What was done twice then does no harm: everything that is stored
    /// says what it may replace.
    async fn exchange(&mut self, pieces: &[Piece]) -> Result<Vec<Reply>, Failure> {
        let mut may_repeat = true;
        loop {
            let (connection, floor) = self.connected().await?;
            let has_served = connection.has_served();
            match connection.ask(pieces, floor).await {
                Ok(replies) => return Ok(self.settle(pieces, replies)),
                Err(error) if is_refusal(&error) => return self.exchange_one_by_one(pieces, error).await,
                Err(error) if is_hangup(&error) && has_served && may_repeat => {
                    self.connection = None;
                    may_repeat = false;
                }
                Err(error) => return Err(self.note_failure(Failure::interrupted(&self.shared.server, &error))),
            }
        }
    }

    /// After a refusal nobody knows which command it was for and what came of the others.
    async fn exchange_one_by_one(
        &mut self,
        pieces: &[Piece],
        mut refusal: memcache::exp::Error,
    ) -> Result<Vec<Reply>, Failure> {
        self.connection = None;
        let mut replies = Vec::with_capacity(pieces.len());
        for piece in pieces {
            if pieces.len() > 1 {
                let (connection, floor) = self.connected().await?;
                match connection.ask(slice::from_ref(piece), floor).await {
                    Ok(reply) => {
                        replies.extend(reply);
                        continue;
                    }
                    Err(error) if is_refusal(&error) => refusal = error,
                    Err(error) => return Err(self.note_failure(Failure::interrupted(&self.shared.server, &error))),
                }
                self.connection = None;
            }
            self.shared.note_refusal(&refusal);
            replies.push(Reply::Refused);
        }
        Ok(self.settle(pieces, replies))
    }

    /// Notes what a round trip has put right. Returns what was asked for.
    fn settle(&mut self, pieces: &[Piece], replies: Vec<Reply>) -> Vec<Reply> {
        self.failures = 0;
        self.shared.metrics.batch_commands.record(f64::from(u32::try_from(pieces.len()).unwrap_or(u32::MAX)));
        let mut asked = Vec::with_capacity(replies.len());
        for (piece, reply) in pieces.iter().zip(replies) {
            let Some(debt) = piece.debt else {
                asked.push(reply);
                continue;
            };
            // A server that does not even forget will not when it is asked again.
            self.is_floor_due |= reply == Reply::Refused;
            self.shared.debts.settle(piece.command.key(), debt);
            self.shared.metrics.repaired.increment(1);
        }
        asked
    }

    /// A connection, and below which number items on it are doubtful.
    async fn connected(&mut self) -> Result<(&mut Connection, u64), Failure> {
        if self.connection.as_ref().is_some_and(|connection| connection.idle_time() > IDLE_MAX) {
            self.connection = None;
        }
        self.is_floor_due |= self.shared.debts.take_overflow();
        let connection = match self.connection.take() {
            Some(mut connection) => {
                if self.is_floor_due {
                    let newest = connection.greet(&self.settings.greeting).await;
                    let newest = newest.map_err(|error| {
                        let failure = Failure::interrupted(&self.shared.server, &error);
                        self.note_failure(failure)
                    })?;
                    self.raise_floor(newest);
                }
                connection
            }
            None => self.connect().await?,
        };
        Ok((self.connection.insert(connection), self.floor))
    }

    async fn connect(&mut self) -> Result<Connection, Failure> {
        let gauge = self.shared.metrics.connections.clone();
        let LaneSettings { greeting, timeouts, .. } = &self.settings;
        match Connection::open(&self.shared.server, greeting, *timeouts, gauge).await {
            Ok((connection, newest)) => {
                if self.is_floor_due {
                    self.raise_floor(newest);
                } else if newest < self.floor {
                    // It counts from the beginning again, so everything in it is new.
                    self.floor = 0;
                }
                Ok(connection)
            }
            Err(error) => {
                let failure = self.note_failure(Failure::unreachable(&self.shared.server, &error));
                self.go_down(&failure);
                Err(failure)
            }
        }
    }

    fn raise_floor(&mut self, newest: u64) {
        self.floor = newest;
        self.is_floor_due = false;
    }

    fn note_failure(&mut self, failure: Failure) -> Failure {
        self.connection = None;
        self.shared.metrics.failures.increment(1);
        self.failures += 1;
        if self.failures >= FAILURES_MAX {
            self.go_down(&failure);
        }
        failure
    }

    fn go_down(&mut self, failure: &Failure) {
        // What has been told while it was down may be newer than what it has.
        self.is_floor_due = true;
        if self.shared.set_down(true) {
            warn!(%failure, "a cache server is down, what it has is read from the read database");
        }
    }

    /// Tries to connect again until that works, with growing pauses. `false` when nobody can ask any more.
    async fn recover(&mut self) -> bool {
        let down_since = Instant::now();
        if down_since.duration_since(self.up_since) >= STEADY_AFTER {
            self.delays.reset();
        }
        loop {
            let next = Instant::now() + self.delays.next_delay();
            loop {
                tokio::select! {
                    job = self.jobs.recv() => match job {
                        // It was on its way when the server went down.
                        Some(job) => { let _ = job.answer.send(Err(Failure::down(&self.shared.server))); }
                        None => return false,
                    },
                    () = sleep_until(next) => break,
                }
            }
            if let Ok(connection) = self.connect().await {
                self.connection = Some(connection);
                // It greets, which does not say that it does anything else in time: it has one try.
                self.failures = FAILURES_MAX - 1;
                self.up_since = Instant::now();
                self.shared.set_down(false);
                info!(server = %self.shared.server, after = ?down_since.elapsed(), "a cache server is back");
                return true;
            }
        }
    }
}
