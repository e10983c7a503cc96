use std::convert::Infallible;

use diptych_proto::ledger::command::v1::{DepositRequest, ExecuteCommandsRequest, execute_commands_request::Command};

use super::*;

fn step(account: u32, line: u64) -> Step {
    let deposit = DepositRequest { request_id: format!("request-{line}"), ..DepositRequest::default() };
    let command = ExecuteCommandsRequest { command: Some(Command::Deposit(deposit)) };
    Step { account, line: Some(line), command }
}

/// Sends everything that may be sent; returns the lines.
fn send(window: &mut Window, fresh: &mut Vec<Step>) -> Vec<u64> {
    let mut lines = Vec::new();
    loop {
        let next = window.next(|| Ok::<_, Infallible>((!fresh.is_empty()).then(|| fresh.remove(0)))).unwrap();
        match next {
            Some(step) => lines.push(step.line.unwrap()),
            None => return lines,
        }
    }
}

fn steps(accounts: &[u32]) -> Vec<Step> {
    (1..).zip(accounts).map(|(line, account)| step(*account, line)).collect()
}

#[test]
fn no_more_than_the_limit_is_under_way() {
    let (mut window, mut fresh) = (Window::new(2), steps(&[0, 0, 0]));
    assert_eq!(send(&mut window, &mut fresh), [1, 2]);
    assert_eq!(window.settle(Verdict::Done), Some(Settled::Done(step(0, 1))));
    assert_eq!(send(&mut window, &mut fresh), [3]);
    assert!(!window.is_empty());
    window.settle(Verdict::Done);
    window.settle(Verdict::Done);
    assert!(window.is_empty());
    assert_eq!(window.settle(Verdict::Done), None);
}

#[test]
fn a_later_command_of_the_same_account_goes_again_with_the_earlier_one() {
    let (mut window, mut fresh) = (Window::new(4), steps(&[7, 8, 7, 8, 7]));
    assert_eq!(send(&mut window, &mut fresh), [1, 2, 3, 4]);
    assert_eq!(window.settle(Verdict::Again), Some(Settled::Held));
    assert_eq!(window.settle(Verdict::Done), Some(Settled::Done(step(8, 2))));
    assert_eq!(send(&mut window, &mut fresh), [0; 0], "nothing new leaves before the old is settled");
    assert_eq!(window.settle(Verdict::Refused), Some(Settled::Held), "decided without line 1, so not believed");
    assert!(!window.is_drained());
    assert_eq!(window.settle(Verdict::Refused), Some(Settled::Refused(step(8, 4))), "another account is not in doubt");
    assert!(window.is_drained());
    window.resume();
    assert_eq!(send(&mut window, &mut fresh), [1, 3, 5]);
    assert_eq!(window.settle(Verdict::Refused), Some(Settled::Refused(step(7, 1))), "believed the second time");
}

#[test]
fn what_a_lost_connection_left_goes_again_in_the_old_order() {
    let (mut window, mut fresh) = (Window::new(4), steps(&[1, 2, 3, 4, 5, 6]));
    assert_eq!(send(&mut window, &mut fresh), [1, 2, 3, 4]);
    window.settle(Verdict::Again);
    window.settle(Verdict::Again);
    window.resume();
    assert_eq!(send(&mut window, &mut fresh), [1, 2, 3, 4]);
    window.settle(Verdict::Done);
    window.settle(Verdict::Again);
    window.resume();
    assert_eq!(send(&mut window, &mut fresh), [2, 3, 4, 5], "held, then unanswered, then new");
}

#[test]
fn what_waits_stays_behind_what_is_under_way() {
    let (mut window, mut fresh) = (Window::new(3), steps(&[1, 1, 1]));
    send(&mut window, &mut fresh);
    window.resume();
    window.limit = 1;
    assert_eq!(send(&mut window, &mut fresh), [1]);
    window.resume();
    window.limit = 3;
    assert_eq!(send(&mut window, &mut fresh), [1, 2, 3]);
}
