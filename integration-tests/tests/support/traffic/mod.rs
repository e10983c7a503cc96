//! Continuous traffic through Envoy: writers, each with its own accounts and a reader of its writes, and readers
//! without tokens.

mod call_log;
mod connection;
mod readers;
mod requests;
mod writer;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use diptych_runtime::{Shutdown, Tasks};
use rand::{SeedableRng, rngs::SmallRng};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

pub(crate) use call_log::{CallKind, CallLog};
pub(crate) use connection::{EdgeConnection, at_least, call_with_retries, reason, retry_delay};
pub(crate) use readers::{get_account, list_entries};
pub(crate) use requests::CURRENCY;

use self::{
    readers::{EventualReader, OwnWriteReader},
    writer::Writer,
};
use crate::support::{
    account_model::AccountModel,
    edge::{Edge, WAIT_MAX},
};

const ACCOUNTS_PER_WRITER: u64 = 3;
const EVENTUAL_READERS: u64 = 2;
/// Number of successes of every caller and kind that count as recovered.
const SUCCESSES_MIN: usize = 3;

/// Running callers.
pub(crate) struct Traffic {
    pub(crate) call_log: CallLog,
    pub(crate) model: AccountModel,
    tasks: Tasks,
    stop: Shutdown,
    readers_send_tokens: Arc<AtomicBool>,
}

impl Traffic {
    /// Starts this many writers, each with a reader of its writes, and readers without tokens. A writer sends up to ten
    /// commands a second, to accounts whose ids begin with the name. Returns when each caller has succeeded.
    pub(crate) async fn start(edge: &Edge, name: &str, writers: u64, seed: u64) -> Self {
        let names = |writer: u64| (1..=ACCOUNTS_PER_WRITER).map(move |account| format!("{name}-{writer}-{account}"));
        let model = AccountModel::new((1..=writers).flat_map(names));
        let traffic = Self {
            call_log: CallLog::new(),
            model,
            tasks: Tasks::new(Shutdown::new()),
            stop: Shutdown::new(),
            readers_send_tokens: Arc::default(),
        };
        for writer in 1..=writers {
            traffic.start_writer(edge, names(writer).collect(), seed.wrapping_add(writer));
        }
        traffic.until_all_succeed(Instant::now()).await;
        // From here on every account is open.
        for eventual_reader in 1..=EVENTUAL_READERS {
            traffic.start_eventual_reader(edge, seed.wrapping_sub(eventual_reader));
        }
        traffic.until_all_succeed(Instant::now()).await;
        traffic
    }

    fn start_writer(&self, edge: &Edge, account_ids: Vec<String>, seed: u64) {
        let (connection, model) = (EdgeConnection::to(edge), self.model.clone());
        let (sender, acknowledged) = mpsc::unbounded_channel();
        let writer = Writer {
            connection: connection.clone(),
            recorder: self.call_log.recorder(CallKind::Command),
            model: model.clone(),
            account_ids,
            rng: SmallRng::seed_from_u64(seed),
            acknowledged: sender,
        };
        self.tasks.spawn("writer", writer.run(self.stop.clone()));
        let (recorder, rng) = (self.call_log.recorder(CallKind::OwnWrite), SmallRng::seed_from_u64(seed));
        self.tasks.spawn("checker", OwnWriteReader { connection, recorder, model, rng, acknowledged }.run());
    }

    fn start_eventual_reader(&self, edge: &Edge, seed: u64) {
        let (connection, model) = (EdgeConnection::to(edge), self.model.clone());
        let (recorder, rng) = (self.call_log.recorder(CallKind::Query), SmallRng::seed_from_u64(seed));
        let sends_tokens = Arc::clone(&self.readers_send_tokens);
        let reader = EventualReader { connection, recorder, model, rng, sends_tokens };
        self.tasks.spawn("eventual_reader", reader.run(self.stop.clone()));
    }

    /// Has readers without tokens send those of their previous answers, or not any more: while versions with different
    /// generations of views answer, only a token keeps a reader from going back.
    #[allow(dead_code, reason = "the test of the chart uses it")]
    pub(crate) fn readers_send_tokens(&self, send: bool) {
        self.readers_send_tokens.store(send, Ordering::Relaxed);
    }

    /// Waits until every caller has had a few successes with calls that were requested since a time.
    pub(crate) async fn until_all_succeed(&self, since: Instant) {
        self.until_kinds_succeed(&CallKind::ALL, since).await;
    }

    /// Waits for some kinds of calls only, while others may fail.
    pub(crate) async fn until_kinds_succeed(&self, kinds: &[CallKind], since: Instant) {
        let succeed = self.call_log.until_all_succeed(kinds, SUCCESSES_MIN, since);
        self.wait_while_correct(&format!("every caller is answered ({kinds:?})"), succeed).await;
    }

    /// Waits for a future while callers run, for a bounded time. Fails when a caller has got a wrong answer.
    pub(crate) async fn wait_while_correct<T>(&self, what: &str, until: impl Future<Output = T>) -> T {
        let caller_failed = self.tasks.shutdown();
        let waited = timeout(WAIT_MAX, async {
            tokio::select! {
                biased;
                () = caller_failed.begun() => panic!("a caller got a wrong answer: see the panic above"),
                output = until => output,
            }
        });
        let began_at = Instant::now();
        let failures = || self.call_log.failures(began_at).into_iter().rev().take(20).collect::<Vec<_>>();
        match waited.await {
            Ok(output) => output,
            Err(_elapsed) => {
                panic!("timed out after {WAIT_MAX:?} waiting until {what}; failed calls: {:#?}", failures())
            }
        }
    }

    /// Stops after every started command is acknowledged and its effect was read.
    pub(crate) async fn stop(self) -> (AccountModel, CallLog) {
        self.stop.begin();
        self.tasks.finish(WAIT_MAX + Duration::from_secs(10)).await.unwrap();
        (self.model, self.call_log)
    }
}
