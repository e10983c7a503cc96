use super::*;
use crate::import::tests::survey_text;

fn survey() -> Survey {
    let header = crate::import::row::COLUMNS.join(",");
    survey_text(&format!("{header}\n1,a,1993-01-01,5,5,internal,,,\n2,a,1993-01-02,-1,4,internal,,,\n"), "").unwrap()
}

fn good_tally() -> Tally {
    Tally { rows_accepted: 1, rows_already_done: 1, accounts_opened: 1, ..Tally::default() }
}

fn good_check() -> Checked {
    Checked { accounts_equal: 1, entries_equal: 2, ..Checked::default() }
}

fn report(tally: &Tally, checked: Result<Checked, String>) -> Report {
    Report::new(&survey(), tally, Duration::from_secs(2), checked)
}

#[test]
fn all_rows_in_and_all_equal_is_a_success() {
    let report = report(&good_tally(), Ok(good_check()));
    assert!(report.equal());
    let text = report.table().render();
    for line in
        ["rows                          2", "already done                  1", "balances equal           1 of 1"]
    {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.ends_with("all equal\n"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["accepted"], &json["rows_per_second"], &json["equal"]), (&1.into(), &1.into(), &true.into()));
}

#[test]
fn anything_else_is_none() {
    let refused = Refused { count: 1, first: "line 3, account a: no".to_owned() };
    let by_reason = || BTreeMap::from([("ACCOUNT_FROZEN".to_owned(), refused.clone())]);
    let missing_row = Tally { rows_accepted: 0, ..good_tally() };
    let refused_row = Tally { rows_refused: by_reason(), ..good_tally() };
    let refused_opening = Tally { accounts_refused: by_reason(), ..good_tally() };
    for (case, report) in [
        ("a row is missing", report(&missing_row, Ok(good_check()))),
        ("an opening is refused", report(&refused_opening, Ok(good_check()))),
        ("a balance differs", report(&good_tally(), Ok(Checked { accounts_equal: 0, ..good_check() }))),
        ("an entry differs", report(&good_tally(), Ok(Checked { entries_equal: 1, ..good_check() }))),
        ("an entry too many", report(&good_tally(), Ok(Checked { entries_unexpected: 1, ..good_check() }))),
        ("stopped", report(&good_tally(), Err("gone".to_owned()))),
    ] {
        assert!(!report.equal(), "{case}");
        assert!(report.table().render().ends_with("NOT equal\n"), "{case}");
    }
    let text = report(&refused_row, Err("gone".to_owned())).table().render();
    assert!(text.contains("ACCOUNT_FROZEN") && text.contains("line 3, account a: no (1 in all)"), "{text}");
    assert!(text.contains("gone") && !text.contains("balances equal"), "{text}");
}
