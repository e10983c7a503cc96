//! Compares the balances and entries that the query service returns with those of the file.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use diptych_proto::ledger::query::v1::{
    BatchGetAccountsRequest, Entry, GetTotalsRequest, ListEntriesRequest, Totals,
    query_service_client::QueryServiceClient,
};
use futures::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::{
    commands::CommonFields,
    counts::Counts,
    request_ids::RequestIds,
    validation::{ExpectedEntry, FileAccount, ValidFile},
};
use crate::client::{
    Connection, JoinedTokens,
    retry::{QueryFailed, QueryRetry},
    tokens::at_least_as_fresh,
};

const ACCOUNTS_PER_CALL: usize = 100;
const ENTRIES_PER_PAGE: i32 = 500;
const CALLS_IN_FLIGHT: usize = 8;
/// Most differences reported in detail.
const DIFFERENCES_MAX: usize = 20;

/// Result of the comparison.
#[derive(Debug, Default)]
pub(crate) struct Reconciliation {
    /// Accounts with the balance of their last row.
    pub(crate) balances_matched: u64,
    /// Rows that have an entry with their balance.
    pub(crate) entries_matched: u64,
    /// Entries that are no row of the file, or the second one of a row.
    pub(crate) entries_unexpected: u64,
    /// The first [`DIFFERENCES_MAX`].
    pub(crate) differences: Vec<String>,
    /// Totals of the currency, over all accounts of the ledger.
    pub(crate) totals: Option<Totals>,
}

impl Reconciliation {
    fn add_difference(&mut self, text: impl FnOnce() -> String) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(text());
        }
    }
}

/// Queries every account and every entry, at least as fresh as the receipts, and compares them with the file. Takes the
/// entries out of `file`, so that memory holds them once.
///
/// # Errors
/// When a query fails permanently, or until `timeout`.
pub(crate) async fn reconcile(
    connection: &Connection,
    file: &mut ValidFile,
    fields: &CommonFields,
    counts: &Counts,
    timeout: Duration,
) -> Result<Reconciliation, QueryFailed> {
    let comparison = Comparison {
        ids: &fields.ids,
        unmatched: std::mem::take(&mut file.entries),
        result: Reconciliation::default(),
    };
    let reconciler = Reconciler {
        client: QueryServiceClient::new(connection.clone()),
        queries: QueryRetry::new(timeout),
        accounts: &file.accounts,
        tokens: &counts.tokens,
        comparison: RefCell::new(comparison),
    };
    reconciler.compare_balances().await?;
    reconciler.compare_entries().await?;
    let totals = reconciler.totals(&fields.currency_code).await?;
    let mut comparison = reconciler.comparison.into_inner();
    comparison.finish();
    Ok(Reconciliation { totals, ..comparison.result })
}

/// The rows to compare with, and the result so far.
struct Comparison<'a> {
    ids: &'a RequestIds,
    /// Rows without an entry so far, by the request id of the posting.
    unmatched: HashMap<Uuid, ExpectedEntry>,
    result: Reconciliation,
}

impl Comparison<'_> {
    fn balance(&mut self, account: &FileAccount, in_ledger: Option<i64>) {
        let FileAccount { account_id, balance_minor, .. } = account;
        match in_ledger {
            Some(balance) if balance == *balance_minor => self.result.balances_matched += 1,
            Some(balance) => self.result.add_difference(|| {
                format!("account {account_id}: balance {balance} in the ledger, {balance_minor} in the file")
            }),
            None => self.result.add_difference(|| format!("account {account_id}: not in the ledger")),
        }
    }

    fn entry(&mut self, entry: &Entry, account: u32) {
        let Entry { account_id, reference, balance_after_minor: balance, version, .. } = entry;
        match self.take_row(entry) {
            Some(row) if row.account == account && row.balance_after_minor == *balance => {
                self.result.entries_matched += 1;
            }
            Some(ExpectedEntry { line, balance_after_minor, .. }) => self.result.add_difference(|| {
                format!(
                    "account {account_id}: entry {reference} has balance {balance} in the ledger, {balance_after_minor} in \
                     the file (line {line})"
                )
            }),
            None => {
                self.result.entries_unexpected += 1;
                self.result.add_difference(|| {
                    format!("account {account_id}: entry {reference:?} of version {version} is not in the file")
                });
            }
        }
    }

    /// Takes the row that the entry was made from; `None` if its reference or its request id is not of this import, or
    /// its row already has an entry.
    fn take_row(&mut self, entry: &Entry) -> Option<ExpectedEntry> {
        let request_id = self.ids.posting(&entry.reference);
        if entry.request_id == request_id.to_string() { self.unmatched.remove(&request_id) } else { None }
    }

    /// Reports the rows without an entry.
    fn finish(&mut self) {
        let mut missing: Vec<u64> = self.unmatched.values().map(|row| row.line).collect();
        missing.sort_unstable();
        for line in missing {
            self.result.add_difference(|| format!("line {line}: no entry in the ledger"));
        }
    }
}

