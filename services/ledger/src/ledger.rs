//! The ledger as a [`Domain`]: connects the rules, the stored formats and the views.

use std::sync::Arc;

use bytes::Bytes;
use diptych_kernel::{
    StreamId,
    domain::{DecodeError, Domain, View},
};

use crate::{
    domain::{Account, Command, Event, Refusal, codec, decide, refusal_codec},
    grpc, views,
};

/// The ledger domain. Each account is one stream, named `account-` followed by the account id.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ledger;

impl Domain for Ledger {
    type Command = Command;
    type Event = Event;
    type State = Account;
    type Refusal = Refusal;

    const SNAPSHOT_FORMAT: u32 = 1;

    fn streams(command: &Command) -> Vec<StreamId> {
        command.streams()
    }

    fn decide(states: &[Account], command: &Command) -> Result<Vec<(usize, Event)>, Refusal> {
        decide::decide(states, command)
    }

    fn evolve(state: &mut Account, event: &Event) {
        state.evolve(event);
    }

    fn decode_command(command_type: &str, payload: &[u8]) -> Result<Command, DecodeError> {
        grpc::decode_command(command_type, payload)
    }

    fn encode_event(event: &Event) -> (Arc<str>, Bytes) {
        codec::encode_event(event)
    }

    fn decode_event(event_type: &str, payload: &[u8]) -> Result<Event, DecodeError> {
        codec::decode_event(event_type, payload)
    }

    fn encode_refusal(refusal: &Refusal) -> Bytes {
        refusal_codec::encode_refusal(refusal)
    }

    fn decode_refusal(refusal: &[u8]) -> Result<Refusal, DecodeError> {
        refusal_codec::decode_refusal(refusal)
    }

    fn encode_snapshot(state: &Account) -> Bytes {
        codec::encode_snapshot(state)
    }

    fn decode_snapshot(snapshot: &[u8]) -> Result<Account, DecodeError> {
        codec::decode_snapshot(snapshot)
    }

    fn views() -> Vec<Box<dyn View<Event>>> {
        views::all()
    }
}
