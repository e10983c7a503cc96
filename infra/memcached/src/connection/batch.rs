//! The batches of commands that share a round trip.

use std::iter::Peekable;

use super::{
    command::CacheCommand,
    pending_invalidations::{InvalidationId, PendingInvalidations},
};

/// The maximum number of commands in a round trip, so that later ones do not wait long.
pub(crate) const COMMANDS_MAX: usize = 512;

/// The maximum number of bytes sent in a round trip that reads values. All of them are sent before anything is read, so
/// they have to fit into the socket buffers even when the server, busy with sending values, does not read on.
const GET_BYTES_MAX: usize = 32 * 1024;

/// The same for a round trip without reads: its responses are a few bytes each, and the server reads on.
const SET_BYTES_MAX: usize = 512 * 1024;

/// A command in a batch.
#[derive(Clone, Debug)]
pub(crate) struct BatchCommand {
    pub(crate) command: CacheCommand,
    /// The pending invalidation that the command completes; `None` for a caller's command.
    pub(crate) invalidation: Option<InvalidationId>,
}

/// Takes as many commands as fit into one round trip, at least one if there is any. A key with a pending invalidation
/// is deleted before it is read.
pub(crate) fn next(
    commands: &mut Peekable<impl Iterator<Item = CacheCommand>>,
    pending: &PendingInvalidations,
) -> Vec<BatchCommand> {
    let mut batch = Vec::with_capacity(commands.size_hint().0.min(COMMANDS_MAX));
    let (mut bytes, mut has_gets) = (0, false);
    let fits = |has_gets: bool, bytes: usize, count: usize| {
        let bytes_max = if has_gets { GET_BYTES_MAX } else { SET_BYTES_MAX };
        count == 0 || (count < COMMANDS_MAX && bytes <= bytes_max)
    };
    while let Some(command) = commands.next_if(|command| {
        let reads = has_gets || matches!(command, CacheCommand::Get { .. });
        fits(reads, bytes + command.bytes(), batch.len())
    }) {
        bytes += command.bytes();
        if let CacheCommand::Get { key, .. } = &command {
            has_gets = true;
            if let Some(invalidation) = pending.get(key) {
                let delete = CacheCommand::Delete { key: key.clone(), cas: None };
                bytes += delete.bytes();
                batch.push(BatchCommand { command: delete, invalidation: Some(invalidation) });
            }
        }
        batch.push(BatchCommand { command, invalidation: None });
    }
    batch
}

/// A batch that only completes pending invalidations.
pub(crate) fn of_invalidations(pending: &PendingInvalidations) -> Vec<BatchCommand> {
    let some = pending.list(COMMANDS_MAX / 2).into_iter();
    some.map(|(key, id)| BatchCommand { command: CacheCommand::Delete { key, cas: None }, invalidation: Some(id) })
        .collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use diptych_kernel::ports::FillLease;

    use super::*;
    use crate::{key::Key, metrics::ConnectionMetrics};

    fn key(number: usize) -> Key {
        format!("key-{number}").into_bytes().into()
    }

    fn get(number: usize) -> CacheCommand {
        CacheCommand::Get { key: key(number), vivify_ttl_s: None }
    }

    fn set(number: usize, bytes: usize) -> CacheCommand {
        CacheCommand::CompareAndSet {
            key: key(number),
            cas: FillLease(1).into(),
            value: Bytes::from(vec![0; bytes]),
            ttl_s: 1,
        }
    }

    fn all(numbers: std::ops::Range<usize>, command: impl Fn(usize) -> CacheCommand) -> Vec<CacheCommand> {
        numbers.map(command).collect()
    }

    /// The sizes of the batches made of these commands; asserts that each command is in them once and in order.
    fn sizes(commands: &[CacheCommand]) -> Vec<usize> {
        let (mut all, pending) = (commands.iter().cloned().peekable(), PendingInvalidations::default());
        let (mut sizes, mut sent) = (Vec::new(), Vec::new());
        while all.peek().is_some() {
            let batch = next(&mut all, &pending);
            sizes.push(batch.len());
            sent.extend(batch.into_iter().map(|item| item.command));
        }
        assert_eq!(sent, commands);
        sizes
    }

    #[test]
    fn a_batch_is_bounded_in_commands_and_bytes() {
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&all(0..100, get)), [100]);
        assert_eq!(sizes(&all(0..1_000, |number| set(number, 1))), [512, 488]);
        let gets = sizes(&all(0..1_000, get));
        assert!(gets.iter().all(|size| size * 64 <= GET_BYTES_MAX), "{gets:?}");
        assert_eq!(sizes(&all(0..4, |number| set(number, 200_000))), [2, 2]);
        assert_eq!(sizes(&all(0..2, |number| set(number, 1_000_000))), [1, 1]);
    }

    #[test]
    fn large_values_are_not_sent_in_a_batch_that_reads() {
        assert_eq!(sizes(&[get(1), set(2, 100_000), get(3)]), [1, 1, 1]);
        assert_eq!(sizes(&[get(1), set(2, 1_000), get(3)]), [3]);
        assert_eq!(sizes(&[set(1, 20_000), set(2, 20_000), get(3), get(4)]), [2, 2]);
    }

    #[test]
    fn a_key_with_a_pending_invalidation_is_deleted_before_it_is_read() {
        let pending = PendingInvalidations::default();
        pending.add([key(2)], &ConnectionMetrics::new("test"));
        let mut commands = vec![get(1), get(2), set(2, 1)].into_iter().peekable();
        let batch = next(&mut commands, &pending);
        let delete = CacheCommand::Delete { key: key(2), cas: None };
        let sent: Vec<_> = batch.iter().map(|item| item.command.clone()).collect();
        assert_eq!(sent, [get(1), delete.clone(), get(2), set(2, 1)]);
        let completes: Vec<_> = batch.iter().map(|item| item.invalidation).collect();
        assert_eq!(completes, [None, pending.get(&key(2)), None, None]);
        let invalidations = of_invalidations(&pending);
        assert_eq!(invalidations.len(), 1);
        assert_eq!(invalidations[0].command, delete);
    }
}
