//! Runs every `console` block of the pages, and compares what the commands print with what the page shows.
//!
//! The commands of a page run in one bash, in order, as a reader pastes them, against a `dev` of its own on free ports.
//! Commands with grpcurl need it: `DIPTYCH_TEST_GRPCURL` is its path, else it is looked for in PATH. Without it they
//! are skipped, except in CI.

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use super::{
    console::{Step, normalized, steps},
    pages::{Page, read, root},
    process::{Dev, without_settings},
};

/// The program as the pages write it, and its addresses.
const PROGRAM: &str = "cargo diptych";
const GRPC: &str = "127.0.0.1:7400";
const METRICS: &str = "127.0.0.1:7401";

/// The longest time that the commands of a page may take, in seconds.
const SECONDS_MAX: &str = "120";

#[test]
fn the_readme_does_what_it_shows() {
    check("README.md");
}

#[test]
fn the_operations_page_does_what_it_shows() {
    check("docs/OPERATIONS.md");
}

#[test]
fn the_troubleshooting_page_does_what_it_shows() {
    check("docs/TROUBLESHOOTING.md");
}

#[test]
fn the_calls_of_the_banner_read_what_they_wrote() {
    let session = Session { dev: Dev::start(&[]), grpcurl: grpcurl() };
    let (_, calls) = session.dev.banner.split_once("Try it, in another terminal:\n").unwrap();
    let (calls, _) = calls.split_once("Ctrl-C").unwrap();
    let (json, by_grpc) = calls.split_once("The last one by gRPC:\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    let by_grpc = if session.grpcurl.is_some() { by_grpc } else { "" };
    session.bash(&format!("exec >'{}' 2>&1\n{json}\n{by_grpc}", output.display()), folder.path());
    let printed = fs::read_to_string(output).unwrap();
    assert_eq!(printed.matches("\"balanceMinor\":\"1050\"").count(), 1, "{printed}");
    if !by_grpc.is_empty() {
        assert_eq!(printed.matches("\"balanceMinor\": \"1050\"").count(), 1, "{printed}");
    }
}

fn check(path: &str) {
    let steps = steps(&Page::new(&read(path)));
    assert!(!steps.is_empty(), "{path} has no console block");
    let session = Session { dev: Dev::start(&[]), grpcurl: grpcurl() };
    let mut differences = String::new();
    for (step, printed) in session.run(&steps) {
        let expected = normalized(step.output.iter().map(String::as_str));
        let printed = normalized(printed.lines());
        if expected != printed {
            let Step { line, command, .. } = step;
            let (shown, printed) = (expected.join("\n"), printed.join("\n"));
            let _ =
                write!(differences, "\n{path}:{line}: {command}\n--- the page:\n{shown}\n--- printed:\n{printed}\n");
        }
    }
    assert!(differences.is_empty(), "commands of {path} print something else than the page shows:\n{differences}");
}

/// A `dev`, and a shell beside it.
struct Session {
    dev: Dev,
    grpcurl: Option<PathBuf>,
}

impl Session {
    /// Runs the steps in one shell; returns what each printed.
    fn run<'a>(&self, steps: &'a [Step]) -> Vec<(&'a Step, String)> {
        let folder = tempfile::tempdir().unwrap();
        let output = |number: usize| folder.path().join(number.to_string());
        let mut script = String::new();
        let mut printed = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            if step.command == format!("{PROGRAM} dev") {
                let lines = self.dev.banner.lines().take(step.output.len());
                printed.push((step, Some(lines.collect::<Vec<_>>().join("\n"))));
            } else if step.command.contains("grpcurl ") && self.grpcurl.is_none() {
                println!("skipped, as there is no grpcurl: {}", step.command);
            } else {
                let _ = writeln!(script, "exec >'{}' 2>&1", output(number).display());
                let _ = writeln!(script, "{}", self.command(&step.command));
                printed.push((step, None));
            }
        }
        self.bash(&script, folder.path());
        let of = |step: &Step| steps.iter().position(|other| other.line == step.line).unwrap();
        let read = |step: &Step| {
            let file = output(of(step));
            fs::read_to_string(file).unwrap_or_else(|_| format!("(the shell ended before it: {script})"))
        };
        printed
            .into_iter()
            .map(|(step, text)| (step, self.as_documented(&text.unwrap_or_else(|| read(step)))))
            .collect()
    }

    fn bash(&self, script: &str, folder: &Path) {
        let file = folder.join("script");
        fs::write(&file, script).unwrap();
        let mut command = without_settings("timeout");
        command.args([SECONDS_MAX, "bash"]).arg(file).current_dir(root());
        if let Some(folder) = self.grpcurl.as_deref().and_then(Path::parent) {
            let path = env::var_os("PATH").unwrap_or_default();
            let folders = [folder.to_owned()].into_iter().chain(env::split_paths(&path));
            command.env("PATH", env::join_paths(folders).unwrap());
        }
        let status = command.stdin(Stdio::null()).status().unwrap();
        assert_ne!(status.code(), Some(124), "the commands did not end within {SECONDS_MAX} s");
    }

    /// The command with this program, and the addresses of this `dev`.
    fn command(&self, documented: &str) -> String {
        let mut command = documented.to_owned();
        if command.contains(&format!("{PROGRAM} import")) && !command.contains("--to ") {
            let _ = write!(command, " --to http://{GRPC}");
        }
        command
            .replace(PROGRAM, &format!("'{}'", env!("CARGO_BIN_EXE_diptych")))
            .replace(GRPC, self.dev.address("gRPC"))
            .replace(METRICS, self.metrics_address())
    }

    /// An output with the addresses of the pages.
    fn as_documented(&self, output: &str) -> String {
        output.replace(self.dev.address("gRPC"), GRPC).replace(self.metrics_address(), METRICS)
    }

    fn metrics_address(&self) -> &str {
        self.dev.address("http://").trim_end_matches("/metrics")
    }
}

/// The program grpcurl, if there is one.
fn grpcurl() -> Option<PathBuf> {
    let named = env::var_os("DIPTYCH_TEST_GRPCURL").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let found =
        named.or_else(|| env::split_paths(&path).map(|folder| folder.join("grpcurl")).find(|file| file.is_file()));
    let in_ci = env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(found.is_some() || !in_ci, "DIPTYCH_TEST_GRPCURL is not set, and CI must not skip tests");
    found
}
