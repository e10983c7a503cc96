//! The bounds of the sequencer.

use std::time::Duration;

use diptych_kernel::domain::EVENTS_PER_COMMAND_MAX;

/// How many events one append may hold: the ordinals of a position are 20 bits.
const EVENTS_PER_APPEND_MAX: usize = (1 << 20) - 1;

/// How many commands may be let in at most, whatever is configured.
const QUEUE_COMMANDS_MAX: usize = 1 << 20;

/// The bounds of a sequencer. Values outside the range that a field names are moved to its nearest end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequencerConfig {
    /// How many commands may wait; one more is refused as overloaded. 1 to 2^20. Times the size of a command this is memory; over the
    /// commands per second this is how long a command may wait.
    pub queue_commands_max: usize,
    /// How many commands are decided and committed together, from 1. More share one commit, and wait for each other.
    pub batch_commands_max: usize,
    /// How many events are committed together: 1,024 (what one command may cause) to 2^20 - 1 (what positions of one append can count).
    pub batch_events_max: usize,
    /// How many streams' states are held between batches, from 1. Those used longest ago go first.
    pub cached_states_max: usize,
    /// A stream's state is stored beside its events whenever this many have been added, from 1: so many events are loaded at
    /// most, give or take a batch.
    pub snapshot_every_events: usize,
    /// How many times in a row a batch is decided again because another process wrote to its streams. Past that, the commands that touch
    /// those streams are told of the contention.
    pub conflict_retries_max: usize,
    /// How long a batch waits for the write database, all repetitions included. Past that its commands are told that the outcome
    /// is unknown, or that nothing was stored, whichever is true.
    pub commit_timeout: Duration,
}

impl Default for SequencerConfig {
    fn default() -> Self {
        Self {
            // At 20,000 commands/s this is 0.4 s of waiting.
            queue_commands_max: 8_192,
            // Of a commit that waits a few milliseconds for the disk, a few microseconds fall to each of a thousand commands.
            batch_commands_max: 1_024,
            batch_events_max: 16_384,
            // At a few hundred bytes each, about 10 MB.
            cached_states_max: 32_768,
            snapshot_every_events: 256,
            conflict_retries_max: 8,
            commit_timeout: Duration::from_secs(10),
        }
    }
}

impl SequencerConfig {
    /// The same with every value in its range.
    pub(crate) fn within_range(self) -> Self {
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
        assert_eq!(SequencerConfig::default().within_range(), SequencerConfig::default());
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
        .within_range();
        assert_eq!(
            (config.queue_commands_max, config.batch_commands_max, config.batch_events_max),
            (1, QUEUE_COMMANDS_MAX, EVENTS_PER_COMMAND_MAX)
        );
        assert_eq!((config.cached_states_max, config.snapshot_every_events), (1, 1));
    }
}
