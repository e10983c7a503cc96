use std::{fs, net::TcpListener};

use super::*;
use crate::process::{Identity, ProcessSpec};

struct Site {
    _parent: tempfile::TempDir,
    places: Places,
}

impl Site {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let places = Places { stacks: parent.path().join("stack"), tools: parent.path().join("tools") };
        Self { _parent: parent, places }
    }

    fn folder(&self, name: &str) -> Folder {
        let folder = Folder::of(&self.places, name).unwrap();
        folder.make().unwrap();
        folder
    }

    fn reserve(&self, name: &str, process: &str, services: &[&str]) -> BTreeMap<String, u16> {
        reserve(&self.places, &self.folder(name), process, services).unwrap()
    }
}

#[test]
fn ports_are_free_and_kept() {
    let site = Site::new();
    let first = site.reserve("default", "kafka", &["kafka", "controller"]);
    assert_eq!(first.len(), 2);
    assert!(first.values().all(|port| is_free(*port)));
    assert_eq!(site.reserve("default", "kafka", &["kafka", "controller"]), first);
    let fewer = site.reserve("default", "kafka", &["kafka"]);
    assert_eq!(fewer, [("kafka".to_owned(), first["kafka"])].into());
}

#[test]
fn stacks_and_processes_do_not_share_ports() {
    let site = Site::new();
    let all = [
        site.reserve("one", "kafka", &["kafka", "controller"]),
        site.reserve("one", "postgres", &["postgres"]),
        site.reserve("two", "kafka", &["kafka", "controller"]),
    ];
    let ports: BTreeSet<_> = all.iter().flat_map(|ports| ports.values()).collect();
    assert_eq!(ports.len(), 5, "{all:?}");
    // An unreadable state of a third stack does not block the others.
    fs::write(site.folder("three").state(), "garbage").unwrap();
    site.reserve("two", "postgres", &["postgres"]);
}

#[test]
fn a_taken_port_is_replaced_only_while_its_process_is_down() {
    let site = Site::new();
    let before = site.reserve("default", "kafka", &["kafka"]);
    let _other = TcpListener::bind((Ipv4Addr::LOCALHOST, before["kafka"])).unwrap();
    let after = site.reserve("default", "kafka", &["kafka"]);
    assert_ne!(after, before);

    let _own = TcpListener::bind((Ipv4Addr::LOCALHOST, after["kafka"])).unwrap();
    let me = Identity::of_this_process().unwrap();
    state::edit(&site.folder("default"), |state| {
        state.note(&ProcessSpec::new("kafka", "/bin/true"), state::Run::begun_now(me, 0));
        Ok(())
    })
    .unwrap();
    assert_eq!(site.reserve("default", "kafka", &["kafka"]), after);
}

#[test]
fn the_range_avoids_outgoing_connections() {
    assert_eq!(range("32768\t60999\n"), (20_000, 32_767));
    assert_eq!(range(""), (20_000, 32_767));
    assert_eq!(range("1024 60999"), (61_000, 65_535));
    assert_eq!(range("1024 65535"), (20_000, 65_535));
}
