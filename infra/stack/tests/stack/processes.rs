//! Other processes in a stack.

use std::{fs, time::Duration};

use diptych_stack::{ProcessSpec, ProcessState, Readiness, Stack, StackConfig, StackError, StopSignal};
use tokio::time::timeout;

use crate::harness::{TEST_TIMEOUT, config, is_free, separate_paths, start, state, status, until};

fn shell(name: &str, script: &str) -> ProcessSpec {
    ProcessSpec::new(name, "/bin/sh").arguments(["-c", script])
}

/// A stack without servers.
async fn stack() -> Stack {
    start(&[]).await.unwrap()
}

#[tokio::test]
async fn a_process_becomes_ready_by_its_log_and_restarts_unchanged() {
    let stack = stack().await;
    let ports = stack.ports("talker", &["http", "admin"]).unwrap();
    let script = "echo before; sleep 0.1; echo \"listening at $PORT as $0\"; exec sleep 600";
    let spec = shell("talker", script)
        .arguments(["me"])
        .variable("PORT", ports["http"].to_string())
        .ports(ports.clone())
        .ready(Readiness::Line { text: "listening at".into() }, TEST_TIMEOUT);
    stack.add(spec.clone()).await.unwrap();
    let line = format!("listening at {} as me\n", ports["http"]);
    let log = stack.log("talker").unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap(), format!("before\n{line}"));
    assert_eq!(status(&stack, "talker").ports, ports);
    let twice = stack.add(spec).await;
    assert!(matches!(twice, Err(StackError::WrongState { state: "running", .. })), "{twice:?}");

    stack.kill("talker").await.unwrap();
    stack.start_process("talker").await.unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap(), format!("before\n{line}before\n{line}"));
    assert_eq!(stack.ports("talker", &["http", "admin"]).unwrap(), ports);
}

#[tokio::test]
async fn an_early_end_is_reported_with_the_end_of_the_log() {
    let stack = stack().await;
    let spec = shell("broken", "echo cannot find the file; exit 3").ready(Readiness::Tcp { port: 9 }, TEST_TIMEOUT);
    let error = stack.add(spec).await.unwrap_err();
    assert!(matches!(&error, StackError::EndedEarly { process, .. } if process == "broken"), "{error}");
    assert!(error.to_string().ends_with("output.log:\n  | cannot find the file"), "{error}");
    assert_eq!(state(&stack, "broken"), ProcessState::Dead);
    let error = stack.start_process("broken").await.unwrap_err().to_string();
    assert_eq!(error.matches("cannot find the file").count(), 1, "only what it wrote since this start: {error}");
}

#[tokio::test]
async fn a_process_that_is_not_ready_in_time_is_killed() {
    let stack = stack().await;
    let port = stack.ports("mute", &["http"]).unwrap()["http"];
    let ready = Readiness::Http { port, path: "/ready".into() };
    let spec = shell("mute", "echo thinking; exec sleep 600").ready(ready, Duration::from_secs(5));
    let error = stack.add(spec).await.unwrap_err();
    assert!(matches!(error, StackError::NotReady { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("cannot connect to port {port}")) && text.ends_with("  | thinking"), "{text}");
    assert_eq!(state(&stack, "mute"), ProcessState::Dead);
}

#[tokio::test]
async fn a_one_off_process_is_waited_for() {
    let stack = stack().await;
    let once = |script: &str| shell("once", script).ready(Readiness::Done, TEST_TIMEOUT);
    stack.run(once("echo done > made")).await.unwrap();
    let error = stack.run(once("echo no such table; exit 4")).await.unwrap_err();
    assert!(error.to_string().starts_with("once failed: exit status: 4; the end of "), "{error}");
    assert!(error.to_string().ends_with("  | no such table"), "{error}");
    let slow = shell("once", "exec sleep 600").ready(Readiness::Done, Duration::from_millis(100));
    let error = stack.run(slow).await.unwrap_err().to_string();
    assert!(error.contains("did not end within 0 s and was killed"), "{error}");
    assert!(stack.status().unwrap().is_empty(), "it is not a process of the stack");
}

#[tokio::test]
async fn later_stages_start_last_and_stop_first() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let spec = |name: &str, stage: u8| {
        let script =
            "trap 'echo -$0 >> $JOURNAL; exit 0' TERM; echo +$0 >> $JOURNAL; echo up; while :; do sleep 0.01; done";
        let spec = shell(name, script).arguments([name]).variable("JOURNAL", journal.to_str().unwrap()).stage(stage);
        spec.ready(Readiness::Line { text: "up".into() }, TEST_TIMEOUT)
    };
    let config = StackConfig { paths: separate_paths(&folder), keep: true, ..config(&[]).unwrap() };
    let stack = Stack::start(config).await.unwrap();
    stack.ensure_all_running([spec("edge", 3), spec("service", 1), spec("gateway", 2)]).await.unwrap();
    let report = stack.stop().await.unwrap();
    assert_eq!(report.stopped, ["edge", "gateway", "service"]);
    assert_eq!(report.killed, Vec::<String>::new());
    let journal = fs::read_to_string(&journal).unwrap();
    assert_eq!(journal, "+service\n+gateway\n+edge\n-edge\n-gateway\n-service\n");
}

#[tokio::test]
async fn a_process_that_does_not_end_in_time_is_killed_and_reported() {
    let stack = stack().await;
    let deaf = |name: &str| {
        let mut spec = shell(name, "trap '' INT; echo up; while :; do sleep 600; done");
        (spec.stop, spec.stop_timeout) = (StopSignal::Interrupt, Duration::from_millis(50));
        spec.ready(Readiness::Line { text: "up".into() }, TEST_TIMEOUT)
    };
    stack.add(deaf("deaf")).await.unwrap();
    assert!(!timeout(TEST_TIMEOUT, stack.terminate("deaf")).await.unwrap().unwrap());
    stack.add(shell("polite", "exec sleep 600")).await.unwrap();
    assert!(stack.terminate("polite").await.unwrap());
    assert_eq!(state(&stack, "polite"), ProcessState::Dead);
}

#[tokio::test]
async fn processes_get_distinct_ports() {
    let stack = stack().await;
    let one = stack.ports("one", &["http"]).unwrap();
    let two = stack.ports("two", &["http"]).unwrap();
    assert_ne!(one, two);
    until("both are free", || is_free(one["http"]) && is_free(two["http"])).await;
    let error = stack.add(shell("No Name", "true")).await.unwrap_err().to_string();
    assert!(error.contains("\"No Name\" is not a valid process name"), "{error}");
    let error = stack.kill("nobody").await.unwrap_err().to_string();
    assert!(error.contains("has no process \"nobody\": it has none"), "{error}");
}
