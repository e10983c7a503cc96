//! Postgres and memcached: start, kill, pause, two stacks at the same time.

use std::{net::Ipv4Addr, process::Stdio};

use diptych_stack::{ProcessState, Server, Stack, StackConfig, StackError, StackPaths};
use tokio::{net::TcpStream, process::Command, time::timeout};

use crate::harness::{TEST_TIMEOUT, config, is_gone, memcached, pid, port, psql, sql, start, state, status, text};

const BOTH: &[Server] = &[Server::Postgres, Server::Memcached];

#[tokio::test]
async fn started_servers_answer_and_appear_in_the_status() {
    let Some(stack) = start(BOTH).await else { return };
    assert_eq!(sql(&stack, "SHOW fsync").await, "on\n");
    assert_eq!(sql(&stack, "SHOW synchronous_commit").await, "on\n");
    assert!(memcached(port(&stack, Server::Memcached), "version\r\n").await.unwrap().starts_with("VERSION 1."));

    let names: Vec<_> = stack.status().unwrap().into_iter().map(|status| status.name).collect();
    assert_eq!(names, ["memcached", "postgres"]);
    let postgres = status(&stack, Server::Postgres);
    assert_eq!(postgres.state, ProcessState::Running);
    assert_eq!(
        postgres.ports.into_iter().collect::<Vec<_>>(),
        [("postgres".to_owned(), port(&stack, Server::Postgres))]
    );
    assert!((10 << 20..300 << 20).contains(&postgres.memory_bytes), "{}", postgres.memory_bytes);
    assert!(std::fs::read_to_string(postgres.log).unwrap().contains("ready to accept connections"));

    let variables = stack.environment().unwrap();
    assert_eq!(variables["DIPTYCH_TEST_MEMCACHED"], stack.address(Server::Memcached).unwrap());
    assert!(!variables.contains_key("DIPTYCH_TEST_KAFKA"));
    assert_eq!(stack.stop().await.unwrap().stopped, BOTH.iter().rev().map(|server| server.name()).collect::<Vec<_>>());
}

#[tokio::test]
async fn servers_listen_on_a_second_address_for_pods() {
    let Some(config) = config(BOTH) else { return };
    // Another address of loopback.
    let address = Ipv4Addr::new(127, 0, 0, 2);
    let stack = Stack::start(StackConfig { pod_address: Some(address), ..config }).await.unwrap();
    let attached = Stack::attach(&StackPaths::in_target_folder().unwrap(), stack.name()).unwrap();
    for server in BOTH {
        let expected = format!("{address}:{}", port(&stack, *server));
        let name = format!("DIPTYCH_TEST_PODS_{}", server.name().to_uppercase());
        assert_eq!(attached.environment().unwrap()[&name], expected);
        TcpStream::connect(expected).await.unwrap();
    }
    let mut psql = Command::new(stack.tools().postgres().unwrap().join("psql"));
    let url = format!("postgres://postgres@{address}:{}/postgres", port(&stack, Server::Postgres));
    assert_eq!(text(&psql.args([&url, "-Atc", "SELECT 1"]).output().await.unwrap()), "1\n");
    // Those on this machine are served as before.
    assert_eq!(sql(&stack, "SELECT 1").await, "1\n");
}

#[tokio::test]
async fn a_killed_database_comes_back_at_its_address_with_what_it_acknowledged() {
    let Some(stack) = start(&[Server::Postgres]).await else { return };
    let address = stack.address(Server::Postgres).unwrap();
    sql(&stack, "CREATE TABLE kept (number int)").await;
    for round in 0..3 {
        sql(&stack, &format!("INSERT INTO kept VALUES ({round})")).await;
        // A session that works: a backend that outlived its parent would hold the data.
        let busy = psql(&stack, "SELECT pg_sleep(600)").stderr(Stdio::null()).spawn().unwrap();
        let sleeps =
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()";
        while sql(&stack, sleeps).await != "1\n" {}
        let pid = pid(&stack, Server::Postgres);
        stack.kill(Server::Postgres).await.unwrap();
        assert_eq!(state(&stack, Server::Postgres), ProcessState::Dead);
        assert!(is_gone(pid));
        assert!(!timeout(TEST_TIMEOUT, busy.wait_with_output()).await.unwrap().unwrap().status.success());
        assert!(matches!(stack.kill(Server::Postgres).await, Err(StackError::WrongState { state: "dead", .. })));
        stack.start_process(Server::Postgres).await.unwrap();
    }
    assert_eq!(stack.address(Server::Postgres).unwrap(), address);
    assert_eq!(sql(&stack, "SELECT string_agg(number::text, ',' ORDER BY number) FROM kept").await, "0,1,2\n");
    let again = stack.start_process(Server::Postgres).await;
    assert!(matches!(again, Err(StackError::WrongState { state: "running", .. })), "{again:?}");
}

