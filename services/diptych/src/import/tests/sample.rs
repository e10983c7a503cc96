//! The file that ships with the project, and the real one where it is present.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use diptych_proto::ledger::command::v1::execute_commands_request::Command;
use flate2::{Compression, write::GzEncoder};

use crate::import::{
    file,
    names::Names,
    steps::{Step, Steps, Terms},
    survey::{Survey, survey},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sample() -> PathBuf {
    root().join("examples/sample-transactions.csv")
}

fn names() -> Names {
    Names::new(String::new())
}

fn read(path: &Path) -> Survey {
    survey(path, &names()).unwrap().unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn the_sample_file_is_good_and_has_an_overdrawn_account() {
    let survey = read(&sample());
    assert_eq!((survey.rows, survey.accounts.len()), (40, 5));
    assert_eq!(survey.accounts.iter().filter(|facts| facts.overdraft_limit_minor() > 0).count(), 1);
}

#[test]
fn accounts_are_opened_first_and_rows_name_the_version_they_build_on() {
    let survey = read(&sample());
    let terms = Terms { names: names(), currency_code: "CZK".to_owned(), owner_id: "owner".to_owned() };
    let steps: Vec<Step> = Steps::new(&terms, &survey, file::open(&sample()).unwrap()).map(Result::unwrap).collect();
    let (opened, rows) = steps.split_at(survey.accounts.len());
    for (facts, step) in survey.accounts.iter().zip(opened) {
        let Some(Command::OpenAccount(open)) = &step.command.command else { panic!("{step:?}") };
        assert_eq!((&open.account_id, open.overdraft_limit_minor), (&facts.account_id, facts.overdraft_limit_minor()));
    }
    let mut versions = vec![1; survey.accounts.len()];
    let mut balances = vec![0; survey.accounts.len()];
    for step in rows {
        let account = step.account as usize;
        let (expected_version, amount) = match &step.command.command {
            Some(Command::Deposit(deposit)) => (deposit.expected_version, deposit.amount_minor),
            Some(Command::Withdraw(withdraw)) => (withdraw.expected_version, -withdraw.amount_minor),
            other => panic!("{other:?}"),
        };
        assert_eq!(expected_version, Some(versions[account]), "line {:?}", step.line);
        versions[account] += 1;
        balances[account] += amount;
    }
    assert_eq!(balances, survey.accounts.iter().map(|facts| facts.balance_minor).collect::<Vec<_>>());
}

#[test]
fn a_packed_file_reads_the_same_and_one_that_is_cut_off_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&std::fs::read(sample()).unwrap()).unwrap();
    let packed = packed.finish().unwrap();
    let whole = folder.path().join("whole");
    std::fs::write(&whole, &packed).unwrap();
    assert_eq!(read(&whole).accounts, read(&sample()).accounts);
    let cut = folder.path().join("cut.csv.gz");
    std::fs::write(&cut, &packed[..packed.len() / 2]).unwrap();
    assert!(survey(&cut, &names()).is_err());
    assert!(survey(&folder.path().join("absent"), &names()).unwrap_err().to_string().contains("cannot open"));
}

#[test]
fn the_real_file_is_good() {
    let path = root().join("../shared/data/czech-bank/transactions.csv.gz");
    if !path.exists() {
        return;
    }
    let survey = read(&path);
    assert_eq!((survey.rows, survey.accounts.len()), (23_932, 591));
    assert_eq!(survey.accounts.iter().filter(|facts| facts.overdraft_limit_minor() > 0).count(), 12);
}
