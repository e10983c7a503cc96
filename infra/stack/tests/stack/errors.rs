//! Taken ports and damaged files.

use std::fs;

use diptych_stack::{Server, Stack, StackConfig, StackError, StackPaths};

use crate::harness::{config, is_gone, occupy, pid, port, separate_paths, start};

#[tokio::test]
async fn a_taken_port_is_reported_with_its_holder() {
    let Some(stack) = start(&[Server::Memcached]).await else { return };
    let port = port(&stack, Server::Memcached);
    stack.kill(Server::Memcached).await.unwrap();
    let other = occupy(port).await;
    let error = stack.start_process(Server::Memcached).await.unwrap_err();
    let holder = format!("(process {})", std::process::id());
    assert!(error.to_string().contains(&format!("port {port} of memcached is taken by ")), "{error}");
    assert!(error.to_string().contains(&holder), "{error}");
    drop(other);
    stack.start_process(Server::Memcached).await.unwrap();
}

#[tokio::test]
async fn a_restarted_stack_replaces_taken_ports() {
    let folder = tempfile::tempdir().unwrap();
    let Some(config) = config(&[Server::Memcached]) else { return };
    let config = StackConfig { paths: separate_paths(&folder), keep: true, ..config };
    let stack = Stack::start(config.clone()).await.unwrap();
    let before = port(&stack, Server::Memcached);
    stack.stop().await.unwrap();
    let _other = occupy(before).await;
    let stack = Stack::start(config).await.unwrap();
    assert_ne!(port(&stack, Server::Memcached), before);
}

#[tokio::test]
async fn a_stack_with_an_unreadable_state_can_be_killed_and_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(config) = config(&[Server::Memcached]) else { return };
    let config = StackConfig { paths: separate_paths(&folder), name: "lost".into(), keep: true, ..config };
    let stack = Stack::start(config.clone()).await.unwrap();
    let pid = pid(&stack, Server::Memcached);
    stack.detach().unwrap();
    fs::write(config.paths.stacks.join("lost/state.json"), "{\"version\": 1, \"own").unwrap();

    let assert_names_remedy = |error: StackError| {
        assert!(error.to_string().contains("cargo stack down --name lost"), "{error}");
    };
    assert_names_remedy(Stack::attach(&config.paths, "lost").unwrap_err());
    assert_names_remedy(Stack::start(config.clone()).await.unwrap_err());
    assert_names_remedy(Stack::delete(&config.paths, "lost").await.unwrap_err());
    assert_eq!(Stack::kill_unreadable(&config.paths, "lost").await.unwrap(), 1);
    assert!(is_gone(pid));
    Stack::start(config).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn missing_stacks_and_packages_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let paths = separate_paths(&folder);
    let error = Stack::attach(&paths, "nobody").unwrap_err().to_string();
    assert_eq!(error, "there is no stack \"nobody\": `cargo stack up --name nobody` starts it");
    let error = Stack::attach(&paths, "../elsewhere").unwrap_err().to_string();
    assert!(error.contains("not a valid stack name"), "{error}");

    let nothing = StackPaths { tools: folder.path().join("tools"), ..paths };
    let config = StackConfig { paths: nothing, servers: vec![Server::Kafka], ..StackConfig::new("empty").unwrap() };
    let error = Stack::start(config).await.unwrap_err().to_string();
    assert_eq!(error, "Apache Kafka is not installed: `cargo stack install` installs it");
}
