//! Readers of recent writes, and readers without tokens.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use diptych_proto::{
    diptych::v1::Consistency,
    ledger::query::v1::{Account, Entry, GetAccountRequest, GetAccountResponse, ListEntriesRequest},
};
use diptych_runtime::{Shutdown, pause};
use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, timeout},
};
use tonic::Status;

use super::{
    call_log::CallRecorder,
    connection::{EdgeConnection, at_least, call_with_retries},
    writer::AcknowledgedWrite,
};
use crate::support::account_model::AccountModel;

/// Wait for a new write before the last one is read again.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Pause between two queries.
const PACE: Duration = Duration::from_millis(50);

/// Reads the effect of every command of one writer, with the command's token (G6). A separate caller, so that commands
/// do not wait for it, and pauses of commands and of reads are measured separately.
pub(super) struct OwnWriteReader {
    pub(super) connection: EdgeConnection,
    pub(super) recorder: CallRecorder,
    pub(super) model: AccountModel,
    pub(super) rng: SmallRng,
    pub(super) acknowledged: UnboundedReceiver<AcknowledgedWrite>,
}

impl OwnWriteReader {
    /// Runs until the writer has ended and all of its writes were read.
    pub(super) async fn run(mut self) {
        let mut last: Option<AcknowledgedWrite> = None;
        loop {
            let acknowledged = match (timeout(POLL_INTERVAL, self.acknowledged.recv()).await, &last) {
                (Ok(Some(acknowledged)), _) => acknowledged,
                (Ok(None), _) => return,
                (Err(_nothing_new), Some(last)) => last.clone(),
                (Err(_nothing_new), None) => continue,
            };
            self.check(&acknowledged).await;
            last = Some(acknowledged);
        }
    }

    async fn check(&mut self, acknowledged: &AcknowledgedWrite) {
        let AcknowledgedWrite { account_id, version, token, acknowledged_at } = acknowledged;
        if self.rng.random_bool(0.125) {
            let entries = self.entries(account_id, at_least(token)).await;
            self.model.assert_lists(account_id, &entries, *version);
        } else {
            let account = get_account(&self.connection, &self.recorder, account_id, at_least(token)).await.unwrap();
            self.model.assert_shows(&account, *version);
        }
        self.recorder.succeeded(*acknowledged_at);
    }

    async fn entries(&self, account_id: &str, consistency: Option<Consistency>) -> Vec<Entry> {
        let request =
            ListEntriesRequest { account_id: account_id.to_owned(), page_size: 10, consistency, ..Default::default() };
        list_entries(&self.connection, &self.recorder, &request).await.unwrap().0
    }
}

/// Reads any account, without a token. The answer may be old, but not older than the previous one (G7). While versions
/// with different generations of views answer, it sends the token of the previous answer.
pub(super) struct EventualReader {
    pub(super) connection: EdgeConnection,
    pub(super) recorder: CallRecorder,
    pub(super) model: AccountModel,
    pub(super) rng: SmallRng,
    pub(super) sends_tokens: Arc<AtomicBool>,
}

impl EventualReader {
    pub(super) async fn run(mut self, stop: Shutdown) {
        let account_ids: Vec<String> = self.model.account_ids().cloned().collect();
        let mut seen: BTreeMap<String, (i64, String)> = BTreeMap::new();
        while !stop.has_begun() {
            let account_id = account_ids.choose(&mut self.rng).unwrap();
            let began_at = Instant::now();
            let (version_min, token) = seen.get(account_id).cloned().unwrap_or((1, String::new()));
            let consistency = if self.sends_tokens.load(Ordering::Relaxed) { at_least(&token) } else { None };
            let message = GetAccountRequest { account_id: account_id.clone(), consistency };
            let answer = ask_for_account(&self.connection, &self.recorder, &message).await.unwrap();
            let account = answer.account.unwrap();
            self.model.assert_shows(&account, version_min);
            let token = answer.read_at.and_then(|read_at| read_at.token).unwrap_or_default().value;
            seen.insert(account_id.clone(), (account.version, token));
            self.recorder.succeeded(began_at);
            pause(PACE).await;
        }
    }
}

pub(crate) async fn get_account(
    connection: &EdgeConnection,
    recorder: &CallRecorder,
    account_id: &str,
    consistency: Option<Consistency>,
) -> Result<Account, Status> {
    let message = GetAccountRequest { account_id: account_id.to_owned(), consistency };
    ask_for_account(connection, recorder, &message).await.map(|answer| answer.account.unwrap())
}

async fn ask_for_account(
    connection: &EdgeConnection,
    recorder: &CallRecorder,
    message: &GetAccountRequest,
) -> Result<GetAccountResponse, Status> {
    let call = |request| {
        let mut queries = connection.queries.clone();
        async move { queries.get_account(request).await }
    };
    call_with_retries(recorder, message, call).await
}

/// Returns a page of entries, and the token of the next page.
pub(crate) async fn list_entries(
    connection: &EdgeConnection,
    recorder: &CallRecorder,
    message: &ListEntriesRequest,
) -> Result<(Vec<Entry>, String), Status> {
    let call = |request| {
        let mut queries = connection.queries.clone();
        async move { queries.list_entries(request).await }
    };
    call_with_retries(recorder, message, call).await.map(|answer| (answer.entries, answer.next_page_token))
}
