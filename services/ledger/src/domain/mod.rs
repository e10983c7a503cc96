//! The rules: what may happen to an account, and what becomes of it. Pure functions over checked types.

mod account;
mod amount;
mod codec;
mod command;
mod currency;
mod decide;
mod details;
mod event;
mod form;
mod id;
mod refusal;

use std::sync::Arc;

use bytes::Bytes;
use diptych_kernel::{
    StreamId,
    domain::{DecodeError, Domain, View},
};

pub use account::{Account, Holding};
pub use amount::{Amount, OverdraftLimit};
pub use command::{Command, Deposit, OpenAccount, StatusChange, Transfer, Withdraw};
pub use currency::Currency;
pub use details::{Details, Text, ValueDate};
pub use event::Event;
pub use form::FormError;
pub use id::{AccountId, OwnerId};
pub use refusal::Refusal;

/// The domain. A stream is an account: `account-` and the account's id.
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

    fn encode_event(event: &Event) -> (Arc<str>, Bytes) {
        codec::encode_event(event)
    }

    fn decode_event(event_type: &str, payload: &[u8]) -> Result<Event, DecodeError> {
        codec::decode_event(event_type, payload)
    }

    fn encode_snapshot(state: &Account) -> Bytes {
        codec::encode_snapshot(state)
    }

    fn decode_snapshot(snapshot: &[u8]) -> Result<Account, DecodeError> {
        codec::decode_snapshot(snapshot)
    }

    fn views() -> Vec<Box<dyn View<Event>>> {
        crate::views::all()
    }
}
