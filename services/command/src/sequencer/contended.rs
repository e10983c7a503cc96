//! Streams to which other processes write at the same time.

use std::collections::HashMap;

use diptych_kernel::StreamId;

/// Number of turns in a row without an event of another process after which a stream is not contended any more.
const QUIET_TURNS_MAX: u32 = 8;

/// Largest number of streams that are remembered. Beyond it all are forgotten, and found again by their conflicts.
const STREAMS_MAX: usize = 65_536;

/// The contended streams: an append to one of them has conflicted, and other processes have written to it since.
/// Commands on them are decided in turn with other processes.
#[derive(Debug, Default)]
pub(super) struct ContendedStreams {
    /// For each stream, the number of turns in a row without an event of another process.
    quiet_turns: HashMap<StreamId, u32>,
}

impl ContendedStreams {
    pub(super) fn contains(&self, stream_id: &StreamId) -> bool {
        self.quiet_turns.contains_key(stream_id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.quiet_turns.is_empty()
    }

    /// Records a conflict, or an event of another process that was loaded in a turn.
    pub(super) fn add(&mut self, stream_id: &StreamId) {
        if self.quiet_turns.len() >= STREAMS_MAX {
            self.quiet_turns.clear();
        }
        self.quiet_turns.insert(stream_id.clone(), 0);
    }

    /// Records a turn in which no event of another process was loaded.
    pub(super) fn record_quiet_turn(&mut self, stream_id: &StreamId) {
        if let Some(quiet) = self.quiet_turns.get_mut(stream_id) {
            *quiet += 1;
            if *quiet >= QUIET_TURNS_MAX {
                self.quiet_turns.remove(stream_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use diptych_kernel::testing::theatre::seat;

    use super::*;

    #[test]
    fn a_stream_is_contended_until_others_have_written_nothing_for_some_turns() {
        let mut contended = ContendedStreams::default();
        contended.record_quiet_turn(&seat("A1"));
        assert!(contended.is_empty());
        contended.add(&seat("A1"));
        for _ in 1..QUIET_TURNS_MAX {
            contended.record_quiet_turn(&seat("A1"));
        }
        contended.add(&seat("A1"));
        for _ in 0..QUIET_TURNS_MAX {
            assert!(contended.contains(&seat("A1")));
            contended.record_quiet_turn(&seat("A1"));
        }
        assert!(contended.is_empty());
    }
}
