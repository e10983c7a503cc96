//! The sample file of the project, and the real bank's file if it is present.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use diptych_proto::ledger::command::v1::execute_commands_request::Command;
use flate2::{Compression, write::GzEncoder};

use crate::import::{
    commands::{CommonFields, ImportCommand, ImportCommands},
    file::InputCopy,
    request_ids::RequestIds,
    validation::{ValidFile, validate},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sample() -> PathBuf {
    root().join("examples/sample-transactions.csv")
}

fn ids() -> RequestIds {
    RequestIds::new(String::new())
}

fn read(path: &Path) -> ValidFile {
    let reader = InputCopy::read(path).unwrap().reader().unwrap();
    validate(reader, &ids()).unwrap().unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_sample_file_is_valid_and_has_an_overdrawn_account() {
    let file = read(&sample());
    assert_eq!((file.rows, file.accounts.len()), (40, 5));
    assert_eq!(file.accounts.iter().filter(|account| account.overdraft_limit_minor() > 0).count(), 1);
}

#[test]
fn accounts_are_opened_first_and_postings_have_expected_versions() {
    let file = read(&sample());
    let fields = CommonFields { ids: ids(), currency_code: "CZK".to_owned(), owner_id: "owner".to_owned() };
    let commands = ImportCommands::new(&fields, &file, InputCopy::read(&sample()).unwrap().reader().unwrap());
    let commands: Vec<ImportCommand> = commands.map(Result::unwrap).collect();
    let (openings, postings) = commands.split_at(file.accounts.len());
    for (account, opening) in file.accounts.iter().zip(openings) {
        let Some(Command::OpenAccount(open)) = &opening.request.command else { panic!("{opening:?}") };
        let expected = (&account.account_id, account.overdraft_limit_minor());
        assert_eq!((&open.account_id, open.overdraft_limit_minor), expected);
    }
    let mut versions = vec![1; file.accounts.len()];
    let mut balances = vec![0; file.accounts.len()];
    for posting in postings {
        let account = posting.account as usize;
        let (expected_version, amount) = match &posting.request.command {
            Some(Command::Deposit(deposit)) => (deposit.expected_version, deposit.amount_minor),
            Some(Command::Withdraw(withdraw)) => (withdraw.expected_version, -withdraw.amount_minor),
            other => panic!("{other:?}"),
        };
        assert_eq!(expected_version, Some(versions[account]), "line {:?}", posting.line);
        versions[account] += 1;
        balances[account] += amount;
    }
    assert_eq!(balances, file.accounts.iter().map(|account| account.balance_minor).collect::<Vec<_>>());
}

#[test]
fn a_compressed_file_reads_the_same_and_a_truncated_one_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&std::fs::read(sample()).unwrap()).unwrap();
    let compressed = encoder.finish().unwrap();
    let whole = folder.path().join("whole");
    std::fs::write(&whole, &compressed).unwrap();
    assert_eq!(read(&whole).accounts, read(&sample()).accounts);
    let truncated = folder.path().join("truncated.csv.gz");
    std::fs::write(&truncated, &compressed[..compressed.len() / 2]).unwrap();
    assert!(validate(InputCopy::read(&truncated).unwrap().reader().unwrap(), &ids()).is_err());
    let absent = InputCopy::read(&folder.path().join("absent")).unwrap_err().to_string();
    assert!(absent.contains("cannot open"), "{absent}");
}

#[test]
fn the_real_file_is_valid() {
    let path = root().join("../shared/data/czech-bank/transactions.csv.gz");
    if !path.exists() {
        return;
    }
    let file = read(&path);
    assert_eq!((file.rows, file.accounts.len()), (23_932, 591));
    assert_eq!(file.accounts.iter().filter(|account| account.overdraft_limit_minor() > 0).count(), 12);
}
