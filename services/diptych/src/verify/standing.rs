//! The standing audit of the ledger: all balances together are what was paid in and not paid out.

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

const ROWS_AT_ONCE: usize = 500;
/// How often to look again while the views move, and how long to wait between.
const ATTEMPTS: usize = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// The sums of one currency, from two views that were made independently. Amounts in minor units, as text: they may
/// need 128 bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Sums {
    /// Of the accounts: all balances.
    #[serde(serialize_with = "as_text")]
    pub(super) balances_minor: i128,
    /// Of the totals: all balances.
    #[serde(serialize_with = "as_text")]
    pub(super) totals_balance_minor: i128,
    /// Of the totals: all deposits minus all withdrawals.
    #[serde(serialize_with = "as_text")]
    pub(super) deposits_minus_withdrawals_minor: i128,
    /// Of the accounts: how many there are.
    pub(super) accounts: i64,
    /// Of the totals: how many were opened.
    pub(super) accounts_opened: i64,
    /// Of the accounts: all entries.
    pub(super) entries: i64,
    /// Of the totals: all entries.
    pub(super) totals_entries: i64,
}

impl Sums {
    /// Whether both views say the same.
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

/// What the standing audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Both views stood at the same events while they were read: the sums by currency.
    Compared(BTreeMap<String, Sums>),
    /// Commands came in all the time, so that two views were never seen at the same events.
    Moving,
}

/// Sums up both views at one moment.
///
/// # Errors
/// When the views cannot be read, or a row is not what it should be.
pub(super) async fn audit<V: ViewStore, P: ProgressStore>(views: &V, progress: &P) -> anyhow::Result<Standing> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            pause(PAUSE).await;
        }
        let before = positions(progress).await?;
        let sums = sums(views).await?;
        if before.get(&ACCOUNTS) == before.get(&TOTALS) && positions(progress).await? == before {
            return Ok(Standing::Compared(sums));
        }
    }
    Ok(Standing::Moving)
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

/// Calls `each` with the body of every row of a view.
async fn each_row<V: ViewStore>(
    views: &V,
    view: ViewId,
    mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut after: Option<RowKey> = None;
    loop {
        let rows = views.scan_all(view, after.as_ref(), ROWS_AT_ONCE).await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        after = Some(last.clone());
        for (key, Row { body, .. }) in &rows {
            let Some(body) = body else { continue };
            each(body).with_context(|| format!("cannot read row {} of view {view}", key.partition_key))?;
        }
    }
}
