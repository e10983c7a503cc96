//! Given/when/then tests for domains.

use std::{collections::HashMap, fmt};

use crate::{
    domain::{Domain, EVENTS_PER_COMMAND_MAX, STREAMS_PER_COMMAND_MAX},
    vocabulary::StreamId,
};

/// Streams with their current states. Any other stream has no events.
#[derive(Debug)]
pub struct Fixture<D: Domain> {
    states: HashMap<StreamId, D::State>,
}

/// Result of deciding a command.
#[derive(Debug)]
pub struct Outcome<D: Domain> {
    states: HashMap<StreamId, D::State>,
    decided: Result<Vec<(StreamId, D::Event)>, D::Refusal>,
}

/// Starts a test of a domain rule from streams and their events:
/// `fixture::<Theatre>([(seat, events)]).when(command).then(events)`.
#[must_use]
pub fn fixture<D: Domain>(streams: impl IntoIterator<Item = (StreamId, Vec<D::Event>)>) -> Fixture<D> {
    let mut states = HashMap::new();
    for (stream_id, events) in streams {
        let state: &mut D::State = states.entry(stream_id).or_default();
        events.iter().for_each(|event| D::evolve(state, event));
    }
    Fixture { states }
}

impl<D: Domain> Fixture<D> {
    /// Decides a command, and checks the contract of [`Domain`].
    ///
    /// # Panics
    /// If the domain breaks the contract: no stream or too many, a stream twice, no events or too many, or events or
    /// states that do not round-trip through their encoding.
    #[must_use]
    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "reads as a sentence in a test")]
    pub fn when(mut self, command: D::Command) -> Outcome<D> {
        let streams = D::streams(&command);
        assert!(
            (1..=STREAMS_PER_COMMAND_MAX).contains(&streams.len()),
            "a command must write to 1 to 16 streams: {streams:?}"
        );
        for (index, stream) in streams.iter().enumerate() {
            assert!(!streams[..index].contains(stream), "a command names stream {stream} twice");
        }
        let states: Vec<_> =
            streams.iter().map(|stream| self.states.get(stream).cloned().unwrap_or_default()).collect();
        let decided = D::decide(&states, &command).map(|events| {
            assert!((1..=EVENTS_PER_COMMAND_MAX).contains(&events.len()), "a command must produce 1 to 1,024 events");
            events.into_iter().map(|(index, event)| (streams[index].clone(), event)).collect::<Vec<_>>()
        });
        for (stream_id, event) in decided.iter().flatten() {
            let (event_type, payload) = D::encode_event(event);
            let read = D::decode_event(&event_type, &payload);
            assert_eq!(read.as_ref(), Ok(event), "an event does not round-trip through its encoding");
            D::evolve(self.states.entry(stream_id.clone()).or_default(), event);
        }
        for state in self.states.values() {
            let read = D::decode_snapshot(&D::encode_snapshot(state));
            assert_eq!(read.as_ref(), Ok(state), "a state does not round-trip through its snapshot");
        }
        Outcome { states: self.states, decided }
    }
}

impl<D: Domain> Outcome<D> {
    /// Expects that the command was accepted with these events, in this order. Returns a fixture to continue from.
    ///
    /// # Panics
    /// If the result differs.
    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "reads as a sentence in a test")]
    pub fn then(self, expected: impl IntoIterator<Item = (StreamId, D::Event)>) -> Fixture<D> {
        match self.decided {
            Ok(events) => assert_eq!(events, expected.into_iter().collect::<Vec<_>>()),
            Err(refusal) => panic!("the command was refused: {refusal:?}"),
        }
        Fixture { states: self.states }
    }

    /// Expects that the command was refused for this reason. Returns the unchanged fixture to continue from.
    ///
    /// # Panics
    /// If the result differs.
    #[track_caller]
    pub fn then_refused(self, expected: &D::Refusal) -> Fixture<D>
    where
        D::Refusal: PartialEq,
    {
        match &self.decided {
            Err(refusal) => assert_eq!(refusal, expected),
            Ok(events) => panic!("the command was accepted: {events:?}"),
        }
        Fixture { states: self.states }
    }

    /// Expects that the command was accepted and left a stream in this state. Returns a fixture to continue from.
    ///
    /// # Panics
    /// If the result differs.
    #[track_caller]
    pub fn then_state(self, stream_id: &StreamId, expected: &D::State) -> Fixture<D>
    where
        D::Refusal: fmt::Debug,
    {
        if let Err(refusal) = &self.decided {
            panic!("the command was refused: {refusal:?}");
        }
        let state = self.states.get(stream_id).cloned().unwrap_or_default();
        assert_eq!(&state, expected, "the state of {stream_id}");
        Fixture { states: self.states }
    }
}
