//! The query service's reads of accounts, and what all its methods share.

use std::fmt;

use bytes::Bytes;
use diptych_kernel::{
    Partition, Partitions, StreamId, Token,
    domain::RowKey,
    ports::{ProgressStore, ViewCache, ViewStore},
    vocabulary::TokenIssuer,
};
use diptych_proto::diptych::v1::Consistency;
use diptych_query::{Answer, QueryError, Reader};
use diptych_runtime::{Failure, grpc};
use tokio::time::Instant;
use tonic::metadata::MetadataMap;

use crate::{
    domain::AccountId,
    grpc::validate,
    views::{ACCOUNTS, account_key},
};

/// The gRPC query service: validates a query, reads rows that are fresh enough, and sends them as they are stored.
pub struct LedgerQueryService<V, P, C> {
    pub(super) reader: Reader<V, P, C>,
    pub(super) partitions: Partitions,
    pub(super) tokens: TokenIssuer,
}

impl<V: ViewStore, P: ProgressStore, C: ViewCache> LedgerQueryService<V, P, C> {
    /// Creates a service that reads through `reader`, which serves all [views](crate::views::all) of an installation
    /// with these partitions and tokens.
    #[must_use]
    pub fn new(reader: Reader<V, P, C>, partitions: Partitions, tokens: TokenIssuer) -> Self {
        Self { reader, partitions, tokens }
    }

    /// The consistency token and the deadline of a call.
    pub(super) fn read_options(
        &self,
        metadata: &MetadataMap,
        consistency: Option<Consistency>,
    ) -> Result<ReadOptions, Failure> {
        let token = validate::token(consistency, &self.tokens, self.partitions)?;
        Ok(ReadOptions { token, deadline: self.reader.deadline(grpc::caller_timeout(metadata.as_ref())) })
    }

    pub(super) async fn account_row(
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
    pub(super) async fn account_rows(
        &self,
        account_ids: &[AccountId],
        read_options: &ReadOptions,
    ) -> Result<Answer<Vec<Option<Bytes>>>, Failure> {
        let keys: Vec<(StreamId, RowKey)> =
            account_ids.iter().map(|id| (id.stream_id().clone(), account_key(id))).collect();
        let rows = self.reader.get_many(ACCOUNTS, &keys, &read_options.token, read_options.deadline);
        rows.await.map_err(QueryError::into_failure)
    }

    pub(super) fn partition_of(&self, account_id: &AccountId) -> Partition {
        self.partitions.of(account_id.stream_id())
    }
}

/// Requirements of a read: the events that it must include, and its deadline.
pub(super) struct ReadOptions {
    pub(super) token: Token,
    pub(super) deadline: Instant,
}

impl<V, P, C> fmt::Debug for LedgerQueryService<V, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerQueryService").field("partitions", &self.partitions).finish_non_exhaustive()
    }
}
