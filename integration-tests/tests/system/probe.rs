//! Single attempts, whose answers and failures are looked at one by one.

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
    installation::Installation,
    traffic::{Link, at_least, reason, retry_delay},
};

/// Longer than the product waits for anything but its caller's deadline, and short enough for a test.
const DEADLINE: Duration = Duration::from_secs(3);
/// How many answers may come too late in a row.
const LOST_MAX: usize = 5;
/// Not that of the traffic, whose totals are counted.
const CURRENCY: &str = "EUR";

/// Calls, each once.
pub(crate) struct Probe {
    link: Link,
}

impl Probe {
    pub(crate) fn new(installation: &Installation) -> Self {
        Self { link: Link::to(installation) }
    }

    /// A new account; returns its id and the token with which it can be seen.
    pub(crate) async fn open(&self) -> (String, String) {
        let account_id = format!("probe-{}", Uuid::new_v4().simple());
        let open = OpenAccountRequest {
            request_id: Uuid::new_v4().to_string(),
            account_id: account_id.clone(),
            owner_id: "probe".to_owned(),
            currency_code: CURRENCY.to_owned(),
            overdraft_limit_minor: 0,
        };
        let answer = self.link.commands.clone().open_account(request(open)).await.unwrap().into_inner();
        (account_id, token(&answer.receipt.unwrap()))
    }

    /// Pays in; returns the token with which that can be seen.
    pub(crate) async fn deposit(&self, account_id: &str) -> Result<String, Status> {
        let deposit = DepositRequest {
            request_id: Uuid::new_v4().to_string(),
            account_id: account_id.to_owned(),
            amount_minor: 1,
            currency_code: CURRENCY.to_owned(),
            ..DepositRequest::default()
        };
        let answer = self.link.commands.clone().deposit(request(deposit)).await?.into_inner();
        Ok(token(&answer.receipt.unwrap()))
    }

    /// The account with the effect of a command.
    pub(crate) async fn get_with(&self, account_id: &str, token: &str) -> Result<GetAccountResponse, Status> {
        self.get(account_id, at_least(token)).await
    }

    /// The account as it is known.
    pub(crate) async fn get_any(&self, account_id: &str) -> Result<GetAccountResponse, Status> {
        self.get(account_id, None).await
    }

    async fn get(&self, account_id: &str, consistency: Option<Consistency>) -> Result<GetAccountResponse, Status> {
        let question = GetAccountRequest { account_id: account_id.to_owned(), consistency };
        Ok(self.link.queries.clone().get_account(request(question)).await?.into_inner())
    }
}

/// Asks until the failure says why. It is given a moment before the deadline, and on a busy machine that moment may be too short for its way.
pub(crate) async fn assert_unavailable<T: std::fmt::Debug>(reasons: &[&str], ask: impl AsyncFn() -> Result<T, Status>) {
    let mut status = ask().await.unwrap_err();
    for _ in 0..LOST_MAX {
        if !matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded) {
            break;
        }
        status = ask().await.unwrap_err();
    }
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(reasons.contains(&reason(&status).as_str()), "{status:?} has none of {reasons:?}");
    assert!(retry_delay(&status).is_some(), "{status:?} does not say when to ask again");
}

/// Up to when an answer is complete, in nanoseconds.
pub(crate) fn complete_up_to(answer: &GetAccountResponse) -> i128 {
    let time = answer.read_at.as_ref().and_then(|read_at| read_at.complete_up_to_time).unwrap();
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

fn request<Q>(question: Q) -> Request<Q> {
    let mut request = Request::new(question);
    request.set_timeout(DEADLINE);
    request
}

fn token(receipt: &Receipt) -> String {
    receipt.written_at.as_ref().unwrap().value.clone()
}
