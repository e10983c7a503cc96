//! Proof, on each new connection, that the server has the events that this process knows to be committed.

use std::sync::Arc;

use diptych_kernel::{Position, RecordedEvent, RequestId, ports::PortError, vocabulary::HistoryId};
use parking_lot::Mutex;

use super::{
    columns::{SqlRow, Uuid},
    error::StatementError,
};

/// The statement whose row [`KnownHistory::check`] compares. Its parameter is that of [`KnownHistory::newest`].
pub(crate) const HISTORY_CHECK: &str = include_str!("../../queries/history_check.sql");

/// History of the write database, and the newest event of it that this process knows to be committed. Clones share it.
///
/// A server may lose events: it is restored from a backup under running processes, or a standby without the newest
/// commits takes over. Positions would then be assigned a second time, and states that the process holds in memory
/// would pass the version check by accident.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownHistory {
    state: Arc<Mutex<State>>,
    /// Whether a connection without a synchronous standby is refused.
    synchronous_standby_required: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// `None` until the first connection has been checked.
    id: Option<HistoryId>,
    newest: Option<KnownEvent>,
    /// The newest event that was read and becomes known with the next acknowledged commit: it may be visible without
    /// being durable.
    unconfirmed: Option<KnownEvent>,
}

/// An event, and the request that it belongs to: another event can get its position after a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownEvent {
    pub(crate) position: Position,
    pub(crate) request_id: RequestId,
}

impl KnownHistory {
    pub(crate) fn new(synchronous_standby_required: bool) -> Self {
        Self { state: Arc::default(), synchronous_standby_required }
    }

    /// Sets the history that all connections must have.
    pub(crate) fn set_id(&self, id: HistoryId) {
        self.state.lock().id = Some(id);
    }

    /// Returns whether the history is set, so that new connections are to be checked.
    pub(crate) fn is_set(&self) -> bool {
        self.state.lock().id.is_some()
    }

    /// Records events that are committed and durable.
    pub(crate) fn record_all(&self, events: impl IntoIterator<Item = KnownEvent>) {
        events.into_iter().for_each(|event| self.record(event));
    }

    /// Records an event that is committed and durable.
    pub(crate) fn record(&self, event: KnownEvent) {
        raise(&mut self.state.lock().newest, event);
    }

    /// Records an event that was read, and is known to be durable after a later commit.
    pub(crate) fn record_unconfirmed(&self, event: KnownEvent) {
        raise(&mut self.state.lock().unconfirmed, event);
    }

    /// Returns what a commit that begins now confirms: pass it to [`KnownHistory::record`] when it is acknowledged.
    pub(crate) fn unconfirmed(&self) -> Option<KnownEvent> {
        self.state.lock().unconfirmed
    }

    /// Forgets what was only read: another server, which has lost it, answers now.
    pub(crate) fn forget_unconfirmed(&self) {
        self.state.lock().unconfirmed = None;
    }

    /// Returns the newest known event.
    pub(crate) fn newest(&self) -> Option<KnownEvent> {
        self.state.lock().newest
    }

    /// Checks the row of [`HISTORY_CHECK`] on a new connection, which was executed with the position of `known`.
    ///
    /// # Errors
    /// For an operator: if the server has another history, or lacks the event, or commits are not durable enough.
    pub(crate) fn check(&self, known: Option<KnownEvent>, row: SqlRow<'_>) -> Result<(), StatementError> {
        self.check_durability(row)?;
        let state = *self.state.lock();
        let found: Option<[u8; 16]> = row.get::<Option<Uuid>>("history_id")?.map(|id| *id.0.as_bytes());
        let found = found.map(HistoryId::from_bytes);
        if let Some(id) = state.id.filter(|id| found != Some(*id)) {
            return Err(other_history(id, found).into());
        }
        let Some(known) = known else { return Ok(()) };
        match row.get::<Option<Uuid>>("request_id")? {
            Some(request_id) if request_id.0 == known.request_id => Ok(()),
            _ => Err(StatementError::WentBack(went_back(known))),
        }
    }

    fn check_durability(&self, row: SqlRow<'_>) -> Result<(), StatementError> {
        let commit: &str = row.get("synchronous_commit")?;
        if matches!(commit, "off" | "local") {
            return Err(PortError::operator(format!(
                "the write database set synchronous_commit to {commit:?} although this session asked for \"on\": \
                 commits would be acknowledged before they are durable; check the proxy between diptych and Postgres, \
                 which must keep a session's settings"
            ))
            .into());
        }
        let standbys: &str = row.get("synchronous_standby_names")?;
        if self.synchronous_standby_required && standbys.is_empty() {
            // It may be there soon: after a failover, the former primary.
            return Err(PortError::not_done(
                "the write database has no synchronous standby (its synchronous_standby_names is empty), and \
                 postgres.synchronous_standby_required is true: if none is about to follow, name a standby on the \
                 server, or set the setting to false, which means that a lost server loses acknowledged commands",
            )
            .into());
        }
        Ok(())
    }
}

fn raise(newest: &mut Option<KnownEvent>, event: KnownEvent) {
    if newest.is_none_or(|known| known.position < event.position) {
        *newest = Some(event);
    }
}

fn other_history(expected: HistoryId, found: Option<HistoryId>) -> PortError {
    let found = found.map_or_else(|| "no history".to_owned(), |id| format!("the history {id}"));
    PortError::operator(format!(
        "the write database has {found}, but this process began with the history {expected}: another database answers \
         at its address, or `diptych rebase` was run; if the address is right, restart this process"
    ))
}

fn went_back(known: KnownEvent) -> PortError {
    PortError::operator(format!(
        "the write database went back: it lacks the event of request {} at position {}, which was committed. It was \
         restored from a backup, or a standby without the newest commits took over. Bring back the server that has \
         it; or stop all processes, run `diptych rebase` to go on without what is lost, and start them again",
        known.request_id, known.position
    ))
}

impl KnownEvent {
    /// Returns the newest of some events.
    pub(crate) fn newest<'a>(events: impl IntoIterator<Item = &'a RecordedEvent>) -> Option<Self> {
        let newest = events.into_iter().max_by_key(|event| event.position)?;
        Some(Self { position: newest.position, request_id: newest.request_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: i64) -> KnownEvent {
        KnownEvent { position: Position::from_i64(number).unwrap(), request_id: RequestId::from_bytes([7; 16]) }
    }

    #[test]
    fn the_newest_event_stays_known() {
        let known = KnownHistory::new(false);
        assert_eq!(known.newest(), None);
        known.record(event(5));
        known.record(event(3));
        assert_eq!(known.newest(), Some(event(5)));
    }

    #[test]
    fn an_event_that_was_only_read_is_known_after_the_next_commit() {
        let known = KnownHistory::new(false);
        known.record_unconfirmed(event(5));
        let confirmed = known.unconfirmed();
        known.record_unconfirmed(event(9));
        assert_eq!(known.newest(), None);
        known.record_all(confirmed);
        assert_eq!(known.newest(), Some(event(5)));
    }
}
