use std::convert::Infallible;

use diptych_proto::ledger::command::v1::{DepositRequest, ExecuteCommandsRequest, execute_commands_request::Command};

use super::*;

fn command(account: u32, line: u64) -> ImportCommand {
    let deposit = DepositRequest { request_id: format!("request-{line}"), ..DepositRequest::default() };
    let request = ExecuteCommandsRequest { command: Some(Command::Deposit(deposit)) };
    ImportCommand { account, line: Some(line), request }
}

/// Sends every command that may be sent; returns their lines.
fn send(in_flight: &mut InFlight, new: &mut Vec<ImportCommand>) -> Vec<u64> {
    let mut lines = Vec::new();
    loop {
        let next = in_flight.send_next(|| Ok::<_, Infallible>((!new.is_empty()).then(|| new.remove(0)))).unwrap();
        match next {
            Some(command) => lines.push(command.line.unwrap()),
            None => return lines,
        }
    }
}

/// A command for each of the accounts, on the lines from 1.
fn commands(accounts: &[u32]) -> Vec<ImportCommand> {
    (1..).zip(accounts).map(|(line, account)| command(*account, line)).collect()
}

#[test]
fn the_number_of_commands_in_flight_is_limited() {
    let (mut in_flight, mut new) = (InFlight::new(2), commands(&[0, 0, 0]));
    assert_eq!(send(&mut in_flight, &mut new), [1, 2]);
    assert_eq!(in_flight.answer_oldest(CommandAnswer::Committed), Some(Answered::Committed(command(0, 1))));
    assert_eq!(send(&mut in_flight, &mut new), [3]);
    assert!(!in_flight.is_empty());
    in_flight.answer_oldest(CommandAnswer::Committed);
    in_flight.answer_oldest(CommandAnswer::Committed);
    assert!(in_flight.is_empty());
    assert_eq!(in_flight.answer_oldest(CommandAnswer::Committed), None);
}

#[test]
fn a_later_command_of_the_same_account_is_retried_with_the_earlier_one() {
    let (mut in_flight, mut new) = (InFlight::new(4), commands(&[7, 8, 7, 8, 7]));
    assert_eq!(send(&mut in_flight, &mut new), [1, 2, 3, 4]);
    assert_eq!(in_flight.answer_oldest(CommandAnswer::Retryable), Some(Answered::WillRetry));
    assert_eq!(in_flight.answer_oldest(CommandAnswer::Committed), Some(Answered::Committed(command(8, 2))));
    assert_eq!(send(&mut in_flight, &mut new), [0; 0], "no new command is sent before those in flight are answered");
    assert_eq!(in_flight.answer_oldest(CommandAnswer::Refused), Some(Answered::WillRetry), "decided without line 1");
    assert!(!in_flight.is_ready_to_retry());
    let refused = Some(Answered::Refused(command(8, 4)));
    assert_eq!(in_flight.answer_oldest(CommandAnswer::Refused), refused, "another account is not affected");
    assert!(in_flight.is_ready_to_retry());
    in_flight.resend();
    assert_eq!(send(&mut in_flight, &mut new), [1, 3, 5]);
    let ids: Vec<_> = in_flight.unanswered.iter().map(|command| command.request_id().to_owned()).collect();
    assert_eq!((ids[0].as_str(), ids[2].as_str()), ("request-1", "request-5"));
    assert_ne!(ids[1], "request-3", "a refusal has its request id for good");
    let refused = Some(Answered::Refused(command(7, 1)));
    assert_eq!(
        in_flight.answer_oldest(CommandAnswer::Refused),
        refused,
        "no earlier command of its account is to be retried"
    );
}

#[test]
fn after_a_lost_connection_commands_are_sent_again_in_the_old_order() {
    let (mut in_flight, mut new) = (InFlight::new(4), commands(&[1, 2, 3, 4, 5, 6]));
    assert_eq!(send(&mut in_flight, &mut new), [1, 2, 3, 4]);
    in_flight.answer_oldest(CommandAnswer::Retryable);
    in_flight.answer_oldest(CommandAnswer::Retryable);
    in_flight.resend();
    assert_eq!(send(&mut in_flight, &mut new), [1, 2, 3, 4]);
    in_flight.answer_oldest(CommandAnswer::Committed);
    in_flight.answer_oldest(CommandAnswer::Retryable);
    in_flight.resend();
    assert_eq!(send(&mut in_flight, &mut new), [2, 3, 4, 5], "to retry, then unanswered, then new");
}

#[test]
fn queued_commands_are_sent_after_those_that_were_in_flight() {
    let (mut in_flight, mut new) = (InFlight::new(3), commands(&[1, 1, 1]));
    send(&mut in_flight, &mut new);
    in_flight.resend();
    in_flight.limit = 1;
    assert_eq!(send(&mut in_flight, &mut new), [1]);
    in_flight.resend();
    in_flight.limit = 3;
    assert_eq!(send(&mut in_flight, &mut new), [1, 2, 3]);
}
