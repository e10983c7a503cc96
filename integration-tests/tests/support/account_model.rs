//! Expected state of every account. Each account has one writer, which knows every state that it was in and the next
//! one that it may be in.

use std::{collections::BTreeMap, sync::Arc};

use diptych_proto::ledger::query::v1::{Account, Entry};
use parking_lot::Mutex;

/// Expected states of the accounts of all callers. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct AccountModel {
    accounts: Arc<BTreeMap<String, Mutex<AccountHistory>>>,
}

/// A posting, as it must appear in the statement.
#[derive(Clone, Debug)]
pub(crate) struct Posting {
    pub(crate) request_id: String,
    /// Positive for incoming money.
    pub(crate) amount_minor: i64,
    pub(crate) is_of_transfer: bool,
}

impl Posting {
    pub(crate) fn new(request_id: &str, amount_minor: i64, is_of_transfer: bool) -> Self {
        Self { request_id: request_id.to_owned(), amount_minor, is_of_transfer }
    }
}

/// The states of an account. The first is the one after its opening, version 1.
#[derive(Debug)]
struct AccountHistory {
    states: Vec<AccountState>,
    /// Version of the last acknowledged command. Later states were requested, and may exist or not.
    acknowledged: i64,
    /// Consistency token of that command.
    token: String,
}

#[derive(Debug)]
struct AccountState {
    balance_minor: i64,
    posting: Option<Posting>,
}

impl AccountModel {
    /// Creates the model of accounts that are about to be opened.
    pub(crate) fn new(account_ids: impl IntoIterator<Item = String>) -> Self {
        let opened = || AccountHistory {
            states: vec![AccountState { balance_minor: 0, posting: None }],
            acknowledged: 0,
            token: String::new(),
        };
        let accounts = account_ids.into_iter().map(|account_id| (account_id, Mutex::new(opened())));
        Self { accounts: Arc::new(accounts.collect()) }
    }

    pub(crate) fn account_ids(&self) -> impl Iterator<Item = &String> {
        self.accounts.keys()
    }

    /// The balance after every requested command.
    pub(crate) fn balance_minor(&self, account_id: &str) -> i64 {
        self.history(account_id).lock().last().balance_minor
    }

    /// Version and token of the last acknowledged command.
    pub(crate) fn acknowledged(&self, account_id: &str) -> (i64, String) {
        let history = self.history(account_id).lock();
        (history.acknowledged, history.token.clone())
    }

    /// Records that a posting is about to be requested: from now on it may be visible. Returns its version.
    pub(crate) fn expect(&self, account_id: &str, posting: Posting) -> i64 {
        let mut history = self.history(account_id).lock();
        let balance_minor = history.last().balance_minor + posting.amount_minor;
        history.states.push(AccountState { balance_minor, posting: Some(posting) });
        history.newest_version()
    }

    /// Records that a command was acknowledged: from now on, a read with its token must include it.
    pub(crate) fn acknowledge(&self, account_id: &str, version: i64, token: &str) {
        let mut history = self.history(account_id).lock();
        assert_eq!(version, history.acknowledged + 1, "{account_id} has one writer, which waits for each command");
        history.acknowledged = version;
        token.clone_into(&mut history.token);
    }

    /// Asserts that an answer is a past or possible state of the account, and not before `version_min`.
    pub(crate) fn assert_shows(&self, shown: &Account, version_min: i64) {
        let history = self.history(&shown.account_id).lock();
        let versions = version_min..=history.newest_version();
        assert!(versions.contains(&shown.version), "the version of {shown:?} is not in {versions:?}");
        let state = history.state(shown.version);
        let expected = (state.balance_minor, shown.version - 1);
        assert_eq!(
            (shown.balance_minor, shown.entry_count),
            expected,
            "{shown:?} differs from the state of that version"
        );
    }

    /// Asserts that entries are consecutive, newest first, and equal to the requested postings.
    pub(crate) fn assert_lists(&self, account_id: &str, entries: &[Entry], newest_version_min: i64) {
        let history = self.history(account_id).lock();
        let newest = entries.first().map_or(1, |entry| entry.version);
        let versions = newest_version_min..=history.newest_version();
        assert!(
            versions.contains(&newest),
            "the newest entry of {account_id} has version {newest}, which is not in {versions:?}"
        );
        for (entry, version) in entries.iter().zip((2..=newest).rev()) {
            let state = history.state(version);
            let posting = state.posting.as_ref().unwrap();
            let expected = (version, posting.amount_minor, state.balance_minor, posting.request_id.as_str());
            let shown = (entry.version, entry.amount_minor, entry.balance_after_minor, entry.request_id.as_str());
            assert_eq!(shown, expected, "an entry of {account_id}");
        }
    }

    /// Totals over all accounts after every requested command.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for history in self.accounts.values().map(Mutex::lock) {
            totals.balance_minor += history.last().balance_minor;
            totals.accounts_opened_count += 1;
            for posting in history.states.iter().filter_map(|state| state.posting.as_ref()) {
                totals.add(posting);
            }
        }
        totals
    }

    fn history(&self, account_id: &str) -> &Mutex<AccountHistory> {
        self.accounts.get(account_id).unwrap_or_else(|| panic!("unknown account {account_id}"))
    }
}

/// Totals over all accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) balance_minor: i64,
    pub(crate) deposits_minor: i64,
    pub(crate) withdrawals_minor: i64,
    pub(crate) transfers_minor: i64,
    pub(crate) accounts_opened_count: i64,
    pub(crate) entry_count: i64,
}

impl Totals {
    fn add(&mut self, posting: &Posting) {
        self.entry_count += 1;
        match posting.amount_minor {
            amount if posting.is_of_transfer => self.transfers_minor += amount.max(0),
            amount => {
                self.deposits_minor += amount.max(0);
                self.withdrawals_minor += (-amount).max(0);
            }
        }
    }
}

impl AccountHistory {
    fn newest_version(&self) -> i64 {
        i64::try_from(self.states.len()).unwrap()
    }

    fn last(&self) -> &AccountState {
        self.states.last().unwrap()
    }

    fn state(&self, version: i64) -> &AccountState {
        &self.states[usize::try_from(version - 1).unwrap()]
    }
}
