//! Compares the views with the model over random histories. The seed is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use common::{history::History, model::LedgerModel, *};
use diptych_kernel::{
    Position,
    domain::{DecodedEvent, Domain, RowKey, ViewId},
};
use diptych_ledger::{
    Ledger,
    domain::{AccountId, Command, Currency, Deposit, OpenAccount, OverdraftLimit, OwnerId, Transfer},
    views::{
        self, ACCOUNTS, ACCOUNTS_BY_OWNER, BUCKET_VERSIONS, ENTRIES, EntryKey, TOTALS, account_key, merge_totals,
        totals_key,
    },
};
use diptych_proto::ledger::query::v1::{Account, Entry, Totals};
use prost::Message;
use rand::{Rng, SeedableRng, rngs::SmallRng};

type Rows = BTreeMap<(ViewId, RowKey), (Position, Bytes)>;

/// A history and a model after the same random commands.
fn random(seed: u64, command_count: usize) -> (History, LedgerModel) {
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut history, mut model) = (History::new(4), LedgerModel::default());
    for _ in 0..command_count {
        let command = random_command(&mut random);
        assert_eq!(history.run(&command).is_ok(), model.apply(&command).is_ok(), "{command:?}");
    }
    (history, model)
}

fn random_command(random: &mut SmallRng) -> Command {
    let id = |random: &mut SmallRng| format!("acc.{}", random.random_range(0..12));
    let code = |random: &mut SmallRng| if random.random_bool(0.9) { "CZK" } else { "EUR" };
    let minor = |random: &mut SmallRng| {
        if random.random_bool(0.1) { 1_000_000_000_000_000 } else { random.random_range(1..500) }
    };
    match random.random_range(0..100) {
        0..8 => Command::OpenAccount(OpenAccount {
            account_id: account_id(&id(random)),
            owner_id: OwnerId::parse(if random.random_bool(0.5) { "olga" } else { "otto" }).unwrap(),
            currency: currency(code(random)),
            overdraft_limit: OverdraftLimit::from_minor(random.random_range(0..1_000)).unwrap(),
        }),
        8..40 => Command::Deposit(Deposit {
            account_id: account_id(&id(random)),
            amount: amount(minor(random)),
            currency: currency(code(random)),
            details: rent(),
        }),
        40..65 => withdraw(&id(random), minor(random), code(random)),
        65..70 => freeze(&id(random)),
        70..78 => unfreeze(&id(random)),
        78..81 => close(&id(random)),
        _ => transfer(&id(random), &id(random), minor(random), code(random)),
    }
}

fn row<M: Message + Default>(rows: &Rows, view: ViewId, key: RowKey) -> Option<M> {
    rows.get(&(view, key)).map(|(_, body)| M::decode(body.clone()).unwrap())
}

fn of_view(rows: &Rows, view: ViewId) -> impl Iterator<Item = (&RowKey, &Bytes)> {
    rows.iter().filter(move |((id, _), _)| *id == view).map(|((_, key), (_, body))| (key, body))
}

/// The entries of an account in the order of a scan: buckets downwards, sort keys upwards.
fn statement(rows: &Rows, id: &str, version: u32) -> Vec<Entry> {
    let mut entries = Vec::new();
    for bucket in (0..=version / BUCKET_VERSIONS).rev() {
        let partition_key = EntryKey::partition_key(&account_id(id), bucket);
        let of_bucket = of_view(rows, ENTRIES).filter(|(key, _)| *key.partition_key == *partition_key);
        entries.extend(of_bucket.map(|(_, body)| Entry::decode(body.clone()).unwrap()));
    }
    entries
}

