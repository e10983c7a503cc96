//! Validation of files: every column with all kinds of invalid values.

use crate::import::{
    file,
    request_ids::RequestIds,
    validation::{ValidFile, validate},
    validation_error::ValidationErrors,
};

pub(super) const HEADER: &str = "transaction_id,account_id,value_date,amount_minor,balance_after_minor,operation,purpose,counterparty_bank,counterparty_account";
const VALID: [&str; 9] = ["t1", "576", "1993-01-01", "90000", "90000", "cash_deposit", "", "", ""];

pub(in crate::import) fn validate_text(text: &str, prefix: &str) -> Result<ValidFile, ValidationErrors> {
    let reader = file::csv_reader(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())));
    validate(reader, &RequestIds::new(prefix.to_owned())).unwrap()
}

/// The errors of a file with this one row, as `column: expected`.
fn errors_of(row: &[&str]) -> Vec<String> {
    match validate_text(&format!("{HEADER}\n{}\n", row.join(",")), "") {
        Ok(_) => Vec::new(),
        Err(errors) => {
            assert!(errors.first.iter().all(|error| error.line == 2), "{errors}");
            errors.first.iter().map(|error| format!("{}: {}", error.column, error.expected)).collect()
        }
    }
}

#[test]
fn a_valid_row_has_no_errors() {
    assert_eq!(errors_of(&VALID), [""; 0]);
    for (column, value) in
        [(5, "internal"), (6, "interest"), (7, "YZ"), (8, "30300313"), (1, "a.b_C-9"), (2, "1996-02-29")]
    {
        let mut row = VALID;
        row[column] = value;
        assert_eq!(errors_of(&row), [""; 0], "{value}");
    }
}

#[test]
fn every_column_is_validated() {
    let long_id = "1".repeat(65);
    let long_text = "x".repeat(141);
    let long_party = "x".repeat(70);
    let identifier = "account_id: 1 to 64 of A-Z, a-z, 0-9, '.', '_', '-'";
    let transaction = "transaction_id: 1 to 140 bytes of text without control characters";
    let date = "value_date: a valid date, YYYY-MM-DD, of the years 0001 to 9999";
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
        (2, "0000-01-01", date),
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
        let mut row = VALID;
        row[column] = value;
        assert_eq!(errors_of(&row), [expected], "column {column}, {value:?}");
    }
}

#[test]
fn all_errors_of_a_row_are_reported() {
    assert_eq!(errors_of(&["", "", "", "", "", "", "x", "", ""]).len(), 7);
}

#[test]
fn a_row_with_more_or_fewer_columns_is_invalid() {
    assert_eq!(errors_of(&VALID[..8]), ["row: 9 columns"]);
    assert_eq!(errors_of(&[&VALID[..], &["more"]].concat()), ["row: 9 columns"]);
}

#[test]
fn the_prefix_counts_for_the_length_of_account_ids() {
    let text = format!("{HEADER}\n{}\n", VALID.join(","));
    assert_eq!(validate_text(&text, "copy-").unwrap().accounts[0].account_id, "copy-576");
    let errors = validate_text(&text, &"p".repeat(62)).unwrap_err();
    assert_eq!(errors.first[0].expected, "1 to 2 of A-Z, a-z, 0-9, '.', '_', '-'");
}

#[test]
fn the_header_is_validated() {
    for (header, expected) in [
        (HEADER.replace(",purpose", ""), "header: a column purpose, which is missing"),
        (
            HEADER.replace(",purpose,counterparty_bank", ""),
            "header: the columns purpose, counterparty_bank, which are missing",
        ),
        (
            HEADER.replace(',', ";"),
            &*format!("header: the columns {}; is the separator a comma?", HEADER.replace(',', ", ")),
        ),
        (format!("{HEADER},purpose"), "header: each column once"),
        (format!("{HEADER},memo"), &*format!("header: only the columns {}", HEADER.replace(',', ", "))),
    ] {
        let errors = validate_text(&format!("{header}\n{}\n", VALID.join(",")), "").unwrap_err();
        let described: Vec<String> =
            errors.first.iter().map(|error| format!("{}: {}", error.column, error.expected)).collect();
        assert_eq!(described, [expected]);
    }
    assert_eq!(validate_text("", "").unwrap_err().first[0].expected, "a header and at least one row");
    assert_eq!(validate_text(HEADER, "").unwrap_err().count, 1);
}

#[test]
fn columns_may_come_in_any_order() {
    let mut columns: Vec<(&str, &str)> = HEADER.split(',').zip(VALID).collect();
    columns.reverse();
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let file = validate_text(&format!("{}\n{}\n", names.join(","), values.join(",")), "").unwrap();
    assert_eq!((file.rows, file.accounts[0].balance_minor), (1, 90_000));
}

#[test]
fn each_balance_follows_from_the_one_before_and_ids_are_unique() {
    let row = |id: &str, account: &str, amount: i64, balance: i64| {
        format!("{id},{account},1993-01-01,{amount},{balance},internal,,,\n")
    };
    let valid =
        [HEADER, "\n", &row("1", "a", 5, 5), &row("2", "b", 7, 7), &row("3", "a", -9, -4), &row("4", "a", 1, -3)]
            .concat();
    let file = validate_text(&valid, "").unwrap();
    let accounts: Vec<_> = file.accounts.iter().map(|a| (a.rows, a.balance_minor, a.overdraft_limit_minor())).collect();
    assert_eq!(accounts, [(3, -3, 4), (1, 7, 0)]);

    let errors = validate_text(&(valid.clone() + &row("5", "b", 1, 9)), "").unwrap_err();
    assert_eq!(
        errors.to_string().lines().next().unwrap(),
        "line 6, balance_after_minor: \"9\" is invalid; expected: the balance before (7) plus the amount (1); an account starts at 0"
    );
    let errors = validate_text(&(valid + &row("2", "b", 1, 8)), "").unwrap_err();
    assert_eq!(errors.first[0].expected, "each id once; line 3 has it too");
}

#[test]
fn after_an_invalid_row_balances_are_not_compared() {
    let rows = "1,a,1993-01-01,5,5,internal,,,\n2,a,1993-02-30,5,10,internal,,,\n3,a,1993-03-01,5,15,internal,,,\n";
    let errors = validate_text(&format!("{HEADER}\n{rows}"), "").unwrap_err();
    assert_eq!((errors.count, errors.first[0].column), (1, "value_date"));
}

#[test]
fn all_errors_are_counted_and_the_first_shown() {
    let rows: String = (0..50).map(|n| format!("{n},a,1993-01-01,x,0,internal,,,\n")).collect();
    let errors = validate_text(&format!("{HEADER}\n{rows}"), "").unwrap_err();
    assert_eq!((errors.first.len(), errors.count), (20, 50));
    assert!(errors.to_string().ends_with("50 errors, of which the first 20 are shown; nothing was sent"));
}

#[test]
fn bytes_that_are_not_utf_8_are_an_error() {
    let bytes = [format!("{HEADER}\n").as_bytes(), b"\xff,a,1993-01-01,1,1,internal,,,\n"].concat();
    let reader = file::csv_reader(Box::new(std::io::Cursor::new(bytes)));
    let errors = validate(reader, &RequestIds::new(String::new())).unwrap().unwrap_err();
    assert_eq!((errors.first[0].line, errors.first[0].column), (2, "row"));
}
