//! The query service's reads of accounts, and what all its methods share.

use std::fmt;

use bytes::Bytes;
use diptych_kernel::{
    Clock, Partition, Partitions, StreamId, Timestamp, Token,
    domain::RowKey,
    ports::{ProgressStore, ViewCache, ViewStore},
    vocabulary::TokenIssuer,
};
use diptych_proto::diptych::v1::{self, Consistency};
use diptych_query::{Answer, QueryError, ReadAt, Reader};
use diptych_runtime::{Failure, InvalidFields, SystemClock, grpc};
use tokio::time::Instant;
use tonic::metadata::MetadataMap;

use crate::{
    domain::AccountId,
    grpc::{read_at, validate},
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

    /// The required freshness and the deadline of a call.
    pub(super) fn read_options(
        &self,
        metadata: &MetadataMap,
        consistency: Option<&Consistency>,
        invalid: &mut InvalidFields,
    ) -> Option<ReadOptions> {
        let token = invalid.check(validate::token(consistency, &self.tokens, self.partitions));
        let age_max = invalid.check(validate::age_max(consistency));
        let deadline = self.reader.deadline(grpc::caller_timeout(metadata.as_ref()));
        let (token, age_max) = token.zip(age_max)?;
        let complete_up_to = age_max.map(|age| {
            let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
            SystemClock.now().plus_micros(-micros)
        });
        Some(ReadOptions { token, complete_up_to, deadline })
    }

    /// Waits until the views are complete up to the time that the call requires, in the partitions that it reads. What
    /// is read then with its token is complete up to that time.
    pub(super) async fn wait_for_age(
        &self,
        read_options: ReadOptions,
        partitions: impl IntoIterator<Item = Partition>,
    ) -> Result<ReadOptions, Failure> {
        let ReadOptions { token, complete_up_to, deadline } = read_options;
        let Some(time) = complete_up_to else { return Ok(ReadOptions { token, complete_up_to, deadline }) };
        let token = self.reader.token_complete_up_to(time, partitions, token, deadline).await;
        Ok(ReadOptions { token: token.map_err(QueryError::into_failure)?, complete_up_to, deadline })
    }

    /// The freshness of a response, for its caller.
    pub(super) fn read_at(&self, read_at: &ReadAt, read_options: &ReadOptions) -> Option<v1::ReadAt> {
        // Waited for, and the time of a row may be older: that of its last read.
        let complete_up_to = read_at.complete_up_to.max(read_options.complete_up_to);
        Some(read_at::to_proto(&ReadAt { token: read_at.token.clone(), complete_up_to }, &self.tokens))
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
    /// The time by which recorded events must be included. The token includes them after `wait_for_age`.
    complete_up_to: Option<Timestamp>,
    pub(super) deadline: Instant,
}

impl<V, P, C> fmt::Debug for LedgerQueryService<V, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerQueryService").field("partitions", &self.partitions).finish_non_exhaustive()
    }
}
