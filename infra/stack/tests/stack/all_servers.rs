//! All servers at the same time, including Kafka and Cassandra.

use diptych_stack::{ProcessState, Server, Stack, StackConfig};
use tokio::{process::Command, time::timeout};

use crate::harness::{TEST_TIMEOUT, config, separate_paths, state, text};

/// One of the programs for `PATH`.
async fn tool(stack: &Stack, name: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(stack.tools().scripts().join(name));
    text(&timeout(TEST_TIMEOUT, command.args(arguments).kill_on_drop(true).output()).await.unwrap().unwrap())
}

#[tokio::test]
async fn kafka_and_cassandra_come_back_with_what_they_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let Some(config) = config(&Server::ALL) else { return };
    let config = StackConfig { paths: separate_paths(&folder), name: "all".into(), keep: true, ..config };
    let stack = Stack::start(config.clone()).await.unwrap();
    let kafka = stack.address(Server::Kafka).unwrap();
    let topics = ["--bootstrap-server", kafka.as_str()];
    tool(&stack, "kafka-topics", &[&topics[..], &["--create", "--topic", "kept", "--partitions", "3"]].concat()).await;

    stack.pause(Server::Kafka).await.unwrap();
    assert_eq!(state(&stack, Server::Kafka), ProcessState::Paused);
    stack.resume(Server::Kafka).unwrap();
    stack.wait_until_ready(Server::Kafka).await.unwrap();
    for server in [Server::Kafka, Server::Cassandra] {
        stack.kill(server).await.unwrap();
        assert_eq!(state(&stack, server), ProcessState::Dead);
        stack.start_process(server).await.unwrap();
    }
    assert_eq!(stack.address(Server::Kafka).unwrap(), kafka);
    assert_eq!(tool(&stack, "kafka-topics", &[&topics[..], &["--list"]].concat()).await, "kept\n");

    let report = stack.stop().await.unwrap();
    assert_eq!((report.stopped.len(), report.killed), (4, vec![]), "each ends in order, in its time");
}
