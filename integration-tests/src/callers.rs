//! Callers of a theatre's pipeline.

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
    cluster::SimulatedProcess,
    command_history::{CommandAnswer, SentCommand},
};

/// Wait of a caller before a retry.
const RETRY_DELAY: std::time::Duration = std::time::Duration::from_millis(50);

/// Draws a command on a small theatre, so that guests compete for seats.
#[must_use]
pub fn random_command(rng: &mut SmallRng) -> SentCommand {
    let seats = ["A1", "A2", "A3", "B1", "B2", "B3"];
    let seat = |rng: &mut SmallRng| *seats.get(rng.random_range(0..seats.len())).unwrap();
    let command = match rng.random_range(0..10) {
        0..5 => Command::reserve(seat(rng), &format!("guest-{}", rng.random_range(0..8))),
        5..8 => Command::release(seat(rng)),
        _ => Command::swap(seat(rng), seat(rng)),
    };
    let request_id = RequestId::from_uuid(Uuid::from_u128(rng.random()));
    SentCommand { request_id, command: Arc::new(command) }
}

/// Sends a command once.
async fn send_once(
    process: &SimulatedProcess<Theatre>,
    sent: &SentCommand,
) -> Result<CommandAnswer, CommandError<Refusal>> {
    let submission = Submission {
        request_id: sent.request_id,
        fingerprint: sent.command.fingerprint(),
        expected_version: None,
        command: (*sent.command).clone(),
        metadata: EventMetadata::default(),
    };
    match process.commands.try_submit(submission)?.await {
        Ok(done) => Ok(CommandAnswer::Stored(done.receipt)),
        Err(error) => refusal_of(error).map(CommandAnswer::Refused),
    }
}

/// The refusal of this submission, or of an earlier one whose answer was lost.
fn refusal_of(error: CommandError<Refusal>) -> Result<Refusal, CommandError<Refusal>> {
    match error {
        CommandError::Refused(refusal) => Ok(refusal),
        CommandError::RefusedBefore(earlier) => refusal_of(*earlier),
        other => Err(other),
    }
}

/// Sends a command with the same request id until there is an answer, or until the process has crashed.
pub async fn send_until_answered(process: &SimulatedProcess<Theatre>, sent: &SentCommand) -> CommandAnswer {
    loop {
        match send_once(process, sent).await {
            Ok(answer) => return answer,
            Err(
                CommandError::Internal | CommandError::RequestIdReused { .. } | CommandError::VersionMismatch { .. },
            ) => {
                panic!("unexpected answer to {sent:?}")
            }
            // The outcome is unknown, the store is unavailable, or there was contention: retry.
            Err(_) if process.faults.has_crashed() => return CommandAnswer::Missing,
            Err(_) => pause(RETRY_DELAY).await,
        }
    }
}
