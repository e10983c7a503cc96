//! `diptych import`: a bank's transactions in, and the proof that its balances came out.
//!
//! Two passes over the file. The first reads and judges all of it and gathers what opening the accounts needs; a file
//! with a mistake is not sent at all. The second sends the commands ([`steps`], [`window`], [`send`]). Then the query
//! service is asked for every balance and every entry ([`check`]).

mod check;
mod file;
mod mistake;
mod names;
mod progress;
mod report;
mod row;
mod send;
mod steps;
mod survey;
mod tally;
mod window;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::bail;
use diptych_proto::ledger::command::v1::command_service_client::CommandServiceClient;

use self::{
    names::Names,
    progress::Progress,
    report::Report,
    send::SendOptions,
    steps::{Steps, Terms},
    survey::Survey,
    tally::Tally,
};
use crate::client::{Connections, Output, Target};

/// The exit status of a file or flag with a mistake: nothing was sent.
const EXIT_MISTAKE: u8 = 2;
/// As many unanswered commands as the service reads ahead on one stream.
const WINDOW_MAX: u64 = 1_024;

/// Brings a bank's transactions into the ledger, and compares what comes out with the bank's own balances.
///
/// The whole file is checked first; with a mistake anywhere nothing is sent. Repeating an import, or going on with one
/// that was cut off, is safe: request ids are made from transaction ids, so what is in already is not done again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The file: CSV with a header, plain or gzip.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    target: Target,

    /// The currency of all accounts and amounts, ISO 4217.
    #[arg(long, value_name = "CODE", default_value = "CZK", value_parser = currency_code)]
    currency: String,

    /// Whose accounts they are.
    #[arg(long, value_name = "ID", default_value = "imported", value_parser = identifier)]
    owner: String,

    /// What to put before every account number: the same file with another prefix fills other accounts.
    #[arg(long, value_name = "PREFIX", default_value = "", value_parser = account_prefix)]
    account_prefix: String,

    /// How many commands may be under way without an answer, 1 to 1,024.
    #[arg(long, value_name = "COMMANDS", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=WINDOW_MAX))]
    window: u64,

    /// How many seconds to go on while the server is away or does not answer, 1 to 86,400.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: u64,

    /// How to print the result.
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Output::Text)]
    output: Output,
}

const AFTER_HELP: &str = "\
Columns (any order):
  transaction_id        1 to 140 bytes, each id once
  account_id            A-Z a-z 0-9 . _ - ; with the prefix at most 64
  value_date            YYYY-MM-DD
  amount_minor          whole number of minor units, above 0 in, below 0 out
  balance_after_minor   the balance before plus the amount; accounts start at 0
  operation             cash_deposit, transfer_in, cash_withdrawal, transfer_out, card_withdrawal, internal
  purpose               interest, statement_fee, household, pension, insurance, loan_payment, penalty_interest, or empty
  counterparty_bank, counterparty_account   or empty

An account that the file shows overdrawn is opened with that much overdraft.

Examples:
  diptych import examples/sample-transactions.csv
  diptych import transactions.csv.gz --to http://127.0.0.1:7400 --owner bank-7
  DIPTYCH_TOKEN=eyJ... diptych import transactions.csv.gz --to http://gateway:8080
  diptych import transactions.csv.gz --account-prefix copy2- --output json | jq .accounts_equal

Memory: about 60 bytes per row and 200 per account stay in memory, nothing else of the file.

Exit status: 0 all rows are in and every balance and entry equals the file's; 1 not so; 2 a mistake in the file or the
flags, nothing was sent.";

/// Runs an import.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let names = Names::new(args.account_prefix.clone());
    let mut survey = match survey::survey(&args.file, &names) {
        Ok(Ok(survey)) => survey,
        Ok(Err(mistakes)) => {
            eprintln!("{}: {mistakes}", args.file.display());
            return Ok(ExitCode::from(EXIT_MISTAKE));
        }
        Err(error) => {
            eprintln!("{error:#}");
            return Ok(ExitCode::from(EXIT_MISTAKE));
        }
    };
    let link = args.target.connect().await?;
    let terms = Terms { names, currency_code: args.currency.clone(), owner_id: args.owner.clone() };
    let report = transfer(&args, &terms, &mut survey, link).await?;
    args.output.print(&report, Report::table)?;
    Ok(if report.equal() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends and checks.
async fn transfer(args: &Args, terms: &Terms, survey: &mut Survey, link: Connections) -> anyhow::Result<Report> {
    let steps = Steps::new(terms, survey, file::open(&args.file)?);
    let mut tally = Tally::new(survey);
    let patience = Duration::from_secs(args.patience);
    let progress = Progress::new(survey.rows);
    let options = SendOptions { window: usize::try_from(args.window)?, patience, progress: &progress };
    let mut commands = CommandServiceClient::new(link.commands);
    let sent = send::send_all(&mut commands, steps, survey, options, &mut tally).await;
    let took = progress.finish();
    let checked = match sent {
        Ok(()) => check::check(&link.queries, survey, terms, &tally, patience)
            .await
            .map_err(|unanswered| unanswered.to_string()),
        Err(error) => Err(error.to_string()),
    };
    Ok(Report::new(survey, &tally, took, checked))
}

fn currency_code(text: &str) -> anyhow::Result<String> {
    if text.len() != 3 || !text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        bail!("must be three upper-case letters, such as CZK");
    }
    Ok(text.to_owned())
}

fn identifier(text: &str) -> anyhow::Result<String> {
    if !row::is_identifier(text) {
        bail!("must be 1 to 64 of A-Z, a-z, 0-9, '.', '_', '-'");
    }
    Ok(text.to_owned())
}

fn account_prefix(text: &str) -> anyhow::Result<String> {
    if text.len() > 32 || !row::is_identifier_part(text) {
        bail!("must be at most 32 of A-Z, a-z, 0-9, '.', '_', '-'");
    }
    Ok(text.to_owned())
}
