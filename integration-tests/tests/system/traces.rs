//! Every call is one trace, from the edge to the row and the cache.

use std::time::Duration;

use diptych_integration_tests::spans::{Caller, SpanTree, below_deposit};
use diptych_ledger::views::ACCOUNTS;
use diptych_proto::ledger::{
    command::v1::{DepositRequest, OpenAccountRequest},
    query::v1::GetAccountRequest,
};
use diptych_runtime::testing::{OtlpReceiver, Span};
use tonic::Request;
use uuid::Uuid;

use crate::{admin, installation::StackInstallation, support::traffic::EdgeConnection};

const DEPOSIT: &str = "ledger.command.v1.CommandService/Deposit";
const GET_ACCOUNT: &str = "ledger.query.v1.QueryService/GetAccount";
const TOPIC: &str = "diptych.events";
/// Edge and gateway have two spans each: for the call and for the attempt.
const ENVOY_SPANS: usize = 4;
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn one_call_is_one_trace(installation: &StackInstallation, otlp_receiver: &OtlpReceiver) {
    let client = TracedClient(EdgeConnection::to(&installation.edge()));
    let account_id = client.open().await;

    let caller = Caller::sampled();
    client.deposit(&caller, &account_id).await;
    let spans = otlp_receiver.trace(&caller.trace_id, |spans| {
        has_at_least(spans, &format!("process {TOPIC}"), 1) && has_at_least(spans, &format!("/{DEPOSIT}"), ENVOY_SPANS)
    });
    let tree = SpanTree::of(spans.await, &caller.span_id);
    assert_eq!(tree.edges(), through_envoy(DEPOSIT, below_deposit(DEPOSIT, TOPIC)));

    // Flush the cache, so that the row must be read.
    admin::flush_cache(installation).await;
    let read_row = vec![
        format!("{GET_ACCOUNT} > get (client)"),
        format!("{GET_ACCOUNT} > SELECT {ACCOUNTS} (client)"),
        format!("{GET_ACCOUNT} > set (client)"),
    ];
    for below in [read_row, vec![format!("{GET_ACCOUNT} > get (client)")]] {
        let caller = Caller::sampled();
        client.get_account(&caller, &account_id).await;
        let is_complete = |spans: &[Span]| {
            has_at_least(spans, &format!("/{GET_ACCOUNT}"), ENVOY_SPANS) && has_at_least(spans, GET_ACCOUNT, 1)
        };
        let tree = SpanTree::of(otlp_receiver.trace(&caller.trace_id, is_complete).await, &caller.span_id);
        assert_eq!(tree.edges(), through_envoy(GET_ACCOUNT, below));
    }
    println!("one Deposit and two GetAccount, one from the row and one from the cache, are one trace each");
}

fn has_at_least(spans: &[Span], name: &str, count: usize) -> bool {
    spans.iter().filter(|span| span.name == name).count() >= count
}

/// The edges from the caller to the service, and the given ones below it.
fn through_envoy(method: &str, below: Vec<String>) -> Vec<String> {
    let mut edges = vec![
        format!("caller > /{method} (server)"),
        format!("/{method} > /{method} (client)"),
        format!("/{method} > /{method} (server)"),
        format!("/{method} > /{method} (client)"),
        format!("/{method} > {method} (server)"),
    ];
    edges.extend(below);
    edges.sort();
    edges
}

/// Client of the edge whose calls have a trace context and must succeed.
struct TracedClient(EdgeConnection);

impl TracedClient {
    async fn open(&self) -> String {
        let account_id = format!("traced-{}", Uuid::new_v4().simple());
        let open = OpenAccountRequest {
            request_id: Uuid::new_v4().to_string(),
            account_id: account_id.clone(),
            owner_id: "traced".to_owned(),
            currency_code: "CZK".to_owned(),
            ..OpenAccountRequest::default()
        };
        self.0.commands.clone().open_account(request(&Caller::unsampled(), open)).await.unwrap();
        account_id
    }

    async fn deposit(&self, caller: &Caller, account_id: &str) {
        let deposit = DepositRequest {
            request_id: Uuid::new_v4().to_string(),
            account_id: account_id.to_owned(),
            amount_minor: 100,
            currency_code: "CZK".to_owned(),
            ..DepositRequest::default()
        };
        self.0.commands.clone().deposit(request(caller, deposit)).await.unwrap();
    }

    async fn get_account(&self, caller: &Caller, account_id: &str) {
        let get = GetAccountRequest { account_id: account_id.to_owned(), consistency: None };
        self.0.queries.clone().get_account(request(caller, get)).await.unwrap();
    }
}

fn request<M>(caller: &Caller, message: M) -> Request<M> {
    let mut request = caller.request(message);
    request.set_timeout(DEADLINE);
    request
}
