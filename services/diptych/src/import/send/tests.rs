//! Sending against a fake server that keeps versions and request ids as the real one does, and misbehaves by a script.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
};

use diptych_proto::{diptych::v1::ConsistencyToken, ledger::command::v1::execute_commands_request::Command};
use prost::Message;
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::import::{file, names::Names, steps::Terms, tests::survey_text};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the fake does with the next command.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Take,
    Shed,
    Refuse,
    /// Takes the command, then breaks the connection instead of answering.
    TakeAndBreak,
    Break,
}

#[derive(Default)]
struct Server {
    script: VecDeque<Act>,
    receipts: HashMap<String, Receipt>,
    /// Per account, the request ids in the order taken.
    streams: HashMap<String, Vec<String>>,
    streams_opened: usize,
}

impl Server {
    fn command(request: &ExecuteCommandsRequest) -> (String, String, Option<i64>) {
        match request.command.clone().unwrap() {
            Command::OpenAccount(c) => (c.request_id, c.account_id, None),
            Command::Deposit(c) => (c.request_id, c.account_id, c.expected_version),
            Command::Withdraw(c) => (c.request_id, c.account_id, c.expected_version),
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, request: &ExecuteCommandsRequest) -> Result<ExecuteCommandsResponse, Status> {
        let (request_id, account_id, expected) = Self::command(request);
        let answer = |result, repeated| {
            Ok(ExecuteCommandsResponse { request_id: request_id.clone(), result: Some(result), repeated, sequence: 0 })
        };
        let error =
            |code: Code, reason: &str| answer(execute_commands_response::Result::Error(status(code, reason)), false);
        match self.script.pop_front().unwrap_or(Act::Take) {
            Act::Shed => error(Code::ResourceExhausted, "OVERLOADED"),
            Act::Refuse => error(Code::FailedPrecondition, "ACCOUNT_FROZEN"),
            Act::Break => Err(Status::unavailable("broken")),
            act => {
                let taken = self.take(&request_id, &account_id, expected);
                match (act, taken) {
                    (Act::TakeAndBreak, _) => Err(Status::unavailable("broken")),
                    (_, Some((receipt, repeated))) => {
                        answer(execute_commands_response::Result::Receipt(receipt), repeated)
                    }
                    (_, None) => error(Code::Aborted, "VERSION_MISMATCH"),
                }
            }
        }
    }

    fn take(&mut self, request_id: &str, account_id: &str, expected: Option<i64>) -> Option<(Receipt, bool)> {
        if let Some(receipt) = self.receipts.get(request_id) {
            return Some((receipt.clone(), true));
        }
        let stream = self.streams.entry(account_id.to_owned()).or_default();
        if expected.is_some_and(|version| version != i64::try_from(stream.len()).unwrap()) {
            return None;
        }
        stream.push(request_id.to_owned());
        let written_at = Some(ConsistencyToken { value: format!("{account_id}-{}", stream.len()) });
        let receipt = Receipt { request_id: request_id.to_owned(), written_at, ..Receipt::default() };
        self.receipts.insert(request_id.to_owned(), receipt.clone());
        Some((receipt, false))
    }
}

fn status(code: Code, reason: &str) -> rpc::Status {
    let details = ErrorDetails::with_error_info(reason, "test", []);
    rpc::Status::decode(Status::with_error_details(code, "said the fake", details).details()).unwrap()
}

type SharedServer = std::rc::Rc<std::cell::RefCell<Server>>;

struct Streams(SharedServer);

impl CommandStreams for Streams {
    type Answers = Pin<Box<dyn Stream<Item = Result<ExecuteCommandsResponse, Status>>>>;

