//! Telling who holds readers back.

use std::time::Duration;

use diptych_kernel::ports::PortResult;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::read::Piece;
use crate::wire::{Pool, Row, Trouble};

const OLDEST_WRITER: &str = include_str!("../../queries/oldest_writer.sql");

/// For how long the bound has to stand still, with events behind it, before somebody is to blame.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is logged while it lasts.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A transaction that has written and is not over.
#[derive(Clone, Debug, PartialEq)]
pub struct OldestWriter {
    /// The process of its session, for `pg_terminate_backend`; `None` where it waits for its second phase.
    pub pid: Option<i32>,
    /// The name under which it was prepared for a second phase.
    pub prepared_as: Option<String>,
    /// What the session calls itself.
    pub application_name: Option<String>,
    /// What the session is doing, such as `idle in transaction`; `None` where this user may not know.
    pub state: Option<String>,
    /// How long ago the transaction began, in seconds; `None` where this user may not know.
    pub age_seconds: Option<f64>,
}

/// Asks for it.
pub(super) async fn oldest_writer(readers: &Pool) -> PortResult<Option<OldestWriter>> {
    let ask = async {
        let rows = readers.session().await?.query(OLDEST_WRITER, &[]).await?;
        let Some(row) = rows.first().map(Row) else { return Ok(None) };
        Ok(Some(OldestWriter {
            pid: row.get("pid")?,
            prepared_as: row.get("prepared_as")?,
            application_name: row.get("application_name")?,
            state: row.get("state")?,
            age_seconds: row.get("age_seconds")?,
        }))
    };
    ask.await.map_err(Trouble::of_question)
}

/// Watches the bound below which events can be read.
#[derive(Debug, Default)]
pub(super) struct HeldBack(Mutex<Watch>);

#[derive(Debug, Default)]
struct Watch {
    /// Where the bound stands, and since when, while events wait behind it.
    stuck: Option<(i64, Instant)>,
    logged: Option<Instant>,
}

impl HeldBack {
    /// Looks at what was read, and tells the log where readers are held back for long.
    pub(super) async fn note(&self, readers: &Pool, piece: &Piece, limit: usize) {
        let is_held_back = piece.held_back_at.is_some() && piece.events.len() < limit;
        let bound = is_held_back.then(|| piece.undecided_from.as_i64());
        if !self.0.lock().is_worth_telling(bound, Instant::now()) {
            return;
        }
        match oldest_writer(readers).await {
            Ok(Some(writer)) => tracing::warn!(
                pid = writer.pid,
                prepared_as = writer.prepared_as,
                application_name = writer.application_name,
                state = writer.state,
                age_seconds = writer.age_seconds,
                "a transaction that has written and is not over holds all readers back"
            ),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "readers are held back, and who does it cannot be asked"),
        }
    }
}

impl Watch {
    fn is_worth_telling(&mut self, bound: Option<i64>, now: Instant) -> bool {
        let since = match (bound, self.stuck) {
            (None, _) => {
                self.stuck = None;
                return false;
            }
            (Some(bound), Some((known, since))) if known == bound => since,
            (Some(bound), _) => {
                self.stuck = Some((bound, now));
                return false;
            }
        };
        let was_just_logged = self.logged.is_some_and(|logged| now.duration_since(logged) < LOG_INTERVAL);
        if now.duration_since(since) < PATIENCE || was_just_logged {
            return false;
        }
        self.logged = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_after_a_while_and_not_too_often() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let mut at = |millis, bound| watch.is_worth_telling(bound, start + Duration::from_millis(millis));
        assert!(!at(0, Some(5)));
        assert!(!at(900, Some(5)), "too early");
        assert!(!at(1_000, Some(6)), "it has moved");
        assert!(!at(1_900, Some(6)), "too early");
        assert!(at(2_000, Some(6)));
        assert!(!at(11_900, Some(6)), "just told");
        assert!(at(12_000, Some(6)), "still so");
        assert!(!at(23_000, None), "over");
        assert!(!at(23_100, Some(6)), "begins anew");
    }
}
