use super::*;

fn names() -> Names {
    Names::new(String::new())
}

fn entry(reference: &str, balance_after_minor: i64) -> Entry {
    Entry {
        account_id: "a".to_owned(),
        reference: reference.to_owned(),
        request_id: names().transaction(reference).to_string(),
        balance_after_minor,
        ..Entry::default()
    }
}

/// What is made of these entries of an account, where the file has one row: `t1` of account 0, with balance 5.
fn compared(entries: &[Entry], account: u32) -> Checked {
    let row = TransactionFacts { line: 2, account: 0, balance_after_minor: 5 };
    let names = names();
    let expected = HashMap::from([(names.transaction("t1"), row)]);
    let mut comparison = Comparison { names: &names, expected, checked: Checked::default() };
    entries.iter().for_each(|entry| comparison.entry(entry, account));
    comparison.finish();
    comparison.checked
}

#[test]
fn an_entry_with_the_balance_of_its_row_is_equal() {
    let checked = compared(&[entry("t1", 5)], 0);
    assert_eq!((checked.entries_equal, checked.entries_unexpected, checked.differences.len()), (1, 0, 0));
}

#[test]
fn an_entry_with_another_balance_is_told_with_its_line() {
    let checked = compared(&[entry("t1", 6)], 0);
    assert_eq!(checked.entries_equal, 0);
    assert_eq!(checked.differences, ["account a: entry t1 shows balance 6, line 2 has 5"]);
}

#[test]
fn an_entry_that_comes_twice_or_from_elsewhere_is_unexpected() {
    let twice = compared(&[entry("t1", 5), entry("t1", 5)], 0);
    assert_eq!((twice.entries_equal, twice.entries_unexpected), (1, 1));
    let borrowed = Entry { request_id: "another command".to_owned(), ..entry("t1", 5) };
    let elsewhere = compared(&[borrowed, entry("t1", 5), entry("t9", 5)], 0);
    assert_eq!((elsewhere.entries_equal, elsewhere.entries_unexpected), (1, 2));
}

#[test]
fn a_row_on_the_statement_of_another_account_is_a_difference() {
    let checked = compared(&[entry("t1", 5)], 1);
    assert_eq!((checked.entries_equal, checked.differences.len()), (0, 1));
}

#[test]
fn a_row_without_an_entry_is_told() {
    let checked = compared(&[], 0);
    assert_eq!((checked.entries_equal, checked.differences), (0, vec!["line 2: no entry on the statement".to_owned()]));
}

#[test]
fn balances_are_compared() {
    let names = names();
    let mut comparison = Comparison { names: &names, expected: HashMap::new(), checked: Checked::default() };
    let facts = AccountFacts { account_id: "a".to_owned(), rows: 1, balance_minor: 5, balance_minor_min: 0 };
    for shown in [Some(5), Some(6), None] {
        comparison.balance(&facts, shown);
    }
    assert_eq!(comparison.checked.accounts_equal, 1);
    let told = ["account a: the balance is 6, the file's last is 5", "account a: not there"];
    assert_eq!(comparison.checked.differences, told);
}
