//! Sending to a fake server that checks versions and request ids as the real one does, and fails by a script.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
};

use diptych_proto::{diptych::v1::ConsistencyToken, ledger::command::v1::execute_commands_request::Command};
use prost::Message;
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::import::{commands::CommonFields, file, request_ids::RequestIds, tests::validate_text};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Reaction of the fake server to a command.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reaction {
    Commit,
    Overloaded,
    Refuse,
    /// Commits the command, and breaks the connection instead of answering.
    CommitAndBreak,
    Break,
}

#[derive(Default)]
struct FakeServer {
    script: VecDeque<Reaction>,
    receipts: HashMap<String, Receipt>,
    /// The code and reason of each refused request id.
    refusals: HashMap<String, (Code, &'static str)>,
    /// Openings and transactions of each account, in the order committed.
    streams: HashMap<String, Vec<String>>,
    streams_opened: usize,
}

impl FakeServer {
    /// Request id, account, expected version, and the transaction or "opening".
    fn command(request: &ExecuteCommandsRequest) -> (String, String, Option<i64>, String) {
        match request.command.clone().unwrap() {
            Command::OpenAccount(c) => (c.request_id, c.account_id, None, "opening".to_owned()),
            Command::Deposit(c) => (c.request_id, c.account_id, c.expected_version, c.details.unwrap().reference),
            Command::Withdraw(c) => (c.request_id, c.account_id, c.expected_version, c.details.unwrap().reference),
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, request: &ExecuteCommandsRequest) -> Result<ExecuteCommandsResponse, Status> {
        let (request_id, account_id, expected, entry) = Self::command(request);
        let answer = |result, repeated| {
            Ok(ExecuteCommandsResponse { request_id: request_id.clone(), result: Some(result), repeated, sequence: 0 })
        };
        let error = |(code, reason): (Code, &str), repeated| {
            answer(execute_commands_response::Result::Error(status(code, reason)), repeated)
        };
        let reaction = self.script.pop_front().unwrap_or(Reaction::Commit);
        if let (Reaction::Commit | Reaction::Refuse, Some(refusal)) = (reaction, self.refusals.get(&request_id)) {
            return error(*refusal, true);
        }
        match reaction {
            Reaction::Overloaded => error((Code::ResourceExhausted, "OVERLOADED"), false),
            Reaction::Refuse => error(self.refuse(&request_id, Code::FailedPrecondition, "ACCOUNT_FROZEN"), false),
            Reaction::Break => Err(Status::unavailable("broken")),
            reaction => {
                let committed = self.commit(&request_id, &account_id, expected, &entry);
                match (reaction, committed) {
                    (Reaction::CommitAndBreak, _) => Err(Status::unavailable("broken")),
                    (_, Some((receipt, repeated))) => {
                        answer(execute_commands_response::Result::Receipt(receipt), repeated)
                    }
                    (_, None) => error(self.refuse(&request_id, Code::Aborted, "VERSION_MISMATCH"), false),
                }
            }
        }
    }

    /// Stores the refusal under the request id.
    fn refuse(&mut self, request_id: &str, code: Code, reason: &'static str) -> (Code, &'static str) {
        self.refusals.insert(request_id.to_owned(), (code, reason));
        (code, reason)
    }

    fn commit(
        &mut self,
        request_id: &str,
        account_id: &str,
        expected: Option<i64>,
        entry: &str,
    ) -> Option<(Receipt, bool)> {
        assert!(!self.refusals.contains_key(request_id), "a refused request id is never committed");
        if let Some(receipt) = self.receipts.get(request_id) {
            return Some((receipt.clone(), true));
        }
        let stream = self.streams.entry(account_id.to_owned()).or_default();
        if expected.is_some_and(|version| version != i64::try_from(stream.len()).unwrap()) {
            return None;
        }
        stream.push(entry.to_owned());
        let written_at = Some(ConsistencyToken { value: format!("{account_id}-{}", stream.len()) });
        let receipt = Receipt { request_id: request_id.to_owned(), written_at, ..Receipt::default() };
        self.receipts.insert(request_id.to_owned(), receipt.clone());
        Some((receipt, false))
    }
}

fn status(code: Code, reason: &str) -> rpc::Status {
    let details = ErrorDetails::with_error_info(reason, "test", []);
    rpc::Status::decode(Status::with_error_details(code, "by the script", details).details()).unwrap()
}

type SharedServer = std::rc::Rc<std::cell::RefCell<FakeServer>>;

struct Streams(SharedServer);

impl CommandStreams for Streams {
    type Answers = Pin<Box<dyn Stream<Item = Result<ExecuteCommandsResponse, Status>>>>;

