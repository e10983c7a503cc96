//! Every column of a file, wrong in every way.

use crate::import::{
    file,
    mistake::Mistakes,
    names::Names,
    survey::{Survey, survey_lines},
};

pub(super) const HEADER: &str = "transaction_id,account_id,value_date,amount_minor,balance_after_minor,operation,purpose,counterparty_bank,counterparty_account";
const GOOD: [&str; 9] = ["t1", "576", "1993-01-01", "90000", "90000", "cash_deposit", "", "", ""];

pub(in crate::import) fn survey_text(text: &str, prefix: &str) -> Result<Survey, Mistakes> {
    let lines = file::lines(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())));
    survey_lines(lines, &Names::new(prefix.to_owned())).unwrap()
}

/// The mistakes of a file with this one row, as `column: allowed`.
fn mistakes_of(row: &[&str]) -> Vec<String> {
    match survey_text(&format!("{HEADER}\n{}\n", row.join(",")), "") {
        Ok(_) => Vec::new(),
        Err(mistakes) => {
            assert!(mistakes.first.iter().all(|mistake| mistake.line == 2), "{mistakes}");
            mistakes.first.iter().map(|mistake| format!("{}: {}", mistake.column, mistake.allowed)).collect()
        }
    }
}

#[test]
fn a_good_row_has_no_mistake() {
    assert_eq!(mistakes_of(&GOOD), [""; 0]);
    for (column, value) in
        [(5, "internal"), (6, "interest"), (7, "YZ"), (8, "30300313"), (1, "a.b_C-9"), (2, "1996-02-29")]
    {
        let mut row = GOOD;
        row[column] = value;
        assert_eq!(mistakes_of(&row), [""; 0], "{value}");
    }
}

#[test]
fn every_column_is_checked() {
    let long_id = "1".repeat(65);
    let long_text = "x".repeat(141);
    let long_party = "x".repeat(70);
    let identifier = "account_id: 1 to 64 of A-Z, a-z, 0-9, '.', '_', '-'";
    let transaction = "transaction_id: 1 to 140 bytes of text without control characters";
    let date = "value_date: a day that exists, as YYYY-MM-DD";
    let amount = "amount_minor: a whole number of minor units, -10^15 to 10^15 and not 0";
    let balance = "balance_after_minor: a whole number of minor units, -10^15 to 9223372036854775807";
    let chain = "balance_after_minor: the balance before (0) plus the amount (90000); an account starts at 0";
    let operation = "operation: cash_deposit, transfer_in, cash_withdrawal, transfer_out, card_withdrawal, internal";
    let purpose =
        "purpose: interest, statement_fee, household, pension, insurance, loan_payment, penalty_interest, or empty";
    let bank = "counterparty_bank: 0 to 69 bytes of text without control characters";
    let party = "counterparty_account: 0 to 69 bytes of text without control characters";
    for (column, value, expected) in [
        (0, "", transaction),
        (0, long_text.as_str(), transaction),
        (0, "a\tb", transaction),
        (1, "", identifier),
        (1, long_id.as_str(), identifier),
        (1, "57 6", identifier),
        (1, "účet", identifier),
        (1, "a/b", identifier),
        (2, "", date),
        (2, "930101", date),
        (2, "1993-1-1", date),
        (2, "1993-02-29", date),
        (2, "1993-13-01", date),
        (2, "1993-01-01T00:00", date),
        (2, "01.01.1993", date),
        (3, "", amount),
        (3, "0", amount),
        (3, "-0", amount),
        (3, "9e4", amount),
        (3, "900.00", amount),
        (3, " 90000", amount),
        (3, "1000000000000001", amount),
        (3, "-1000000000000001", amount),
        (3, "9223372036854775808", amount),
        (4, "", balance),
        (4, "x", balance),
        (4, "-1000000000000001", balance),
        (4, "9223372036854775808", balance),
        (4, "90001", chain),
        (4, "9223372036854775807", chain),
        (5, "", operation),
        (5, "deposit", operation),
        (5, "Cash_Deposit", operation),
        (6, "rent", purpose),
        (7, long_party.as_str(), bank),
        (7, "a\u{7}", bank),
        (8, long_party.as_str(), party),
        (8, "a\u{7}", party),
    ] {
        let mut row = GOOD;
        row[column] = value;
        assert_eq!(mistakes_of(&row), [expected], "column {column}, {value:?}");
    }
}

#[test]
fn all_mistakes_of_a_row_are_told() {
    assert_eq!(mistakes_of(&["", "", "", "", "", "", "x", "", ""]).len(), 7);
}

