//! Statements, newest entry first.

use diptych_kernel::ports::{ProgressStore, ViewCache, ViewStore};
use diptych_proto::{
    Encoded,
    ledger::query::{
        v1::{Account, Entry},
        v1_encoded::{ListEntriesRequest, ListEntriesResponse},
    },
};
use diptych_query::{Answer, Page, QueryError, ReadAt};
use diptych_runtime::Failure;
use prost::Message;
use tonic::Request;
use tracing::error;

use super::{LedgerQueryService, ReadOptions, statement_cursor::StatementCursor};
use crate::{
    domain::AccountId,
    grpc::{
        page_token::{self, List},
        read_at, status, validate,
    },
    views::{ACCOUNTS, ENTRIES, EntryKey},
};

/// How many buckets one call looks into. Most pages need one or two; an account that was frozen and unfrozen thousands of times without a
/// posting has empty ones, and its page may then be short.
const BUCKETS_PER_CALL_MAX: usize = 16;

/// A page as it grows.
struct Statement {
    entries: Vec<Encoded<Entry>>,
    cursor: StatementCursor,
    /// `None` until something was read.
    read_at: Option<ReadAt>,
}

impl<V: ViewStore, P: ProgressStore, C: ViewCache> LedgerQueryService<V, P, C> {
    pub(super) async fn entries(&self, request: Request<ListEntriesRequest>) -> Result<ListEntriesResponse, Failure> {
        let (metadata, _, request) = request.into_parts();
        let account_id = validate::account_id(&request.account_id)?;
        let page_size = validate::page_size(request.page_size)?;
        let key = page_token::decode(List::Entries, account_id.as_str(), &request.page_token)?;
        let read_options = self.read_options(&metadata, request.consistency)?;

        let mut statement = match key {
            Some(key) => {
                let cursor = StatementCursor::from_key(&key).ok_or_else(page_token::invalid)?;
                Statement { entries: Vec::new(), cursor, read_at: None }
            }
            None => self.newest(&account_id, &read_options).await?,
        };
        for _ in 0..BUCKETS_PER_CALL_MAX {
            let room = page_size.saturating_sub(statement.entries.len());
            if room == 0 || statement.cursor.is_done() {
                break;
            }
            let page = self.bucket(&account_id, statement.cursor, room, &read_options).await?;
            statement.add(page);
        }
        Ok(statement.into_response(&account_id))
    }

    /// Where the statement begins. The account's version says in which bucket.
    async fn newest(&self, account_id: &AccountId, read_options: &ReadOptions) -> Result<Statement, Failure> {
        let answer = self.account_row(account_id, read_options).await?;
        let row = answer.value.ok_or_else(|| status::account_not_found(account_id))?;
        let version = Account::decode(row).ok().and_then(|account| u32::try_from(account.version).ok());
        let version = version.ok_or_else(|| {
            error!(view = %ACCOUNTS, %account_id, "a stored row cannot be read");
            Failure::Internal
        })?;
        Ok(Statement { entries: Vec::new(), cursor: StatementCursor::from_newest(version), read_at: Some(answer.read_at) })
    }

    async fn bucket(
        &self,
        account_id: &AccountId,
        cursor: StatementCursor,
        room: usize,
        read_options: &ReadOptions,
    ) -> Result<Answer<Page>, Failure> {
        self.reader
            .scan(
                ENTRIES,
                Some(self.partition_of(account_id)),
                Some(account_id.stream_id()),
                &EntryKey::partition_key(account_id, cursor.bucket()),
                Some(&cursor.after()),
                room,
                &read_options.token,
                read_options.deadline,
            )
            .await
            .map_err(QueryError::into_failure)
    }
}

impl Statement {
    fn add(&mut self, page: Answer<Page>) {
        self.cursor = self.cursor.past(&page.value);
        self.entries.extend(page.value.rows.into_iter().map(|(_, body)| Encoded::new(body)));
        // All parts are about the one partition of the account.
        self.read_at = Some(match &self.read_at {
            Some(read_at) => read_at::meet(read_at, &page.read_at, |_| true),
            None => page.read_at,
        });
    }

    fn into_response(self, account_id: &AccountId) -> ListEntriesResponse {
        let next_page_token = if self.cursor.is_done() {
            String::new()
        } else {
            page_token::encode(List::Entries, account_id.as_str(), &self.cursor.to_key())
        };
        ListEntriesResponse {
            entries: self.entries,
            next_page_token,
            read_at: self.read_at.as_ref().map(read_at::to_proto),
        }
    }
}
