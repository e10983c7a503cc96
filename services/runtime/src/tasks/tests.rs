use std::future::pending;

use super::*;

const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn finished_tasks_are_removed() {
    let tasks = Tasks::new(Shutdown::new());
    let shutdown = tasks.shutdown();
    tasks.spawn("usher", async move { shutdown.begun().await });
    tasks.spawn_fallible("cashier", async { Ok::<(), String>(()) });
    tasks.shutdown().begin();
    assert_eq!(tasks.clone().finish(SOON).await, Ok(()));
    assert!(tasks.group.state.lock().running.is_empty());
}

#[tokio::test]
async fn a_task_that_ends_without_an_error_does_not_begin_shutdown() {
    let tasks = Tasks::new(Shutdown::new());
    let (ended, end) = tokio::sync::oneshot::channel();
    tasks.spawn("usher", async move { ended.send(()).unwrap() });
    end.await.unwrap();
    assert!(!tasks.shutdown().has_begun());
}

#[tokio::test]
async fn a_failure_begins_shutdown_and_is_reported() {
    let tasks = Tasks::new(Shutdown::new());
    tasks.spawn_fallible("stage", async { Err("the curtain is stuck") });
    tasks.shutdown().begun().await;
    let left = tasks.finish(SOON).await.unwrap_err();
    assert_eq!(left, UnfinishedTasks { failed: vec!["stage"], running: vec![] });
}

#[tokio::test]
async fn a_panic_is_a_failure() {
    let tasks = Tasks::new(Shutdown::new());
    tasks.spawn("stage", async { panic!("fire") });
    tasks.shutdown().begun().await;
    assert_eq!(tasks.finish(SOON).await.unwrap_err().failed, ["stage"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_stop_is_reported_and_dropped() {
    let tasks = Tasks::new(Shutdown::new());
    let (dropped, on_drop) = tokio::sync::oneshot::channel::<()>();
    tasks.spawn("encore", async move {
        let _held = dropped;
        pending::<()>().await;
    });
    tasks.spawn("usher", async {});
    let left = tasks.finish(SOON).await.unwrap_err();
    assert_eq!(left, UnfinishedTasks { failed: vec![], running: vec!["encore"] });
    assert!(on_drop.await.is_err(), "the task's values are dropped with it");
}

#[test]
fn panics_are_reported_with_their_message() {
    assert_eq!(panic_text(&"fire"), "panicked: fire");
    assert_eq!(panic_text(&String::from("flood")), "panicked: flood");
    assert_eq!(panic_text(&5_u8), "panicked: without a message");
}
