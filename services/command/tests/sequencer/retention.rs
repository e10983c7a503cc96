//! Removal of old request ids.

use std::{sync::Arc, time::Duration};

use diptych_command::forget_old_requests;
use diptych_kernel::testing::theatre::Command;
use diptych_runtime::{TokioClock, pause};

use crate::process::{Process, request_id, start_of_time, store};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn old_request_ids_are_removed() {
    const OLD: u128 = 2_500;
    let clock = Arc::new(TokioClock::starting_at(start_of_time()));
    let store = store();
    let process = Process::new(&store);
    let old = (0..OLD).map(|id| process.submit(id, Command::reserve(&format!("A{id}"), "ada")));
    assert!(futures::future::join_all(old.collect::<Vec<_>>()).await.iter().all(Result::is_ok));
    process
        .tasks
        .spawn("retention", forget_old_requests(Arc::clone(&store), clock, HOUR * 24, process.tasks.shutdown()));

    pause(HOUR * 23).await;
    process.run(OLD, Command::release("A0")).await.unwrap();
    assert!(process.handle.receipt(request_id(0)).await.unwrap().is_some(), "not old enough yet");
    pause(HOUR * 2).await;
    for id in [0, 1_500, OLD - 1] {
        assert_eq!(process.handle.receipt(request_id(id)).await.unwrap(), None, "request {id}");
    }
    assert!(process.handle.receipt(request_id(OLD)).await.unwrap().is_some());
    process.stop().await;
}
