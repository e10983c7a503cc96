//! The thread of a member: executes commands, and closes the consumer of a member that does not poll.

use std::{
    sync::{
        Arc,
        mpsc::{self, Sender},
    },
    thread,
};

use diptych_kernel::{
    Partition,
    ports::{PortError, PortResult},
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::{sync::oneshot, time::Instant};

use super::{
    command::{CommandQueue, MemberCommand},
    identity::MemberIdentity,
    positions::FetchPositions,
    rebalance_callback::{RebalanceContext, RebalanceEvent, respond},
};

/// Starts the thread of a member, and returns when its consumer is subscribed. [`MemberCommand::Leave`] ends the
/// thread.
pub(super) async fn start(identity: Arc<MemberIdentity>) -> PortResult<Sender<MemberCommand>> {
    let (commands, receiver) = mpsc::channel();
    let (reply, subscribed) = oneshot::channel();
    let own_commands = commands.clone();
    let name = identity.to_string();
    thread::Builder::new()
        .name("kafka-member".into())
        .spawn(move || {
            let consumer = match identity.subscribe() {
                Ok(consumer) => consumer,
                Err(error) => {
                    let _ = reply.send(Err(error));
                    return;
                }
            };
            let member = MemberThread::new(identity, consumer, own_commands, CommandQueue::new(receiver));
            // If the caller has stopped waiting, the member leaves at once.
            if reply.send(Ok(())).is_ok() {
                member.run();
            }
        })
        .map_err(|error| PortError::not_done(format!("cannot start the thread of {name}")).caused_by(error))?;
    subscribed.await.unwrap_or_else(|_| {
        Err(PortError::operator(format!("the thread of {name} ended at once; this is a bug: the log has the cause")))
    })?;
    Ok(commands)
}

/// A revocation that waits for the user to drop its guard.
pub(super) struct PendingRevocation {
    pub(super) guard_id: u64,
    /// The revocation is completed at this time even if the guard is still held.
    pub(super) deadline: Instant,
    pub(super) partitions: Vec<Partition>,
}

/// State of the thread.
pub(super) struct MemberThread {
    pub(super) identity: Arc<MemberIdentity>,
    /// `None` after it was closed, until the next poll.
    pub(super) consumer: Option<BaseConsumer<RebalanceContext>>,
    pub(super) commands: Sender<MemberCommand>,
    pub(super) command_queue: CommandQueue,
    pub(super) positions: FetchPositions,
    /// An event that was not signalled yet, because a look-up for it has failed.
    pub(super) pending_event: Option<RebalanceEvent>,
    pub(super) pending_revocation: Option<PendingRevocation>,
    /// An error to return with the next poll.
    pub(super) pending_error: Option<PortError>,
    /// Time of the last poll or heartbeat of the user.
    last_activity: Instant,
    pub(super) last_guard_id: u64,
}

impl MemberThread {
    fn new(
        identity: Arc<MemberIdentity>,
        consumer: BaseConsumer<RebalanceContext>,
        commands: Sender<MemberCommand>,
        command_queue: CommandQueue,
    ) -> Self {
        Self {
            identity,
            consumer: Some(consumer),
            commands,
            command_queue,
            positions: FetchPositions::default(),
            pending_event: None,
            pending_revocation: None,
            pending_error: None,
            last_activity: Instant::now(),
            last_guard_id: 0,
        }
    }

    fn run(mut self) {
        loop {
            let command = self.command_queue.next(self.next_deadline());
            // A process that was suspended may find a command waiting although its time has passed.
            self.close_if_inactive();
            match command {
                None => self.complete_overdue_revocation(),
                Some(MemberCommand::Poll { limit, deadline, reply }) => {
                    let signal = self.next_signal(limit, deadline);
                    self.last_activity = Instant::now();
                    // The consumer keeps the receiver until it has the answer, so this fails only after it was dropped.
                    let _ = reply.send(signal);
                }
                Some(MemberCommand::Seek { partition, offset, reply }) => {
                    let _ = reply.send(self.seek(partition, offset));
                }
                Some(MemberCommand::Commit { offsets, reply }) => {
                    let _ = reply.send(self.commit(&offsets));
                }
                Some(MemberCommand::ReleaseGuard(guard_id)) => self.complete_revocation(guard_id),
                Some(MemberCommand::Heartbeat) => self.last_activity = Instant::now(),
                Some(MemberCommand::StopPolling) => {}
                Some(MemberCommand::Leave) => break,
            }
        }
        self.close();
    }

    /// The time at which the thread has to act without a command.
    fn next_deadline(&self) -> Option<Instant> {
        self.consumer.as_ref()?;
        let expires_at = self.last_activity + self.identity.config.poll_interval_max;
        Some(self.pending_revocation.as_ref().map_or(expires_at, |revocation| revocation.deadline.min(expires_at)))
    }

    /// Gives up the partitions of an inactive member, even if the broker has not noticed.
    fn close_if_inactive(&mut self) {
        let poll_interval_max = self.identity.config.poll_interval_max;
        if self.consumer.is_some() && self.last_activity.elapsed() >= poll_interval_max {
            tracing::warn!(
                member = %self.identity,
                poll_interval_ms_max = poll_interval_max.as_millis(),
                "the member did not poll within kafka.poll_interval_max, and has lost its partitions"
            );
            self.close();
        }
    }

    /// Closes the consumer. A static member does not leave its group: its heartbeats end, and the broker's session
    /// timeout decides. The member's partitions are lost; the next signal reports that.
    pub(super) fn close(&mut self) {
        let Some(consumer) = self.consumer.take() else { return };
        consumer.context().begin_closing();
        // librdkafka closes only when every event has a response.
        let revoked = self.pending_revocation.take().map(|revocation| RebalanceEvent::Revoked(revocation.partitions));
        let pending: Vec<_> = revoked.into_iter().chain(self.pending_event.take()).collect();
        let identity = Arc::clone(&self.identity);
        // On a thread of its own: closing takes a while, and may never end (librdkafka issue 4884: it may leave the
        // group before it has called back with an event, and then never answer the response to that event).
        let close_consumer = move || respond_to_all(&consumer, pending, &identity);
        if let Err(error) = thread::Builder::new().name("kafka-closing".into()).spawn(close_consumer) {
            tracing::warn!(
                member = %self.identity,
                %error,
                "cannot start a thread to close a consumer; it was dropped instead"
            );
        }
    }
}

/// Responds to all remaining events. Dropping the consumer then closes it.
fn respond_to_all(consumer: &BaseConsumer<RebalanceContext>, pending: Vec<RebalanceEvent>, identity: &MemberIdentity) {
    for event in pending.into_iter().chain(std::iter::from_fn(|| consumer.context().take_event())) {
        if let Err(error) = respond(consumer, &identity.config.topic, &event) {
            tracing::debug!(member = %identity, %error, "cannot respond to a rebalance while the consumer is closed");
        }
    }
}
