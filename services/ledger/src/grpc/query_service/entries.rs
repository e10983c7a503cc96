//! `ListEntries`: account statements, newest entry first.

use diptych_kernel::ports::{ProgressStore, ViewCache, ViewStore};
use diptych_proto::{
    Encoded,
    diptych::v1,
    ledger::query::{
        v1::{Account, Entry},
        v1_encoded::{ListEntriesRequest, ListEntriesResponse},
    },
};
use diptych_query::{Answer, Page, QueryError, ReadAt};
use diptych_runtime::{Failure, InvalidFields};
use prost::Message;
use tonic::Request;
use tracing::error;

use super::{
    service::{LedgerQueryService, ReadOptions},
    statement_cursor::StatementCursor,
};
use crate::{
    domain::AccountId,
    grpc::{
        page_token::{self, PagedList},
        read_at, status, validate,
    },
    views::{ACCOUNTS, ENTRIES, EntryKey},
};

/// Maximum number of buckets that one call reads. Most pages need one or two. An account that was frozen and unfrozen
/// thousands of times without a posting has empty buckets; its page may then be short, with a token for the next one.
const BUCKETS_PER_CALL_MAX: usize = 16;

/// A page of a statement, while buckets are added to it.
struct StatementPage {
    entries: Vec<Encoded<Entry>>,
    cursor: StatementCursor,
    /// `None` until a row was read.
    read_at: Option<ReadAt>,
}

impl<V: ViewStore, P: ProgressStore, C: ViewCache> LedgerQueryService<V, P, C> {
    pub(super) async fn entries(&self, request: Request<ListEntriesRequest>) -> Result<ListEntriesResponse, Failure> {
        let (metadata, _, request) = request.into_parts();
        let mut invalid = InvalidFields::default();
        let account_id = invalid.check(validate::account_id(&request.account_id));
        let page_size = invalid.check(validate::page_size(request.page_size));
        let cursor = invalid.check(cursor_of(account_id.as_ref(), &request.page_token));
        let read_options = self.read_options(&metadata, request.consistency.as_ref(), &mut invalid);
        let valid = account_id.zip(page_size).zip(cursor).zip(read_options);
        let (((account_id, page_size), cursor), read_options) = invalid.finish(valid)?;
        let read_options = self.wait_for_age(read_options, [self.partition_of(&account_id)]).await?;

        let mut statement = match cursor {
            Some(cursor) => StatementPage { entries: Vec::new(), cursor, read_at: None },
            None => self.first_page(&account_id, &read_options).await?,
        };
        for _ in 0..BUCKETS_PER_CALL_MAX {
            let room = page_size.saturating_sub(statement.entries.len());
            if room == 0 || statement.cursor.is_done() {
                break;
            }
            let page = self.bucket(&account_id, statement.cursor, room, &read_options).await?;
            statement.add(page);
        }
        let read_at = statement.read_at.as_ref().and_then(|read_at| self.read_at(read_at, &read_options));
        Ok(statement.into_response(&account_id, read_at))
    }

    /// Returns the empty first page. The account's version determines the newest bucket.
    async fn first_page(&self, account_id: &AccountId, read_options: &ReadOptions) -> Result<StatementPage, Failure> {
        let answer = self.account_row(account_id, read_options).await?;
        let row = answer.value.ok_or_else(|| status::account_not_found(account_id))?;
        let version = Account::decode(row).ok().and_then(|account| u32::try_from(account.version).ok());
        let version = version.ok_or_else(|| {
            error!(view = %ACCOUNTS, %account_id, "a stored account row cannot be decoded");
            Failure::Internal
        })?;
        Ok(StatementPage {
            entries: Vec::new(),
            cursor: StatementCursor::from_newest(version),
            read_at: Some(answer.read_at),
        })
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

/// The cursor that a page token of this account holds; `None` for the first page.
fn cursor_of(account_id: Option<&AccountId>, page_token: &str) -> Result<Option<StatementCursor>, Failure> {
    let key = page_token::decode(PagedList::Entries, account_id.map(AccountId::as_str), page_token)?;
    key.map(|key| StatementCursor::from_key(&key).ok_or_else(page_token::invalid)).transpose()
}

impl StatementPage {
    fn add(&mut self, page: Answer<Page>) {
        self.cursor = self.cursor.advanced_past(&page.value);
        self.entries.extend(page.value.rows.into_iter().map(|(_, body)| Encoded::new(body)));
        // All reads concern the partition of the account.
        self.read_at = Some(match &self.read_at {
            Some(read_at) => read_at::minimum(read_at, &page.read_at, |_| true),
            None => page.read_at,
        });
    }

    fn into_response(self, account_id: &AccountId, read_at: Option<v1::ReadAt>) -> ListEntriesResponse {
        let next_page_token = if self.cursor.is_done() {
            String::new()
        } else {
            page_token::encode(PagedList::Entries, account_id.as_str(), &self.cursor.to_key())
        };
        ListEntriesResponse { entries: self.entries, next_page_token, read_at }
    }
}
