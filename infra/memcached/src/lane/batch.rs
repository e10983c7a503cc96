//! What fits into a round trip.

use std::iter::Peekable;

use super::{
    command::Command,
    debts::{Debt, Debts},
};

/// How many commands share a round trip at most. What comes after them need not wait for long.
pub(crate) const COMMANDS_MAX: usize = 512;

/// How many bytes are sent in a round trip that looks at values. All of it is sent before anything is read, so it has to fit into the sockets'
/// buffers even when the server, busy with sending values, does not read on.
const LOOK_BYTES_MAX: usize = 32 * 1024;

/// The same where nothing is looked at: the responses are a few bytes each, and the server reads on.
const PUT_BYTES_MAX: usize = 512 * 1024;

/// A command of a round trip.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) command: Command,
    /// It was not asked for: it settles this debt.
    pub(crate) debt: Option<Debt>,
}

/// Takes as many commands as fit into one round trip, at least one if there is any. A key that must be forgotten is before it is looked at.
pub(crate) fn next(commands: &mut Peekable<impl Iterator<Item = Command>>, debts: &Debts) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(commands.size_hint().0.min(COMMANDS_MAX));
    let (mut bytes, mut has_looks) = (0, false);
    let fits = |has_looks: bool, bytes: usize, count: usize| {
        let bytes_max = if has_looks { LOOK_BYTES_MAX } else { PUT_BYTES_MAX };
        count == 0 || (count < COMMANDS_MAX && bytes <= bytes_max)
    };
    while let Some(command) = commands.next_if(|command| {
        let looks = has_looks || matches!(command, Command::Look { .. });
        fits(looks, bytes + command.bytes(), pieces.len())
    }) {
        bytes += command.bytes();
        if let Command::Look { key, .. } = &command {
            has_looks = true;
            if let Some(debt) = debts.of(key) {
                let forget = Command::Delete { key: key.clone(), mark: None };
                bytes += forget.bytes();
                pieces.push(Piece { command: forget, debt: Some(debt) });
            }
        }
        pieces.push(Piece { command, debt: None });
    }
    pieces
}

/// A round trip that forgets keys and does nothing else.
pub(crate) fn of_debts(debts: &Debts) -> Vec<Piece> {
    let some = debts.some(COMMANDS_MAX / 2).into_iter();
    some.map(|(key, debt)| Piece { command: Command::Delete { key, mark: None }, debt: Some(debt) }).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use diptych_kernel::ports::FillLease;

    use super::*;
    use crate::{key::Key, metrics::LaneMetrics};

    fn key(number: usize) -> Key {
        format!("key-{number}").into_bytes().into()
    }

    fn look(number: usize) -> Command {
        Command::Look { key: key(number), hold_s: None }
    }

    fn put(number: usize, bytes: usize) -> Command {
        Command::Put { key: key(number), mark: FillLease(1).into(), value: Bytes::from(vec![0; bytes]), ttl_s: 1 }
    }

    fn all(numbers: std::ops::Range<usize>, command: impl Fn(usize) -> Command) -> Vec<Command> {
        numbers.map(command).collect()
    }

    /// The sizes of the round trips that these commands make, all of which are in them once and in order.
    fn sizes(commands: &[Command]) -> Vec<usize> {
        let (mut all, debts) = (commands.iter().cloned().peekable(), Debts::default());
        let (mut sizes, mut sent) = (Vec::new(), Vec::new());
        while all.peek().is_some() {
            let pieces = next(&mut all, &debts);
            sizes.push(pieces.len());
            sent.extend(pieces.into_iter().map(|piece| piece.command));
        }
        assert_eq!(sent, commands);
        sizes
    }

    #[test]
    fn a_round_trip_is_bounded_in_number_and_bytes() {
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&all(0..100, look)), [100]);
        assert_eq!(sizes(&all(0..1_000, |number| put(number, 1))), [512, 488]);
        let looks = sizes(&all(0..1_000, look));
        assert!(looks.iter().all(|size| size * 64 <= LOOK_BYTES_MAX), "{looks:?}");
        assert_eq!(sizes(&all(0..4, |number| put(number, 200_000))), [2, 2]);
        assert_eq!(sizes(&all(0..2, |number| put(number, 1_000_000))), [1, 1]);
    }

    #[test]
    fn much_is_never_sent_where_much_may_come_back() {
        assert_eq!(sizes(&[look(1), put(2, 100_000), look(3)]), [1, 1, 1]);
        assert_eq!(sizes(&[look(1), put(2, 1_000), look(3)]), [3]);
        assert_eq!(sizes(&[put(1, 20_000), put(2, 20_000), look(3), look(4)]), [2, 2]);
    }

    #[test]
    fn what_is_owed_is_forgotten_before_it_is_looked_at() {
        let debts = Debts::default();
        debts.incur([key(2)], &LaneMetrics::new("test"));
        let mut commands = vec![look(1), look(2), put(2, 1)].into_iter().peekable();
        let pieces = next(&mut commands, &debts);
        let forget = Command::Delete { key: key(2), mark: None };
        let sent: Vec<_> = pieces.iter().map(|piece| piece.command.clone()).collect();
        assert_eq!(sent, [look(1), forget.clone(), look(2), put(2, 1)]);
        let settles: Vec<_> = pieces.iter().map(|piece| piece.debt).collect();
        assert_eq!(settles, [None, debts.of(&key(2)), None, None]);
        let repair = of_debts(&debts);
        assert_eq!(repair.len(), 1);
        assert_eq!(repair[0].command, forget);
    }
}