#[test]
fn the_views_agree_with_the_model() {
    for seed in 0..20 {
        let (history, model) = random(seed, 600);
        let rows = history.rows();
        assert_eq!(of_view(&rows, ACCOUNTS).count(), model.accounts.len());
        assert_eq!(of_view(&rows, ACCOUNTS_BY_OWNER).count(), model.accounts.len());
        for (id, account) in &model.accounts {
            let shown: Account = row(&rows, ACCOUNTS, account_key(&account_id(id))).unwrap();
            assert_eq!(shown.account_id, *id);
            assert_eq!(shown.owner_id, account.owner);
            assert_eq!(shown.currency_code, account.currency.as_str());
            assert_eq!(i128::from(shown.balance_minor), account.balance);
            assert_eq!(i128::from(shown.overdraft_limit_minor), account.limit);
            assert_eq!(shown.status(), account.status);
            assert_eq!(shown.version, i64::from(account.version));
            assert_eq!(shown.entry_count, i64::try_from(account.lines.len()).unwrap());
            assert!(shown.open_time.unwrap().seconds <= shown.update_time.unwrap().seconds);

            let index = RowKey::new(&account.owner, id.as_bytes().to_vec());
            let indexed: Account = row(&rows, ACCOUNTS_BY_OWNER, index).unwrap();
            assert_eq!((indexed.account_id, indexed.owner_id), (id.clone(), account.owner.clone()));

            let entries = statement(&rows, id, account.version);
            assert_eq!(entries.len(), account.lines.len());
            for (entry, line) in entries.iter().zip(account.lines.iter().rev()) {
                let (kind, value, balance_after, other, version) = line;
                assert_eq!(entry.account_id, *id);
                assert_eq!(entry.kind(), *kind);
                assert_eq!(i128::from(entry.amount_minor), *value);
                assert_eq!(i128::from(entry.balance_after_minor), *balance_after);
                assert_eq!(entry.version, i64::from(*version));
                assert_eq!(entry.currency_code, account.currency.as_str());
                if !other.is_empty() {
                    assert_eq!(entry.counterparty, *other);
                }
            }
        }
    }
}

#[test]
fn entries_and_owners_have_one_event_per_row() {
    let of_one_event: Vec<_> =
        views::all().iter().filter(|view| view.has_one_event_per_row()).map(|view| view.id()).collect();
    assert_eq!(of_one_event, [ENTRIES, ACCOUNTS_BY_OWNER]);
    for seed in 200..220 {
        let (history, _) = random(seed, 600);
        let mut keys = BTreeSet::new();
        for record in &history.records {
            let event = Ledger::decode_event(&record.event_type, &record.payload).unwrap();
            for view in views::all().iter().filter(|view| view.has_one_event_per_row()) {
                if let Some(key) = view.key(DecodedEvent { record, event: &event }) {
                    assert!(keys.insert((view.id(), key)), "{} has a row of two events: {record:?}", view.id());
                }
            }
        }
    }
}

#[test]
fn the_totals_are_those_of_the_model() {
    for seed in 100..120 {
        let (history, model) = random(seed, 600);
        let rows = history.rows();
        for code in ["CZK", "EUR", "XXX"] {
            let currency = currency(code);
            let keys = history.partitions.iter().map(|partition| totals_key(currency, partition));
            let partials: Vec<Bytes> =
                keys.filter_map(|key| rows.get(&(TOTALS, key)).map(|(_, row)| row.clone())).collect();
            let totals = merge_totals(currency, partials.iter().map(AsRef::as_ref)).unwrap();
            check_totals(&totals, &model, currency);

            // As in the audit: the balances of all partitions, which include transfers, equal deposits minus
            // withdrawals.
            let balances: i128 =
                partials.iter().map(|row| number(&Totals::decode(row.clone()).unwrap().balance_minor)).sum();
            assert_eq!(balances, number(&totals.deposits_minor) - number(&totals.withdrawals_minor));
        }
    }
}

fn check_totals(totals: &Totals, model: &LedgerModel, currency: Currency) {
    let sum = |sums: &BTreeMap<Currency, i128>| sums.get(&currency).copied().unwrap_or(0);
    let accounts = || model.accounts.values().filter(|account| account.currency == currency);
    let count = |count: usize| i64::try_from(count).unwrap();
    assert_eq!(totals.currency_code, currency.as_str());
    assert_eq!(number(&totals.balance_minor), accounts().map(|account| account.balance).sum::<i128>());
    assert_eq!(number(&totals.deposits_minor), sum(&model.deposits));
    assert_eq!(number(&totals.withdrawals_minor), sum(&model.withdrawals));
    assert_eq!(number(&totals.transfers_minor), sum(&model.transfers));
    assert_eq!(totals.accounts_opened_count, count(accounts().count()));
    let closed = accounts().filter(|account| account.status == diptych_proto::ledger::query::v1::AccountStatus::Closed);
    assert_eq!(totals.accounts_closed_count, count(closed.count()));
    assert_eq!(totals.entry_count, count(accounts().map(|account| account.lines.len()).sum()));
}