#[test]
fn a_row_with_other_columns_is_a_mistake() {
    assert_eq!(mistakes_of(&GOOD[..8]), ["row: 9 columns"]);
    assert_eq!(mistakes_of(&[&GOOD[..], &["more"]].concat()), ["row: 9 columns"]);
}

#[test]
fn the_prefix_counts_for_the_length_of_account_ids() {
    let text = format!("{HEADER}\n{}\n", GOOD.join(","));
    assert_eq!(survey_text(&text, "copy-").unwrap().accounts[0].account_id, "copy-576");
    let mistakes = survey_text(&text, &"p".repeat(62)).unwrap_err();
    assert_eq!(mistakes.first[0].allowed, "1 to 2 of A-Z, a-z, 0-9, '.', '_', '-'");
}

#[test]
fn the_header_is_checked() {
    for (header, expected) in [
        (HEADER.replace(",purpose", ""), "header: a column purpose, which is missing"),
        (format!("{HEADER},purpose"), "header: each column once"),
        (format!("{HEADER},memo"), &*format!("header: only the columns {}", HEADER.replace(',', ", "))),
    ] {
        let mistakes = survey_text(&format!("{header}\n{}\n", GOOD.join(",")), "").unwrap_err();
        let told: Vec<String> = mistakes.first.iter().map(|m| format!("{}: {}", m.column, m.allowed)).collect();
        assert_eq!(told, [expected]);
    }
    assert_eq!(survey_text("", "").unwrap_err().first[0].allowed, "a header and at least one row");
    assert_eq!(survey_text(HEADER, "").unwrap_err().count, 1);
}

#[test]
fn columns_may_come_in_any_order() {
    let mut columns: Vec<(&str, &str)> = HEADER.split(',').zip(GOOD).collect();
    columns.reverse();
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let survey = survey_text(&format!("{}\n{}\n", names.join(","), values.join(",")), "").unwrap();
    assert_eq!((survey.rows, survey.accounts[0].balance_minor), (1, 90_000));
}

#[test]
fn balances_chain_within_each_account_and_ids_are_unique() {
    let row = |id: &str, account: &str, amount: i64, balance: i64| {
        format!("{id},{account},1993-01-01,{amount},{balance},internal,,,\n")
    };
    let good =
        [HEADER, "\n", &row("1", "a", 5, 5), &row("2", "b", 7, 7), &row("3", "a", -9, -4), &row("4", "a", 1, -3)]
            .concat();
    let survey = survey_text(&good, "").unwrap();
    let facts: Vec<_> = survey.accounts.iter().map(|a| (a.rows, a.balance_minor, a.overdraft_limit_minor())).collect();
    assert_eq!(facts, [(3, -3, 4), (1, 7, 0)]);

    let mistakes = survey_text(&(good.clone() + &row("5", "b", 1, 9)), "").unwrap_err();
    assert_eq!(
        mistakes.to_string().lines().next().unwrap(),
        "line 6, balance_after_minor: \"9\"; allowed: the balance before (7) plus the amount (1); an account starts at 0"
    );
    let mistakes = survey_text(&(good + &row("2", "b", 1, 8)), "").unwrap_err();
    assert_eq!(mistakes.first[0].allowed, "each id once; this one stands on line 3 too");
}

#[test]
fn behind_a_row_that_cannot_be_read_balances_are_not_judged() {
    let rows = "1,a,1993-01-01,5,5,internal,,,\n2,a,1993-02-30,5,10,internal,,,\n3,a,1993-03-01,5,15,internal,,,\n";
    let mistakes = survey_text(&format!("{HEADER}\n{rows}"), "").unwrap_err();
    assert_eq!((mistakes.count, mistakes.first[0].column), (1, "value_date"));
}

#[test]
fn many_mistakes_are_counted_and_the_first_shown() {
    let rows: String = (0..50).map(|n| format!("{n},a,1993-01-01,x,0,internal,,,\n")).collect();
    let mistakes = survey_text(&format!("{HEADER}\n{rows}"), "").unwrap_err();
    assert_eq!((mistakes.first.len(), mistakes.count), (20, 50));
    assert!(mistakes.to_string().ends_with("50 mistakes, of which the first 20 are shown; nothing was sent"));
}

#[test]
fn bytes_that_are_not_text_are_a_mistake() {
    let bytes = [format!("{HEADER}\n").as_bytes(), b"\xff,a,1993-01-01,1,1,internal,,,\n"].concat();
    let lines = file::lines(Box::new(std::io::Cursor::new(bytes)));
    let mistakes = survey_lines(lines, &Names::new(String::new())).unwrap().unwrap_err();
    assert_eq!((mistakes.first[0].line, mistakes.first[0].column), (2, "row"));
}
