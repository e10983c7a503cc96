//! `diptych import`: imports a bank's transactions, and compares the ledger with the bank's file.
//!
//! The file is read once, into a temporary file ([`file`]), which is read twice. The first pass validates all of it by
//! the rules of the ledger, and collects the accounts ([`validation`]); a file with an invalid value is not sent at
//! all. The second pass sends the commands ([`commands`], [`in_flight`], [`send`]). Then every balance and every entry
//! is queried and compared with the file ([`reconciliation`]).

mod commands;
mod counts;
mod file;
mod in_flight;
mod progress;
mod reconciliation;
mod report;
mod request_ids;
mod row;
mod row_reader;
mod send;
mod validation;
mod validation_error;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use diptych_ledger::domain::{AccountId, Currency, OwnerId, ValueError};
use diptych_proto::ledger::command::v1::command_service_client::CommandServiceClient;

use self::{
    commands::{CommonFields, ImportCommands},
    counts::Counts,
    file::InputCopy,
    progress::Progress,
    report::Report,
    request_ids::RequestIds,
    send::SendOptions,
    validation::ValidFile,
    validation_error::ValidationErrors,
};
use crate::{
    client::{Connections, Output, RequiredServices, Target},
    config::duration_flag,
};

/// Exit status for an invalid file or flag: nothing was sent.
const EXIT_INVALID: u8 = 2;
/// Most commands in flight: as many as the service reads ahead on one stream.
const IN_FLIGHT_MAX: u64 = 1_024;
const ACCOUNT_PREFIX_BYTES_MAX: usize = 32;

/// Import a bank's transactions into the ledger, and compare every balance and entry with the file.
///
/// The whole file is validated first; with an invalid value anywhere, nothing is sent. An import can be repeated, and
/// continued after an interruption: request ids are derived from transaction ids, so no transaction is posted twice.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// CSV file with a header, plain or compressed with gzip; a pipe, or "-" for standard input. It is copied to a
    /// temporary file (in TMPDIR).
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    target: Target,

    /// Currency of all accounts and amounts, ISO 4217.
    #[arg(long, value_name = "CODE", default_value = "CZK", value_parser = currency_code)]
    currency: String,

    /// Owner of the accounts.
    #[arg(long, value_name = "ID", default_value = "imported", value_parser = identifier)]
    owner: String,

    /// Prefix of every account id: the same file with another prefix fills other accounts.
    #[arg(long, value_name = "PREFIX", default_value = "", value_parser = account_prefix)]
    account_prefix: String,

    /// Most commands sent and not yet answered, 1 to 1,024.
    #[arg(long, value_name = "COMMANDS", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=IN_FLIGHT_MAX))]
    in_flight: u64,

    /// Time to retry while the server cannot be reached or accepts nothing, 1s to 1d; a number alone is in seconds.
    #[arg(long, value_name = "TIME", default_value = "60", value_parser = duration_flag::<1_000>)]
    timeout: Duration,

    /// Format of the result.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    output: Output,
}

const AFTER_HELP: &str = "\
Columns (any order):
  transaction_id        1 to 140 bytes, each id once
  account_id            A-Z a-z 0-9 . _ - ; with the prefix at most 64
  value_date            YYYY-MM-DD
  amount_minor          whole number of minor units, above 0 deposited, below 0 withdrawn
  balance_after_minor   balance before, plus the amount; accounts start at 0
  operation             cash_deposit, transfer_in, cash_withdrawal, transfer_out, card_withdrawal, internal
  purpose               interest, statement_fee, household, pension, insurance, loan_payment, penalty_interest, or empty
  counterparty_bank, counterparty_account   or empty

An account that is overdrawn in the file is opened with an overdraft limit of its lowest balance.

Examples:
  diptych import examples/sample-transactions.csv
  diptych import transactions.csv.gz --to http://127.0.0.1:7400 --owner bank-7
  DIPTYCH_TOKEN=eyJ... diptych import transactions.csv.gz --to http://gateway:8080
  unzip -p transactions.zip | diptych import -
  diptych import transactions.csv.gz --account-prefix copy2- --output json | jq .matches_file

Memory: about 60 bytes per row and 200 bytes per account. Temporary file: the size of the input.

Exit status: 0 every row is imported, and every balance and entry matches the file; 1 otherwise; 2 invalid file or
flags, nothing was sent.";

/// Runs an import.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Err(error) = args.target.check_addresses() {
        eprintln!("error: {error:#}");
        return Ok(ExitCode::from(EXIT_INVALID));
    }
    let ids = RequestIds::new(args.account_prefix.clone());
    let (input, mut file) = match read(&args, &ids) {
        Ok((input, Ok(file))) => (input, file),
        Ok((_, Err(errors))) => {
            for line in errors.to_string().lines() {
                eprintln!("error: {}: {line}", args.file.display());
            }
            return Ok(ExitCode::from(EXIT_INVALID));
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            return Ok(ExitCode::from(EXIT_INVALID));
        }
    };
    let connections = args.target.connect(RequiredServices::CommandsAndQueries).await?;
    let fields = CommonFields { ids, currency_code: args.currency.clone(), owner_id: args.owner.clone() };
    let report = import(&args, &fields, &input, &mut file, connections).await?;
    args.output.print(&report, Report::table)?;
    Ok(if report.matches_file() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads and validates the file.
fn read(args: &Args, ids: &RequestIds) -> anyhow::Result<(InputCopy, Result<ValidFile, ValidationErrors>)> {
    let input = InputCopy::read(&args.file)?;
    let validated = input.reader().map_err(anyhow::Error::from).and_then(|reader| validation::validate(reader, ids));
    let validated = validated.with_context(|| format!("cannot read {}", args.file.display()))?;
    Ok((input, validated))
}

/// Sends the commands, and compares the ledger with the file.
async fn import(
    args: &Args,
    fields: &CommonFields,
    input: &InputCopy,
    file: &mut ValidFile,
    connections: Connections,
) -> anyhow::Result<Report> {
    let commands = ImportCommands::new(fields, file, input.reader()?);
    let mut counts = Counts::new(file);
    let timeout = args.timeout;
    let progress = Progress::new(file.rows);
    let options = SendOptions { in_flight_max: usize::try_from(args.in_flight)?, timeout, progress: &progress };
    let mut client = CommandServiceClient::new(connections.commands);
    let sent = send::send_all(&mut client, commands, file, options, &mut counts).await;
    let took = progress.finish();
    let reconciled = match sent {
        Ok(()) => reconciliation::reconcile(&connections.queries, file, fields, &counts, timeout)
            .await
            .map_err(|failed| failed.to_string()),
        Err(error) => Err(error.to_string()),
    };
    Ok(Report::new(file, &counts, took, reconciled))
}

fn currency_code(text: &str) -> Result<String, ValueError> {
    Currency::parse(text).map(|currency| currency.to_string())
}

fn identifier(text: &str) -> Result<String, ValueError> {
    OwnerId::parse(text).map(|owner| owner.to_string())
}

fn account_prefix(text: &str) -> anyhow::Result<String> {
    if text.len() > ACCOUNT_PREFIX_BYTES_MAX || !(text.is_empty() || AccountId::parse(text).is_ok()) {
        bail!("must be at most {ACCOUNT_PREFIX_BYTES_MAX} of A-Z, a-z, 0-9, '.', '_', '-'");
    }
    Ok(text.to_owned())
}
