//! Callers, through Envoy, for as long as a test lasts: writers, each with accounts of his own and somebody who looks at what he wrote, and
//! onlookers.

mod journal;
mod link;
mod readers;
mod requests;
mod writer;

use std::time::Duration;

use diptych_runtime::{Shutdown, Tasks};
use rand::{SeedableRng, rngs::SmallRng};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

pub(crate) use journal::{Journal, Kind};
pub(crate) use link::{Link, at_least, insist, reason, retry_delay};
pub(crate) use readers::{get_account, list_entries};

use self::{
    readers::{Checker, Onlooker},
    writer::Writer,
};
use crate::{
    admin,
    installation::{Installation, PATIENCE},
    model::Book,
};

/// A currency that nobody else uses: ISO 4217 keeps it for tests.
pub(crate) const CURRENCY: &str = "XTS";

const WRITERS: u64 = 8;
const ACCOUNTS_OF_EACH: u64 = 3;
const ONLOOKERS: u64 = 2;
/// How many successes of every caller and kind tell that all is well.
const SUCCESSES: usize = 3;

/// Callers at work.
pub(crate) struct Traffic {
    pub(crate) journal: Journal,
    pub(crate) book: Book,
    tasks: Tasks,
    stop: Shutdown,
}

impl Traffic {
    /// Returns when every caller has succeeded.
    pub(crate) async fn start(installation: &Installation, seed: u64) -> Self {
        let names = |writer: u64| (1..=ACCOUNTS_OF_EACH).map(move |account| format!("traffic-{writer}-{account}"));
        let book = Book::new((1..=WRITERS).flat_map(names));
        let traffic = Self { journal: Journal::new(), book, tasks: Tasks::new(Shutdown::new()), stop: Shutdown::new() };
        for writer in 1..=WRITERS {
            traffic.begin_writing(installation, names(writer).collect(), seed.wrapping_add(writer));
        }
        traffic.until_all_succeed(Instant::now()).await;
        // From here on every account is open.
        for onlooker in 1..=ONLOOKERS {
            traffic.begin_looking(installation, seed.wrapping_sub(onlooker));
        }
        traffic.until_all_succeed(Instant::now()).await;
        traffic
    }

    fn begin_writing(&self, installation: &Installation, account_ids: Vec<String>, seed: u64) {
        let (link, book) = (Link::to(installation), self.book.clone());
        let (sender, written) = mpsc::unbounded_channel();
        let writer = Writer {
            link: link.clone(),
            pen: self.journal.pen(Kind::Command),
            book: book.clone(),
            account_ids,
            dice: SmallRng::seed_from_u64(seed),
            written: sender,
        };
        self.tasks.spawn("writer", writer.run(self.stop.clone()));
        let (pen, dice) = (self.journal.pen(Kind::OwnWrite), SmallRng::seed_from_u64(seed));
        self.tasks.spawn("checker", Checker { link, pen, book, dice, written }.run());
    }

    fn begin_looking(&self, installation: &Installation, seed: u64) {
        let (link, book) = (Link::to(installation), self.book.clone());
        let (pen, dice) = (self.journal.pen(Kind::Query), SmallRng::seed_from_u64(seed));
        self.tasks.spawn("onlooker", Onlooker { link, pen, book, dice }.run(self.stop.clone()));
    }

    /// Returns when every caller has had a few successes with what he wanted after a time.
    pub(crate) async fn until_all_succeed(&self, since: Instant) {
        self.until_these_succeed(&Kind::ALL, since).await;
    }

    /// The same for some kinds of calls, while others may fail.
    pub(crate) async fn until_these_succeed(&self, kinds: &[Kind], since: Instant) {
        let succeed = self.journal.until_all_succeed(kinds, SUCCESSES, since);
        self.while_all_is_right(&format!("every caller is answered ({kinds:?})"), succeed).await;
    }

    /// Returns when everything is in use again and every caller is answered, from now on.
    pub(crate) async fn until_all_are_fine(&self, installation: &Installation) {
        self.while_all_is_right("Envoy uses everything", admin::until_all_are_in_use(installation)).await;
        self.until_all_succeed(Instant::now()).await;
    }

    /// Waits for something while calls go on, for a bounded time. Fails when a caller has found something wrong.
    pub(crate) async fn while_all_is_right<T>(&self, what: &str, until: impl Future<Output = T>) -> T {
        let wrong = self.tasks.shutdown();
        let waited = timeout(PATIENCE, async {
            tokio::select! {
                biased;
                () = wrong.begun() => panic!("a caller has found something wrong: the panic above has it"),
                come = until => come,
            }
        });
        let began_at = Instant::now();
        let failures = || self.journal.failures(began_at).into_iter().rev().take(20).collect::<Vec<_>>();
        match waited.await {
            Ok(come) => come,
            Err(_elapsed) => panic!("waited {PATIENCE:?} until {what}; failures: {:#?}", failures()),
        }
    }

    /// Lets everybody finish what he has begun: every command is acknowledged, and its effect was seen.
    pub(crate) async fn stop(self) -> (Book, Journal) {
        self.stop.begin();
        self.tasks.finish(PATIENCE + Duration::from_secs(10)).await.unwrap();
        (self.book, self.journal)
    }
}
