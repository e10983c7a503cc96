//! Ownership: what happens to a stack when its owner exits.

use std::{fs, os::unix::fs::PermissionsExt, process::Stdio};

use diptych_stack::{ProcessState, Server, Stack, StackConfig, StackError};
use tokio::{process::Child, time::timeout};

use crate::harness::{TEST_TIMEOUT, config, is_free, is_gone, pid, port, program, separate_paths, start, state, until};

const BOTH: [Server; 2] = [Server::Postgres, Server::Memcached];

#[tokio::test]
async fn dropping_a_stack_kills_it() {
    let Some(stack) = start(&BOTH).await else { return };
    let pids = BOTH.map(|server| pid(&stack, server));
    let folder = stack.log(Server::Memcached).unwrap().parent().unwrap().parent().unwrap().to_owned();
    assert!(folder.exists());
    // Paused processes too.
    stack.pause(Server::Postgres).await.unwrap();
    drop(stack);
    assert!(pids.into_iter().all(is_gone));
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_stack_has_one_owner() {
    let Some(config) = config(&[Server::Memcached]) else { return };
    let stack = Stack::start(config.clone()).await.unwrap();
    let error = Stack::start(config.clone()).await.unwrap_err();
    assert!(matches!(error, StackError::InUse { owner: Some(pid), .. } if pid == std::process::id()), "{error}");
    let guest = Stack::attach(&config.paths, &config.name).unwrap();
    guest.kill(Server::Memcached).await.unwrap();
    guest.start_process(Server::Memcached).await.unwrap();
    assert!(matches!(guest.stop().await, Err(StackError::InUse { .. })), "only the owner stops it");
    assert!(matches!(Stack::delete(&config.paths, &config.name).await, Err(StackError::InUse { .. })));
    assert_eq!(state(&stack, Server::Memcached), ProcessState::Running);
    let pid = pid(&stack, Server::Memcached);
    drop(stack);
    assert!(is_gone(pid), "processes started by a guest end with the owner");
}

#[tokio::test]
async fn a_detached_stack_runs_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let Some(config) = config(&[Server::Memcached]) else { return };
    let config = StackConfig { paths: separate_paths(&folder), keep: true, ..config };
    let stack = Stack::start(config.clone()).await.unwrap();
    let pid = pid(&stack, Server::Memcached);
    stack.detach().unwrap();
    assert!(!is_gone(pid));

    let error = Stack::start(config.clone()).await.unwrap_err();
    assert!(matches!(error, StackError::AlreadyRunning { .. }), "{error}");
    let adopted = Stack::start(StackConfig { adopt: true, ..config.clone() }).await.unwrap();
    drop(adopted);
    let stack = Stack::attach(&config.paths, &config.name).unwrap();
    assert_eq!(state(&stack, Server::Memcached), ProcessState::Running, "dropping an adopted stack does not stop it");
    stack.stop().await.unwrap();
    assert!(is_gone(pid));
}

/// Runs `cargo stack test` with this script in the place of cargo, and returns when the script has started.
async fn testing(folder: &tempfile::TempDir, script: &str) -> Child {
    let (cargo, begun) = (folder.path().join("cargo"), folder.path().join("begun"));
    // Renamed when complete, because its existence is the signal.
    let write = format!("env > begun.partial; mv begun.partial '{}'", begun.display());
    fs::write(&cargo, format!("#!/bin/sh\ncd '{}'\n{write}\n{script}\n", folder.path().display())).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let mut owner = program(
        &separate_paths(folder),
        &["test", "--name", "owned", "--server", "memcached", "--server", "postgres", "--", "some_test"],
    );
    let child = owner.env("CARGO", &cargo).stderr(Stdio::piped()).spawn().unwrap();
    until("the tests begin", || begun.exists()).await;
    child
}

fn installed() -> bool {
    config(&BOTH).is_some()
}

#[tokio::test]
async fn servers_and_tests_end_when_their_owner_is_killed() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut owner = testing(&folder, "echo $$ > pid; exec sleep 600").await;
    let stack = Stack::attach(&separate_paths(&folder), "owned").unwrap();
    let pids = BOTH.map(|server| pid(&stack, server));
    let ports = BOTH.map(|server| port(&stack, server));
    assert!(!ports.into_iter().any(is_free));
    // A paused process must be killed too.
    stack.pause(Server::Postgres).await.unwrap();
    let pid_file = folder.path().join("pid");
    until("the test has written its pid", || fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n')))
        .await;
    let test = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();

    owner.start_kill().unwrap();
    owner.wait().await.unwrap();
    until("the servers are gone", || pids.into_iter().all(is_gone)).await;
    until("their ports are free", || ports.into_iter().all(is_free)).await;
    until("the test is gone", || is_gone(test)).await;
    assert!(stack.status().unwrap().iter().all(|status| status.state == ProcessState::Dead));
    // The lock of the dead owner is free.
    Stack::delete(&separate_paths(&folder), "owned").await.unwrap();
}

#[tokio::test]
async fn tests_find_the_servers_and_their_exit_status_is_returned() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let owner = testing(&folder, "echo \"$@\" > arguments; exit 7").await;
    let output = timeout(TEST_TIMEOUT, owner.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    let environment = fs::read_to_string(folder.path().join("begun")).unwrap();
    assert!(environment.contains("DIPTYCH_TEST_POSTGRES_URL=postgres://postgres@127.0.0.1:"), "{environment}");
    assert!(environment.contains("DIPTYCH_TEST_MEMCACHED=127.0.0.1:"), "{environment}");
    let arguments = fs::read_to_string(folder.path().join("arguments")).unwrap();
    assert_eq!(arguments, "test --workspace --locked some_test\n");
    assert_eq!(Stack::names(&separate_paths(&folder)), Vec::<String>::new(), "the stack and its data are gone");
}

#[tokio::test]
async fn ctrl_c_stops_tests_and_servers() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let owner = testing(&folder, "trap 'touch interrupted; exit 1' INT; while :; do sleep 0.01; done").await;
    let stack = Stack::attach(&separate_paths(&folder), "owned").unwrap();
    let pids = BOTH.map(|server| pid(&stack, server));
    let owner_pid = rustix::process::Pid::from_raw(owner.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(owner_pid, rustix::process::Signal::INT).unwrap();
    let output = timeout(TEST_TIMEOUT, owner.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(pids.into_iter().all(is_gone));
    assert!(folder.path().join("interrupted").exists(), "the tests were asked before they were killed");
}
