//! `GetTotals`: totals of a currency.

use diptych_kernel::{
    Partition,
    domain::RowKey,
    ports::{ProgressStore, ViewCache, ViewStore},
};
use diptych_proto::ledger::query::v1_encoded::{GetTotalsRequest, GetTotalsResponse, Totals};
use diptych_query::QueryError;
use diptych_runtime::{Failure, InvalidFields};
use tonic::Request;
use tracing::error;

use super::service::LedgerQueryService;
use crate::{
    grpc::validate,
    views::{TOTALS, merge_totals, totals_key},
};

impl<V: ViewStore, P: ProgressStore, C: ViewCache> LedgerQueryService<V, P, C> {
    pub(super) async fn totals(&self, request: Request<GetTotalsRequest>) -> Result<GetTotalsResponse, Failure> {
        let (metadata, _, request) = request.into_parts();
        let mut invalid = InvalidFields::default();
        let currency = invalid.check(validate::currency(&request.currency_code));
        let read_options = self.read_options(&metadata, request.consistency.as_ref(), &mut invalid);
        let (currency, read_options) = invalid.finish(currency.zip(read_options))?;
        let read_options = self.wait_for_age(read_options, self.partitions.iter()).await?;

        let keys: Vec<(Partition, RowKey)> =
            self.partitions.iter().map(|partition| (partition, totals_key(currency, partition))).collect();
        let rows = self.reader.get_partials(TOTALS, &keys, &read_options.token, read_options.deadline);
        let answer = rows.await.map_err(QueryError::into_failure)?;

        let totals = merge_totals(currency, answer.value.iter().flatten().map(AsRef::as_ref)).map_err(|error| {
            error!(view = %TOTALS, %currency, %error, "stored totals cannot be merged");
            Failure::Internal
        })?;
        Ok(GetTotalsResponse {
            totals: Some(Totals {
                currency_code: totals.currency_code,
                balance_minor: totals.balance_minor,
                deposits_minor: totals.deposits_minor,
                withdrawals_minor: totals.withdrawals_minor,
                transfers_minor: totals.transfers_minor,
                accounts_opened_count: totals.accounts_opened_count,
                accounts_closed_count: totals.accounts_closed_count,
                entry_count: totals.entry_count,
            }),
            read_at: self.read_at(&answer.read_at, &read_options),
        })
    }
}
