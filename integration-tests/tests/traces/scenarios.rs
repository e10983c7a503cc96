//! Calls, and the traces that they lead to.

use diptych_integration_tests::spans::{Caller, SpanTree, attribute, below_deposit, is_linked};
use diptych_ledger::views::ACCOUNTS;
use diptych_proto::ledger::command::v1::{ExecuteCommandsRequest, execute_commands_request::Command};
use diptych_runtime::testing::{Span, StatusCode, hex};
use tonic::Code;

use super::{
    harness::TracingHarness,
    installation::{deposit, get_account},
};

const DEPOSIT: &str = "ledger.command.v1.CommandService/Deposit";
const EXECUTE: &str = "ledger.command.v1.CommandService/ExecuteCommands";
const GET_ACCOUNT: &str = "ledger.query.v1.QueryService/GetAccount";
const TOPIC: &str = "events";
/// Parent of a root span.
const NO_CALLER: &str = "";

/// Returns whether the trace of a command is complete: these spans end after all spans below them.
fn is_complete(command: &str) -> impl Fn(&[Span]) -> bool {
    let last = [command.to_owned(), "send events".to_owned(), "process events".to_owned()];
    move |spans| last.iter().all(|name| spans.iter().any(|span| span.name == *name))
}

fn sorted(mut edges: Vec<String>) -> Vec<String> {
    edges.sort();
    edges
}

#[test]
fn one_command_is_one_trace() {
    let harness = TracingHarness::shared();
    harness.runtime.block_on(async {
        let (account_id, caller) = (harness.account().await, Caller::sampled());
        harness.deposit(&account_id, &caller.headers()).await;
        let spans = harness.receiver.trace(&caller.trace_id, is_complete(DEPOSIT)).await;
        let tree = SpanTree::of(spans, &caller.span_id);
        let mut expected = below_deposit(DEPOSIT, TOPIC);
        expected.push(format!("caller > {DEPOSIT} (server)"));
        assert_eq!(tree.edges(), sorted(expected));
        check_attributes(&tree, &account_id);
    });
}

fn check_attributes(tree: &SpanTree, account_id: &str) {
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
    // Attributes that the SDK or the bridge would add by itself, and those that the conventions have deprecated.
    for absent in
        ["code.file.path", "thread.id", "busy_ns", "target", "rpc.service", "db.system", "messaging.operation"]
    {
        assert_eq!(attribute(process, absent), None, "{absent}");
    }
}

