//! Whether all is as callers were told.

use diptych_proto::ledger::query::v1::{GetTotalsRequest, ListEntriesRequest};

use crate::{
    installation::Installation,
    model::{Book, Totals},
    traffic::{CURRENCY, Journal, Kind, Link, at_least, get_account, insist, list_entries},
};

/// Every acknowledged command is there once: in the balance, the version and the statement of every account, and in the sums over all. What
/// the read side shows is what the events make.
pub(crate) async fn all_is_as_told(installation: &Installation, book: &Book, journal: &Journal) {
    let (link, pen) = (Link::to(installation), journal.pen(Kind::Query));
    let mut tokens = Vec::new();
    for account_id in book.account_ids() {
        let (version, token) = book.acknowledged(account_id);
        let account = get_account(&link, &pen, account_id, at_least(&token)).await.unwrap();
        assert_eq!(account.version, version, "{account:?}");
        book.assert_shows(&account, version);
        let mut list = ListEntriesRequest {
            account_id: account_id.clone(),
            page_size: 100,
            consistency: at_least(&token),
            ..Default::default()
        };
        let mut entries = Vec::new();
        loop {
            let (page, next) = list_entries(&link, &pen, &list).await.unwrap();
            entries.extend(page);
            if next.is_empty() {
                break;
            }
            list.page_token = next;
        }
        assert_eq!(i64::try_from(entries.len()).unwrap(), version - 1, "entries of {account_id}");
        book.assert_lists(account_id, &entries, version);
        tokens.push(token);
    }
    assert_eq!(totals(&link, journal, &tokens.join(",")).await, book.totals());
    installation.assert_verified().await;
}

async fn totals(link: &Link, journal: &Journal, token: &str) -> Totals {
    let question = GetTotalsRequest { currency_code: CURRENCY.to_owned(), consistency: at_least(token) };
    let call = |request| {
        let mut queries = link.queries.clone();
        async move { queries.get_totals(request).await }
    };
    let totals = insist(&journal.pen(Kind::Query), &question, call).await.unwrap().totals.unwrap();
    Totals {
        balance_minor: totals.balance_minor.parse().unwrap(),
        deposits_minor: totals.deposits_minor.parse().unwrap(),
        withdrawals_minor: totals.withdrawals_minor.parse().unwrap(),
        transfers_minor: totals.transfers_minor.parse().unwrap(),
        accounts_opened_count: totals.accounts_opened_count,
        entry_count: totals.entry_count,
    }
}
