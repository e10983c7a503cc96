//! Writer of the queue: queues the commands that wait when the write database does not answer.

use std::sync::Arc;

use diptych_kernel::{
    domain::Domain,
    ports::{CommandQueue, Effect, Offset, QueuedCommand},
};
use diptych_runtime::Shutdown;
use tokio::time::timeout;
use tracing::{error, warn};

use super::{
    QueuedReceipt, Queueing,
    expectation::{Expectations, ExpectedOutcome},
    index::bytes_of,
    waiting::WaitingCommand,
};
use crate::{CommandError, sequencer::SharedStates};

/// Largest number of commands in one append.
const COMMANDS_PER_APPEND_MAX: usize = 1_024;

/// Runs until shutdown begins; the commands that wait then are answered by the sequencer.
pub(super) async fn run<D: Domain, Q: CommandQueue>(
    queueing: Arc<Queueing<D>>,
    queue: Arc<Q>,
    states: SharedStates<D>,
    streams_max: usize,
    shutdown: Shutdown,
) {
    let mut expectations = Expectations::new(states, streams_max);
    let mut was_open = false;
    loop {
        let changed =
            async { if was_open { queueing.breaker.closed().await } else { queueing.breaker.opened().await } };
        tokio::select! {
            biased;
            () = shutdown.begun() => return,
            () = changed => {
                was_open = !was_open;
                if was_open { queueing.breaker.report_open() } else { queueing.breaker.report_closed() }
            }
            () = queueing.waiting.due() => {}
        }
        if queueing.index.is_empty() {
            expectations.clear();
        }
        loop {
            let taken = queueing.waiting.take(was_open, COMMANDS_PER_APPEND_MAX);
            if taken.is_empty() {
                break;
            }
            queueing.append(&*queue, &mut expectations, taken).await;
        }
    }
}

impl<D: Domain> Queueing<D> {
    /// Appends commands and answers their callers.
    async fn append<Q: CommandQueue>(
        &self,
        queue: &Q,
        expectations: &mut Expectations<D>,
        mut taken: Vec<WaitingCommand<D>>,
    ) {
        self.reject_beyond_limits(&mut taken);
        // Those whose callers have gone are cancelled.
        taken.retain(|waiting| !waiting.reply.is_closed());
        let mut expected = Vec::with_capacity(taken.len());
        let is_undecodable = |waiting: &mut WaitingCommand<D>| match expectations.decide(&waiting.command, &self.index)
        {
            Ok(outcome) => {
                expected.push(outcome);
                false
            }
            Err(error) => {
                let request_id = waiting.command.request_id;
                error!(%request_id, %error, "a command that was to be queued cannot be decoded, it is not queued");
                true
            }
        };
        for waiting in taken.extract_if(.., is_undecodable) {
            // The caller may have gone.
            let _ = waiting.reply.send(Err(CommandError::Internal));
        }
        let commands: Vec<QueuedCommand> = taken.iter().map(|waiting| waiting.command.clone()).collect();
        if commands.is_empty() {
            return;
        }
        let appended = timeout(self.config.append_timeout, queue.append(&commands)).await;
        let error: fn() -> CommandError<D::Refusal> = match appended {
            Ok(Ok(offsets)) if offsets.len() == taken.len() => {
                for (waiting, offset) in taken.iter().zip(&offsets) {
                    expectations.queued(&waiting.command, *offset);
                }
                return self.answer(taken, &offsets, expected);
            }
            Ok(Ok(offsets)) => {
                error!(commands = taken.len(), offsets = offsets.len(), "the queue returned a wrong number of offsets");
                || CommandError::Internal
            }
            Ok(Err(error)) => {
                warn!(%error, commands = taken.len(), "commands cannot be queued");
                if error.effect() == Effect::None {
                    || CommandError::Unavailable
                } else {
                    || CommandError::OutcomeUnknown
                }
            }
            Err(_elapsed) => {
                let waited = self.config.append_timeout;
                warn!(?waited, commands = taken.len(), "commands cannot be queued: the queue did not answer in time");
                || CommandError::OutcomeUnknown
            }
        };
        for waiting in taken {
            expectations.forget(&waiting.command);
            // The caller may have gone.
            let _ = waiting.reply.send(Err(error()));
        }
    }

    fn answer(
        &self,
        taken: Vec<WaitingCommand<D>>,
        offsets: &[Offset],
        expected: Vec<Option<ExpectedOutcome<D::Refusal>>>,
    ) {
        for ((waiting, offset), expected) in taken.into_iter().zip(offsets).zip(expected) {
            self.index.add(*offset, &waiting.command, true);
            // The caller may have gone.
            let _ = waiting.reply.send(Ok(QueuedReceipt { offset: *offset, expected }));
        }
    }

    /// Rejects the commands for which the queue has no room.
    fn reject_beyond_limits(&self, taken: &mut Vec<WaitingCommand<D>>) {
        let (mut commands, mut bytes) = self.index.size();
        let is_beyond = |waiting: &mut WaitingCommand<D>| {
            commands += 1;
            bytes += bytes_of(&waiting.command);
            commands > self.config.commands_max as u64 || bytes > self.config.bytes_max as u64
        };
        for waiting in taken.extract_if(.., is_beyond) {
            // The caller may have gone.
            let _ = waiting.reply.send(Err(CommandError::QueueFull));
        }
    }
}
