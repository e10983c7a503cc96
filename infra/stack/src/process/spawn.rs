//! Starts a process.

use std::{
    env,
    fs::{self, File},
    io,
    num::NonZeroU64,
    path::Path,
    process::Stdio,
    time::Duration,
};

use rustix::thread::{current_timer_slack, set_current_timer_slack};
use tokio::process::{Child, Command};

use super::{identity::ProcessIdentity, spec::ProcessSpec};
use crate::error::{StackError, StackResult};

/// Environment variables that a process inherits.
const INHERITED: &[&str] =
    &["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "JAVA_HOME", "RUST_BACKTRACE"];

/// A process that was just started.
pub(crate) struct SpawnedProcess {
    pub(crate) identity: ProcessIdentity,
    /// Length of its log before the start, in bytes.
    pub(crate) log_offset: u64,
    /// Dropping it does not affect the process.
    pub(crate) child: Child,
}

/// Starts a process in its own process group, so that Ctrl-C in a terminal does not reach it. Its output is appended to
/// the log.
pub(crate) fn spawn(spec: &ProcessSpec, folder: &Path, log: &Path) -> StackResult<SpawnedProcess> {
    let doing = |what: &str| format!("{what} for {}", spec.name);
    fs::create_dir_all(folder).map_err(StackError::io(doing(&format!("make the folder {}", folder.display()))))?;
    let open = || File::options().create(true).append(true).open(log);
    let output = open().map_err(StackError::io(doing(&format!("write to {}", log.display()))))?;
    let errors = output.try_clone().map_err(StackError::io(doing("share the log")))?;
    let log_offset = output.metadata().map_err(StackError::io(doing("read the length of the log")))?.len();

    let mut command = Command::new(&spec.program);
    command.args(&spec.arguments).current_dir(folder).process_group(0);
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    command.env_clear().envs(INHERITED.iter().filter_map(|name| Some((name, env::var_os(name)?))));
    command.envs(&spec.environment);
    if let Some(user) = spec.user {
        command.gid(user.group_id).uid(user.user_id);
    }
    let starting = format!("start {} ({})", spec.name, spec.program.display());
    let slack = spec.timer_slack.map(TimerSlack::set).transpose().map_err(StackError::io(starting.clone()))?;
    let child = command.spawn().map_err(StackError::io(starting.clone()))?;
    drop(slack);
    // It has not been reaped yet, so /proc lists it even if it has already ended.
    let identity = child.id().and_then(ProcessIdentity::of);
    let identity = identity
        .ok_or_else(|| StackError::Io { doing: starting, source: io::Error::other("it is not listed in /proc") })?;
    Ok(SpawnedProcess { identity, log_offset, child })
}

/// The timer slack of this thread while it starts a process, which inherits it with all its threads. Then it is as
/// before.
struct TimerSlack {
    before_ns: u64,
}

impl TimerSlack {
    fn set(slack: Duration) -> io::Result<Self> {
        let before_ns = current_timer_slack()?;
        set_current_timer_slack(u64::try_from(slack.as_nanos()).ok().and_then(NonZeroU64::new))?;
        Ok(Self { before_ns })
    }
}

impl Drop for TimerSlack {
    fn drop(&mut self) {
        // It was possible a moment ago. If it is not any more, this thread's pauses stay a little longer, and that is
        // all.
        let _ = set_current_timer_slack(NonZeroU64::new(self.before_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_writes_to_its_log_and_inherits_little() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("output.log");
        fs::write(&log, "before\n").unwrap();
        let spec = ProcessSpec::new("echo", "/bin/sh")
            .arguments(["-c", "echo $MINE-$CARGO_MANIFEST_DIR; pwd; echo to-errors >&2"])
            .variable("MINE", "set");
        assert!(env::var_os("CARGO_MANIFEST_DIR").is_some(), "the test needs something not to inherit");
        let inner = folder.path().join("inner");
        let mut started = spawn(&spec, &inner, &log).unwrap();
        assert_eq!(started.log_offset, 7);
        assert!(started.child.wait().await.unwrap().success());
        let text = fs::read_to_string(&log).unwrap();
        let inner = inner.canonicalize().unwrap();
        assert_eq!(text, format!("before\nset-\n{}\nto-errors\n", inner.display()));
    }

    #[tokio::test]
    async fn a_process_has_the_timer_slack_that_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let own = current_timer_slack().unwrap();
        for (given, expected) in [(Some(Duration::from_micros(700)), 700_000), (None, own)] {
            let log = folder.path().join(format!("{expected}.log"));
            let mut spec = ProcessSpec::new("slack", "/bin/cat").arguments(["/proc/self/timerslack_ns"]);
            spec.timer_slack = given;
            assert!(spawn(&spec, folder.path(), &log).unwrap().child.wait().await.unwrap().success());
            assert_eq!(fs::read_to_string(&log).unwrap().trim(), expected.to_string());
        }
        assert_eq!(current_timer_slack().unwrap(), own);
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let spec = ProcessSpec::new("ghost", "/no/such/program");
        let result = spawn(&spec, folder.path(), &folder.path().join("output.log"));
        let error = result.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("cannot start ghost (/no/such/program)"), "{error}");
    }
}
