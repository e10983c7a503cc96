//! Reading lists. They come from the read database: what is right about a list is the progress of its view, not a position of its own.

use std::sync::Arc;

use diptych_kernel::{
    Partition, Position, StreamId, Token,
    domain::ViewId,
    ports::{ProgressStore, ScanPage, ViewCache, ViewStore},
};
use tokio::time::{Instant, timeout_at};

use super::{Answer, Goal, ReadAt, ReadAtBuilder, Reader, Shared, Snapshot, refuse_parked};
use crate::{
    answer::Page,
    error::{QueryError, Trouble},
};

/// Whose events a list is made of, and how fresh it must be.
struct Concern<'a> {
    view: ViewId,
    /// Its number on the board.
    view_number: usize,
    /// `None` where it is made of events of all partitions.
    partition: Option<Partition>,
    stream: Option<&'a StreamId>,
    token: &'a Token,
}

impl<V: ViewStore, P: ProgressStore, C: ViewCache> Reader<V, P, C> {
    /// Up to `limit` rows of a group, after a sort key. The group is made of events of one `stream`, or of many streams of one `partition`,
    /// or, where both are `None`, of streams of any partition: then the token is checked against each partition that it names.
    ///
    /// # Errors
    /// See [`QueryError`].
    #[allow(
        clippy::too_many_arguments,
        reason = "what is read, whose it is and how fresh: each is needed, none belongs to another"
    )]
    pub async fn scan(
        &self,
        view: ViewId,
        partition: Option<Partition>,
        stream: Option<&StreamId>,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
        token: &Token,
        deadline: Instant,
    ) -> Result<Answer<Page>, QueryError> {
        let shared = &self.shared;
        let (view_number, _) = shared.counted(shared.view(view))?;
        let partition = partition.or_else(|| stream.map(|stream| shared.board.partitions().of(stream)));
        let concern = Concern { view, view_number, partition, stream, token };
        // Before the rows: what is read after the view had got to a position is right up to it.
        let snapshot = shared.counted(shared.caught_up(&concern, deadline).await)?;
        let scan = shared.rows.store().scan(view, partition_key, after_exclusive, limit);
        let page = timeout_at(deadline, scan).await.unwrap_or(Err(Trouble::Unavailable));
        let page = shared.counted(page.map_err(QueryError::from))?;
        // A stream may have been parked while its rows were read.
        let (_, newest) = shared.view(view)?;
        shared.counted(concern.refuse_parked(&newest))?;
        let read_at = concern.read_at(&snapshot, &page, shared.board.partitions().iter());
        Ok(Answer { value: as_page(page), read_at })
    }
}

impl<V: ViewStore, C: ViewCache> Shared<V, C> {
    /// The picture of progress once it has everything that the token asks for.
    async fn caught_up(&self, concern: &Concern<'_>, deadline: Instant) -> Result<Arc<Snapshot>, QueryError> {
        loop {
            let (_, snapshot) = self.view(concern.view)?;
            concern.refuse_parked(&snapshot)?;
            match concern.behind(&snapshot) {
                Some(goal) => self.waits.until_reached(goal, deadline).await?,
                None => return Ok(snapshot),
            }
        }
    }
}

impl Concern<'_> {
    /// The partitions that the token is checked against, with what it asks for.
    fn required(&self) -> impl Iterator<Item = (Partition, Position)> + '_ {
        let one = self.partition.map(|partition| (partition, self.token.position(partition)));
        let all = self.partition.is_none().then(|| self.token.iter());
        one.into_iter().chain(all.into_iter().flatten())
    }

    fn refuse_parked(&self, snapshot: &Snapshot) -> Result<(), QueryError> {
        self.required().try_for_each(|(partition, required)| {
            refuse_parked(snapshot, self.view_number, partition, self.stream, required)
        })
    }

    fn behind(&self, snapshot: &Snapshot) -> Option<Goal> {
        let behind =
            self.required().find(|(partition, required)| snapshot.position(self.view_number, *partition) < *required);
        let (partition, required) = behind?;
        Some(Goal { view: self.view, view_number: self.view_number, partition, required })
    }

    fn read_at(&self, snapshot: &Snapshot, page: &ScanPage, all: impl Iterator<Item = Partition>) -> ReadAt {
        let mut read_at = ReadAtBuilder::default();
        match self.partition {
            Some(partition) => {
                // Rows may be ahead of the progress, and who has seen them here must find them again.
                let newest = page.rows.iter().map(|(_, row)| row.position).max().unwrap_or_default();
                match snapshot.slot(self.view_number, partition) {
                    Some(slot) if slot.is_whole(self.stream) => {
                        read_at.add(partition, slot.position.max(newest), slot.as_of);
                    }
                    _ => read_at.add_unknown(),
                }
            }
            None => all.for_each(|partition| read_at.add_partition(snapshot, self.view_number, partition)),
        }
        read_at.build()
    }
}

fn as_page(page: ScanPage) -> Page {
    let rows = page.rows.into_iter().filter_map(|(sort_key, row)| Some((sort_key, row.body?))).collect();
    Page { rows, more: page.more }
}
