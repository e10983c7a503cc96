use super::*;

fn ids() -> RequestIds {
    RequestIds::new(String::new())
}

fn entry(reference: &str, balance_after_minor: i64) -> Entry {
    Entry {
        account_id: "a".to_owned(),
        reference: reference.to_owned(),
        request_id: ids().posting(reference).to_string(),
        balance_after_minor,
        ..Entry::default()
    }
}

/// Compares these entries of an account with a file of one row: `t1` of account 0, with balance 5.
fn compared(entries: &[Entry], account: u32) -> Reconciliation {
    let row = ExpectedEntry { line: 2, account: 0, balance_after_minor: 5 };
    let ids = ids();
    let unmatched = HashMap::from([(ids.posting("t1"), row)]);
    let mut comparison = Comparison { ids: &ids, unmatched, result: Reconciliation::default() };
    entries.iter().for_each(|entry| comparison.entry(entry, account));
    comparison.finish();
    comparison.result
}

#[test]
fn an_entry_with_the_balance_of_its_row_matches() {
    let result = compared(&[entry("t1", 5)], 0);
    assert_eq!((result.entries_matched, result.entries_unexpected, result.differences.len()), (1, 0, 0));
}

#[test]
fn an_entry_with_another_balance_is_reported_with_its_line() {
    let result = compared(&[entry("t1", 6)], 0);
    assert_eq!(result.entries_matched, 0);
    assert_eq!(result.differences, ["account a: entry t1 has balance 6 in the ledger, 5 in the file (line 2)"]);
}

#[test]
fn a_second_entry_of_a_row_and_an_entry_of_another_command_are_unexpected() {
    let twice = compared(&[entry("t1", 5), entry("t1", 5)], 0);
    assert_eq!((twice.entries_matched, twice.entries_unexpected), (1, 1));
    let other_request = Entry { request_id: "another command".to_owned(), ..entry("t1", 5) };
    let other = compared(&[other_request, entry("t1", 5), entry("t9", 5)], 0);
    assert_eq!((other.entries_matched, other.entries_unexpected), (1, 2));
}

#[test]
fn an_entry_in_another_account_than_its_row_is_a_difference() {
    let result = compared(&[entry("t1", 5)], 1);
    assert_eq!((result.entries_matched, result.differences.len()), (0, 1));
}

#[test]
fn a_row_without_an_entry_is_reported() {
    let result = compared(&[], 0);
    assert_eq!((result.entries_matched, result.differences), (0, vec!["line 2: no entry in the ledger".to_owned()]));
}

#[test]
fn balances_that_differ_or_are_missing_are_reported() {
    let ids = ids();
    let mut comparison = Comparison { ids: &ids, unmatched: HashMap::new(), result: Reconciliation::default() };
    let account = FileAccount { account_id: "a".to_owned(), rows: 1, balance_minor: 5, balance_minor_min: 0 };
    for in_ledger in [Some(5), Some(6), None] {
        comparison.balance(&account, in_ledger);
    }
    assert_eq!(comparison.result.balances_matched, 1);
    let expected = ["account a: balance 6 in the ledger, 5 in the file", "account a: not in the ledger"];
    assert_eq!(comparison.result.differences, expected);
}
