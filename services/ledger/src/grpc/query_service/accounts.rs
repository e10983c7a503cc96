//! `GetAccount`, `BatchGetAccounts` and `ListAccounts`.

use std::collections::BTreeSet;

use diptych_kernel::{
    Partition,
    ports::{ProgressStore, ViewCache, ViewStore},
};
use diptych_proto::{
    Encoded,
    ledger::query::v1_encoded::{
        BatchGetAccountsRequest, BatchGetAccountsResponse, GetAccountRequest, GetAccountResponse, ListAccountsRequest,
        ListAccountsResponse,
    },
};
use diptych_query::{Answer, Page, QueryError};
use diptych_runtime::{Failure, InvalidFields};
use tonic::Request;
use tracing::error;

use super::service::{LedgerQueryService, ReadOptions};
use crate::{
    domain::{AccountId, OwnerId},
    grpc::{
        page_token::{self, PagedList},
        read_at, status, validate,
    },
    views::ACCOUNTS_BY_OWNER,
};

impl<V: ViewStore, P: ProgressStore, C: ViewCache> LedgerQueryService<V, P, C> {
    pub(super) async fn account(&self, request: Request<GetAccountRequest>) -> Result<GetAccountResponse, Failure> {
        let (metadata, _, request) = request.into_parts();
        let mut invalid = InvalidFields::default();
        let account_id = invalid.check(validate::account_id(&request.account_id));
        let read_options = self.read_options(&metadata, request.consistency.as_ref(), &mut invalid);
        let (account_id, read_options) = invalid.finish(account_id.zip(read_options))?;
        let read_options = self.wait_for_age(read_options, [self.partition_of(&account_id)]).await?;
        let answer = self.account_row(&account_id, &read_options).await?;
        let row = answer.value.ok_or_else(|| status::account_not_found(&account_id))?;
        Ok(GetAccountResponse {
            account: Some(Encoded::new(row)),
            read_at: self.read_at(&answer.read_at, &read_options),
        })
    }

    pub(super) async fn accounts(
        &self,
        request: Request<BatchGetAccountsRequest>,
    ) -> Result<BatchGetAccountsResponse, Failure> {
        let (metadata, _, request) = request.into_parts();
        let mut invalid = InvalidFields::default();
        let account_ids = validate::account_ids(&request.account_ids, &mut invalid);
        let read_options = self.read_options(&metadata, request.consistency.as_ref(), &mut invalid);
        let (account_ids, read_options) = invalid.finish(account_ids.zip(read_options))?;
        let partitions: BTreeSet<Partition> = account_ids.iter().map(|id| self.partition_of(id)).collect();
        let read_options = self.wait_for_age(read_options, partitions).await?;
        let answer = self.account_rows(&account_ids, &read_options).await?;

        let mut accounts = Vec::with_capacity(account_ids.len());
        let mut missing_account_ids = Vec::new();
        for (account_id, row) in account_ids.iter().zip(answer.value) {
            match row {
                Some(row) => accounts.push(Encoded::new(row)),
                None => missing_account_ids.push(account_id.to_string()),
            }
        }
        let read_at = self.read_at(&answer.read_at, &read_options);
        Ok(BatchGetAccountsResponse { accounts, missing_account_ids, read_at })
    }

    pub(super) async fn accounts_of_owner(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<ListAccountsResponse, Failure> {
        let (metadata, _, request) = request.into_parts();
        let mut invalid = InvalidFields::default();
        let owner_id = invalid.check(validate::owner_id(&request.owner_id));
        let page_size = invalid.check(validate::page_size(request.page_size));
        let owner = owner_id.as_ref().map(OwnerId::as_str);
        let after = invalid.check(page_token::decode(PagedList::Accounts, owner, &request.page_token));
        let read_options = self.read_options(&metadata, request.consistency.as_ref(), &mut invalid);
        let valid = owner_id.zip(page_size).zip(after).zip(read_options);
        let (((owner_id, page_size), after), read_options) = invalid.finish(valid)?;
        let read_options = self.wait_for_age(read_options, self.partitions.iter()).await?;

        let index = self
            .reader
            .scan(
                ACCOUNTS_BY_OWNER,
                None,
                None,
                owner_id.as_str(),
                after.as_deref(),
                page_size,
                &read_options.token,
                read_options.deadline,
            )
            .await
            .map_err(QueryError::into_failure)?;
        let next_page_token = match index.value.rows.last() {
            Some((last, _)) if index.value.more => page_token::encode(PagedList::Accounts, owner_id.as_str(), last),
            _ => String::new(),
        };
        let answer = self.accounts_of_page(index, &read_options).await?;
        Ok(ListAccountsResponse {
            accounts: answer.value,
            next_page_token,
            read_at: self.read_at(&answer.read_at, &read_options),
        })
    }

    /// The rows of the accounts that a page of the index lists. An account that is in the index and not yet in the view
    /// of accounts is left out; `read_at` covers that.
    async fn accounts_of_page<M>(
        &self,
        index: Answer<Page>,
        read_options: &ReadOptions,
    ) -> Result<Answer<Vec<Encoded<M>>>, Failure>
    where
        M: prost::Message + Default,
    {
        let account_ids = index.value.rows.iter().map(|(key, _)| account_id_of(key));
        let account_ids = account_ids.collect::<Result<Vec<AccountId>, Failure>>()?;
        if account_ids.is_empty() {
            return Ok(Answer { value: Vec::new(), read_at: index.read_at });
        }
        let rows = self.account_rows(&account_ids, read_options).await?;
        let partitions: Vec<_> = account_ids.iter().map(|id| self.partition_of(id)).collect();
        let read_at = read_at::minimum(&index.read_at, &rows.read_at, |partition| partitions.contains(&partition));
        Ok(Answer { value: rows.value.into_iter().flatten().map(Encoded::new).collect(), read_at })
    }
}

fn account_id_of(sort_key: &[u8]) -> Result<AccountId, Failure> {
    let account_id = std::str::from_utf8(sort_key).ok().and_then(|text| AccountId::parse(text).ok());
    account_id.ok_or_else(|| {
        error!(view = %ACCOUNTS_BY_OWNER, ?sort_key, "a stored sort key is not an account id");
        Failure::Internal
    })
}
