//! What callers do, and the traces that come of it.

use diptych_integration_tests::spans::{Caller, Tree, attribute, below_deposit, is_linked};
use diptych_ledger::views::ACCOUNTS;
use diptych_proto::ledger::command::v1::{ExecuteCommandsRequest, execute_commands_request::Command};
use diptych_runtime::testing::{Span, StatusCode, hex};
use tonic::Code;

use super::{
    installation::{deposit, get_account},
    stage::Stage,
};

const DEPOSIT: &str = "ledger.command.v1.CommandService/Deposit";
const EXECUTE: &str = "ledger.command.v1.CommandService/ExecuteCommands";
const GET_ACCOUNT: &str = "ledger.query.v1.QueryService/GetAccount";
const TOPIC: &str = "events";
/// The caller of a trace that begins here.
const NOBODY: &str = "";

/// What is below these ends before them, so with them the whole trace of a command is there.
fn is_through(command: &str) -> impl Fn(&[Span]) -> bool {
    let last = [command.to_owned(), "send events".to_owned(), "process events".to_owned()];
    move |spans| last.iter().all(|name| spans.iter().any(|span| span.name == *name))
}

fn sorted(mut edges: Vec<String>) -> Vec<String> {
    edges.sort();
    edges
}

#[test]
fn one_command_is_one_trace() {
    let stage = Stage::shared();
    stage.runtime.block_on(async {
        let (account_id, caller) = (stage.account().await, Caller::sampled());
        stage.deposit(&account_id, &caller.headers()).await;
        let spans = stage.collector.trace(&caller.trace_id, is_through(DEPOSIT)).await;
        let tree = Tree::of(spans, &caller.span_id);
        let mut expected = below_deposit(DEPOSIT, TOPIC);
        expected.push(format!("caller > {DEPOSIT} (server)"));
        assert_eq!(tree.edges(), sorted(expected));
        check_attributes(&tree, &account_id);
    });
}

fn check_attributes(tree: &Tree, account_id: &str) {
    let has = |name: &str, attributes: &[(&str, &str)]| {
        for (key, value) in attributes {
            assert_eq!(attribute(tree.span(name), key).as_deref(), Some(*value), "{name}: {key}");
        }
    };
    has(DEPOSIT, &[("rpc.system.name", "grpc"), ("rpc.method", DEPOSIT), ("rpc.response.status_code", "OK")]);
    has(
        "INSERT events",
        &[("db.system.name", "sqlite"), ("db.operation.name", "INSERT"), ("db.collection.name", "events")],
    );
    let messaging = [("messaging.system", "sqlite"), ("messaging.destination.name", "events")];
    has("send events", &messaging);
    has("send events", &[("messaging.operation.name", "send"), ("messaging.operation.type", "send")]);
    has("process events", &messaging);
    has("process events", &[("messaging.operation.type", "process"), ("messaging.consumer.group.name", "projector")]);
    has(&format!("INSERT {ACCOUNTS}"), &[("db.system.name", "sqlite"), ("db.operation.name", "INSERT")]);
    let process = tree.span("process events");
    assert!(attribute(process, "messaging.kafka.offset").is_some());
    let key = attribute(process, "messaging.kafka.message.key").unwrap();
    assert!(key.contains(account_id), "{key}");
    assert_eq!(attribute(process, "messaging.message.id"), attribute(tree.span("send events"), "messaging.message.id"));
    // What the SDK or the bridge would add by itself, and what the conventions have given up.
    for gone in ["code.file.path", "thread.id", "busy_ns", "target", "rpc.service", "db.system", "messaging.operation"]
    {
        assert_eq!(attribute(process, gone), None, "{gone}");
    }
}

#[test]
fn batches_are_roots_of_their_own_and_tied_to_what_they_carry() {
    let stage = Stage::shared();
    stage.runtime.block_on(async {
        let (account_id, caller) = (stage.account().await, Caller::sampled());
        stage.deposit(&account_id, &caller.headers()).await;
        let tree = Tree::of(stage.collector.trace(&caller.trace_id, is_through(DEPOSIT)).await, &caller.span_id);
        let (send, process) = (tree.span("send events"), tree.span("process events"));
        let carries = |span: &Span| span.trace_id != send.trace_id && is_linked(span, send);
        let roots = stage.collector.select(carries, |roots| roots.len() == 2).await;
        let root = |name: &str| roots.iter().find(|span| span.name == name).unwrap();
        let (relay, poll) = (root("relay batch"), root("poll events"));
        assert!(relay.parent_span_id.is_empty() && poll.parent_span_id.is_empty());
        assert!(is_linked(send, relay), "the send knows its batch");
        assert!(is_linked(process, poll) && is_linked(process, send), "the processing knows its poll and its message");
        for batch in [relay, poll] {
            let count = attribute(batch, "messaging.batch.message_count").unwrap();
            assert!(count.parse::<i64>().unwrap() >= 1);
        }
        let to_parent = process.links.iter().find(|link| link.span_id == send.span_id).unwrap();
        assert_eq!(to_parent.attributes[0].key, "opentracing.ref_type");
    });
}

