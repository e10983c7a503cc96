//! What the pipeline is asked: a theatre's guests.

use std::sync::Arc;

use diptych_command::{CommandError, Submission};
use diptych_kernel::{
    EventMetadata, RequestId,
    testing::theatre::{Command, Refusal, Theatre},
};
use diptych_runtime::pause;
use rand::{Rng, rngs::SmallRng};
use uuid::Uuid;

use crate::{
    cluster::Process,
    model::{Asked, Told},
};

/// How long a caller waits before asking the same again.
const AGAIN_AFTER: std::time::Duration = std::time::Duration::from_millis(50);

/// Any command on a small theatre, so that guests get into each other's way.
#[must_use]
pub fn draw(dice: &mut SmallRng) -> Asked {
    let seats = ["A1", "A2", "A3", "B1", "B2", "B3"];
    let seat = |dice: &mut SmallRng| *seats.get(dice.random_range(0..seats.len())).unwrap();
    let command = match dice.random_range(0..10) {
        0..5 => Command::reserve(seat(dice), &format!("guest-{}", dice.random_range(0..8))),
        5..8 => Command::release(seat(dice)),
        _ => Command::swap(seat(dice), seat(dice)),
    };
    let request_id = RequestId::from_uuid(Uuid::from_u128(dice.random()));
    Asked { request_id, command: Arc::new(command) }
}

/// Asks once.
async fn ask_once(process: &Process<Theatre>, asked: &Asked) -> Result<Told, CommandError<Refusal>> {
    let submission = Submission {
        request_id: asked.request_id,
        fingerprint: asked.command.fingerprint(),
        expected_version: None,
        command: (*asked.command).clone(),
        metadata: EventMetadata::default(),
    };
    match process.commands.try_submit(submission)?.await {
        Ok(done) => Ok(Told::Stored(done.receipt)),
        Err(CommandError::Refused(refusal)) => Ok(Told::Refused(refusal)),
        Err(error) => Err(error),
    }
}

/// Asks as a careful caller does: with the same request id until there is an answer, or until the process is dead.
pub async fn ask(process: &Process<Theatre>, asked: &Asked) -> Told {
    loop {
        match ask_once(process, asked).await {
            Ok(told) => return told,
            Err(
                CommandError::Internal | CommandError::RequestIdReused { .. } | CommandError::VersionMismatch { .. },
            ) => {
                panic!("an answer that no caller should get to {asked:?}")
            }
            // Not known, not possible at the moment, or in each other's way: ask again.
            Err(_) if process.faults.has_crashed() => return Told::Nothing,
            Err(_) => pause(AGAIN_AFTER).await,
        }
    }
}
