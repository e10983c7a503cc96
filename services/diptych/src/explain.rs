//! `diptych explain`: the meaning of an error reason.

use std::{fmt::Write, process::ExitCode};

use diptych_runtime::reasons::{self, Explanation};

/// The exit status for an unknown reason.
const EXIT_UNKNOWN: u8 = 2;

/// Describe the cause of a gRPC error and what to do, by the reason in its google.rpc.ErrorInfo. Without a reason, list
/// all.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Reason of the error, such as VERSION_MISMATCH.
    reason: Option<String>,
}

const AFTER_HELP: &str = "\
Examples:
  diptych explain                      list all reasons with their codes
  diptych explain VERSION_MISMATCH
  diptych explain error-reason-overloaded";

/// Prints the explanation.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(reason) = &args.reason else {
        print!("{}", listed(&reasons::all()?));
        return Ok(ExitCode::SUCCESS);
    };
    let found = reasons::explain(reason)?;
    if found.is_empty() {
        eprintln!("unknown reason {reason:?}; `diptych explain` lists all");
        return Ok(ExitCode::from(EXIT_UNKNOWN));
    }
    let texts: Vec<_> = found.iter().map(explained).collect();
    print!("{}", texts.join("\n"));
    Ok(ExitCode::SUCCESS)
}

fn explained(explanation: &Explanation) -> String {
    let Explanation { domain, reason, code, cause, client_action } = explanation;
    format!("{reason} ({domain})\n  code   {code}\n  cause  {cause}\n  do     {client_action}\n")
}

fn listed(all: &[Explanation]) -> String {
    let width = all.iter().map(|explanation| explanation.reason.len()).max().unwrap_or_default();
    let mut text = String::new();
    let mut domain = "";
    for explanation in all {
        if explanation.domain != domain {
            domain = &explanation.domain;
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}{domain}");
        }
        let _ = writeln!(text, "  {:<width$}  {}", explanation.reason, explanation.code);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_explained_with_code_cause_and_what_to_do() {
        let text = explained(&reasons::explain("REQUEST_ID_REUSED").unwrap()[0]);
        assert!(text.starts_with("REQUEST_ID_REUSED (diptych.v1)\n  code   ALREADY_EXISTS\n  cause  "), "{text}");
        assert!(text.contains("\n  do     Use a new request_id"), "{text}");
    }

    #[test]
    fn the_list_has_every_reason_under_its_domain() {
        let all = reasons::all().unwrap();
        let text = listed(&all);
        assert!(all.iter().all(|explanation| text.contains(&format!("  {} ", explanation.reason))), "{text}");
        assert!(text.starts_with("diptych.v1\n") && text.contains("\n\nledger.command.v1\n"), "{text}");
    }
}
