//! The program `cargo stack`.

use diptych_stack::Server;

use crate::harness::{config, is_gone, run, separate_paths};

/// The row of a process in the table of `status`, as words.
fn row<'a>(table: &'a str, process: &str) -> Vec<&'a str> {
    let line =
        table.lines().find(|line| line.starts_with(process)).unwrap_or_else(|| panic!("no {process} in {table}"));
    line.split_whitespace().collect()
}

#[tokio::test]
async fn up_status_kill_restart_logs_and_down() {
    if config(&[Server::Memcached]).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let paths = separate_paths(&folder);
    let call = async |line: &str| run(&paths, &line.split(' ').collect::<Vec<_>>()).await;
    let expect = async |line: &str, code: i32| {
        let (status, out, errors) = call(line).await;
        assert_eq!(status, code, "{line}: {out}{errors}");
        out + &errors
    };

    assert!(expect("status", 1).await.contains("there is no stack \"default\""));
    let up = expect("up memcached", 0).await;
    assert!(up.contains("`cargo stack down` stops it"), "{up}");
    let table = expect("status", 0).await;
    let before = row(&table, "memcached");
    assert_eq!(before[1], "running");
    let (pid, port) = (before[2].parse().unwrap(), before.last().unwrap());
    assert!(!is_gone(pid), "it keeps running after `up` has ended");
    let env = expect("env", 0).await;
    assert!(env.contains(&format!("export DIPTYCH_TEST_MEMCACHED='127.0.0.1:{port}'")), "{env}");

    expect("pause memcached", 0).await;
    assert_eq!(row(&expect("status", 1).await, "memcached")[1], "paused");
    expect("resume memcached", 0).await;
    assert_eq!(row(&expect("status", 0).await, "memcached")[1], "running");
    expect("pause memcached", 0).await;
    expect("kill memcached", 0).await;
    assert_eq!(row(&expect("status", 1).await, "memcached")[1..3], ["dead", "-"]);
    assert!(expect("kill memcached", 1).await.contains("error: memcached is dead"));
    assert!(expect("kill other", 1).await.contains("no process \"other\": it has memcached"));
    expect("restart memcached", 0).await;
    let table = expect("status", 0).await;
    let after = row(&table, "memcached");
    assert_ne!(after[2], before[2], "another process");
    assert_eq!(after.last(), before.last(), "on the same port");
    assert!(expect("up memcached", 0).await.contains("running"), "running processes are left unchanged");
    assert_eq!(row(&expect("status", 0).await, "memcached")[2], after[2]);
    assert!(expect("restart memcached", 0).await.contains("memcached restarted"));
    let after = row(&expect("status", 0).await, "memcached")[2].to_owned();
    assert_ne!(after, before[2], "a restarted process has another pid");
    expect("kill memcached", 0).await;
    expect("up memcached", 0).await;
    let table = expect("status", 0).await;
    let after = row(&table, "memcached");

    assert_eq!(expect("logs memcached", 0).await, "");
    assert!(expect("down --name other", 1).await.contains("there is no stack \"other\""));
    assert!(expect("down", 0).await.contains("1 processes stopped"));
    assert!(is_gone(after[2].parse().unwrap()));
    assert!(expect("down --delete-data", 0).await.contains("removed"));
    assert!(!paths.stacks.join("default").exists());
}

#[tokio::test]
async fn command_line_errors_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let paths = separate_paths(&folder);
    for (arguments, expected) in [
        (&["up", "oracle"][..], "[possible values: postgres, kafka, cassandra, memcached]"),
        (&["kill"], "<PROCESS>"),
        (&["status", "--name", "No Name"], "\"No Name\" is not a valid stack name"),
        (&["logs", "kafka"], "there is no stack \"default\""),
    ] {
        let (status, _, errors) = run(&paths, arguments).await;
        assert!(status != 0 && errors.contains(expected), "{arguments:?}: {errors}");
    }
    let (status, out, _) = run(&paths, &["--help"]).await;
    assert!(status == 0 && out.contains("cargo stack up   "), "{out}");
}
