//! Implementation of the gRPC query service.

mod accounts;
mod entries;
mod service;
mod statement_cursor;
mod totals;

use diptych_kernel::ports::{ProgressStore, ViewCache, ViewStore};
use diptych_proto::ledger::query::v1_encoded::{self as v1, query_service_server::QueryService};
use diptych_runtime::Failure;
use tonic::{Request, Response, Status};

pub use self::service::LedgerQueryService;
use super::status;

fn respond<T>(answer: Result<T, Failure>) -> Result<Response<T>, Status> {
    answer.map(Response::new).map_err(|failure| status::status(&failure))
}

#[tonic::async_trait]
impl<V: ViewStore, P: ProgressStore, C: ViewCache> QueryService for LedgerQueryService<V, P, C> {
    async fn get_account(
        &self,
        request: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::GetAccountResponse>, Status> {
        respond(self.account(request).await)
    }

    async fn batch_get_accounts(
        &self,
        request: Request<v1::BatchGetAccountsRequest>,
    ) -> Result<Response<v1::BatchGetAccountsResponse>, Status> {
        respond(self.accounts(request).await)
    }

    async fn list_entries(
        &self,
        request: Request<v1::ListEntriesRequest>,
    ) -> Result<Response<v1::ListEntriesResponse>, Status> {
        respond(self.entries(request).await)
    }

    async fn list_accounts(
        &self,
        request: Request<v1::ListAccountsRequest>,
    ) -> Result<Response<v1::ListAccountsResponse>, Status> {
        respond(self.accounts_of_owner(request).await)
    }

    async fn get_totals(
        &self,
        request: Request<v1::GetTotalsRequest>,
    ) -> Result<Response<v1::GetTotalsResponse>, Status> {
        respond(self.totals(request).await)
    }
}
