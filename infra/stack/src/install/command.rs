//! Runs package managers.

use std::{process::Stdio, time::Duration};

use tokio::process::Command;

use crate::error::{StackError, StackResult};

/// Time limit, sufficient for a slow connection.
const END_TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// Number of output lines in the error of a failed command.
const ERROR_LINES_MAX: usize = 15;

/// Runs a command to its end and returns its standard output. `what` is the package being installed.
pub(super) async fn run(what: &str, command: &mut Command) -> StackResult<String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let failed = |reason: String| StackError::Install { what: what.to_owned(), reason };
    // Without an input, a package manager cannot wait for an answer; it is killed if the caller is dropped.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(END_TIMEOUT, command.output()).await;
    let output =
        output.map_err(|_| failed(format!("{program} did not end within {} minutes", END_TIMEOUT.as_secs() / 60)))?;
    let output = output.map_err(|error| failed(format!("cannot start {program}: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let output_text = text + &String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = output_text.lines().filter(|line| !line.trim().is_empty()).collect();
    let end = lines.get(lines.len().saturating_sub(ERROR_LINES_MAX)..).unwrap_or_default();
    Err(failed(format!("{program} failed ({}):\n  | {}", output.status, end.join("\n  | "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_failure_is_reported_with_the_end_of_its_output() {
        assert_eq!(run("x", &mut shell("echo fine")).await.unwrap(), "fine\n");
        let error = run("x", &mut shell("seq 100; echo broken >&2; exit 3")).await.unwrap_err().to_string();
        assert!(error.starts_with("cannot install x: sh failed (exit status: 3):\n  | 87\n"), "{error}");
        assert!(error.ends_with("  | 100\n  | broken"), "{error}");
        let error = run("x", &mut Command::new("/no/such/program")).await.unwrap_err().to_string();
        assert!(error.contains("cannot start /no/such/program"), "{error}");
    }
}
