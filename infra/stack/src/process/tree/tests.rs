use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::{super::identity::ProcessState, *};

/// A shell that starts two children, one of which starts another, and prints a line when all four run.
const FAMILY: &str = "sleep 600 & sh -c 'sleep 600 & echo ready; wait' & wait";

struct Family {
    root: Child,
}

impl Family {
    fn start(script: &str) -> Self {
        let mut root = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(root.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { root }
    }

    fn identity(&self) -> ProcessIdentity {
        ProcessIdentity::of(self.root.id()).unwrap()
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        // It may be dead already; it must be waited for in any case.
        let _ = self.root.kill();
        let _ = self.root.wait();
    }
}

fn identities(members: &[ProcessHandle]) -> Vec<ProcessIdentity> {
    members.iter().map(|member| member.identity.clone()).collect()
}

#[tokio::test]
async fn freezing_a_tree_stops_grandchildren_too() {
    let family = Family::start(FAMILY);
    let root = family.identity();
    let members = identities(&freeze(&root).await.unwrap());
    assert_eq!(members.len(), 4);
    assert_eq!(members[0], root);
    assert!(members.iter().all(|member| member.state() == ProcessState::Paused));
    thaw(&root).unwrap();
    for member in &members {
        while member.state() != ProcessState::Running {
            sleep(POLL_INTERVAL).await;
        }
    }
    assert_eq!(kill(&root).await.unwrap(), StopOutcome::Killed);
    assert!(members.iter().all(|member| !member.is_alive()));
    assert_eq!(kill(&root).await.unwrap(), StopOutcome::AlreadyDead);
}

#[tokio::test]
async fn a_paused_tree_can_be_terminated() {
    let family = Family::start(FAMILY);
    let root = family.identity();
    let members = identities(&freeze(&root).await.unwrap());
    assert_eq!(terminate(&root, Signal::TERM, SIGNAL_TIMEOUT).await.unwrap(), StopOutcome::Graceful);
    assert!(members.iter().all(|member| !member.is_alive()), "children that outlive the root are ended too");
    assert_eq!(terminate(&root, Signal::TERM, SIGNAL_TIMEOUT).await.unwrap(), StopOutcome::AlreadyDead);
}

#[tokio::test]
async fn a_process_that_ignores_the_signal_is_killed() {
    let family = Family::start("trap '' TERM; echo ready; while :; do sleep 600; done");
    let root = family.identity();
    assert_eq!(terminate(&root, Signal::TERM, Duration::from_millis(50)).await.unwrap(), StopOutcome::Killed);
    assert!(!root.is_alive());
}

#[tokio::test]
async fn memory_is_that_of_the_tree() {
    let family = Family::start(FAMILY);
    let root = family.identity();
    let alone = proc_fs::status_kib(root.pid, "VmRSS");
    assert!(memory_kib(&root) > alone && alone > 0);
    kill(&root).await.unwrap();
    assert_eq!(memory_kib(&root), 0);
}
