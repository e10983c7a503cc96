//! Expected outcomes of queued commands: what they would have if nothing but what this process knows happens before
//! they are executed.

use std::num::NonZeroUsize;

use diptych_kernel::{
    StreamId, Version,
    domain::{DecodeError, Domain},
    ports::{Offset, QueuedCommand},
};
use lru::LruCache;

use super::index::{QueueIndex, StreamQueue};
use crate::{CommandError, sequencer::SharedStates};

/// Outcome that a queued command is expected to have. `R` is the domain's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedOutcome<R> {
    /// It will be committed.
    Committed,
    /// It will be refused, with this error: a refusal of the domain, or a version mismatch.
    Refused(Box<CommandError<R>>),
}

/// The state of a stream after the commands that this process has queued.
struct ExpectedState<D: Domain> {
    state: D::State,
    version: Version,
}

/// What is known of a stream.
struct KnownStream<D: Domain> {
    /// `None` if it cannot be told.
    state: Option<ExpectedState<D>>,
    /// The offset of its last command; `None` while that is being queued.
    last: Option<Offset>,
}

/// States of streams with queued commands, as far as this process can tell.
pub(super) struct Expectations<D: Domain> {
    states: SharedStates<D>,
    after_queued: LruCache<StreamId, KnownStream<D>>,
}

impl<D: Domain> Expectations<D> {
    /// Expectations on top of the states that the sequencer holds, for at most this many streams.
    pub(super) fn new(states: SharedStates<D>, streams_max: usize) -> Self {
        let streams_max = NonZeroUsize::new(streams_max).unwrap_or(NonZeroUsize::MIN);
        Self { states, after_queued: LruCache::new(streams_max) }
    }

    /// Forgets all streams, as no command is queued any more.
    pub(super) fn clear(&mut self) {
        self.after_queued.clear();
    }

    /// Decides a command that is about to be queued, after those before it. Returns `None` if this process does not
    /// know the state of one of its streams.
    ///
    /// # Errors
    /// If the command cannot be decoded.
    pub(super) fn decide(
        &mut self,
        queued: &QueuedCommand,
        index: &QueueIndex,
    ) -> Result<Option<ExpectedOutcome<D::Refusal>>, DecodeError> {
        let command = D::decode_command(&queued.command_type, &queued.payload)?;
        let taken: Vec<_> = queued.streams.iter().map(|stream| self.take(stream, index)).collect();
        let Some(mut known) = taken.into_iter().collect::<Option<Vec<_>>>() else {
            self.forget(queued);
            return Ok(None);
        };
        let expected = Self::outcome(queued, &command, &mut known);
        for (stream, state) in queued.streams.iter().zip(known) {
            self.after_queued.put(stream.clone(), KnownStream { state: Some(state), last: None });
        }
        Ok(Some(expected))
    }

    /// Notes the offset of a command that was decided and is queued now.
    pub(super) fn queued(&mut self, queued: &QueuedCommand, offset: Offset) {
        for stream in &queued.streams {
            if let Some(known) = self.after_queued.peek_mut(stream) {
                known.last = Some(offset);
            }
        }
    }

    /// Notes that the state after a command is unknown, as it may be in the queue or not.
    pub(super) fn forget(&mut self, queued: &QueuedCommand) {
        for stream in &queued.streams {
            self.after_queued.put(stream.clone(), KnownStream { state: None, last: None });
        }
    }

    fn outcome(
        queued: &QueuedCommand,
        command: &D::Command,
        known: &mut [ExpectedState<D>],
    ) -> ExpectedOutcome<D::Refusal> {
        if let (Some(expected), Some(stream_id), Some(first)) =
            (queued.expected_version, queued.streams.first(), known.first())
            && first.version != expected
        {
            let (stream_id, actual) = (stream_id.clone(), first.version);
            return ExpectedOutcome::Refused(Box::new(CommandError::VersionMismatch { stream_id, expected, actual }));
        }
        let states: Vec<D::State> = known.iter().map(|known| known.state.clone()).collect();
        match D::decide(&states, command) {
            Ok(events) => {
                for (stream, event) in &events {
                    if let Some(known) = known.get_mut(*stream) {
                        D::evolve(&mut known.state, event);
                        known.version = known.version.next();
                    }
                }
                ExpectedOutcome::Committed
            }
            Err(refusal) => ExpectedOutcome::Refused(Box::new(CommandError::Refused(refusal))),
        }
    }

    /// The state of a stream after what is queued. A stream that has nothing queued has the state that the sequencer
    /// holds, if it does.
    fn take(&mut self, stream: &StreamId, index: &QueueIndex) -> Option<ExpectedState<D>> {
        // What has run by now is in the state that the sequencer holds.
        let is_waiting = |known: &KnownStream<D>| known.last.is_none_or(|last| last >= index.done_before());
        if let Some(known) = self.after_queued.pop(stream).filter(is_waiting) {
            return known.state.filter(|_| index.stream(stream) != StreamQueue::Foreign);
        }
        if index.stream(stream) != StreamQueue::Empty {
            return None;
        }
        let states = self.states.lock();
        let held = states.peek(stream)?;
        Some(ExpectedState { state: held.state.clone(), version: held.version })
    }
}
