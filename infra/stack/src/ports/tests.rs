use std::{fs, net::TcpListener};

use super::*;
use crate::process::{ProcessIdentity, ProcessSpec};

struct PortsFixture {
    _parent: tempfile::TempDir,
    paths: StackPaths,
}

impl PortsFixture {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let paths = StackPaths { stacks: parent.path().join("stack"), tools: parent.path().join("tools") };
        Self { _parent: parent, paths }
    }

    fn folder(&self, name: &str) -> StackFolder {
        let folder = StackFolder::new(&self.paths, name).unwrap();
        folder.make().unwrap();
        folder
    }

    fn reserve(&self, name: &str, process: &str, services: &[&str]) -> BTreeMap<String, u16> {
        reserve(&self.paths, &self.folder(name), process, services).unwrap()
    }
}

#[test]
fn ports_are_free_and_kept() {
    let fixture = PortsFixture::new();
    let first = fixture.reserve("default", "kafka", &["kafka", "controller"]);
    assert_eq!(first.len(), 2);
    assert!(first.values().all(|port| is_free(*port)));
    assert_eq!(fixture.reserve("default", "kafka", &["kafka", "controller"]), first);
    let fewer = fixture.reserve("default", "kafka", &["kafka"]);
    assert_eq!(fewer, [("kafka".to_owned(), first["kafka"])].into());
}

#[test]
fn stacks_and_processes_do_not_share_ports() {
    let fixture = PortsFixture::new();
    let all = [
        fixture.reserve("one", "kafka", &["kafka", "controller"]),
        fixture.reserve("one", "postgres", &["postgres"]),
        fixture.reserve("two", "kafka", &["kafka", "controller"]),
    ];
    let ports: BTreeSet<_> = all.iter().flat_map(|ports| ports.values()).collect();
    assert_eq!(ports.len(), 5, "{all:?}");
    // An unreadable state of a third stack does not block the others.
    fs::write(fixture.folder("three").state(), "garbage").unwrap();
    fixture.reserve("two", "postgres", &["postgres"]);
}

#[test]
fn a_taken_port_is_replaced_only_while_its_process_is_down() {
    let fixture = PortsFixture::new();
    let before = fixture.reserve("default", "kafka", &["kafka"]);
    let _other = TcpListener::bind((Ipv4Addr::LOCALHOST, before["kafka"])).unwrap();
    let after = fixture.reserve("default", "kafka", &["kafka"]);
    assert_ne!(after, before);

    let _own = TcpListener::bind((Ipv4Addr::LOCALHOST, after["kafka"])).unwrap();
    let me = ProcessIdentity::of_this_process().unwrap();
    state::edit(&fixture.folder("default"), |state| {
        state.record_start(&ProcessSpec::new("kafka", "/bin/true"), state::ProcessRun::started_now(me, 0));
        Ok(())
    })
    .unwrap();
    assert_eq!(fixture.reserve("default", "kafka", &["kafka"]), after);
}

#[test]
fn the_range_avoids_outgoing_connections() {
    assert_eq!(range("32768\t60999\n"), (20_000, 32_767));
    assert_eq!(range(""), (20_000, 32_767));
    assert_eq!(range("1024 60999"), (61_000, 65_535));
    assert_eq!(range("1024 65535"), (20_000, 65_535));
}
