//! Single calls without retries, whose answers and errors are checked individually.

use std::time::Duration;

use diptych_proto::{
    diptych::v1::{Consistency, Receipt},
    ledger::{
        command::v1::{DepositRequest, OpenAccountRequest},
        query::v1::{GetAccountRequest, GetAccountResponse},
    },
};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::{
    installation::StackInstallation,
    support::traffic::{EdgeConnection, at_least, reason, retry_delay},
};

/// Longer than any wait inside the product, and short enough for a test.
const DEADLINE: Duration = Duration::from_secs(10);
/// Maximum number of answers in a row that miss the deadline.
const LATE_ANSWERS_MAX: usize = 5;
/// Another currency than that of the traffic, whose totals are checked.
const CURRENCY: &str = "EUR";

/// Client that sends each call once.
pub(crate) struct Probe {
    connection: EdgeConnection,
}

impl Probe {
    pub(crate) fn new(installation: &StackInstallation) -> Self {
        Self { connection: EdgeConnection::to(&installation.edge()) }
    }

    /// Opens a new account; returns its id and the consistency token.
    pub(crate) async fn open(&self) -> (String, String) {
        let account_id = format!("probe-{}", Uuid::new_v4().simple());
        let open = OpenAccountRequest {
            request_id: Uuid::new_v4().to_string(),
            account_id: account_id.clone(),
            owner_id: "probe".to_owned(),
            currency_code: CURRENCY.to_owned(),
            overdraft_limit_minor: 0,
            options: None,
        };
        let answer = self.connection.commands.clone().open_account(request(open)).await.unwrap().into_inner();
        (account_id, token(&answer.receipt.unwrap()))
    }

    /// Deposits; returns the consistency token.
    pub(crate) async fn deposit(&self, account_id: &str) -> Result<String, Status> {
        let deposit = DepositRequest {
            request_id: Uuid::new_v4().to_string(),
            account_id: account_id.to_owned(),
            amount_minor: 1,
            currency_code: CURRENCY.to_owned(),
            ..DepositRequest::default()
        };
        let answer = self.connection.commands.clone().deposit(request(deposit)).await?.into_inner();
        Ok(token(&answer.receipt.unwrap()))
    }

    /// Reads the account as fresh as a token.
    pub(crate) async fn get_as_fresh_as(&self, account_id: &str, token: &str) -> Result<GetAccountResponse, Status> {
        self.get(account_id, at_least(token)).await
    }

    /// Reads the account without a token.
    pub(crate) async fn get_any(&self, account_id: &str) -> Result<GetAccountResponse, Status> {
        self.get(account_id, None).await
    }

    async fn get(&self, account_id: &str, consistency: Option<Consistency>) -> Result<GetAccountResponse, Status> {
        let message = GetAccountRequest { account_id: account_id.to_owned(), consistency };
        Ok(self.connection.queries.clone().get_account(request(message)).await?.into_inner())
    }
}

/// Asserts that a call fails as unavailable with one of these reasons. The product answers shortly before the deadline,
/// which may be too late on a busy machine; then the call is repeated.
pub(crate) async fn assert_unavailable<T: std::fmt::Debug>(
    reasons: &[&str],
    call: impl AsyncFn() -> Result<T, Status>,
) {
    let mut status = call().await.unwrap_err();
    for _ in 0..LATE_ANSWERS_MAX {
        if !matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded) {
            break;
        }
        status = call().await.unwrap_err();
    }
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(reasons.contains(&reason(&status).as_str()), "{status:?} has none of {reasons:?}");
    assert!(retry_delay(&status).is_some(), "{status:?} has no retry delay");
}

/// The time up to which an answer is complete, in nanoseconds since 1970.
pub(crate) fn complete_up_to_nanos(answer: &GetAccountResponse) -> i128 {
    let time = answer.read_at.as_ref().and_then(|read_at| read_at.complete_up_to_time).unwrap();
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

fn request<Q>(message: Q) -> Request<Q> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

fn token(receipt: &Receipt) -> String {
    receipt.written_at.as_ref().unwrap().value.clone()
}