    async fn open(&mut self, commands: mpsc::Receiver<ExecuteCommandsRequest>) -> Result<Self::Answers, Status> {
        self.0.borrow_mut().streams_opened += 1;
        let server = self.0.clone();
        // After the first failure a stream gives nothing more, as a broken connection does.
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

/// Imports the file once; returns how it ended.
async fn import_from(streams: &mut impl CommandStreams) -> Result<(), SendError> {
    import_over(streams, 8).await.0
}

/// Imports the file once; returns how it ended and what was counted.
async fn import(server: &SharedServer, window: usize) -> (Result<(), SendError>, Tally) {
    import_over(&mut Streams(server.clone()), window).await
}

async fn import_over(streams: &mut impl CommandStreams, window: usize) -> (Result<(), SendError>, Tally) {
    let survey = survey_text(&text(), "").unwrap();
    let terms = Terms { names: Names::new(String::new()), currency_code: "CZK".into(), owner_id: "o".into() };
    let lines = file::lines(Box::new(std::io::Cursor::new(text().into_bytes())));
    let mut tally = Tally::new(&survey);
    let progress = Progress::new(survey.rows);
    let options = SendOptions { window, patience: PATIENCE, progress: &progress };
    let steps = Steps::new(&terms, &survey, lines);
    let ended = send_all(streams, steps, &survey, options, &mut tally).await;
    (ended, tally)
}

fn server(script: &[Act]) -> SharedServer {
    SharedServer::new(Server { script: script.iter().copied().collect(), ..Server::default() }.into())
}

/// Every account has all of its rows, in the order of the file.
fn assert_all_in_order(server: &SharedServer) {
    let names = Names::new(String::new());
    for account in 0..ACCOUNTS {
        let mut wanted = vec![names.opening(&format!("a{account}")).to_string()];
        wanted.extend((account..ROWS).step_by(ACCOUNTS).map(|row| names.transaction(&format!("t{row}")).to_string()));
        assert_eq!(server.borrow().streams[&format!("a{account}")], wanted, "account {account}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_rows_go_in_once_and_a_second_run_changes_nothing() {
    let server = server(&[]);
    let (ended, tally) = import(&server, 8).await;
    ended.unwrap();
    assert_eq!((tally.rows_accepted, tally.rows_already_done, tally.accounts_opened), (30, 0, 3));
    assert_eq!(tally.tokens.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["a0-11", "a1-11", "a2-11"]);
    assert_eq!(server.borrow().streams_opened, 1);
    let (ended, tally) = import(&server, 8).await;
    ended.unwrap();
    assert_eq!((tally.rows_accepted, tally.rows_already_done, tally.accounts_already_open), (0, 30, 3));
    assert_all_in_order(&server);
}

/// Every single misfortune at every place of the file, at windows small and large.
#[tokio::test(start_paused = true)]
async fn whatever_is_shed_or_lost_goes_again_in_order() {
    for act in [Act::Shed, Act::Break, Act::TakeAndBreak] {
        for place in 0..ROWS + ACCOUNTS {
            for window in [1, 2, 7, 64] {
                let mut script = vec![Act::Take; place];
                script.extend([act, Act::Take, act, act]);
                let server = server(&script);
                let (ended, tally) = import(&server, window).await;
                assert!(ended.is_ok(), "{act:?} at {place}, window {window}: {ended:?}");
                assert_eq!(tally.rows_done(), 30, "{act:?} at {place}, window {window}");
                assert!(tally.rows_refused.is_empty(), "{act:?} at {place}, window {window}: {:?}", tally.rows_refused);
                assert_all_in_order(&server);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_counted_by_reason_and_stops_its_account_only() {
    let script: Vec<Act> = [vec![Act::Take; ACCOUNTS + 3], vec![Act::Refuse]].concat();
    let server = server(&script);
    let (ended, tally) = import(&server, 8).await;
    ended.unwrap();
    // Line 5 is the second row of account a0; its eight later rows build on a version that never comes.
    assert_eq!(tally.rows_accepted, 21);
    let refused: Vec<_> = tally.rows_refused.iter().map(|(reason, refused)| (reason.as_str(), refused.count)).collect();
    assert_eq!(refused, [("ACCOUNT_FROZEN", 1), ("VERSION_MISMATCH", 8)]);
    assert_eq!(tally.rows_refused["ACCOUNT_FROZEN"].first, "line 5, account a0: said the fake");
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_says_how_to_go_on() {
    for act in [Act::Shed, Act::Break] {
        let server = server(&[vec![Act::Take; 10], vec![act; 10_000]].concat());
        let (ended, tally) = import(&server, 8).await;
        let error = ended.unwrap_err();
        assert!(matches!(&error, SendError::OutOfPatience { patience_seconds: 30, .. }), "{error}");
        assert!(error.to_string().contains("run the same import again"), "{error}");
        assert_eq!(tally.rows_done(), 7, "{act:?}");
        server.borrow_mut().script.clear();
        let (ended, tally) = import(&server, 8).await;
        ended.unwrap();
        assert_eq!((tally.rows_already_done, tally.rows_accepted), (7, 23));
        assert_all_in_order(&server);
    }
}

/// Says the same to every call.
struct Saying(Status);

impl CommandStreams for Saying {
    type Answers = Pin<Box<dyn Stream<Item = Result<ExecuteCommandsResponse, Status>>>>;

    async fn open(&mut self, _: mpsc::Receiver<ExecuteCommandsRequest>) -> Result<Self::Answers, Status> {
        let said = self.0.clone();
        Ok(Box::pin(futures::stream::iter([Err(said)])))
    }
}

/// Whatever a cut looks like it is tried again until patience ends, and what the server says of itself is not.
#[tokio::test(start_paused = true)]
async fn a_cut_is_told_from_an_answer() {
    for cut in [Code::Internal, Code::Unknown, Code::Cancelled] {
        let ended = import_from(&mut Saying(Status::new(cut, "h2 protocol error"))).await;
        assert!(matches!(&ended, Err(SendError::OutOfPatience { last, .. }) if last.contains("h2")), "{ended:?}");
    }
    let broken = status(Code::Internal, "INTERNAL");
    let broken = Status::with_details(Code::Internal, "said the fake", broken.encode_to_vec().into());
    let ended = import_from(&mut Saying(broken)).await;
    assert!(matches!(&ended, Err(SendError::Rejected { reason, .. }) if reason == "INTERNAL"), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_command_is_an_error() {
    struct Confused;
    impl CommandStreams for Confused {
        type Answers = Pin<Box<dyn Stream<Item = Result<ExecuteCommandsResponse, Status>>>>;
        async fn open(&mut self, _: mpsc::Receiver<ExecuteCommandsRequest>) -> Result<Self::Answers, Status> {
            let answer = ExecuteCommandsResponse { request_id: "other".into(), ..ExecuteCommandsResponse::default() };
            Ok(Box::pin(futures::stream::iter([Ok(answer)])))
        }
    }
    let ended = import_from(&mut Confused).await;
    assert!(matches!(ended, Err(SendError::OutOfOrder { .. })), "{ended:?}");
}
