//! One call is one trace, from the edge to the row and the cache.

use std::time::Duration;

use diptych_integration_tests::spans::{Caller, Collector, Tree, below_deposit};
use diptych_ledger::views::ACCOUNTS;
use diptych_proto::ledger::{
    command::v1::{DepositRequest, OpenAccountRequest, command_service_client::CommandServiceClient},
    query::v1::{GetAccountRequest, query_service_client::QueryServiceClient},
};
use diptych_stack::{Server, Stack};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

use crate::installation::{Installation, PATIENCE};

const DEPOSIT: &str = "ledger.command.v1.CommandService/Deposit";
const GET_ACCOUNT: &str = "ledger.query.v1.QueryService/GetAccount";
const TOPIC: &str = "diptych.events";
/// Edge and gateway have two spans each: for the call and for its try.
const SPANS_OF_ENVOY: usize = 4;

pub(crate) async fn one_call_is_one_trace(installation: &Installation, collector: &Collector) {
    let calls = Calls::new(installation);
    let account_id = calls.open().await;

    let caller = Caller::sampled();
    calls.deposit(&caller, &account_id).await;
    let spans = collector.trace(&caller.trace_id, |spans| {
        has(spans, &format!("process {TOPIC}"), 1) && has(spans, &format!("/{DEPOSIT}"), SPANS_OF_ENVOY)
    });
    let tree = Tree::of(spans.await, &caller.span_id);
    assert_eq!(tree.edges(), through_envoy(DEPOSIT, below_deposit(DEPOSIT, TOPIC)));

    forget_all(&installation.stack).await;
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

/// Empties the cache, so that a row must be read.
async fn forget_all(stack: &Stack) {
    let forget = async {
        let mut connection = TcpStream::connect(stack.address(Server::Memcached).unwrap()).await.unwrap();
        connection.write_all(b"flush_all\r\n").await.unwrap();
        let mut answer = [0; 4];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"OK\r\n");
    };
    timeout(PATIENCE, forget).await.expect("memcached does not answer");
}

/// A caller of the edge, whose calls must succeed.
struct Calls {
    channel: Channel,
    authorization: String,
}

impl Calls {
    fn new(installation: &Installation) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{}", installation.address())).unwrap();
        Self { channel: endpoint.connect_lazy(), authorization: format!("Bearer {}", installation.token()) }
    }

    fn request<M>(&self, caller: &Caller, message: M) -> Request<M> {
        let mut request = caller.request(message);
        request.metadata_mut().insert("authorization", self.authorization.parse().unwrap());
        request.set_timeout(Duration::from_secs(20));
        request
    }

    async fn open(&self) -> String {
        let account_id = format!("traced-{}", Uuid::new_v4().simple());
        let open = OpenAccountRequest {
            request_id: Uuid::new_v4().to_string(),
            account_id: account_id.clone(),
            owner_id: "traced".to_owned(),
            currency_code: "CZK".to_owned(),
            ..OpenAccountRequest::default()
        };
        let request = self.request(&Caller::unsampled(), open);
        CommandServiceClient::new(self.channel.clone()).open_account(request).await.unwrap();
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
        let request = self.request(caller, deposit);
        CommandServiceClient::new(self.channel.clone()).deposit(request).await.unwrap();
    }

    async fn get_account(&self, caller: &Caller, account_id: &str) {
        let get = GetAccountRequest { account_id: account_id.to_owned(), consistency: None };
        let request = self.request(caller, get);
        QueryServiceClient::new(self.channel.clone()).get_account(request).await.unwrap();
    }
}
