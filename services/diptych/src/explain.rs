//! `diptych explain`: the meaning of an error reason.

use std::{fmt::Write, process::ExitCode};

use diptych_runtime::reasons::{self, Explanation};
use strsim::damerau_levenshtein;

/// The exit status for an unknown reason.
const EXIT_UNKNOWN: u8 = 2;

/// The names of the gRPC codes of errors.
const CODES: [&str; 16] = [
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Describe the cause of a gRPC error and what to do, by the reason in its google.rpc.ErrorInfo. Without a reason, list
/// all.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Reason of the error, such as VERSION_MISMATCH; or a gRPC code, to list its reasons.
    reason: Option<String>,
}

const AFTER_HELP: &str = "\
Examples:
  diptych explain                      list all reasons with their codes
  diptych explain VERSION_MISMATCH
  diptych explain error-reason-overloaded
  diptych explain NOT_FOUND            list the reasons with this gRPC code";

/// Prints the explanation.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(reason) = &args.reason else {
        print!("{}", listed(&reasons::all()?));
        return Ok(ExitCode::SUCCESS);
    };
    let found = reasons::explain(reason)?;
    if !found.is_empty() {
        let texts: Vec<_> = found.iter().map(explained).collect();
        print!("{}", texts.join("\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let all = reasons::all()?;
    if let Some(text) = explained_code(reason, &all) {
        print!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{}", unknown(reason, &all));
    Ok(ExitCode::from(EXIT_UNKNOWN))
}

/// The reasons with this gRPC code; `None` if it is not the name of a code.
fn explained_code(name: &str, all: &[Explanation]) -> Option<String> {
    let code = normalized(name);
    if !CODES.contains(&code.as_str()) {
        return None;
    }
    let with_code: Vec<_> = all.iter().filter(|explanation| explanation.code == code).cloned().collect();
    if with_code.is_empty() {
        return Some(format!(
            "{code} is a gRPC code, not a reason. No reason has it: the error comes from Envoy or the transport; see \
             docs/TROUBLESHOOTING.md\n"
        ));
    }
    Some(format!("{code} is a gRPC code, not a reason. Reasons with this code:\n\n{}", listed(&with_code)))
}

/// The message about an unknown reason, with the nearest one.
fn unknown(reason: &str, all: &[Explanation]) -> String {
    let name = normalized(reason);
    let edits = |explanation: &&Explanation| damerau_levenshtein(&name, &explanation.reason);
    let nearest = all.iter().min_by_key(edits).filter(|nearest| edits(nearest) <= (name.len() / 4).max(1));
    let suggestion = nearest.map(|nearest| format!("did you mean {}? ", nearest.reason)).unwrap_or_default();
    format!("unknown reason {reason:?}; {suggestion}`diptych explain` lists all")
}

/// The name in the spelling of codes and reasons.
fn normalized(name: &str) -> String {
    name.trim().to_ascii_uppercase().replace('-', "_")
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

    #[test]
    fn an_unknown_reason_is_answered_with_the_nearest() {
        let all = reasons::all().unwrap();
        for (reason, expected) in [
            ("INSUFICIENT_FUNDS", "did you mean INSUFFICIENT_FUNDS? `diptych explain` lists all"),
            ("view-behnd", "did you mean VIEW_BEHIND?"),
            ("zzzzzz", "unknown reason \"zzzzzz\"; `diptych explain` lists all"),
        ] {
            let text = unknown(reason, &all);
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_code_is_answered_with_its_reasons() {
        let all = reasons::all().unwrap();
        let text = explained_code("not-found", &all).unwrap();
        assert!(text.starts_with("NOT_FOUND is a gRPC code, not a reason. Reasons with this code:\n\n"), "{text}");
        assert!(text.contains("ACCOUNT_NOT_FOUND") && !text.contains("VIEW_BEHIND"), "{text}");
        let text = explained_code("DEADLINE_EXCEEDED", &all).unwrap();
        assert!(text.contains("comes from Envoy or the transport"), "{text}");
        assert_eq!(explained_code("VIEW_BEHIND", &all), None);
    }
}
