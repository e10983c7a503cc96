//! Comparison of the sum of all balances with deposits minus withdrawals, by currency.

use std::{collections::BTreeMap, num::ParseIntError, time::Duration};

use anyhow::Context;
use diptych_kernel::{
    Partition, Position,
    domain::{RowKey, ViewId},
    ports::{PortResult, ProgressStore, Row, ViewStore},
};
use diptych_ledger::views::{ACCOUNTS, TOTALS};
use diptych_proto::ledger::query::v1::{Account, Totals};
use diptych_runtime::pause;
use prost::Message;
use serde::Serialize;

const ROWS_PER_READ: usize = 500;
/// Most attempts to read both views without a change, and the pause between them.
const ATTEMPTS_MAX: usize = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// Sums of one currency, from two views that are projected independently. Amounts are in minor units, and serialized as
/// text: they may need 128 bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Sums {
    /// View `accounts`: sum of the balances.
    #[serde(serialize_with = "as_text")]
    pub(super) balances_minor: i128,
    /// View `totals`: sum of the balances.
    #[serde(serialize_with = "as_text")]
    pub(super) totals_balance_minor: i128,
    /// View `totals`: deposits minus withdrawals.
    #[serde(serialize_with = "as_text")]
    pub(super) deposits_minus_withdrawals_minor: i128,
    /// View `accounts`: number of accounts.
    pub(super) accounts: i64,
    /// View `totals`: number of accounts opened.
    pub(super) accounts_opened: i64,
    /// View `accounts`: number of entries.
    pub(super) entries: i64,
    /// View `totals`: number of entries.
    pub(super) totals_entries: i64,
}

impl Sums {
    /// Returns whether both views agree.
    pub(super) fn is_equal(&self) -> bool {
        self.balances_minor == self.deposits_minus_withdrawals_minor
            && self.balances_minor == self.totals_balance_minor
            && self.accounts == self.accounts_opened
            && self.entries == self.totals_entries
    }
}

fn as_text<S: serde::Serializer>(number: &i128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// Result of [`compare`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SumComparison {
    /// Sums by currency. Both views were at the same position and did not change while they were read.
    Compared(BTreeMap<String, Sums>),
    /// At every attempt the views changed, or were at different positions.
    ViewsChanging,
}

/// Sums up both views at the same position.
///
/// # Errors
/// When the views cannot be read, or a row cannot be decoded.
pub(super) async fn compare<V: ViewStore, P: ProgressStore>(views: &V, progress: &P) -> anyhow::Result<SumComparison> {
    for attempt in 0..ATTEMPTS_MAX {
        if attempt > 0 {
            pause(PAUSE).await;
        }
        let before = positions(progress).await?;
        let sums = sums(views).await?;
        if before.get(&ACCOUNTS) == before.get(&TOTALS) && positions(progress).await? == before {
            return Ok(SumComparison::Compared(sums));
        }
    }
    Ok(SumComparison::ViewsChanging)
}

type Positions = BTreeMap<ViewId, BTreeMap<Partition, Position>>;

async fn positions<P: ProgressStore>(progress: &P) -> PortResult<Positions> {
    let mut positions = Positions::new();
    for update in progress.load(&[ACCOUNTS, TOTALS]).await? {
        positions.entry(update.view).or_default().insert(update.partition, update.progress.position);
    }
    Ok(positions)
}

async fn sums<V: ViewStore>(views: &V) -> anyhow::Result<BTreeMap<String, Sums>> {
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    each_row(views, ACCOUNTS, |body| {
        let account = Account::decode(body)?;
        let sums = sums.entry(account.currency_code).or_default();
        sums.balances_minor += i128::from(account.balance_minor);
        sums.accounts += 1;
        sums.entries += account.entry_count;
        Ok(())
    })
    .await?;
    each_row(views, TOTALS, |body| {
        let totals = Totals::decode(body)?;
        let minor = |text: &str| -> Result<i128, ParseIntError> { text.parse() };
        let sums = sums.entry(totals.currency_code).or_default();
        sums.totals_balance_minor += minor(&totals.balance_minor)?;
        sums.deposits_minus_withdrawals_minor += minor(&totals.deposits_minor)? - minor(&totals.withdrawals_minor)?;
        sums.accounts_opened += totals.accounts_opened_count;
        sums.totals_entries += totals.entry_count;
        Ok(())
    })
    .await?;
    Ok(sums)
}

/// Calls `each` with the body of every row of a view that is not deleted.
async fn each_row<V: ViewStore>(
    views: &V,
    view: ViewId,
    mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut after: Option<RowKey> = None;
    loop {
        let rows = views.scan_all(view, after.as_ref(), ROWS_PER_READ).await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        after = Some(last.clone());
        for (key, Row { body, .. }) in &rows {
            let Some(body) = body else { continue };
            each(body).with_context(|| format!("cannot decode row {} of view {view}", key.partition_key))?;
        }
    }
}
