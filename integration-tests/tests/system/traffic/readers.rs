//! Those who look: at what was just written, and at anything.

use std::{collections::BTreeMap, time::Duration};

use diptych_proto::{
    diptych::v1::Consistency,
    ledger::query::v1::{Account, Entry, GetAccountRequest, ListEntriesRequest},
};
use diptych_runtime::{Shutdown, pause};
use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, timeout},
};
use tonic::Status;

use super::{
    journal::Pen,
    link::{Link, at_least, insist},
    writer::Written,
};
use crate::model::Book;

/// How long the last written account is left alone before it is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long from one query to the next.
const PACE: Duration = Duration::from_millis(50);

/// Looks at the effect of every command of one writer, with the command's token (G6). On its own, so that commands do not wait for it: what is
/// out of order with commands and with own writes is told apart.
pub(super) struct Checker {
    pub(super) link: Link,
    pub(super) pen: Pen,
    pub(super) book: Book,
    pub(super) dice: SmallRng,
    pub(super) written: UnboundedReceiver<Written>,
}

impl Checker {
    /// Until the writer is gone and everything was looked at.
    pub(super) async fn run(mut self) {
        let mut last: Option<Written> = None;
        loop {
            let written = match (timeout(LOOK_AGAIN, self.written.recv()).await, &last) {
                (Ok(Some(written)), _) => written,
                (Ok(None), _) => return,
                (Err(_nothing_new), Some(last)) => last.clone(),
                (Err(_nothing_new), None) => continue,
            };
            self.look(&written).await;
            last = Some(written);
        }
    }

    async fn look(&mut self, written: &Written) {
        let Written { account_id, version, token, acknowledged_at } = written;
        if self.dice.random_bool(0.125) {
            let entries = self.entries(account_id, at_least(token)).await;
            self.book.assert_lists(account_id, &entries, *version);
        } else {
            let account = get_account(&self.link, &self.pen, account_id, at_least(token)).await.unwrap();
            self.book.assert_shows(&account, *version);
        }
        self.pen.succeeded(*acknowledged_at);
    }

    async fn entries(&self, account_id: &str, consistency: Option<Consistency>) -> Vec<Entry> {
        let list =
            ListEntriesRequest { account_id: account_id.to_owned(), page_size: 10, consistency, ..Default::default() };
        list_entries(&self.link, &self.pen, &list).await.unwrap().0
    }
}

/// Looks at any account, and takes whatever answer is fastest. It may be old, but not older than the one before (G7).
pub(super) struct Onlooker {
    pub(super) link: Link,
    pub(super) pen: Pen,
    pub(super) book: Book,
    pub(super) dice: SmallRng,
}

impl Onlooker {
    pub(super) async fn run(mut self, stop: Shutdown) {
        let account_ids: Vec<String> = self.book.account_ids().cloned().collect();
        let mut seen: BTreeMap<String, i64> = BTreeMap::new();
        while !stop.has_begun() {
            let account_id = account_ids.choose(&mut self.dice).unwrap();
            let began_at = Instant::now();
            let account = get_account(&self.link, &self.pen, account_id, None).await.unwrap();
            self.book.assert_shows(&account, *seen.get(account_id).unwrap_or(&1));
            seen.insert(account_id.clone(), account.version);
            self.pen.succeeded(began_at);
            pause(PACE).await;
        }
    }
}

pub(crate) async fn get_account(
    link: &Link,
    pen: &Pen,
    account_id: &str,
    consistency: Option<Consistency>,
) -> Result<Account, Status> {
    let question = GetAccountRequest { account_id: account_id.to_owned(), consistency };
    let call = |request| {
        let mut queries = link.queries.clone();
        async move { queries.get_account(request).await }
    };
    insist(pen, &question, call).await.map(|answer| answer.account.unwrap())
}

/// A page, and the token of the next.
pub(crate) async fn list_entries(
    link: &Link,
    pen: &Pen,
    question: &ListEntriesRequest,
) -> Result<(Vec<Entry>, String), Status> {
    let call = |request| {
        let mut queries = link.queries.clone();
        async move { queries.list_entries(request).await }
    };
    insist(pen, question, call).await.map(|answer| (answer.entries, answer.next_page_token))
}
