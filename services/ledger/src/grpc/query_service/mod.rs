//! Implementation of the gRPC query service.

mod accounts;
mod entries;
mod statement_cursor;
mod totals;

use std::fmt;

use bytes::Bytes;
use diptych_kernel::{
    Partition, Partitions, StreamId, Token,
    domain::RowKey,
    ports::{ProgressStore, ViewCache, ViewStore},
};
use diptych_proto::{
    diptych::v1::Consistency,
    ledger::query::v1_encoded::{self as v1, query_service_server::QueryService},
};
use diptych_query::{Answer, QueryError, Reader};
use diptych_runtime::{Failure, grpc};
use tokio::time::Instant;
use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::{status, validate};
use crate::{
    domain::AccountId,
    views::{ACCOUNTS, account_key},
};

/// The gRPC query service: validates a query, reads rows that are fresh enough, and sends them as they are stored.
pub struct LedgerQueryService<V, P, C> {
    reader: Reader<V, P, C>,
    partitions: Partitions,
}

impl<V: ViewStore, P: ProgressStore, C: ViewCache> LedgerQueryService<V, P, C> {
    /// Creates a service that reads through `reader`, which serves all [views](crate::views::all) of an installation
    /// with these partitions.
    #[must_use]
    pub fn new(reader: Reader<V, P, C>, partitions: Partitions) -> Self {
        Self { reader, partitions }
    }

    /// The consistency token and the deadline of a call.
    fn read_options(&self, metadata: &MetadataMap, consistency: Option<Consistency>) -> Result<ReadOptions, Failure> {
        let token = validate::token(consistency, self.partitions)?;
        Ok(ReadOptions { token, deadline: self.reader.deadline(grpc::caller_timeout(metadata.as_ref())) })
    }

    async fn account_row(
        &self,
        account_id: &AccountId,
        read_options: &ReadOptions,
    ) -> Result<Answer<Option<Bytes>>, Failure> {
        let row = self.reader.get(
            ACCOUNTS,
            account_id.stream_id(),
            account_key(account_id),
            &read_options.token,
            read_options.deadline,
        );
        row.await.map_err(QueryError::into_failure)
    }

    /// The rows of these accounts, in the same order; `None` for an account that does not exist.
    async fn account_rows(
        &self,
        account_ids: &[AccountId],
        read_options: &ReadOptions,
    ) -> Result<Answer<Vec<Option<Bytes>>>, Failure> {
        let keys: Vec<(StreamId, RowKey)> =
            account_ids.iter().map(|id| (id.stream_id().clone(), account_key(id))).collect();
        let rows = self.reader.get_many(ACCOUNTS, &keys, &read_options.token, read_options.deadline);
        rows.await.map_err(QueryError::into_failure)
    }

    fn partition_of(&self, account_id: &AccountId) -> Partition {
        self.partitions.of(account_id.stream_id())
    }
}

/// Requirements of a read: the events that it must include, and its deadline.
struct ReadOptions {
    token: Token,
    deadline: Instant,
}

impl<V, P, C> fmt::Debug for LedgerQueryService<V, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerQueryService").field("partitions", &self.partitions).finish_non_exhaustive()
    }
}

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
