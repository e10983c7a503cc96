//! Final checks: every acknowledged command is visible.

use diptych_proto::ledger::query::v1::{GetTotalsRequest, ListEntriesRequest};

use crate::support::{
    account_model::{AccountModel, Totals},
    edge::Edge,
    traffic::{CURRENCY, CallKind, CallLog, EdgeConnection, at_least, call_with_retries, get_account, list_entries},
};

/// Asserts that every acknowledged command is visible once: in the balance, the version and the statement of every
/// account.
pub(crate) async fn assert_all_commands_visible(edge: &Edge, model: &AccountModel, call_log: &CallLog) {
    let (connection, recorder) = (EdgeConnection::to(edge), call_log.recorder(CallKind::Query));
    for account_id in model.account_ids() {
        let (version, token) = model.acknowledged(account_id);
        let account = get_account(&connection, &recorder, account_id, at_least(&token)).await.unwrap();
        assert_eq!(account.version, version, "{account:?}");
        model.assert_shows(&account, version);
        let mut request = ListEntriesRequest {
            account_id: account_id.clone(),
            page_size: 100,
            consistency: at_least(&token),
            ..Default::default()
        };
        let mut entries = Vec::new();
        loop {
            let (page, next) = list_entries(&connection, &recorder, &request).await.unwrap();
            entries.extend(page);
            if next.is_empty() {
                break;
            }
            request.page_token = next;
        }
        assert_eq!(i64::try_from(entries.len()).unwrap(), version - 1, "entries of {account_id}");
        model.assert_lists(account_id, &entries, version);
    }
}

/// Asserts that the totals are those of the model, where nobody else uses its currency.
pub(crate) async fn assert_totals(edge: &Edge, model: &AccountModel, call_log: &CallLog) {
    let tokens: Vec<String> = model.account_ids().map(|account_id| model.acknowledged(account_id).1).collect();
    let totals = totals(&EdgeConnection::to(edge), call_log, &tokens.join(",")).await;
    assert_eq!(totals, model.totals());
}

async fn totals(connection: &EdgeConnection, call_log: &CallLog, token: &str) -> Totals {
    let request = GetTotalsRequest { currency_code: CURRENCY.to_owned(), consistency: at_least(token) };
    let call = |request| {
        let mut queries = connection.queries.clone();
        async move { queries.get_totals(request).await }
    };
    let totals = call_with_retries(&call_log.recorder(CallKind::Query), &request, call).await.unwrap().totals.unwrap();
    Totals {
        balance_minor: totals.balance_minor.parse().unwrap(),
        deposits_minor: totals.deposits_minor.parse().unwrap(),
        withdrawals_minor: totals.withdrawals_minor.parse().unwrap(),
        transfers_minor: totals.transfers_minor.parse().unwrap(),
        accounts_opened_count: totals.accounts_opened_count,
        entry_count: totals.entry_count,
    }
}
