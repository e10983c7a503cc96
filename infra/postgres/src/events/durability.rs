//! Makes sure that what was read is durable before it is returned.

use diptych_kernel::Position;
use parking_lot::RwLock;

use crate::driver::{Session, SqlRow, StatementError, corrupt_data};

const COMMIT_BARRIER: &str = include_str!("../../queries/commit_barrier.sql");

/// The transactions that are known to be durable: on disk, and on the standby if there is one.
///
/// An acknowledged commit of this handle makes everything durable that its snapshot shows. So appends advance this by
/// themselves, and only what other handles have just written needs a commit of its own.
#[derive(Debug, Default)]
pub(super) struct DurabilityTracker(RwLock<VisibleTransactions>);

impl DurabilityTracker {
    /// Records an acknowledged commit that stored events in the transaction of `first_position`.
    pub(super) fn record_commit(&self, first_position: Position, row: SqlRow<'_>) -> Result<(), StatementError> {
        let mut visible = VisibleTransactions::read(row)?;
        visible.add(first_position.transaction_id());
        self.advance(visible);
        Ok(())
    }

    /// Makes everything durable that was read before this call, `last_position` being the last of it. Costs a commit if
    /// it is not known to be durable.
    pub(super) async fn ensure_durable(
        &self,
        session: &mut Session,
        last_position: Position,
    ) -> Result<(), StatementError> {
        if last_position == Position::START || self.0.read().contains(last_position.transaction_id()) {
            return Ok(());
        }
        let rows = session.write(COMMIT_BARRIER, &[]).await?;
        self.advance(VisibleTransactions::read(SqlRow::first(&rows)?)?);
        Ok(())
    }

    fn advance(&self, visible: VisibleTransactions) {
        let mut known = self.0.write();
        // A later snapshot shows everything that an earlier one shows.
        if visible.end_exclusive > known.end_exclusive {
            *known = visible;
        }
    }
}

/// The transactions that a snapshot shows, by the ids that positions contain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct VisibleTransactions {
    /// Upper bound: transactions from here on are not visible, and all before it have ended, except those in progress.
    end_exclusive: u64,
    /// Transactions below the bound that are still in progress.
    in_progress: Vec<u64>,
}

impl VisibleTransactions {
    /// Maximum number of transactions that are added to the list because they began at the same time as an append.
    const IN_PROGRESS_ADDED_MAX: u64 = 64;

    /// Reads the columns `position_base` and `snapshot`.
    fn read(row: SqlRow<'_>) -> Result<Self, StatementError> {
        let text: &str = row.get("snapshot")?;
        let base: i64 = row.get("position_base")?;
        Self::parse(text, base.unsigned_abs()).ok_or_else(|| corrupt_data(format_args!("a snapshot {text:?}")))
    }

    /// Parses the text of a `pg_snapshot`, such as `10:20:10,14`: all before 10 have ended, none from 20 on, and 10 and
    /// 14 are in progress.
    fn parse(text: &str, base: u64) -> Option<Self> {
        let mut parts = text.split(':');
        let (_xmin, xmax, in_progress) = (parts.next()?, parts.next()?, parts.next()?);
        let id = |text: &str| text.parse::<u64>().ok()?.checked_add(base);
        let in_progress = in_progress.split(',').filter(|text| !text.is_empty()).map(id).collect::<Option<Vec<_>>>()?;
        Some(Self { end_exclusive: id(xmax)?, in_progress })
    }

    /// Adds a transaction that got its id after the snapshot was taken. Those in between count as in progress, as
    /// nothing is known of them.
    fn add(&mut self, id: u64) {
        if id >= self.end_exclusive && id - self.end_exclusive <= Self::IN_PROGRESS_ADDED_MAX {
            self.in_progress.extend(self.end_exclusive..id);
            self.end_exclusive = id + 1;
        }
    }

    fn contains(&self, id: u64) -> bool {
        id < self.end_exclusive && !self.in_progress.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(visible: &VisibleTransactions) -> Vec<u64> {
        (0..40).filter(|id| visible.contains(*id)).collect()
    }

    #[test]
    fn a_snapshot_contains_the_transactions_that_have_ended() {
        let visible = VisibleTransactions::parse("10:14:10,12", 0).unwrap();
        assert_eq!(ids(&visible), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13]);
        assert_eq!(ids(&VisibleTransactions::parse("3:3:", 0).unwrap()), [0, 1, 2]);
        let expected = VisibleTransactions { end_exclusive: 105, in_progress: vec![103] };
        assert_eq!(VisibleTransactions::parse("3:5:3", 100).unwrap(), expected);
        for invalid in ["", "3:3", "3:x:", "3:5:x"] {
            assert_eq!(VisibleTransactions::parse(invalid, 0), None, "{invalid}");
        }
    }

    #[test]
    fn an_own_transaction_is_added_and_those_before_it_are_not() {
        let mut visible = VisibleTransactions::parse("3:5:3", 0).unwrap();
        visible.add(7);
        assert_eq!(ids(&visible), [0, 1, 2, 4, 7]);
        visible.add(8);
        assert_eq!(ids(&visible), [0, 1, 2, 4, 7, 8]);
        visible.add(1_000);
        assert_eq!(ids(&visible), [0, 1, 2, 4, 7, 8], "too many transactions in between");
    }

    #[test]
    fn an_earlier_snapshot_does_not_replace_a_later_one() {
        let tracker = DurabilityTracker::default();
        tracker.advance(VisibleTransactions::parse("5:5:", 0).unwrap());
        tracker.advance(VisibleTransactions::parse("3:4:3", 0).unwrap());
        assert_eq!(ids(&tracker.0.read()), [0, 1, 2, 3, 4]);
    }
}
