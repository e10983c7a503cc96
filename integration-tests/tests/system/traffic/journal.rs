//! When callers succeeded, and what failed meanwhile.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tonic::Status;

/// What a call wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To change something.
    Command,
    /// To see one's own change, by its token.
    OwnWrite,
    /// To see anything.
    Query,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Command, Self::OwnWrite, Self::Query];
}

/// Everything that all callers have noted.
#[derive(Debug)]
pub(crate) struct Journal {
    pages: Mutex<Vec<Arc<Page>>>,
    changes: watch::Sender<()>,
}

/// What one caller notes about one kind of calls.
#[derive(Clone, Debug)]
pub(crate) struct Pen {
    page: Arc<Page>,
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct Page {
    kind: Kind,
    successes: Mutex<Vec<Success>>,
    failures: Mutex<Vec<(Instant, String)>>,
}

#[derive(Clone, Copy, Debug)]
struct Success {
    /// When what was asked for came to be: a new command or query began, or the command whose effect was looked for was acknowledged.
    wanted_at: Instant,
    at: Instant,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { pages: Mutex::default(), changes: watch::Sender::new(()) }
    }

    pub(crate) fn pen(&self, kind: Kind) -> Pen {
        let page = Arc::new(Page { kind, successes: Mutex::default(), failures: Mutex::default() });
        self.pages.lock().push(Arc::clone(&page));
        Pen { page, changes: self.changes.clone() }
    }

    /// Returns when every caller has had so many successes of each of these kinds with what was wanted after a time.
    pub(crate) async fn until_all_succeed(&self, kinds: &[Kind], count: usize, since: Instant) {
        let mut changes = self.changes.subscribe();
        let is_through = |page: &Arc<Page>| !kinds.contains(&page.kind) || page.has_succeeded(count, since);
        while !self.pages.lock().iter().all(is_through) {
            changes.changed().await.unwrap();
        }
    }

    /// The longest time between two successes of one caller, among those that reach into the time from `from` until now.
    pub(crate) fn longest_gap(&self, kind: Kind, from: Instant) -> Duration {
        let pages = self.pages.lock();
        pages.iter().filter(|page| page.kind == kind).map(|page| page.longest_gap(from)).max().unwrap_or_default()
    }

    /// What callers have felt from a time until now, as words.
    pub(crate) fn felt(&self, from: Instant) -> String {
        let [commands, own_writes, queries] = Kind::ALL.map(|kind| self.longest_gap(kind, from).as_secs_f32());
        format!("longest pauses: commands {commands:.1} s, own writes {own_writes:.1} s, queries {queries:.1} s")
    }

    /// How many calls have succeeded.
    pub(crate) fn successes_count(&self, kind: Kind) -> usize {
        let pages = self.pages.lock();
        pages.iter().filter(|page| page.kind == kind).map(|page| page.successes.lock().len()).sum()
    }

    /// Every failed attempt since a time.
    pub(crate) fn failures(&self, since: Instant) -> Vec<String> {
        let of_page = |page: &Arc<Page>| {
            let failures = page.failures.lock();
            let later = failures.iter().filter(|(at, _)| *at >= since);
            later.map(|(_, what)| format!("{:?}: {what}", page.kind)).collect::<Vec<_>>()
        };
        self.pages.lock().iter().flat_map(of_page).collect()
    }
}

impl Pen {
    /// Something that was wanted since a time was had.
    pub(crate) fn succeeded(&self, wanted_at: Instant) {
        self.page.successes.lock().push(Success { wanted_at, at: Instant::now() });
        self.changes.send_replace(());
    }

    /// An attempt failed, and will be repeated.
    pub(crate) fn failed(&self, status: &Status) {
        self.page.failures.lock().push((Instant::now(), format!("{:?} {}", status.code(), status.message())));
    }
}

impl Page {
    fn has_succeeded(&self, count: usize, since: Instant) -> bool {
        let successes = self.successes.lock();
        // Later ones stand later: what was wanted is old for a while only, when there is a lot to catch up on.
        successes.iter().rev().take_while(|success| success.at >= since).filter(|s| s.wanted_at >= since).count()
            >= count
    }

    fn longest_gap(&self, from: Instant) -> Duration {
        let successes = self.successes.lock();
        let times = successes.windows(2).filter_map(|pair| match pair {
            [before, after] if after.at >= from => Some(after.at.duration_since(before.at)),
            _ => None,
        });
        times.max().unwrap_or_default()
    }
}
