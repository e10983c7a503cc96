//! Histories: what a position means, and for how long.

use std::fmt;

use uuid::Uuid;

use super::{Partitions, Position, TokenIssuer, TokenKey};

/// Identifier of a history: a random UUID, made when an installation is created and after each restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HistoryId(Uuid);

impl HistoryId {
    /// Creates an identifier that no other installation has.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Creates an identifier from a UUID, without further checks.
    #[must_use]
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Creates an identifier from its stored 16 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Parses a UUID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }

    /// Returns the 16 bytes, as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Returns the first four bytes, which name the history in tokens.
    #[must_use]
    pub fn tag(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = *self.as_bytes();
        [a, b, c, d]
    }
}

impl fmt::Display for HistoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Histories of an installation: the current one, and those that it continues.
///
/// A position names an event only within one history. After a restore from a backup, positions above the last restored
/// event are assigned a second time, to other events. So a restore begins a new history, which shares the events up to
/// there with the one before:
///
/// ```text
///   first   ---[ shared ]---|---[ lost ]
///   second                  |---[ shared ]---|---[ lost ]
///   third                                    |---[ current ]--->
/// ```
///
/// What names a position also names its history, and [`History::comparison`] tells whether the event is one of this
/// installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// From the oldest to the current one; never empty. `begins_after` never decreases.
    spans: Vec<HistorySpan>,
}

/// Identity of an installation: what its write database fixes, and every other part must agree with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Partitions; fixed when the installation is created.
    pub partitions: Partitions,
    /// The current history, and those that it continues.
    pub history: History,
    /// The key of consistency tokens.
    pub token_key: TokenKey,
}

impl Installation {
    /// Creates a new installation, with a history and a key that no other one has.
    #[must_use]
    pub fn new(partitions: Partitions) -> Self {
        Self { partitions, history: History::new(HistoryId::random()), token_key: TokenKey::random() }
    }

    /// Returns the issuer of its consistency tokens.
    #[must_use]
    pub fn tokens(&self) -> TokenIssuer {
        TokenIssuer::new(self.history.clone(), &self.token_key)
    }
}

/// One history, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistorySpan {
    /// The history.
    pub id: HistoryId,
    /// Position of the last event that it shares with the history before it.
    pub begins_after: Position,
}

/// Relation of a position in some history to an installation's [`History`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryComparison {
    /// The installation has the events up to that position.
    Shared,
    /// The position is of an earlier history, after the point from which a restore went another way.
    Lost {
        /// Position of the last event that was kept.
        kept_up_to: Position,
    },
    /// The history is of another installation, or of a restored state that this one does not continue.
    Unknown,
}

/// Error for stored bytes that are not a [`History`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored history has {0} bytes, which is not one or more entries of 24 bytes in order of position")]
pub struct HistoryError(usize);

const SPAN_BYTES: usize = 24;

impl History {
    /// Maximum number of histories that are kept. What names an older one is unknown.
    pub const SPANS_MAX: usize = 1_000;

    /// Creates the first history of an installation.
    #[must_use]
    pub fn new(id: HistoryId) -> Self {
        Self { spans: vec![HistorySpan { id, begins_after: Position::START }] }
    }

    /// Creates a history from its spans, from the oldest to the current one. `None` if there are none, or their
    /// positions decrease.
    #[must_use]
    pub fn from_spans(spans: Vec<HistorySpan>) -> Option<Self> {
        let is_ordered = spans.is_sorted_by_key(|span| span.begins_after);
        (!spans.is_empty() && is_ordered).then_some(Self { spans })
    }

    /// Returns the current history's identifier.
    #[must_use]
    pub fn id(&self) -> HistoryId {
        self.current().id
    }

    /// Returns the current history.
    #[must_use]
    pub fn current(&self) -> HistorySpan {
        self.spans.last().copied().unwrap_or(HistorySpan {
            // Never used: there is always one.
            id: HistoryId(Uuid::nil()),
            begins_after: Position::START,
        })
    }

    /// Returns all histories, from the oldest to the current one.
    #[must_use]
    pub fn spans(&self) -> &[HistorySpan] {
        &self.spans
    }

    /// Returns the history in which a position was assigned: it stays the same in all later ones.
    #[must_use]
    pub fn id_at(&self, position: Position) -> HistoryId {
        let found = self.spans.iter().rev().find(|span| span.begins_after < position);
        found.or(self.spans.first()).map_or_else(|| self.id(), |span| span.id)
    }

    /// Begins a new history, which shares the events up to a position.
    pub fn renew(&mut self, id: HistoryId, shared_up_to: Position) {
        let begins_after = shared_up_to.max(self.current().begins_after);
        self.spans.push(HistorySpan { id, begins_after });
        let excess = self.spans.len().saturating_sub(Self::SPANS_MAX);
        self.spans.drain(..excess);
    }