#[test]
fn batches_have_traces_of_their_own_linked_to_their_messages() {
    let harness = TracingHarness::shared();
    harness.runtime.block_on(async {
        let (account_id, caller) = (harness.account().await, Caller::sampled());
        harness.deposit(&account_id, &caller.headers()).await;
        let tree = SpanTree::of(harness.receiver.trace(&caller.trace_id, is_complete(DEPOSIT)).await, &caller.span_id);
        let (send, process) = (tree.span("send events"), tree.span("process events"));
        let is_linked_batch = |span: &Span| span.trace_id != send.trace_id && is_linked(span, send);
        let roots = harness.receiver.select(is_linked_batch, |roots| roots.len() == 2).await;
        let root = |name: &str| roots.iter().find(|span| span.name == name).unwrap();
        let (relay, poll) = (root("relay batch"), root("poll events"));
        assert!(relay.parent_span_id.is_empty() && poll.parent_span_id.is_empty());
        assert!(is_linked(send, relay), "the send is linked to its batch");
        assert!(
            is_linked(process, poll) && is_linked(process, send),
            "the processing is linked to its poll and its message"
        );
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
    let harness = TracingHarness::shared();
    harness.runtime.block_on(async {
        let account_id = harness.account().await;
        let receipt = harness.deposit(&account_id, &Caller::unsampled().headers()).await;
        // Before, the row may be missing, or be read without being cached.
        harness.until_progress_includes(&receipt, &account_id).await;

        let (miss, hit) = (Caller::sampled(), Caller::sampled());
        for caller in [&miss, &hit] {
            let request = caller.request(get_account(&account_id));
            harness.queries().get_account(request).await.unwrap();
        }
        let is_answered = |spans: &[Span]| spans.iter().any(|span| span.name == GET_ACCOUNT);
        let miss = SpanTree::of(harness.receiver.trace(&miss.trace_id, is_answered).await, &miss.span_id);
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

        let hit = SpanTree::of(harness.receiver.trace(&hit.trace_id, is_answered).await, &hit.span_id);
        let expected = vec![format!("caller > {GET_ACCOUNT} (server)"), format!("{GET_ACCOUNT} > get (client)")];
        assert_eq!(hit.edges(), sorted(expected));
    });
}

#[test]
fn each_command_of_a_stream_has_a_span_of_its_own() {
    const COMMANDS: usize = 3;
    let harness = TracingHarness::shared();
    harness.runtime.block_on(async {
        let (account_id, caller) = (harness.account().await, Caller::sampled());
        let commands: Vec<ExecuteCommandsRequest> = (0..COMMANDS)
            .map(|_| ExecuteCommandsRequest { command: Some(Command::Deposit(deposit(&account_id))) })
            .collect();
        let request = caller.request(futures::stream::iter(commands));
        let mut answers = harness.commands().execute_commands(request).await.unwrap().into_inner();
        while answers.message().await.unwrap().is_some() {}

        let spans = harness.receiver.trace(&caller.trace_id, |spans| {
            let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
            [EXECUTE, "send events", "process events"].map(count) == [1, COMMANDS, COMMANDS]
        });
        let tree = SpanTree::of(spans.await, &caller.span_id);
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
fn an_invalid_traceparent_starts_a_new_trace() {
    let harness = TracingHarness::shared();
    harness.runtime.block_on(async {
        let account_id = harness.account().await;
        harness.deposit(&account_id, &[("traceparent", "garbage"), ("tracestate", "also = garbage")]).await;
        let key = |span: &Span| attribute(span, "messaging.kafka.message.key");
        let is_of_account = |span: &Span| key(span).is_some_and(|key| key.contains(&account_id));
        let spans = harness.receiver.select(is_of_account, |spans| spans.len() == 2).await;
        let trace_id = hex(&spans[0].trace_id);
        let tree = SpanTree::of(harness.receiver.trace(&trace_id, is_complete(DEPOSIT)).await, NO_CALLER);
        assert_eq!(tree.root().name, DEPOSIT);
    });
}

#[test]
fn an_unsampled_call_is_not_exported() {
    let harness = TracingHarness::shared();
    harness.runtime.block_on(async {
        let (account_id, unsampled, sampled) = (harness.account().await, Caller::unsampled(), Caller::sampled());
        harness.deposit(&account_id, &unsampled.headers()).await;
        // Later on the same stream: when its trace is complete, the earlier command is processed too.
        harness.deposit(&account_id, &sampled.headers()).await;
        harness.receiver.trace(&sampled.trace_id, is_complete(DEPOSIT)).await;
        let all = harness.receiver.all();
        let of_unsampled = all.iter().filter(|span| hex(&span.trace_id) == unsampled.trace_id).count();
        assert_eq!(of_unsampled, 0);
    });
}

#[test]
fn a_refusal_is_a_trace_without_a_row() {
    let harness = TracingHarness::shared();
    harness.runtime.block_on(async {
        let caller = Caller::sampled();
        let refused = harness.commands().deposit(caller.request(deposit("missing-account"))).await.unwrap_err();
        assert_ne!(refused.code(), Code::Internal, "{refused:?}");
        let spans = harness.receiver.trace(&caller.trace_id, |spans| !spans.is_empty()).await;
        let tree = SpanTree::of(spans, &caller.span_id);
        assert_eq!(tree.edges(), [format!("caller > {DEPOSIT} (server)")]);
        let failed = tree.root().status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
        assert!(!failed, "a refusal is not an error of the server");
    });
}