#[tokio::test]
async fn a_paused_database_answers_only_after_it_is_resumed() {
    let Some(stack) = start(&[Server::Postgres]).await else { return };
    sql(&stack, "CREATE TABLE kept (number int)").await;
    stack.pause(Server::Postgres).await.unwrap();
    assert_eq!(state(&stack, Server::Postgres), ProcessState::Paused);
    let waiting = psql(&stack, "INSERT INTO kept VALUES (1)").output();
    tokio::pin!(waiting);
    let short = std::time::Duration::from_millis(300);
    assert!(timeout(short, &mut waiting).await.is_err(), "a paused server has answered");
    stack.resume(Server::Postgres).unwrap();
    text(&timeout(TEST_TIMEOUT, waiting).await.unwrap().unwrap());
    stack.wait_until_ready(Server::Postgres).await.unwrap();
    assert_eq!(sql(&stack, "SELECT * FROM kept").await, "1\n");

    // A paused server can be killed and restarted.
    stack.pause(Server::Postgres).await.unwrap();
    stack.kill(Server::Postgres).await.unwrap();
    stack.start_process(Server::Postgres).await.unwrap();
    assert_eq!(sql(&stack, "SELECT * FROM kept").await, "1\n");
}

#[tokio::test]
async fn stacks_are_isolated_from_each_other() {
    let (Some(one), Some(two)) = tokio::join!(start(BOTH), start(BOTH)) else { return };
    sql(&one, "CREATE TABLE only_here (number int)").await;
    assert!(!psql(&two, "SELECT * FROM only_here").output().await.unwrap().status.success());
    let (first, second) = (port(&one, Server::Memcached), port(&two, Server::Memcached));
    memcached(first, "set key 0 0 3\r\none\r\n").await.unwrap();
    assert_eq!(memcached(second, "get key\r\n").await.unwrap(), "END\r\n");
    one.kill(Server::Memcached).await.unwrap();
    assert!(memcached(first, "get key\r\n").await.is_err());
    drop(one);
    assert_eq!(memcached(second, "get key\r\n").await.unwrap(), "END\r\n");
    assert_eq!(sql(&two, "SELECT 1").await, "1\n");
}

#[tokio::test]
async fn a_kept_stack_stops_gracefully_and_restarts_with_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let Some(config) = config(BOTH) else { return };
    let config =
        StackConfig { paths: crate::harness::separate_paths(&folder), name: "kept".into(), keep: true, ..config };
    let stack = Stack::start(config.clone()).await.unwrap();
    let address = stack.address(Server::Postgres).unwrap();
    sql(&stack, "CREATE TABLE kept AS SELECT 7 AS number").await;
    let log = stack.log(Server::Postgres).unwrap();
    let report = stack.stop().await.unwrap();
    assert_eq!((report.stopped.len(), report.killed), (2, vec![]));
    assert!(std::fs::read_to_string(log).unwrap().contains("database system is shut down"));

    let stack = Stack::start(config.clone()).await.unwrap();
    assert_eq!(stack.address(Server::Postgres).unwrap(), address);
    assert_eq!(sql(&stack, "SELECT number FROM kept").await, "7\n");
    stack.stop().await.unwrap();
    Stack::delete(&config.paths, "kept").await.unwrap();
    assert_eq!(Stack::names(&config.paths), Vec::<String>::new());
}
