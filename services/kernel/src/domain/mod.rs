//! Domain traits: pure functions over the domain's own types.
//!
//! Nothing here does I/O, so a rule runs in microseconds, is tested given/when/then, and a new domain is one crate.

mod view;

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::vocabulary::StreamId;
pub use view::{DecodedEvent, FoldError, RowKey, Scope, View, ViewId, view_set_name};

/// Largest number of streams that one command may write to. With more, one command would have to wait for many others.
pub const STREAMS_PER_COMMAND_MAX: usize = 16;

/// Largest number of events that one command may produce.
pub const EVENTS_PER_COMMAND_MAX: usize = 1_024;

/// Domain: its commands, the events that they produce, the state that decisions are based on, and the refusals.
///
/// All functions are pure and total: the same arguments give the same result, and no value causes a panic.
pub trait Domain: Send + Sync + Sized + 'static {
    /// Request of a caller, already validated for form.
    type Command: Send + Sync + 'static;
    /// Fact that a command produced. Stored forever.
    type Event: Clone + PartialEq + fmt::Debug + Send + Sync + 'static;
    /// State of one stream, as decisions need it. The default is the state of a stream without events.
    type State: Clone + Default + PartialEq + fmt::Debug + Send + Sync + 'static;
    /// Reason for which a business rule rejects a command.
    type Refusal: fmt::Debug + Send + Sync + 'static;

    /// Format number of encoded snapshots. Change it when their meaning changes: snapshots of another format are not
    /// read.
    const SNAPSHOT_FORMAT: u32;

    /// Returns the streams that the command writes to: 1 to [`STREAMS_PER_COMMAND_MAX`], each once. A command's
    /// `expected_version` refers to the first one.
    fn streams(command: &Self::Command) -> Vec<StreamId>;

    /// Decides a command. `states[i]` is the state of the stream `streams(command)[i]`.
    ///
    /// Returns events, each with the index of its stream: at least one for each stream, because an append checks only
    /// the streams that it writes to, and at most [`EVENTS_PER_COMMAND_MAX`] in total.
    ///
    /// # Errors
    /// The refusal of a business rule. No event is stored then.
    fn decide(states: &[Self::State], command: &Self::Command) -> Result<Vec<(usize, Self::Event)>, Self::Refusal>;

    /// Folds an event into the state. Accepts every event that `decide` returned; an event that does not fit the state
    /// changes nothing.
    fn evolve(state: &mut Self::State, event: &Self::Event);

    /// Decodes a command from the queue of commands: what the domain's service gave to be queued, the kind of the
    /// command and its encoded content.
    ///
    /// # Errors
    /// If the kind is unknown or the content is invalid.
    fn decode_command(command_type: &str, payload: &[u8]) -> Result<Self::Command, DecodeError>;

    /// Encodes an event for storage: the full name of its message, and the encoded message.
    fn encode_event(event: &Self::Event) -> (Arc<str>, Bytes);

    /// Decodes a stored event.
    ///
    /// # Errors
    /// If the type is unknown or the payload is invalid.
    fn decode_event(event_type: &str, payload: &[u8]) -> Result<Self::Event, DecodeError>;

    /// Encodes a refusal for storage, so that a repeated command gets the same refusal: at most
    /// [`REFUSAL_BYTES_MAX`](crate::ports::REFUSAL_BYTES_MAX) - 16 bytes.
    fn encode_refusal(refusal: &Self::Refusal) -> Bytes;

    /// Decodes a stored refusal.
    ///
    /// # Errors
    /// If the refusal is invalid.
    fn decode_refusal(refusal: &[u8]) -> Result<Self::Refusal, DecodeError>;

    /// Encodes a state for a snapshot.
    fn encode_snapshot(state: &Self::State) -> Bytes;

    /// Decodes a snapshot of format [`Domain::SNAPSHOT_FORMAT`].
    ///
    /// # Errors
    /// If the snapshot is invalid; the stream is then loaded from its events.
    fn decode_snapshot(snapshot: &[u8]) -> Result<Self::State, DecodeError>;

    /// Returns the domain's views. Their names are distinct.
    fn views() -> Vec<Box<dyn View<Self::Event>>>;
}

/// Error for a stored event, snapshot or command that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot decode {what}: {reason}")]
pub struct DecodeError {
    /// The type of the event or snapshot.
    pub what: String,
    /// The reason.
    pub reason: String,
}

impl DecodeError {
    /// Creates an error from the type that could not be decoded and the reason.
    pub fn new(what: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self { what: what.into(), reason: reason.to_string() }
    }
}
