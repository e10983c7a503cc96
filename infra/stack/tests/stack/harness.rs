//! Helpers shared by the tests.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::Output,
    time::Duration,
};

use diptych_stack::{ProcessState, ProcessStatus, Server, Stack, StackConfig, StackPaths, Tools};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::{sleep, timeout},
};

/// Time limit of each operation in a test.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Configuration of a stack for a test. Prints a line and returns `None` if a server is not installed; fails in CI.
pub(crate) fn config(servers: &[Server]) -> Option<StackConfig> {
    let config = StackConfig::for_test(servers.iter().copied()).unwrap();
    let tools = Tools::at(&config.paths);
    let Some(missing) = servers.iter().find_map(|server| tools.check(server.package()).err()) else {
        return Some(config);
    };
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!in_ci, "{missing}");
    println!("skipped: {missing}");
    None
}

/// Starts a stack, or returns `None` as [`config`] does.
pub(crate) async fn start(servers: &[Server]) -> Option<Stack> {
    Some(Stack::start(config(servers)?).await.unwrap())
}

/// Paths with a separate folder for stacks, and the tools of this build.
pub(crate) fn separate_paths(folder: &tempfile::TempDir) -> StackPaths {
    StackPaths { stacks: folder.path().join("stack"), tools: StackPaths::in_target_folder().unwrap().tools }
}

pub(crate) fn status(stack: &Stack, process: impl AsRef<str>) -> ProcessStatus {
    let found = stack.status().unwrap().into_iter().find(|status| status.name == process.as_ref());
    found.unwrap()
}

pub(crate) fn state(stack: &Stack, process: impl AsRef<str>) -> ProcessState {
    status(stack, process).state
}

pub(crate) fn port(stack: &Stack, server: Server) -> u16 {
    let address = stack.address(server).unwrap();
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

pub(crate) fn pid(stack: &Stack, process: impl AsRef<str>) -> u32 {
    status(stack, process).pid.unwrap()
}

/// Returns whether a process has ended. It may still be a zombie.
pub(crate) fn is_gone(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// Returns whether the port is free. Another stack may bind it for a moment while it checks the same.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Listens on the port.
pub(crate) async fn occupy(port: u16) -> TcpListener {
    until("the port is free", || is_free(port)).await;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap()
}

/// Polls until the condition holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TEST_TIMEOUT, holds).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Runs a statement with psql.
pub(crate) fn psql(stack: &Stack, statement: &str) -> Command {
    let url = stack.environment().unwrap().remove("DIPTYCH_TEST_POSTGRES_URL").unwrap();
    let mut command = Command::new(stack.tools().postgres().unwrap().join("psql"));
    command.arg(url).args(["-v", "ON_ERROR_STOP=1", "-Atc", statement]).kill_on_drop(true);
    command
}

pub(crate) async fn sql(stack: &Stack, statement: &str) -> String {
    let output = timeout(TEST_TIMEOUT, psql(stack, statement).output()).await.unwrap().unwrap();
    text(&output)
}

/// Returns the standard output of a successful command.
pub(crate) fn text(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Sends a request to memcached and returns its answer.
pub(crate) async fn memcached(port: u16, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(format!("{request}quit\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// This crate's program, with stacks in a folder of their own.
pub(crate) fn program(paths: &StackPaths, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diptych-stack"));
    command.args(arguments).env("CARGO_TARGET_DIR", target(paths)).env(diptych_stack::TOOLS_VARIABLE, &paths.tools);
    command.env_remove("DIPTYCH_STACK").kill_on_drop(true);
    command
}

fn target(paths: &StackPaths) -> PathBuf {
    paths.target().to_owned()
}

/// Runs the program to its end. Returns its exit status, standard output and standard error.
pub(crate) async fn run(paths: &StackPaths, arguments: &[&str]) -> (i32, String, String) {
    let output = timeout(TEST_TIMEOUT * 3, program(paths, arguments).output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}
