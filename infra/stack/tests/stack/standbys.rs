//! Postgres with standbys: takeover after a crash, switchover, and what belongs to a member.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use diptych_stack::{
    MemberPart, MemberRole, Package, PostgresMember, ProcessState, Server, Stack, StackConfig, StackError,
};
use tokio::process::Command;

use crate::harness::{config, is_gone, pid, separate_paths, sql, state, text, until};

/// Configuration with standbys, or `None` as [`config`] does.
fn config_with_standbys(standbys: u16) -> Option<StackConfig> {
    let config = config(&[Server::Postgres])?;
    let tools = diptych_stack::Tools::at(&config.paths);
    let Some(missing) = Package::OF_STANDBYS.iter().find_map(|package| tools.check(*package).err()) else {
        return Some(StackConfig { standbys, ..config });
    };
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!in_ci, "{missing}");
    println!("skipped: {missing}");
    None
}

/// Runs a statement on whichever member takes writes.
async fn write(stack: &Stack, statement: &str) -> String {
    let environment = stack.environment().unwrap();
    let mut psql = Command::new(stack.tools().postgres().unwrap().join("psql"));
    psql.arg(&environment["DIPTYCH_TEST_POSTGRES_URL"]).args(["-v", "ON_ERROR_STOP=1", "-Atc", statement]);
    psql.env("PGTARGETSESSIONATTRS", &environment["PGTARGETSESSIONATTRS"]).kill_on_drop(true);
    text(&psql.output().await.unwrap())
}

fn role(members: &[PostgresMember], role: MemberRole) -> &PostgresMember {
    members.iter().find(|member| member.role == role).unwrap()
}

/// The working folder of a member.
fn folder(stack: &Stack, member: &str) -> PathBuf {
    fs::read_link(format!("/proc/{}/cwd", pid(stack, member))).unwrap()
}

fn postmaster(folder: &std::path::Path) -> u32 {
    let lock = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    lock.lines().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_standby_takes_over_with_all_that_was_acknowledged() {
    let Some(config) = config_with_standbys(1) else { return };
    let stack = Stack::start(config).await.unwrap();
    let names: Vec<_> = stack.status().unwrap().into_iter().map(|status| status.name).collect();
    assert_eq!(names, ["etcd", "postgres", "postgres-2"]);
    assert_eq!(stack.environment().unwrap()["DIPTYCH_TEST_POSTGRES_STANDBYS"], "1");
    let folders = ["postgres", "postgres-2"].map(|member| folder(&stack, member));
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(folders.each_ref().map(|folder| mode(folder.join("patroni.yml"))), [0o600; 2]);
    assert_eq!(folders.each_ref().map(|folder| mode(folder.join("data"))), [0o700; 2]);
    let members = stack.postgres_members().await.unwrap();
    assert_eq!(role(&members, MemberRole::Primary).name, "postgres");
    assert_eq!(role(&members, MemberRole::SynchronousStandby).name, "postgres-2");
    write(&stack, "CREATE TABLE kept AS SELECT 1 AS number").await;
    assert_eq!(write(&stack, "SHOW synchronous_standby_names").await, "\"postgres-2\"\n");

    let killed = [pid(&stack, "postgres"), postmaster(&folders[0])];
    let takeover = stack.fail_over().await.unwrap();
    assert_eq!((takeover.from.as_str(), takeover.to.as_str()), ("postgres", "postgres-2"));
    assert!(killed.into_iter().all(is_gone), "the manager and its Postgres");
    assert_eq!(state(&stack, "postgres"), ProcessState::Dead);
    assert_eq!(stack.primary().await.unwrap(), "postgres-2");
    write(&stack, "INSERT INTO kept VALUES (2)").await;

    stack.start_process("postgres").await.unwrap();
    stack.wait_for_standby().await.unwrap();
    let members = stack.postgres_members().await.unwrap();
    assert_eq!(role(&members, MemberRole::SynchronousStandby).name, "postgres");
    assert_eq!(role(&members, MemberRole::Primary).timeline, Some(2));

    let takeover = stack.switch_over().await.unwrap();
    assert_eq!((takeover.from.as_str(), takeover.to.as_str()), ("postgres-2", "postgres"));
    write(&stack, "INSERT INTO kept VALUES (3)").await;
    assert_eq!(write(&stack, "SELECT string_agg(number::text, ',' ORDER BY number) FROM kept").await, "1,2,3\n");
    stack.wait_for_standby().await.unwrap();

    // Paused ones too, and a Postgres whose manager is dead.
    let processes = [&folders[0], &folders[1]].map(|folder| postmaster(folder));
    let managers = ["etcd", "postgres-2"].map(|process| pid(&stack, process));
    stack.kill_part("postgres", MemberPart::Manager).await.unwrap();
    assert_eq!(state(&stack, "postgres"), ProcessState::Unmanaged);
    stack.pause("postgres-2").await.unwrap();
    drop(stack);
    assert!(processes.into_iter().chain(managers).all(is_gone), "all end with their owner");
}

#[tokio::test]
async fn a_kept_stack_with_standbys_starts_again_with_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let Some(config) = config_with_standbys(1) else { return };
    let config = StackConfig { paths: separate_paths(&folder), name: "kept".into(), keep: true, ..config };
    let stack = Stack::start(config.clone()).await.unwrap();
    write(&stack, "CREATE TABLE kept AS SELECT 7 AS number").await;
    let addresses = stack.postgres_addresses().unwrap();
    stack.detach().unwrap();

    // Adopted, as by `up`: a member that is down is started.
    let stack = Stack::attach(&config.paths, "kept").unwrap();
    stack.kill("postgres-2").await.unwrap();
    let stack = Stack::start(StackConfig { adopt: true, ..config.clone() }).await.unwrap();
    assert_eq!(state(&stack, "postgres-2"), ProcessState::Running);
    let report = stack.stop().await.unwrap();
    assert_eq!((report.stopped, report.killed), (["postgres-2", "postgres", "etcd"].map(str::to_owned).into(), vec![]));

    let error = Stack::start(StackConfig { standbys: 0, ..config.clone() }).await.unwrap_err();
    assert!(error.to_string().contains("was started with 1 standbys, not 0"), "{error}");
    let stack = Stack::start(config).await.unwrap();
    assert_eq!(stack.postgres_addresses().unwrap(), addresses);
    assert_eq!(write(&stack, "SELECT number FROM kept").await, "7\n");
    drop(stack);
}

#[tokio::test]
async fn without_standbys_there_is_nothing_to_fail_over_to() {
    let Some(config) = config(&[Server::Postgres]) else { return };
    let stack = Stack::start(config).await.unwrap();
    assert_eq!(stack.primary().await.unwrap(), "postgres");
    assert_eq!(stack.postgres_members().await.unwrap(), []);
    stack.wait_for_standby().await.unwrap();
    for error in [stack.fail_over().await.unwrap_err(), stack.switch_over().await.unwrap_err()] {
        assert!(matches!(error, StackError::Invalid(_)) && error.to_string().contains("--standbys 1"), "{error}");
    }
    let error = stack.kill_part("postgres", MemberPart::Manager).await.unwrap_err();
    assert!(error.to_string().contains("postgres has no manager"), "{error}");
    assert_eq!(sql(&stack, "SELECT 1").await, "1\n");
    let pid = pid(&stack, "postgres");
    drop(stack);
    until("it is gone", || is_gone(pid)).await;
}