    /// Compares a position of a history with this installation.
    #[must_use]
    pub fn comparison(&self, id: HistoryId, position: Position) -> HistoryComparison {
        self.comparison_where(|span| span.id == id, position)
    }

    /// Compares a position of the history with this [tag](HistoryId::tag).
    #[must_use]
    pub fn comparison_by_tag(&self, tag: [u8; 4], position: Position) -> HistoryComparison {
        self.comparison_where(|span| span.id.tag() == tag, position)
    }

    fn comparison_where(&self, is_named: impl Fn(&HistorySpan) -> bool, position: Position) -> HistoryComparison {
        let Some(index) = self.spans.iter().rposition(is_named) else { return HistoryComparison::Unknown };
        match self.spans.get(index + 1) {
            Some(next) if position > next.begins_after => HistoryComparison::Lost { kept_up_to: next.begins_after },
            _ => HistoryComparison::Shared,
        }
    }

    /// Encodes all histories as bytes, for stores that keep them in one value.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let spans = self.spans.iter();
        spans
            .flat_map(|span| span.id.as_bytes().iter().copied().chain(span.begins_after.as_i64().to_be_bytes()))
            .collect()
    }

    /// Decodes what [`History::to_bytes`] has encoded.
    ///
    /// # Errors
    /// If the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HistoryError> {
        let spans = bytes.chunks(SPAN_BYTES).map(|chunk| {
            let (id, begins_after) = chunk.split_first_chunk::<16>()?;
            let begins_after = i64::from_be_bytes(begins_after.try_into().ok()?);
            let begins_after = Position::from_i64(begins_after).ok()?;
            Some(HistorySpan { id: HistoryId::from_bytes(*id), begins_after })
        });
        let spans: Option<Vec<_>> = spans.collect();
        spans.and_then(Self::from_spans).ok_or(HistoryError(bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> HistoryId {
        HistoryId::from_uuid(Uuid::from_u128(number << 96))
    }

    fn at(number: i64) -> Position {
        Position::from_i64(number).unwrap()
    }

    /// Histories 1, 2 and 3; 2 begins after position 10 and 3 after position 20.
    fn history() -> History {
        let mut history = History::new(id(1));
        history.renew(id(2), at(10));
        history.renew(id(3), at(20));
        history
    }

    #[test]
    fn positions_up_to_a_restore_are_shared_and_later_ones_are_lost() {
        use HistoryComparison::{Lost, Shared, Unknown};
        let history = history();
        assert_eq!(history.id(), id(3));
        let expected = [
            (1, 10, Shared),
            (1, 11, Lost { kept_up_to: at(10) }),
            (2, 20, Shared),
            (2, 21, Lost { kept_up_to: at(20) }),
            (3, i64::MAX, Shared),
            (4, 0, Unknown),
        ];
        for (number, position, comparison) in expected {
            assert_eq!(history.comparison(id(number), at(position)), comparison, "{number} at {position}");
            assert_eq!(history.comparison_by_tag(id(number).tag(), at(position)), comparison);
        }
    }

    #[test]
    fn a_position_belongs_to_the_history_that_assigned_it() {
        let history = history();
        for (position, number) in [(0, 1), (1, 1), (10, 1), (11, 2), (20, 2), (21, 3), (i64::MAX, 3)] {
            assert_eq!(history.id_at(at(position)), id(number), "{position}");
        }
    }

    #[test]
    fn a_history_survives_its_bytes() {
        let history = history();
        assert_eq!(History::from_bytes(&history.to_bytes()), Ok(history.clone()));
        let bytes = history.to_bytes();
        for invalid in [&[][..], &bytes[..71], &bytes[1..], &[0xff; 24]] {
            assert_eq!(History::from_bytes(invalid), Err(HistoryError(invalid.len())));
        }
    }

    #[test]
    fn a_history_never_begins_before_the_one_that_it_continues() {
        let mut history = history();
        history.renew(id(4), at(5));
        assert_eq!(history.current(), HistorySpan { id: id(4), begins_after: at(20) });
    }

    #[test]
    fn the_oldest_histories_are_forgotten() {
        let mut history = History::new(id(0));
        for number in 1..=1_000 {
            history.renew(id(number), at(7));
        }
        assert_eq!(history.spans().len(), History::SPANS_MAX);
        assert_eq!(history.comparison(id(0), at(0)), HistoryComparison::Unknown);
        assert_eq!(history.comparison(id(1), at(7)), HistoryComparison::Shared);
    }

    #[test]
    fn identifiers_are_random_and_readable() {
        let id = HistoryId::random();
        assert_ne!(id, HistoryId::random());
        assert_eq!(HistoryId::parse(&id.to_string()), Some(id));
        assert_eq!(HistoryId::from_bytes(*id.as_bytes()), id);
        assert_eq!(HistoryId::parse("garbage"), None);
    }
}
