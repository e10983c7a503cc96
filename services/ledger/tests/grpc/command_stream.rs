use diptych_proto::{
    Encoded,
    diptych::v1::Receipt,
    google::rpc,
    ledger::command::v1::{
        DepositRequest, ExecuteCommandsRequest, ExecuteCommandsResponse, WithdrawRequest,
        execute_commands_request::Command, execute_commands_response::Result as CommandResult,
    },
};
use futures::{StreamExt, channel::mpsc, stream};
use prost::Message;
use tonic::{Code, Request, Streaming, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

use crate::harness::{
    ErrorParts, GrpcHarness, bad_field, bad_fields, deposit, error_parts, error_parts_in, new_id, open, refused,
};

fn item(command: Command) -> ExecuteCommandsRequest {
    ExecuteCommandsRequest { command: Some(command) }
}

fn receipt(response: &ExecuteCommandsResponse) -> &Receipt {
    match &response.result {
        Some(CommandResult::Receipt(receipt)) => receipt,
        other => panic!("a receipt: {other:?}"),
    }
}

fn error(response: &ExecuteCommandsResponse) -> &rpc::Status {
    match &response.result {
        Some(CommandResult::Error(status)) => status,
        other => panic!("an error: {other:?}"),
    }
}

async fn answers(client: &mut GrpcHarness, requests: Vec<ExecuteCommandsRequest>) -> Vec<ExecuteCommandsResponse> {
    let answers = client.commands.execute_commands(stream::iter(requests)).await.unwrap().into_inner();
    answers.map(Result::unwrap).collect().await
}

#[tokio::test]
async fn every_command_gets_its_response_in_order() {
    let mut client = GrpcHarness::start().await;
    let mut requests = vec![item(Command::OpenAccount(open("a")))];
    requests.extend((1..=5_000).map(|amount| item(Command::Deposit(deposit("a", amount)))));
    let request_ids: Vec<String> = requests
        .iter()
        .map(|request| match &request.command {
            Some(Command::OpenAccount(request)) => request.request_id.clone(),
            Some(Command::Deposit(request)) => request.request_id.clone(),
            other => panic!("{other:?}"),
        })
        .collect();

    let answers = answers(&mut client, requests).await;
    assert_eq!(answers.len(), request_ids.len());
    for ((number, answer), request_id) in (1_i64..).zip(&answers).zip(&request_ids) {
        assert_eq!((answer.sequence, &answer.request_id), (number, request_id));
        let receipt = receipt(answer);
        assert_eq!(&receipt.request_id, request_id);
        // Decided in the order sent: each created the next version.
        assert_eq!(receipt.streams[0].version, number);
        assert!(!answer.repeated);
    }
}

#[tokio::test]
async fn a_refused_or_malformed_command_does_not_end_the_stream() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    let repeated = deposit("a", 5);
    client.commands.deposit(repeated.clone()).await.unwrap();
    let too_much = WithdrawRequest {
        request_id: new_id(),
        account_id: "a".to_owned(),
        amount_minor: 1_000_000,
        currency_code: "CZK".to_owned(),
        ..WithdrawRequest::default()
    };
    // First as its own call, on the same state.
    let alone = client.commands.withdraw(too_much.clone()).await.unwrap_err();
    let bad = DepositRequest { request_id: "x".repeat(100_000), ..deposit("", 0) };
    let requests = vec![
        item(Command::Deposit(deposit("missing", 1))),
        ExecuteCommandsRequest::default(),
        item(Command::Deposit(bad)),
        item(Command::Withdraw(too_much)),
        item(Command::Deposit(repeated.clone())),
        item(Command::Deposit(deposit("a", 7))),
    ];
    let answers = answers(&mut client, requests).await;
    let [missing, empty, bad, refused_one, again, good] = answers.as_slice() else { panic!("six: {answers:?}") };
    assert_eq!(answers.iter().map(|answer| answer.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);

    let not_found = ErrorParts {
        resource: Some(("account".to_owned(), "missing".to_owned())),
        ..refused(Code::NotFound, "ledger.command.v1", "ACCOUNT_NOT_FOUND", &[("account_id", "missing")])
    };
    assert_eq!(error_parts_in(error(missing)), not_found);
    assert_eq!(error_parts_in(error(empty)), bad_field("FIELD_MISSING", "command"));
    assert_eq!(empty.request_id, "");
    let fields = ["request_id", "account_id", "amount_minor"];
    assert_eq!(error_parts_in(error(bad)), bad_fields("FIELD_MALFORMED", &fields));
    assert_eq!(bad.request_id, "x".repeat(64));
    assert!(again.repeated);
    assert_eq!(receipt(again).request_id, repeated.request_id);
    assert_eq!(receipt(good).streams[0].version, 3);

    assert_eq!(error_parts(&alone), error_parts_in(error(refused_one)));
    assert_eq!(alone.message(), error(refused_one).message);
}

#[tokio::test]
async fn a_response_arrives_while_the_stream_stays_open() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    let (requests, receiver) = mpsc::unbounded();
    let mut answers: Streaming<ExecuteCommandsResponse> =
        client.commands.execute_commands(receiver).await.unwrap().into_inner();
    for version in 2..10 {
        requests.unbounded_send(item(Command::Deposit(deposit("a", 1)))).unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(receipt(&answer).streams[0].version, version);
    }
    drop(requests);
    assert!(answers.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_stream_ends_when_the_service_stops() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    let (requests, receiver) = mpsc::unbounded();
    let mut answers = client.commands.execute_commands(receiver).await.unwrap().into_inner();
    requests.unbounded_send(item(Command::Deposit(deposit("a", 1)))).unwrap();
    receipt(&answers.message().await.unwrap().unwrap());

    client.tasks.shutdown().begin();
    let end = answers.message().await.unwrap_err();
    let expected = ErrorParts { retry: true, ..refused(Code::Unavailable, "diptych.v1", "SHUTTING_DOWN", &[]) };
    assert_eq!(error_parts(&end), expected);
}

/// No message can be read after one that cannot be decoded: the stream ends with a reason, after the commands before it
/// were answered.
#[tokio::test]
async fn a_message_that_cannot_be_decoded_ends_the_stream() {
    let client = GrpcHarness::with_accounts(&["a"]).await;
    let good = item(Command::Deposit(deposit("a", 1))).encode_to_vec();
    for garbage in [&[0xff, 0xff][..], &[0x12, 0x7f, 0x00], &good[..good.len() - 1]] {
        let messages = [item(Command::Deposit(deposit("a", 1))).encode_to_vec(), garbage.to_vec(), good.clone()];
        let messages = messages.map(|bytes| Encoded::<ExecuteCommandsRequest>::new(bytes.into()));
        let mut grpc = Grpc::new(client.channel.clone());
        grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static("/ledger.command.v1.CommandService/ExecuteCommands");
        let codec = ProstCodec::<Encoded<ExecuteCommandsRequest>, ExecuteCommandsResponse>::default();
        let answers = grpc.streaming(Request::new(stream::iter(messages)), path, codec).await.unwrap();
        let mut answers = answers.into_inner();
        receipt(&answers.message().await.unwrap().unwrap());
        let end = answers.message().await.unwrap_err();
        assert_eq!(error_parts(&end), bad_field("FIELD_MALFORMED", "message"), "{garbage:?}");
    }
    assert_eq!(client.stored().await.len(), 4);
}
