use super::*;
use crate::import::tests::validate_text;

fn file() -> ValidFile {
    let header = crate::import::row::COLUMNS.join(",");
    validate_text(&format!("{header}\n1,a,1993-01-01,5,5,internal,,,\n2,a,1993-01-02,-1,4,internal,,,\n"), "").unwrap()
}

fn counts_of_success() -> Counts {
    Counts { rows_accepted: 1, rows_already_imported: 1, accounts_opened: 1, ..Counts::default() }
}

fn all_matched() -> Reconciliation {
    Reconciliation { balances_matched: 1, entries_matched: 2, ..Reconciliation::default() }
}

fn report(counts: &Counts, reconciled: Result<Reconciliation, String>) -> Report {
    Report::new(&file(), counts, Duration::from_secs(2), reconciled)
}

#[test]
fn an_import_of_all_rows_that_all_match_is_a_success() {
    let report = report(&counts_of_success(), Ok(all_matched()));
    assert!(report.matches_file());
    let text = report.table().render();
    for line in
        ["rows                          2", "already imported              1", "balances matched         1 of 1"]
    {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.ends_with("the ledger matches the file\n"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (&json["accepted"], &json["rows_per_second"], &json["matches_file"]),
        (&1.into(), &1.into(), &true.into())
    );
}

#[test]
fn any_missing_refused_or_different_row_is_no_success() {
    let refusals = Refusals { count: 1, first: "line 3, account a: no".to_owned() };
    let by_reason = || BTreeMap::from([("ACCOUNT_FROZEN".to_owned(), refusals.clone())]);
    let missing_row = Counts { rows_accepted: 0, ..counts_of_success() };
    let refused_row = Counts { rows_refused: by_reason(), ..counts_of_success() };
    let refused_opening = Counts { accounts_refused: by_reason(), ..counts_of_success() };
    for (case, report) in [
        ("a row is missing", report(&missing_row, Ok(all_matched()))),
        ("an opening is refused", report(&refused_opening, Ok(all_matched()))),
        (
            "a balance differs",
            report(&counts_of_success(), Ok(Reconciliation { balances_matched: 0, ..all_matched() })),
        ),
        ("an entry differs", report(&counts_of_success(), Ok(Reconciliation { entries_matched: 1, ..all_matched() }))),
        (
            "an entry too many",
            report(&counts_of_success(), Ok(Reconciliation { entries_unexpected: 1, ..all_matched() })),
        ),
        ("the import did not finish", report(&counts_of_success(), Err("timed out".to_owned()))),
    ] {
        assert!(!report.matches_file(), "{case}");
        let text = report.table().render();
        assert!(text.contains("NOT") && !text.contains("the ledger matches"), "{case}: {text}");
    }
    let text = report(&refused_row, Err("timed out".to_owned())).table().render();
    assert!(text.contains("ACCOUNT_FROZEN") && text.contains("line 3, account a: no (1 in all)"), "{text}");
    assert!(text.contains("timed out") && !text.contains("balances matched"), "{text}");
}
