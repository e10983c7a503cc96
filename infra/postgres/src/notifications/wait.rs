//! Waiting for events: woken by appends and notifications, with polling as a fallback.

use std::{future::Future, sync::Arc, time::Duration};

use diptych_kernel::{Position, ports::PortResult};
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

use super::{
    auxiliary::{AuxiliaryConnection, BackgroundTask},
    listener, notifier,
    tail::TailState,
};
use crate::{config::PostgresConfig, driver::ConnectionFactory};

/// While notifications are received, a waiting task polls this many times less often.
const NOTIFIED_POLL_FACTOR: u32 = 10;

/// Wakes the waiting tasks of this handle, and notifies other handles of its appends.
pub(crate) struct AppendNotifications {
    auxiliary: AuxiliaryConnection,
    notify: bool,
    poll_interval: Duration,
    tail: Arc<TailState>,
    /// The last position that this handle appended, for the notifier.
    appended: watch::Sender<i64>,
    tasks: Mutex<BackgroundTasks>,
}

/// The background tasks of a handle, each started when it is first needed.
#[derive(Default)]
struct BackgroundTasks {
    listener: Option<BackgroundTask>,
    notifier: Option<BackgroundTask>,
}

impl AppendNotifications {
    pub(crate) fn new(config: &PostgresConfig, connections: ConnectionFactory) -> Self {
        Self {
            auxiliary: AuxiliaryConnection { connections, answer_timeout: config.answer_timeout },
            notify: config.notify,
            poll_interval: config.poll_interval.max(Duration::from_millis(1)),
            tail: Arc::default(),
            appended: watch::Sender::new(0),
            tasks: Mutex::default(),
        }
    }

    /// Announces that this handle has appended events up to `last`.
    pub(crate) fn appended(&self, last: Position) {
        self.tail.advance(last.as_i64());
        if self.notify {
            self.appended.send_if_modified(|known| {
                let is_new = *known < last.as_i64();
                *known = last.as_i64().max(*known);
                is_new
            });
            self.tasks.lock().notifier.get_or_insert_with(|| {
                BackgroundTask::spawn(notifier::run(self.auxiliary.clone(), self.appended.subscribe()))
            });
        }
    }

    /// Returns when there may be events after a position, or after `wait_max`. `poll` reads the last position that can
    /// be read.
    pub(crate) async fn wait<F>(&self, cursor_exclusive: Position, wait_max: Duration, poll: impl Fn() -> F)
    where
        F: Future<Output = PortResult<Position>>,
    {
        let deadline = Instant::now().checked_add(wait_max);
        self.start_listener();
        loop {
            let (changes_count, epoch) = (self.tail.changes_count(), self.tail.listener_epoch());
            let is_over = deadline.is_some_and(|deadline| deadline <= Instant::now());
            if self.tail.highest() > cursor_exclusive.as_i64() || is_over {
                return;
            }
            let poll_interval =
                if epoch.is_listening() { self.poll_interval * NOTIFIED_POLL_FACTOR } else { self.poll_interval };
            let next_poll = Instant::now() + poll_interval;
            let wait_until = deadline.map_or(next_poll, |deadline| deadline.min(next_poll));
            // At the start of a listener epoch, a notification may have been missed, so it polls at once.
            if self.tail.was_polled_in(epoch) {
                self.tail.wait_for_change(changes_count, epoch, wait_until).await;
            }
            if self.tail.changes_count() == changes_count {
                match poll().await {
                    Ok(last) => self.tail.record_poll(epoch, last),
                    // The caller reads next, and gets the error there.
                    Err(_) => return,
                }
            }
        }
    }

    fn start_listener(&self) {
        if self.notify {
            self.tasks.lock().listener.get_or_insert_with(|| {
                BackgroundTask::spawn(listener::run(self.auxiliary.clone(), Arc::clone(&self.tail)))
            });
        }
    }
}