fn number(text: &str) -> i128 {
    text.parse().unwrap()
}

#[test]
fn totals_are_consistent_while_one_side_of_a_transfer_is_missing() {
    let mut history = History::new(16);
    let partition = |history: &History, id: &str| history.partitions.of(AccountId::parse(id).unwrap().stream_id());
    assert_ne!(partition(&history, "a"), partition(&history, "b"), "the test needs two partitions");
    for command in [open("a", 0), open("b", 0), deposit("a", 100, "CZK"), transfer("a", "b", 40, "CZK")] {
        history.run(&command).unwrap();
    }
    let rows = history.rows();
    let before: Rows = {
        history.records.truncate(3);
        history.rows()
    };
    let key = |id: &str| totals_key(currency("CZK"), partition(&history, id));
    let row = |rows: &Rows, id: &str| rows.get(&(TOTALS, key(id))).map(|(_, row)| row.clone()).unwrap();
    for (a, b) in [(&rows, &before), (&before, &rows), (&rows, &rows), (&before, &before)] {
        let partials = [row(a, "a"), row(b, "b")];
        let totals = merge_totals(currency("CZK"), partials.iter().map(AsRef::as_ref)).unwrap();
        assert_eq!((totals.balance_minor.as_str(), totals.deposits_minor.as_str()), ("100", "100"));
    }
}

#[test]
fn totals_can_exceed_64_bits() {
    let row = |balance: &str| {
        Totals {
            balance_minor: balance.to_owned(),
            deposits_minor: balance.to_owned(),
            withdrawals_minor: "0".to_owned(),
            transfers_minor: "0".to_owned(),
            ..Totals::default()
        }
        .encode_to_vec()
    };
    let big = i64::MAX.to_string();
    let rows = [row(&big), row(&big), row(&big)];
    let totals = merge_totals(currency("CZK"), rows.iter().map(AsRef::as_ref)).unwrap();
    assert_eq!(number(&totals.balance_minor), 3 * i128::from(i64::MAX));

    let too_big = [row(&i128::MAX.to_string()), row("1")];
    assert!(merge_totals(currency("CZK"), too_big.iter().map(AsRef::as_ref)).is_err());
    for garbage in [row("x"), row(""), vec![0xff]] {
        assert!(merge_totals(currency("CZK"), [garbage.as_slice()]).is_err());
    }
}

#[test]
fn entry_keys_sort_the_newest_first_in_bounded_buckets() {
    let key = |version: u32| EntryKey::of(diptych_kernel::Version::new(version));
    for version in [1, 2, 999, 1_000, 1_001, u32::MAX - 1] {
        assert!(key(version + 1).sort_key() < key(version).sort_key());
        assert_eq!(EntryKey::from_sort_key(&key(version).sort_key()), Some(key(version)));
    }
    assert_eq!(key(999).bucket(), 0);
    assert_eq!(key(1_000).bucket(), 1);
    assert_eq!(EntryKey::from_sort_key(&[]), None);
    let all: Vec<_> = (0..5_000).map(|version| key(version).bucket()).collect();
    assert!(all.chunk_by(|a, b| a == b).all(|bucket| bucket.len() == 1_000));
}

#[test]
fn the_counterparty_of_a_transfer_is_the_other_account() {
    let mut history = History::new(1);
    let mut command = transfer("a", "b", 7, "CZK");
    if let Command::Transfer(Transfer { details, .. }) = &mut command {
        *details = rent();
    }
    for command in [open("a", 10), open("b", 0), command] {
        history.run(&command).unwrap();
    }
    let rows = history.rows();
    for (id, other) in [("a", "b"), ("b", "a")] {
        let entries = statement(&rows, id, 2);
        let [entry] = entries.as_slice() else { panic!("one entry: {entries:?}") };
        assert_eq!(entry.counterparty, other);
        assert_eq!((entry.reference.as_str(), entry.purpose.as_str()), ("r-1", "rent"));
        assert_eq!(entry.value_date, "2024-02-29");
        assert_eq!(entry.request_id, "00000000-0000-0000-0000-000000000003");
    }
}
