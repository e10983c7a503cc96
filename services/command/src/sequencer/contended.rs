//! Streams to which other processes write at the same time.

use std::collections::{HashMap, HashSet};

use diptych_kernel::{StreamId, domain::Domain};
use parking_lot::Mutex;

use crate::submission::PendingCommand;

/// Number of turns in a row without an event of another process after which a stream is not contended any more.
const QUIET_TURNS_MAX: u32 = 8;

/// Largest number of streams that are remembered. Beyond it all are forgotten, and found again by their conflicts.
const STREAMS_MAX: usize = 65_536;

/// The contended streams: an append to one of them has conflicted, and other processes have written to it since.
///
/// Commands on them are **claimed** for the sequencer of contended streams. Until these have their results, all
/// commands on any of their streams are claimed too. So the two sequencers of a process never write to the same stream,
/// and the commands of a stream keep their order.
#[derive(Debug, Default)]
pub(super) struct ContendedStreams {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// For each contended stream, the number of turns in a row without an event of another process.
    quiet_turns: HashMap<StreamId, u32>,
    /// For each stream of the claimed commands, their number.
    claimed: HashMap<StreamId, usize>,
}

impl ContendedStreams {
    /// Records a conflict.
    pub(super) fn add(&self, stream_id: &StreamId) {
        let quiet_turns = &mut self.state.lock().quiet_turns;
        if quiet_turns.len() >= STREAMS_MAX {
            quiet_turns.clear();
        }
        quiet_turns.insert(stream_id.clone(), 0);
    }

    /// Records what a turn has loaded: for each stream, whether other processes had written to it.
    pub(super) fn record_turn(&self, loaded: impl IntoIterator<Item = (StreamId, bool)>) {
        let quiet_turns = &mut self.state.lock().quiet_turns;
        for (stream_id, is_changed) in loaded {
            let Some(quiet) = quiet_turns.get_mut(&stream_id) else { continue };
            *quiet = if is_changed { 0 } else { *quiet + 1 };
            if *quiet >= QUIET_TURNS_MAX {
                quiet_turns.remove(&stream_id);
            }
        }
    }

    /// Claims a command if one of its streams is contended, or belongs to a claimed command.
    pub(super) fn claim(&self, streams: &[StreamId]) -> bool {
        self.state.lock().claim(streams)
    }

    /// Takes the commands out that are to be claimed.
    pub(super) fn claim_all<D: Domain>(&self, commands: &mut Vec<PendingCommand<D>>) -> Vec<PendingCommand<D>> {
        let mut state = self.state.lock();
        if state.quiet_turns.is_empty() && state.claimed.is_empty() {
            return Vec::new();
        }
        commands.extract_if(.., |command| state.claim(&command.streams)).collect()
    }

    /// Records that commands on these streams have their results: each stream as often as it was claimed. Removes the
    /// streams from `loaded` that the other sequencer may write to from now on.
    pub(super) fn release(&self, streams: &[StreamId], loaded: Option<&mut HashSet<StreamId>>) {
        let State { quiet_turns, claimed } = &mut *self.state.lock();
        for stream_id in streams {
            if let Some(commands) = claimed.get_mut(stream_id) {
                *commands -= 1;
                if *commands == 0 {
                    claimed.remove(stream_id);
                }
            }
        }
        if let Some(loaded) = loaded {
            loaded.retain(|stream_id| quiet_turns.contains_key(stream_id) || claimed.contains_key(stream_id));
        }
    }
}

impl State {
    fn claim(&mut self, streams: &[StreamId]) -> bool {
        let is_taken = |stream_id| self.quiet_turns.contains_key(stream_id) || self.claimed.contains_key(stream_id);
        if !streams.iter().any(is_taken) {
            return false;
        }
        for stream_id in streams {
            *self.claimed.entry(stream_id.clone()).or_default() += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use diptych_kernel::testing::theatre::seat;

    use super::*;

    #[test]
    fn a_stream_is_contended_until_others_have_written_nothing_for_some_turns() {
        let contended = ContendedStreams::default();
        let is_contended = || {
            let claimed = contended.claim(&[seat("A1")]);
            if claimed {
                contended.release(&[seat("A1")], None);
            }
            claimed
        };
        contended.record_turn([(seat("A1"), true)]);
        assert!(!is_contended(), "only a conflict begins it");
        contended.add(&seat("A1"));
        for _ in 1..QUIET_TURNS_MAX {
            contended.record_turn([(seat("A1"), false)]);
        }
        contended.record_turn([(seat("A1"), true)]);
        for _ in 0..QUIET_TURNS_MAX {
            assert!(is_contended());
            contended.record_turn([(seat("A1"), false)]);
        }
        assert!(!is_contended());
    }

    #[test]
    fn the_other_streams_of_a_claimed_command_are_claimed_until_it_has_its_result() {
        let contended = ContendedStreams::default();
        contended.add(&seat("A1"));
        assert!(!contended.claim(&[seat("B2")]));
        let swap = [seat("A1"), seat("B2")];
        assert!(contended.claim(&swap) && contended.claim(&[seat("B2"), seat("C3")]));
        let mut loaded = HashSet::from([seat("A1"), seat("B2"), seat("C3")]);
        contended.release(&swap, Some(&mut loaded));
        assert!(contended.claim(&[seat("C3")]), "the second command has no result");
        assert_eq!(loaded.len(), 3);
        contended.release(&[seat("B2"), seat("C3"), seat("C3")], Some(&mut loaded));
        assert_eq!(loaded, HashSet::from([seat("A1")]), "the other sequencer may write to B2 and C3");
        assert!(!contended.claim(&[seat("B2"), seat("C3")]));
    }
}
