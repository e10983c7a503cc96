//! The check at the end: what the query service shows must be what the file says.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use diptych_proto::ledger::query::v1::{
    BatchGetAccountsRequest, Entry, GetTotalsRequest, ListEntriesRequest, Totals,
    query_service_client::QueryServiceClient,
};
use futures::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::{
    names::Names,
    steps::Terms,
    survey::{AccountFacts, Survey, TransactionFacts},
    tally::Tally,
};
use crate::client::{
    Connection, JoinedTokens,
    retry::{QueryFailed, QueryRetry},
    tokens::at_least_as_fresh,
};

const ACCOUNTS_PER_CALL: usize = 100;
const ENTRIES_PER_PAGE: i32 = 500;
const CALLS_AT_ONCE: usize = 8;
/// How many differences are told.
const DIFFERENCES_MAX: usize = 20;

/// What the query service shows, beside what the file says.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Accounts whose balance is that of their last row.
    pub(crate) accounts_equal: u64,
    /// Rows that stand on their account's statement, with their balance.
    pub(crate) entries_equal: u64,
    /// Entries on the statements that are no row of the file, or stand there twice.
    pub(crate) entries_unexpected: u64,
    /// The first differences.
    pub(crate) differences: Vec<String>,
    /// The totals of the currency, over all accounts of the ledger.
    pub(crate) totals: Option<Totals>,
}

impl Checked {
    fn differs(&mut self, text: impl FnOnce() -> String) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(text());
        }
    }
}

/// Asks the query service for everything that the file speaks of, each time with the tokens of the receipts. Takes the
/// survey's transactions, so that they need not be in memory twice.
///
/// # Errors
/// When a question is not answered within `patience`.
pub(crate) async fn check(
    connection: &Connection,
    survey: &mut Survey,
    terms: &Terms,
    tally: &Tally,
    patience: Duration,
) -> Result<Checked, QueryFailed> {
    let comparison = Comparison {
        names: &terms.names,
        expected: std::mem::take(&mut survey.transactions),
        checked: Checked::default(),
    };
    let checking = Checking {
        client: QueryServiceClient::new(connection.clone()),
        queries: QueryRetry::new(patience),
        accounts: &survey.accounts,
        tokens: &tally.tokens,
        comparison: RefCell::new(comparison),
    };
    checking.balances().await?;
    checking.statements().await?;
    let totals = checking.totals(&terms.currency_code).await?;
    let mut comparison = checking.comparison.into_inner();
    comparison.finish();
    Ok(Checked { totals, ..comparison.checked })
}

/// The file's side of the comparison, and what came of it so far.
struct Comparison<'a> {
    names: &'a Names,
    /// The rows that no entry was seen of yet.
    expected: HashMap<Uuid, TransactionFacts>,
    checked: Checked,
}

impl Comparison<'_> {
    fn balance(&mut self, facts: &AccountFacts, shown: Option<i64>) {
        let AccountFacts { account_id, balance_minor, .. } = facts;
        match shown {
            Some(balance) if balance == *balance_minor => self.checked.accounts_equal += 1,
            Some(balance) => self.checked.differs(|| {
                format!("account {account_id}: the balance is {balance}, the file's last is {balance_minor}")
            }),
            None => self.checked.differs(|| format!("account {account_id}: not there")),
        }
    }

    fn entry(&mut self, entry: &Entry, account: u32) {
        let Entry { account_id, reference, balance_after_minor, version, .. } = entry;
        match self.row_of(entry) {
            Some(row) if row.account == account && row.balance_after_minor == *balance_after_minor => {
                self.checked.entries_equal += 1;
            }
            Some(TransactionFacts { line, balance_after_minor: wanted, .. }) => self.checked.differs(|| {
                format!("account {account_id}: entry {reference} shows balance {balance_after_minor}, line {line} has {wanted}")
            }),
            None => {
                self.checked.entries_unexpected += 1;
                self.checked.differs(|| format!("account {account_id}: entry {version} ({reference:?}) is no row of the file"));
            }
        }
    }

    /// The row that the entry was made from, once: by its reference, and by the request id that an import gives to that
    /// row.
    fn row_of(&mut self, entry: &Entry) -> Option<TransactionFacts> {
        let request_id = self.names.transaction(&entry.reference);
        if entry.request_id == request_id.to_string() { self.expected.remove(&request_id) } else { None }
    }

    /// Tells of the rows that no entry was seen of.
    fn finish(&mut self) {
        let mut missing: Vec<u64> = self.expected.values().map(|row| row.line).collect();
        missing.sort_unstable();
        for line in missing {
            self.checked.differs(|| format!("line {line}: no entry on the statement"));
        }
    }
}

struct Checking<'a> {
    client: QueryServiceClient<Connection>,
    queries: QueryRetry,
    accounts: &'a [AccountFacts],
    /// Of the accounts, in their order.
    tokens: &'a [Box<str>],
    comparison: RefCell<Comparison<'a>>,
}

impl Checking<'_> {
    async fn balances(&self) -> Result<(), QueryFailed> {
        for (accounts, tokens) in self.accounts.chunks(ACCOUNTS_PER_CALL).zip(self.tokens.chunks(ACCOUNTS_PER_CALL)) {
            let shown = self.shown_balances(accounts, tokens).await?;
            let mut comparison = self.comparison.borrow_mut();
            for facts in accounts {
                comparison.balance(facts, shown.get(&facts.account_id).copied());
            }
        }
        Ok(())
    }

    async fn shown_balances(
        &self,
        accounts: &[AccountFacts],
        tokens: &[Box<str>],
    ) -> Result<HashMap<String, i64>, QueryFailed> {
        let account_ids: Vec<String> = accounts.iter().map(|facts| facts.account_id.clone()).collect();
        let mut shown = HashMap::new();
        for token in joined(tokens.iter().map(AsRef::as_ref)) {
            let request =
                BatchGetAccountsRequest { account_ids: account_ids.clone(), consistency: at_least_as_fresh(&token) };
            let answer = self.queries.call(request, |request| {
                let mut client = self.client.clone();
                async move { client.batch_get_accounts(request).await }
            });
            shown =
                answer.await?.accounts.into_iter().map(|account| (account.account_id, account.balance_minor)).collect();
        }
        Ok(shown)
    }

    async fn statements(&self) -> Result<(), QueryFailed> {
        let accounts = (0_u32..).zip(self.accounts.iter().zip(self.tokens));
        stream::iter(accounts)
            .map(|(account, (facts, token))| self.statement(account, facts, token))
            .buffer_unordered(CALLS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Compares all entries of an account, page by page. An account that does not exist has none.
    async fn statement(&self, account: u32, facts: &AccountFacts, token: &str) -> Result<(), QueryFailed> {
        let mut page_token = String::new();
        loop {
            let request = ListEntriesRequest {
                account_id: facts.account_id.clone(),
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
                Err(unanswered) if unanswered.error.reason == "ACCOUNT_NOT_FOUND" => return Ok(()),
                Err(unanswered) => return Err(unanswered),
            };
            for entry in &page.entries {
                self.comparison.borrow_mut().entry(entry, account);
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

/// The tokens joined into as few texts as their limit of length allows. A server's tokens that cannot be joined are
/// sent one by one.
fn joined<'a>(tokens: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let mut sum = JoinedTokens::default();
    if tokens.clone().all(|token| sum.add(token).is_ok()) { sum.texts() } else { tokens.map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests;