/// Reads the ledger, and passes it to the comparison.
struct Reconciler<'a> {
    client: QueryServiceClient<Connection>,
    queries: QueryRetry,
    accounts: &'a [FileAccount],
    /// Token of each account, in the order of `accounts`.
    tokens: &'a [Box<str>],
    comparison: RefCell<Comparison<'a>>,
}

impl Reconciler<'_> {
    async fn compare_balances(&self) -> Result<(), QueryFailed> {
        for (accounts, tokens) in self.accounts.chunks(ACCOUNTS_PER_CALL).zip(self.tokens.chunks(ACCOUNTS_PER_CALL)) {
            let balances = self.balances(accounts, tokens).await?;
            let mut comparison = self.comparison.borrow_mut();
            for account in accounts {
                comparison.balance(account, balances.get(&account.account_id).copied());
            }
        }
        Ok(())
    }

    async fn balances(
        &self,
        accounts: &[FileAccount],
        tokens: &[Box<str>],
    ) -> Result<HashMap<String, i64>, QueryFailed> {
        let account_ids: Vec<String> = accounts.iter().map(|account| account.account_id.clone()).collect();
        let mut balances = HashMap::new();
        // With several tokens, the last answer is as fresh as all of them: rows never go back.
        for token in joined(tokens.iter().map(AsRef::as_ref)) {
            let request =
                BatchGetAccountsRequest { account_ids: account_ids.clone(), consistency: at_least_as_fresh(&token) };
            let answer = self.queries.call(request, |request| {
                let mut client = self.client.clone();
                async move { client.batch_get_accounts(request).await }
            });
            balances =
                answer.await?.accounts.into_iter().map(|account| (account.account_id, account.balance_minor)).collect();
        }
        Ok(balances)
    }

    async fn compare_entries(&self) -> Result<(), QueryFailed> {
        let accounts = (0_u32..).zip(self.accounts.iter().zip(self.tokens));
        stream::iter(accounts)
            .map(|(index, (account, token))| self.compare_entries_of(index, account, token))
            .buffer_unordered(CALLS_IN_FLIGHT)
            .try_collect()
            .await
    }

    /// Compares all entries of an account, page by page. An account that does not exist has none.
    async fn compare_entries_of(&self, index: u32, account: &FileAccount, token: &str) -> Result<(), QueryFailed> {
        let mut page_token = String::new();
        loop {
            let request = ListEntriesRequest {
                account_id: account.account_id.clone(),
                page_size: ENTRIES_PER_PAGE,
                page_token,
                consistency: at_least_as_fresh(token),
            };
            let answer = self.queries.call(request, |request| {
                let mut client = self.client.clone();
                async move { client.list_entries(request).await }
            });
            let page = match answer.await {
                Ok(page) => page,
                Err(failed) if failed.error.reason == "ACCOUNT_NOT_FOUND" => return Ok(()),
                Err(failed) => return Err(failed),
            };
            for entry in &page.entries {
                self.comparison.borrow_mut().entry(entry, index);
            }
            if page.next_page_token.is_empty() {
                return Ok(());
            }
            page_token = page.next_page_token;
        }
    }

    async fn totals(&self, currency_code: &str) -> Result<Option<Totals>, QueryFailed> {
        let mut totals = None;
        for token in joined(self.tokens.iter().map(AsRef::as_ref)) {
            let request =
                GetTotalsRequest { currency_code: currency_code.to_owned(), consistency: at_least_as_fresh(&token) };
            let answer = self.queries.call(request, |request| {
                let mut client = self.client.clone();
                async move { client.get_totals(request).await }
            });
            totals = answer.await?.totals;
        }
        Ok(totals)
    }
}

/// Joins tokens into as few as their maximum length allows; returns them as they are if they cannot be joined.
fn joined<'a>(tokens: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let mut sum = JoinedTokens::default();
    if tokens.clone().all(|token| sum.add(token).is_ok()) { sum.texts() } else { tokens.map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests;
