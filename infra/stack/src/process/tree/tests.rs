use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::*;

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
    let tree = ProcessTree::from(root.clone());
    let members = identities(&freeze(&tree).await.unwrap());
    assert_eq!(members.len(), 4);
    assert_eq!(members[0], root);
    assert!(members.iter().all(|member| member.state() == ProcessState::Paused));
    thaw(&tree).unwrap();
    for member in &members {
        while member.state() != ProcessState::Running {
            sleep(POLL_INTERVAL).await;
        }
    }
    assert_eq!(kill(&tree).await.unwrap(), StopOutcome::Killed);
    assert!(members.iter().all(|member| !member.is_alive()));
    assert_eq!(kill(&tree).await.unwrap(), StopOutcome::AlreadyDead);
}

#[tokio::test]
async fn a_paused_tree_can_be_terminated() {
    let family = Family::start(FAMILY);
    let root = family.identity();
    let tree = ProcessTree::from(root.clone());
    let members = identities(&freeze(&tree).await.unwrap());
    assert_eq!(terminate(&tree, Signal::TERM, SIGNAL_TIMEOUT).await.unwrap(), StopOutcome::Graceful);
    assert!(members.iter().all(|member| !member.is_alive()), "children that outlive the root are ended too");
    assert_eq!(terminate(&tree, Signal::TERM, SIGNAL_TIMEOUT).await.unwrap(), StopOutcome::AlreadyDead);
}

#[tokio::test]
async fn a_process_that_ignores_the_signal_is_killed() {
    let family = Family::start("trap '' TERM; echo ready; while :; do sleep 600; done");
    let root = family.identity();
    let tree = ProcessTree::from(root.clone());
    assert_eq!(terminate(&tree, Signal::TERM, Duration::from_millis(50)).await.unwrap(), StopOutcome::Killed);
    assert!(!root.is_alive());
}

#[tokio::test]
async fn memory_is_that_of_the_tree() {
    let family = Family::start(FAMILY);
    let root = family.identity();
    let tree = ProcessTree::from(root.clone());
    let alone = proc_fs::status_kib(root.pid, "VmRSS");
    assert!(memory_kib(&tree) > alone && alone > 0);
    kill(&tree).await.unwrap();
    assert_eq!(memory_kib(&tree), 0);
}

#[tokio::test]
async fn detached_processes_belong_to_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    let sleeping = || Command::new("/bin/sleep").arg("600").current_dir(folder.path()).spawn().unwrap();
    // Children of this test, not of the root; another program in the same folder is left alone.
    let mut detached = [sleeping(), sleeping()];
    let mut other = Command::new("/usr/bin/tail").args(["-f", "/dev/null"]).current_dir(folder.path()).spawn().unwrap();
    let family = Family::start(FAMILY);
    let root = family.identity();
    let rule = Detached { program: "/bin/sleep".into(), folder: folder.path().to_owned() };
    let tree = ProcessTree { root: Some(root.clone()), detached: Some(rule.clone()) };
    while tree.live_members().unwrap().len() < 6 {
        sleep(POLL_INTERVAL).await;
    }
    let members = identities(&freeze(&tree).await.unwrap());
    assert_eq!((members.len(), &members[0]), (6, &root));
    assert!(members.iter().all(|member| member.state() == ProcessState::Paused));
    thaw(&tree).unwrap();

    assert_eq!(kill(&ProcessTree::from(root)).await.unwrap(), StopOutcome::Killed);
    assert_eq!(tree.state(), ProcessState::Unmanaged);
    assert_eq!(terminate(&tree, Signal::TERM, SIGNAL_TIMEOUT).await.unwrap(), StopOutcome::Killed);
    assert_eq!((tree.state(), rule.alive()), (ProcessState::Dead, vec![]));
    assert!(other.try_wait().unwrap().is_none());
    for process in detached.iter_mut().chain([&mut other]) {
        process.kill().unwrap();
        process.wait().unwrap();
    }
}