#[test]
fn one_query_is_one_trace() {
    let stage = Stage::shared();
    stage.runtime.block_on(async {
        let account_id = stage.account().await;
        let command = Caller::sampled();
        stage.deposit(&account_id, &command.headers()).await;
        // Projected, so that there is a row.
        stage.collector.trace(&command.trace_id, is_through(DEPOSIT)).await;

        let (miss, hit) = (Caller::sampled(), Caller::sampled());
        for caller in [&miss, &hit] {
            let request = caller.request(get_account(&account_id));
            stage.queries().get_account(request).await.unwrap();
        }
        let is_answered = |spans: &[Span]| spans.iter().any(|span| span.name == GET_ACCOUNT);
        let miss = Tree::of(stage.collector.trace(&miss.trace_id, is_answered).await, &miss.span_id);
        assert_eq!(
            miss.edges(),
            sorted(vec![
                format!("caller > {GET_ACCOUNT} (server)"),
                format!("{GET_ACCOUNT} > get (client)"),
                format!("{GET_ACCOUNT} > SELECT {ACCOUNTS} (client)"),
                format!("{GET_ACCOUNT} > set (client)"),
            ])
        );
        let select = miss.span(&format!("SELECT {ACCOUNTS}"));
        assert_eq!(attribute(select, "db.system.name").as_deref(), Some("sqlite"));
        assert_eq!(attribute(select, "db.collection.name"), Some(ACCOUNTS.to_string()));
        assert_eq!(attribute(miss.span("get"), "db.system.name").as_deref(), Some("moka"));

        let hit = Tree::of(stage.collector.trace(&hit.trace_id, is_answered).await, &hit.span_id);
        let expected = vec![format!("caller > {GET_ACCOUNT} (server)"), format!("{GET_ACCOUNT} > get (client)")];
        assert_eq!(hit.edges(), sorted(expected));
    });
}

#[test]
fn each_command_of_a_stream_has_a_span_of_its_own() {
    const COMMANDS: usize = 3;
    let stage = Stage::shared();
    stage.runtime.block_on(async {
        let (account_id, caller) = (stage.account().await, Caller::sampled());
        let commands: Vec<ExecuteCommandsRequest> = (0..COMMANDS)
            .map(|_| ExecuteCommandsRequest { command: Some(Command::Deposit(deposit(&account_id))) })
            .collect();
        let request = caller.request(futures::stream::iter(commands));
        let mut answers = stage.commands().execute_commands(request).await.unwrap().into_inner();
        while answers.message().await.unwrap().is_some() {}

        let spans = stage.collector.trace(&caller.trace_id, |spans| {
            let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
            [EXECUTE, "send events", "process events"].map(count) == [1, COMMANDS, COMMANDS]
        });
        let tree = Tree::of(spans.await, &caller.span_id);
        let mut expected = vec![format!("caller > {EXECUTE} (server)")];
        for _ in 0..COMMANDS {
            expected.push(format!("{EXECUTE} > execute Deposit (internal)"));
            expected.extend(below_deposit("execute Deposit", TOPIC));
        }
        assert_eq!(tree.edges(), sorted(expected));
        assert_eq!(attribute(tree.root(), "rpc.response.status_code").as_deref(), Some("OK"));
    });
}

#[test]
fn garbage_begins_a_new_trace() {
    let stage = Stage::shared();
    stage.runtime.block_on(async {
        let account_id = stage.account().await;
        stage.deposit(&account_id, &[("traceparent", "garbage"), ("tracestate", "also = garbage")]).await;
        let key = |span: &Span| attribute(span, "messaging.kafka.message.key");
        let is_its = |span: &Span| key(span).is_some_and(|key| key.contains(&account_id));
        let its = stage.collector.select(is_its, |spans| spans.len() == 2).await;
        let trace_id = hex(&its[0].trace_id);
        let tree = Tree::of(stage.collector.trace(&trace_id, is_through(DEPOSIT)).await, NOBODY);
        assert_eq!(tree.root().name, DEPOSIT);
    });
}

#[test]
fn what_is_not_sampled_is_not_exported() {
    let stage = Stage::shared();
    stage.runtime.block_on(async {
        let (account_id, unwanted, wanted) = (stage.account().await, Caller::unsampled(), Caller::sampled());
        stage.deposit(&account_id, &unwanted.headers()).await;
        // Later on the same stream: what was done for it was done for the one before it too.
        stage.deposit(&account_id, &wanted.headers()).await;
        stage.collector.trace(&wanted.trace_id, is_through(DEPOSIT)).await;
        let all = stage.collector.all();
        let of_unwanted = all.iter().filter(|span| hex(&span.trace_id) == unwanted.trace_id).count();
        assert_eq!(of_unwanted, 0);
    });
}

#[test]
fn a_refusal_is_a_trace_without_a_row() {
    let stage = Stage::shared();
    stage.runtime.block_on(async {
        let caller = Caller::sampled();
        let refused = stage.commands().deposit(caller.request(deposit("nobodys-account"))).await.unwrap_err();
        assert_ne!(refused.code(), Code::Internal, "{refused:?}");
        let spans = stage.collector.trace(&caller.trace_id, |spans| !spans.is_empty()).await;
        let tree = Tree::of(spans, &caller.span_id);
        assert_eq!(tree.edges(), [format!("caller > {DEPOSIT} (server)")]);
        let failed = tree.root().status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
        assert!(!failed, "that the rules say no is no failure of the server");
    });
}
