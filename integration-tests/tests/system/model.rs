//! What every account must show. Each has one writer, who knows every state that it was in and the one that it may be in next.

use std::{collections::BTreeMap, sync::Arc};

use diptych_proto::ledger::query::v1::{Account, Entry};
use parking_lot::Mutex;

/// The accounts of all callers. Every clone is the same book.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    accounts: Arc<BTreeMap<String, Mutex<History>>>,
}

/// A posting, as it must stand on the statement.
#[derive(Clone, Debug)]
pub(crate) struct Posting {
    pub(crate) request_id: String,
    /// Above zero where money comes in.
    pub(crate) amount_minor: i64,
    pub(crate) is_of_transfer: bool,
}

impl Posting {
    pub(crate) fn new(request_id: &str, amount_minor: i64, is_of_transfer: bool) -> Self {
        Self { request_id: request_id.to_owned(), amount_minor, is_of_transfer }
    }
}

/// The states of an account: the first is that after it was opened, which is its version 1.
#[derive(Debug)]
struct History {
    states: Vec<State>,
    /// The version of the last command that was acknowledged. States after it were asked for, and may be there or not.
    acknowledged: i64,
    /// The token of that command.
    token: String,
}

#[derive(Debug)]
struct State {
    balance_minor: i64,
    posting: Option<Posting>,
}

impl Book {
    /// Accounts that are about to be opened.
    pub(crate) fn new(account_ids: impl IntoIterator<Item = String>) -> Self {
        let opened = || History {
            states: vec![State { balance_minor: 0, posting: None }],
            acknowledged: 0,
            token: String::new(),
        };
        let accounts = account_ids.into_iter().map(|account_id| (account_id, Mutex::new(opened())));
        Self { accounts: Arc::new(accounts.collect()) }
    }

    pub(crate) fn account_ids(&self) -> impl Iterator<Item = &String> {
        self.accounts.keys()
    }

    /// The balance when everything that was asked for is done.
    pub(crate) fn balance_minor(&self, account_id: &str) -> i64 {
        self.history(account_id).lock().last().balance_minor
    }

    /// The version that the last acknowledged command made, and its token.
    pub(crate) fn acknowledged(&self, account_id: &str) -> (i64, String) {
        let history = self.history(account_id).lock();
        (history.acknowledged, history.token.clone())
    }

    /// A posting is about to be asked for: from now on it may show. Returns the version that it makes.
    pub(crate) fn expect(&self, account_id: &str, posting: Posting) -> i64 {
        let mut history = self.history(account_id).lock();
        let balance_minor = history.last().balance_minor + posting.amount_minor;
        history.states.push(State { balance_minor, posting: Some(posting) });
        history.newest_version()
    }

    /// A command was acknowledged: from now on, whoever asks with its token must see it.
    pub(crate) fn acknowledge(&self, account_id: &str, version: i64, token: &str) {
        let mut history = self.history(account_id).lock();
        assert_eq!(version, history.acknowledged + 1, "{account_id} has one writer, who waits for each command");
        history.acknowledged = version;
        token.clone_into(&mut history.token);
    }

    /// An answer must be a state that the account was in, or may be in, and not one before `version_min`.
    pub(crate) fn assert_shows(&self, shown: &Account, version_min: i64) {
        let history = self.history(&shown.account_id).lock();
        let versions = version_min..=history.newest_version();
        assert!(versions.contains(&shown.version), "{shown:?} is not of a version in {versions:?}");
        let state = history.state(shown.version);
        let expected = (state.balance_minor, shown.version - 1);
        assert_eq!((shown.balance_minor, shown.entry_count), expected, "{shown:?} is not what version has");
    }

    /// Entries that follow each other, newest first: none left out, none twice, each as it was asked for.
    pub(crate) fn assert_lists(&self, account_id: &str, entries: &[Entry], newest_version_min: i64) {
        let history = self.history(account_id).lock();
        let newest = entries.first().map_or(1, |entry| entry.version);
        let versions = newest_version_min..=history.newest_version();
        assert!(versions.contains(&newest), "the newest entry of {account_id} has {newest}, not one of {versions:?}");
        for (entry, version) in entries.iter().zip((2..=newest).rev()) {
            let state = history.state(version);
            let posting = state.posting.as_ref().unwrap();
            let expected = (version, posting.amount_minor, state.balance_minor, posting.request_id.as_str());
            let shown = (entry.version, entry.amount_minor, entry.balance_after_minor, entry.request_id.as_str());
            assert_eq!(shown, expected, "an entry of {account_id}");
        }
    }

    /// What all accounts have together when everything that was asked for is done.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for history in self.accounts.values().map(Mutex::lock) {
            totals.balance_minor += history.last().balance_minor;
            totals.accounts_opened_count += 1;
            for posting in history.states.iter().filter_map(|state| state.posting.as_ref()) {
                totals.note(posting);
            }
        }
        totals
    }

    fn history(&self, account_id: &str) -> &Mutex<History> {
        self.accounts.get(account_id).unwrap_or_else(|| panic!("{account_id} is nobody's account"))
    }
}

/// What all accounts have together.
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
    fn note(&mut self, posting: &Posting) {
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

impl History {
    fn newest_version(&self) -> i64 {
        i64::try_from(self.states.len()).unwrap()
    }

    fn last(&self) -> &State {
        self.states.last().unwrap()
    }

    fn state(&self, version: i64) -> &State {
        &self.states[usize::try_from(version - 1).unwrap()]
    }
}
