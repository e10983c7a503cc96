//! Settings of the sequencer.

use std::time::Duration;

use diptych_kernel::domain::EVENTS_PER_COMMAND_MAX;

/// The largest number of events in one append: the ordinals of a position have 20 bits.
const EVENTS_PER_APPEND_MAX: usize = (1 << 20) - 1;

/// The upper end of the range of `queue_commands_max`.
const QUEUE_COMMANDS_MAX: usize = 1 << 20;

/// Settings of a sequencer. Values outside the range of a field are moved to the nearest end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequencerConfig {
    /// Capacity of the command queue, 1 to 2^20; further single calls are rejected as overloaded, and streams of
    /// commands wait. Streams fill three quarters of it at most; the rest is for single calls. Multiplied by the size
    /// of a command it is memory; divided by the commands per second it is the longest time a command waits.
    pub queue_commands_max: usize,
    /// Largest number of commands decided and committed together, from 1. A larger batch shares one commit among more
    /// commands, which wait for each other.
    pub batch_commands_max: usize,
    /// Largest number of events committed together: 1,024 (the most that one command may cause) to 2^20 - 1 (the
    /// ordinals of one append).
    pub batch_events_max: usize,
    /// Number of stream states kept in memory between batches, from 1; as many more of contended streams. The least
    /// recently used are dropped first.
    pub cached_states_max: usize,
    /// Number of events after which the state of a stream is stored as a snapshot, from 1. It bounds the events that
    /// are loaded for a stream, give or take a batch.
    pub snapshot_every_events: usize,
    /// Largest number of times in a row that commands are decided again because another process wrote to their streams.
    /// After the first time they are decided in turn with the other process, which counts anew, so that further
    /// conflicts are rare.
    /// After that, the commands on those streams fail with
    /// [`CommandError::Contention`](crate::CommandError::Contention).
    pub conflict_retries_max: usize,
    /// Longest time that a batch waits for the write database, including all retries. After that its commands fail with
    /// [`OutcomeUnknown`](crate::CommandError::OutcomeUnknown), or with
    /// [`Unavailable`](crate::CommandError::Unavailable) if nothing was stored.
    pub commit_timeout: Duration,
}

impl Default for SequencerConfig {
    fn default() -> Self {
        Self {
            // At 20,000 commands/s this is 0.4 s of waiting.
            queue_commands_max: 8_192,
            // A commit waits a few milliseconds for the disk: a few microseconds for each of a thousand commands.
            batch_commands_max: 1_024,
            batch_events_max: 16_384,
            // At a few hundred bytes each, about 10 MB.
            cached_states_max: 32_768,
            snapshot_every_events: 256,
            conflict_retries_max: 100,
            commit_timeout: Duration::from_secs(10),
        }
    }
}

impl SequencerConfig {
    /// These settings with every value moved into its range.
    pub(crate) fn clamped(self) -> Self {
        Self {
            queue_commands_max: self.queue_commands_max.clamp(1, QUEUE_COMMANDS_MAX),
            batch_commands_max: self.batch_commands_max.clamp(1, QUEUE_COMMANDS_MAX),
            batch_events_max: self.batch_events_max.clamp(EVENTS_PER_COMMAND_MAX, EVENTS_PER_APPEND_MAX),
            cached_states_max: self.cached_states_max.max(1),
            snapshot_every_events: self.snapshot_every_events.max(1),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range() {
        assert_eq!(SequencerConfig::default().clamped(), SequencerConfig::default());
    }

    #[test]
    fn values_out_of_range_move_to_the_nearest_end() {
        let config = SequencerConfig {
            queue_commands_max: 0,
            batch_commands_max: usize::MAX,
            batch_events_max: 1,
            cached_states_max: 0,
            snapshot_every_events: 0,
            ..SequencerConfig::default()
        }
        .clamped();
        assert_eq!(
            (config.queue_commands_max, config.batch_commands_max, config.batch_events_max),
            (1, QUEUE_COMMANDS_MAX, EVENTS_PER_COMMAND_MAX)
        );
        assert_eq!((config.cached_states_max, config.snapshot_every_events), (1, 1));
    }
}