    async fn open(&mut self, commands: mpsc::Receiver<ExecuteCommandsRequest>) -> Result<Self::Answers, Status> {
        self.0.borrow_mut().streams_opened += 1;
        let server = self.0.clone();
        // After the first error a stream ends, as a broken connection does.
        let answers = ReceiverStream::new(commands).scan(false, move |broken, command| {
            let answer = (!*broken).then(|| server.borrow_mut().answer(&command));
            *broken = answer.as_ref().is_none_or(Result::is_err);
            std::future::ready(answer)
        });
        Ok(Box::pin(answers))
    }
}

const ROWS: usize = 30;
const ACCOUNTS: usize = 3;

fn text() -> String {
    let mut text = crate::import::row::COLUMNS.join(",") + "\n";
    let mut balances = [0; ACCOUNTS];
    for row in 0..ROWS {
        let balance = &mut balances[row % ACCOUNTS];
        *balance += 10;
        text += &format!("t{row},a{},1993-01-01,10,{balance},internal,,,\n", row % ACCOUNTS);
    }
    text
}

/// Sends the file once; returns the result.
async fn import_from(streams: &mut impl CommandStreams) -> Result<(), SendError> {
    import_over(streams, 8).await.0
}

/// Sends the file once; returns the result and the counts.
async fn import(server: &SharedServer, in_flight_max: usize) -> (Result<(), SendError>, Counts) {
    import_over(&mut Streams(server.clone()), in_flight_max).await
}

async fn import_over(streams: &mut impl CommandStreams, in_flight_max: usize) -> (Result<(), SendError>, Counts) {
    let file = validate_text(&text(), "").unwrap();
    let fields =
        CommonFields { ids: RequestIds::new(String::new()), currency_code: "CZK".into(), owner_id: "o".into() };
    let reader = file::csv_reader(Box::new(std::io::Cursor::new(text().into_bytes())));
    let mut counts = Counts::new(&file);
    let progress = Progress::new(file.rows);
    let options = SendOptions { in_flight_max, timeout: TIMEOUT, progress: &progress };
    let commands = ImportCommands::new(&fields, &file, reader);
    let result = send_all(streams, commands, &file, options, &mut counts).await;
    (result, counts)
}

fn server(script: &[Reaction]) -> SharedServer {
    SharedServer::new(FakeServer { script: script.iter().copied().collect(), ..FakeServer::default() }.into())
}

/// Asserts that every account has all of its rows, in the order of the file.
fn assert_all_in_order(server: &SharedServer) {
    for account in 0..ACCOUNTS {
        let mut expected = vec!["opening".to_owned()];
        expected.extend((account..ROWS).step_by(ACCOUNTS).map(|row| format!("t{row}")));
        assert_eq!(server.borrow().streams[&format!("a{account}")], expected, "account {account}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_rows_are_posted_once_and_a_second_run_changes_nothing() {
    let server = server(&[]);
    let (result, counts) = import(&server, 8).await;
    result.unwrap();
    assert_eq!((counts.rows_accepted, counts.rows_already_imported, counts.accounts_opened), (30, 0, 3));
    assert_eq!(counts.tokens.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["a0-11", "a1-11", "a2-11"]);
    assert_eq!(server.borrow().streams_opened, 1);
    let (result, counts) = import(&server, 8).await;
    result.unwrap();
    assert_eq!((counts.rows_accepted, counts.rows_already_imported, counts.accounts_already_open), (0, 30, 3));
    assert_all_in_order(&server);
}

/// Every kind of failure at every place of the file, with few and many commands in flight.
#[tokio::test(start_paused = true)]
async fn rejected_and_lost_commands_are_sent_again_in_order() {
    for reaction in [Reaction::Overloaded, Reaction::Break, Reaction::CommitAndBreak] {
        for place in 0..ROWS + ACCOUNTS {
            for in_flight_max in [1, 2, 7, 64] {
                let mut script = vec![Reaction::Commit; place];
                script.extend([reaction, Reaction::Commit, reaction, reaction]);
                let server = server(&script);
                let (result, counts) = import(&server, in_flight_max).await;
                let case = format!("{reaction:?} at {place}, {in_flight_max} in flight");
                assert!(result.is_ok(), "{case}: {result:?}");
                assert_eq!(counts.rows_imported(), 30, "{case}");
                assert!(counts.rows_refused.is_empty(), "{case}: {:?}", counts.rows_refused);
                assert_all_in_order(&server);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_counted_by_reason_and_stops_its_account_only() {
    let script: Vec<Reaction> = [vec![Reaction::Commit; ACCOUNTS + 3], vec![Reaction::Refuse]].concat();
    let server = server(&script);
    let (result, counts) = import(&server, 8).await;
    result.unwrap();
    // Line 5 is the second row of account a0; its eight later rows expect versions that it never reaches.
    assert_eq!(counts.rows_accepted, 21);
    let refused: Vec<_> =
        counts.rows_refused.iter().map(|(reason, refusals)| (reason.as_str(), refusals.count)).collect();
    assert_eq!(refused, [("ACCOUNT_FROZEN", 1), ("VERSION_MISMATCH", 8)]);
    assert_eq!(counts.rows_refused["ACCOUNT_FROZEN"].first, "line 5, account a0: by the script");
}

#[tokio::test(start_paused = true)]
async fn rows_that_an_earlier_run_was_refused_are_decided_again() {
    for in_flight_max in [1, 8, 64] {
        let server = server(&[vec![Reaction::Commit; ACCOUNTS + 3], vec![Reaction::Refuse]].concat());
        import(&server, in_flight_max).await.0.unwrap();
        // The cause is removed.
        let (result, counts) = import(&server, in_flight_max).await;
        result.unwrap();
        assert_eq!((counts.rows_accepted, counts.rows_already_imported), (9, 21), "{in_flight_max} in flight");
        assert!(counts.rows_refused.is_empty(), "{:?}", counts.rows_refused);
        assert_all_in_order(&server);
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_timeout_an_import_fails_and_says_how_to_continue() {
    for reaction in [Reaction::Overloaded, Reaction::Break] {
        let server = server(&[vec![Reaction::Commit; 10], vec![reaction; 10_000]].concat());
        let (result, counts) = import(&server, 8).await;
        let error = result.unwrap_err();
        assert!(matches!(&error, SendError::Timeout { timeout_seconds: 30, .. }), "{error}");
        assert!(error.to_string().contains("run the same import again"), "{error}");
        assert_eq!(counts.rows_imported(), 7, "{reaction:?}");
        server.borrow_mut().script.clear();
        let (result, counts) = import(&server, 8).await;
        result.unwrap();
        assert_eq!((counts.rows_already_imported, counts.rows_accepted), (7, 23));
        assert_all_in_order(&server);
    }
}

/// Fails every stream with a status.
struct Failing(Status);

impl CommandStreams for Failing {
    type Answers = Pin<Box<dyn Stream<Item = Result<ExecuteCommandsResponse, Status>>>>;

    async fn open(&mut self, _: mpsc::Receiver<ExecuteCommandsRequest>) -> Result<Self::Answers, Status> {
        let status = self.0.clone();
        Ok(Box::pin(futures::stream::iter([Err(status)])))
    }
}

/// A broken connection shows as various codes and is retried until the timeout; an error from the service is not.
#[tokio::test(start_paused = true)]
async fn a_broken_connection_is_retried_and_an_error_from_the_service_is_not() {
    for code in [Code::Internal, Code::Unknown, Code::Cancelled] {
        let result = import_from(&mut Failing(Status::new(code, "h2 protocol error"))).await;
        assert!(
            matches!(&result, Err(SendError::Timeout { last_error, .. }) if last_error.contains("h2")),
            "{result:?}"
        );
    }
    let details = status(Code::Internal, "INTERNAL").encode_to_vec();
    let answered = Status::with_details(Code::Internal, "by the script", details.into());
    let result = import_from(&mut Failing(answered)).await;
    assert!(matches!(&result, Err(SendError::Rejected { reason, .. }) if reason == "INTERNAL"), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_command_is_an_error() {
    struct OutOfOrder;
    impl CommandStreams for OutOfOrder {
        type Answers = Pin<Box<dyn Stream<Item = Result<ExecuteCommandsResponse, Status>>>>;
        async fn open(&mut self, _: mpsc::Receiver<ExecuteCommandsRequest>) -> Result<Self::Answers, Status> {
            let answer = ExecuteCommandsResponse { request_id: "other".into(), ..ExecuteCommandsResponse::default() };
            Ok(Box::pin(futures::stream::iter([Ok(answer)])))
        }
    }
    let result = import_from(&mut OutOfOrder).await;
    assert!(matches!(result, Err(SendError::OutOfOrder { .. })), "{result:?}");
}
