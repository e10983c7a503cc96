//! One call is one trace, from the edge to the row and the cache.

use std::time::Duration;

use diptych_integration_tests::spans::{Caller, Tree, below_deposit};
use diptych_ledger::views::ACCOUNTS;
use diptych_proto::ledger::{
    command::v1::{DepositRequest, OpenAccountRequest},
    query::v1::GetAccountRequest,
};
use diptych_runtime::testing::{OtlpReceiver, Span};
use tonic::Request;
use uuid::Uuid;

use crate::{admin, installation::Installation, traffic::Link};

const DEPOSIT: &str = "ledger.command.v1.CommandService/Deposit";
const GET_ACCOUNT: &str = "ledger.query.v1.QueryService/GetAccount";
const TOPIC: &str = "diptych.events";
/// Edge and gateway have two spans each: for the call and for its try.
const SPANS_OF_ENVOY: usize = 4;
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn one_call_is_one_trace(installation: &Installation, collector: &OtlpReceiver) {
    let calls = Calls(Link::to(installation));
    let account_id = calls.open().await;

    let caller = Caller::sampled();
    calls.deposit(&caller, &account_id).await;
    let spans = collector.trace(&caller.trace_id, |spans| {
        has(spans, &format!("process {TOPIC}"), 1) && has(spans, &format!("/{DEPOSIT}"), SPANS_OF_ENVOY)
    });
    let tree = Tree::of(spans.await, &caller.span_id);
    assert_eq!(tree.edges(), through_envoy(DEPOSIT, below_deposit(DEPOSIT, TOPIC)));

    // So that the row must be read.
    admin::flush_cache(installation).await;
    let read_row = vec![
        format!("{GET_ACCOUNT} > get (client)"),
        format!("{GET_ACCOUNT} > SELECT {ACCOUNTS} (client)"),
        format!("{GET_ACCOUNT} > set (client)"),
    ];
    for below in [read_row, vec![format!("{GET_ACCOUNT} > get (client)")]] {
        let caller = Caller::sampled();
        calls.get_account(&caller, &account_id).await;
        let is_whole =
            |spans: &[Span]| has(spans, &format!("/{GET_ACCOUNT}"), SPANS_OF_ENVOY) && has(spans, GET_ACCOUNT, 1);
        let tree = Tree::of(collector.trace(&caller.trace_id, is_whole).await, &caller.span_id);
        assert_eq!(tree.edges(), through_envoy(GET_ACCOUNT, below));
    }
    println!("one Deposit and two GetAccount, one from the row and one from the cache, are one trace each");
}

fn has(spans: &[Span], name: &str, count: usize) -> bool {
    spans.iter().filter(|span| span.name == name).count() >= count
}

/// The edges from the caller to the service, and those below it.
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

/// Calls of the edge that bring a trace along, and must succeed.
struct Calls(Link);

impl Calls {
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
