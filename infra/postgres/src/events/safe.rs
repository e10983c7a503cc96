//! Making sure that what was seen is safe before it is told.

use diptych_kernel::Position;
use parking_lot::RwLock;

use crate::wire::{Row, Session, Trouble, garbled};

const PROVE: &str = include_str!("../../queries/prove.sql");

/// What is known to stand on disk, and on the standby where there is one.
///
/// A commit of this handle that was acknowledged carries everything that its snapshot shows. So what is safe moves along with the appends, and only
/// what others have just done needs a commit of its own.
#[derive(Debug, Default)]
pub(super) struct Safe(RwLock<Shown>);

impl Safe {
    /// A commit was acknowledged that stored events in the transaction of `first_position`.
    pub(super) fn committed(&self, first_position: Position, row: Row<'_>) -> Result<(), Trouble> {
        let mut shown = Shown::read(row)?;
        shown.add(first_position.transaction_id());
        self.learn(shown);
        Ok(())
    }

    /// Makes everything that was seen before this call safe, `newest` being the last of it. A commit, where one is needed.
    pub(super) async fn make(&self, session: &mut Session, newest: Position) -> Result<(), Trouble> {
        if newest == Position::START || self.0.read().has(newest.transaction_id()) {
            return Ok(());
        }
        let rows = session.write(PROVE, &[]).await?;
        self.learn(Shown::read(Row::first(&rows)?)?);
        Ok(())
    }

    fn learn(&self, shown: Shown) {
        let mut known = self.0.write();
        // A later snapshot shows all that an earlier one does.
        if shown.end > known.end {
            *known = shown;
        }
    }
}

/// The transactions that a snapshot shows, by their ids as positions have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shown {
    /// All before this are over.
    end: u64,
    /// But these.
    open: Vec<u64>,
}

impl Shown {
    /// How many transactions that began beside an append are remembered.
    const OPEN_ADDED_MAX: u64 = 64;

    /// From the columns `position_base` and `snapshot`.
    fn read(row: Row<'_>) -> Result<Self, Trouble> {
        let text: &str = row.get("snapshot")?;
        let base: i64 = row.get("position_base")?;
        Self::parse(text, base.unsigned_abs()).ok_or_else(|| garbled(format_args!("a snapshot {text:?}")))
    }

    /// From Postgres's text, as `10:20:10,14`: all before 10 are over, none from 20 on, and 10 and 14 are not.
    fn parse(text: &str, base: u64) -> Option<Self> {
        let mut parts = text.split(':');
        let (_first_open, end, open) = (parts.next()?, parts.next()?, parts.next()?);
        let id = |text: &str| text.parse::<u64>().ok()?.checked_add(base);
        let open = open.split(',').filter(|text| !text.is_empty()).map(id).collect::<Option<Vec<_>>>()?;
        Some(Self { end: id(end)?, open })
    }

    /// Adds a transaction that got its id after the snapshot was taken. Of those in between nothing is known.
    fn add(&mut self, id: u64) {
        if id >= self.end && id - self.end <= Self::OPEN_ADDED_MAX {
            self.open.extend(self.end..id);
            self.end = id + 1;
        }
    }

    fn has(&self, id: u64) -> bool {
        id < self.end && !self.open.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shown: &Shown) -> Vec<u64> {
        (0..40).filter(|id| shown.has(*id)).collect()
    }

    #[test]
    fn a_snapshot_shows_what_was_over() {
        let shown = Shown::parse("10:14:10,12", 0).unwrap();
        assert_eq!(of(&shown), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13]);
        assert_eq!(of(&Shown::parse("3:3:", 0).unwrap()), [0, 1, 2]);
        assert_eq!(Shown::parse("3:5:3", 100).unwrap(), Shown { end: 105, open: vec![103] });
        for nonsense in ["", "3:3", "3:x:", "3:5:x"] {
            assert_eq!(Shown::parse(nonsense, 0), None, "{nonsense}");
        }
    }

    #[test]
    fn an_own_transaction_is_added_and_those_before_it_are_not() {
        let mut shown = Shown::parse("3:5:3", 0).unwrap();
        shown.add(7);
        assert_eq!(of(&shown), [0, 1, 2, 4, 7]);
        shown.add(8);
        assert_eq!(of(&shown), [0, 1, 2, 4, 7, 8]);
        shown.add(1_000);
        assert_eq!(of(&shown), [0, 1, 2, 4, 7, 8], "too far to say anything");
    }

    #[test]
    fn only_later_snapshots_count() {
        let safe = Safe::default();
        safe.learn(Shown::parse("5:5:", 0).unwrap());
        safe.learn(Shown::parse("3:4:3", 0).unwrap());
        assert_eq!(of(&safe.0.read()), [0, 1, 2, 3, 4]);
    }
}
