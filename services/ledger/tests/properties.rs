//! What holds for every history and every state.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod common;

use common::{
    history::History,
    model::{LedgerModel, RefusalKind},
};
use diptych_kernel::domain::Domain;
use diptych_ledger::{
    Ledger,
    domain::{
        Account, AccountId, Amount, Command, Currency, Deposit, Details, Funds, OpenAccount, OverdraftLimit, OwnerId,
        StatusChange, Text, Transfer, ValueDate, Withdraw,
    },
};
use proptest::{collection::vec, option, prelude::*, sample::select};

const ID_COUNT: usize = 4;

fn account_id() -> impl Strategy<Value = AccountId> {
    (0..ID_COUNT).prop_map(|number| AccountId::parse(&format!("account-{number}")).unwrap())
}

fn currency() -> impl Strategy<Value = Currency> {
    prop_oneof![9 => Just("CZK"), 1 => Just("EUR")].prop_map(|code| Currency::parse(code).unwrap())
}

fn amount() -> impl Strategy<Value = Amount> {
    let max = Amount::MAX.minor();
    prop_oneof![6 => 1..1_000_i64, 1 => Just(1), 1 => Just(max), 1 => Just(max - 1), 1 => 1..=max]
        .prop_map(|minor| Amount::from_minor(minor).unwrap())
}

fn overdraft_limit() -> impl Strategy<Value = OverdraftLimit> {
    let max = OverdraftLimit::MAX.minor();
    prop_oneof![Just(0), Just(500), Just(max), 0..=max].prop_map(|minor| OverdraftLimit::from_minor(minor).unwrap())
}

fn text() -> impl Strategy<Value = Text> {
    // Chosen, not made letter by letter: a history has hundreds of them.
    select(vec!["", "rent", "příspěvek č. 7", "~ \"quoted\" ~", "€€€"])
        .prop_map(|text| Text::parse(text.to_owned()).unwrap())
}

fn details() -> impl Strategy<Value = Details> {
    let value_date = option::of(select(vec!["1993-01-01", "2024-02-29", "0001-01-01", "9999-12-31"]));
    (value_date, text(), text(), text()).prop_map(|(value_date, reference, purpose, counterparty)| Details {
        value_date: value_date.map(|date| ValueDate::parse(date).unwrap()),
        reference,
        purpose,
        counterparty,
    })
}

fn command() -> impl Strategy<Value = Command> {
    let owner_id = select(vec!["olga", "otto"]).prop_map(|id| OwnerId::parse(id).unwrap());
    let change =
        || (account_id(), text()).prop_map(|(account_id, explanation)| StatusChange { account_id, explanation });
    let posting = || (account_id(), amount(), currency(), details());
    prop_oneof![
        2 => (account_id(), owner_id, currency(), overdraft_limit()).prop_map(
            |(account_id, owner_id, currency, overdraft_limit)| {
                Command::OpenAccount(OpenAccount { account_id, owner_id, currency, overdraft_limit })
            }
        ),
        6 => posting().prop_map(|(account_id, amount, currency, details)| {
            Command::Deposit(Deposit { account_id, amount, currency, details })
        }),
        6 => posting().prop_map(|(account_id, amount, currency, details)| {
            Command::Withdraw(Withdraw { account_id, amount, currency, details })
        }),
        6 => (posting(), account_id()).prop_map(|((from_account_id, amount, currency, details), to_account_id)| {
            Command::Transfer(Transfer { from_account_id, to_account_id, amount, currency, details })
        }),
        1 => change().prop_map(Command::FreezeAccount),
        2 => change().prop_map(Command::UnfreezeAccount),
        1 => change().prop_map(Command::CloseAccount),
    ]
}

fn state() -> impl Strategy<Value = Account> {
    let balance_minor = prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), any::<i64>(), -2_000..2_000_i64];
    let funds = || {
        (currency(), balance_minor.clone(), overdraft_limit())
            .prop_map(|(currency, balance_minor, overdraft_limit)| Funds { currency, balance_minor, overdraft_limit })
    };
    prop_oneof![
        1 => Just(Account::Unopened),
        1 => Just(Account::Closed),
        2 => funds().prop_map(Account::Frozen),
        8 => funds().prop_map(Account::Open),
    ]
}

fn funds(state: &Account) -> Option<&Funds> {
    match state {
        Account::Open(funds) | Account::Frozen(funds) => Some(funds),
        Account::Unopened | Account::Closed => None,
    }
}

/// The sum of all balances of a currency.
fn balances(history: &History, currency: Currency) -> i128 {
    let states = history.states.values().filter_map(|(_, state)| funds(state));
    states.filter(|funds| funds.currency == currency).map(|funds| i128::from(funds.balance_minor)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Every answer is the one that the model gives; the audit holds and no limit is broken after every single command.
    #[test]
    fn every_history_agrees_with_the_model(commands in vec(command(), 1..150)) {
        let mut history = History::new(3);
        let mut model = LedgerModel::default();
        for command in &commands {
            let outcome = history.run(command).map_err(|refusal| RefusalKind::from(&refusal));
            prop_assert_eq!(outcome, model.apply(command), "{:?}", command);

            for code in ["CZK", "EUR"] {
                let currency = Currency::parse(code).unwrap();
                let sum = |sums: &std::collections::BTreeMap<Currency, i128>| sums.get(&currency).copied().unwrap_or(0);
                prop_assert_eq!(balances(&history, currency), sum(&model.deposits) - sum(&model.withdrawals));
            }
            for (_, state) in history.states.values() {
                if let Some(funds) = funds(state) {
                    prop_assert!(funds.balance_minor >= -funds.overdraft_limit.minor(), "{:?}", funds);
                }
            }
        }
        for (id, account) in &model.accounts {
            let (version, state) = &history.states[&common::stream(id)];
            prop_assert_eq!(version.number(), account.version);
            prop_assert_eq!(funds(state).map_or(0, |funds| i128::from(funds.balance_minor)), account.balance);
        }
    }

    /// The states that decisions were made on are the states that come out of the stored events.
    #[test]
    fn a_replay_gives_the_same_states(commands in vec(command(), 1..150)) {
        let mut history = History::new(3);
        for command in &commands {
            let _refused_or_not = history.run(command);
        }
        let states: std::collections::BTreeMap<_, _> =
            history.states.iter().map(|(stream, (_, state))| (stream.clone(), state.clone())).collect();
        prop_assert_eq!(history.replayed(), states);
    }

    /// Also on states that no history leads to, a decision is made and its arithmetic is right.
    #[test]
    fn no_state_and_no_command_overflows(states in vec(state(), 0..3), command in command()) {
        let before = states.first().and_then(funds).map_or(0, |funds| i128::from(funds.balance_minor));
        let Ok(events) = Ledger::decide(&states, &command) else { return Ok(()) };
        let mut after = states;
        after.resize(2, Account::Unopened);
        for (index, event) in &events {
            Ledger::evolve(&mut after[*index], event);
        }
        let change: i128 = match &command {
            Command::Deposit(deposit) => deposit.amount.minor().into(),
            Command::Withdraw(withdraw) => -i128::from(withdraw.amount.minor()),
            Command::Transfer(transfer) => -i128::from(transfer.amount.minor()),
            _ => 0,
        };
        let balance = funds(&after[0]).map_or(0, |funds| i128::from(funds.balance_minor));
        prop_assert_eq!(balance, before + change);
    }

    /// A posting is taken exactly where the balance after it stays between the overdraft limit and 2^63 - 1, in whole numbers without limits.
    #[test]
    fn a_posting_is_taken_exactly_where_its_balance_fits(
        balance_minor in prop_oneof![any::<i64>(), (i64::MAX - 2_000)..=i64::MAX, -2_000..2_000_i64],
        overdraft_limit in overdraft_limit(),
        amount in amount(),
    ) {
        let code = Currency::parse("CZK").unwrap();
        let state = Account::Open(Funds { currency: code, balance_minor, overdraft_limit });
        let (account_id, details) = (common::account_id("a"), Details::default());
        let (before, change) = (i128::from(balance_minor), i128::from(amount.minor()));

        let deposit = Deposit { account_id: account_id.clone(), amount, currency: code, details: details.clone() };
        let taken = Ledger::decide(std::slice::from_ref(&state), &Command::Deposit(deposit)).is_ok();
        prop_assert_eq!(taken, before + change <= i128::from(i64::MAX));

        let withdraw = Withdraw { account_id, amount, currency: code, details };
        let taken = Ledger::decide(std::slice::from_ref(&state), &Command::Withdraw(withdraw)).is_ok();
        prop_assert_eq!(taken, before + i128::from(overdraft_limit.minor()) >= change);
    }

    #[test]
    fn a_state_survives_its_snapshot(state in state()) {
        prop_assert_eq!(Ledger::decode_snapshot(&Ledger::encode_snapshot(&state)), Ok(state));
    }

    /// Every event that is ever decided survives its encoding, also to the byte.
    #[test]
    fn an_event_survives_its_encoding(states in vec(state(), 2), command in command()) {
        for (_, event) in Ledger::decide(&states, &command).unwrap_or_default() {
            let (event_type, payload) = Ledger::encode_event(&event);
            let read = Ledger::decode_event(&event_type, &payload);
            prop_assert_eq!(read.as_ref(), Ok(&event));
            prop_assert_eq!(Ledger::encode_event(&event), (event_type, payload));
        }
    }

    #[test]
    fn garbage_is_read_as_an_error(bytes in vec(any::<u8>(), 0..200), kind in select(EVENT_TYPES.to_vec())) {
        if let Ok(event) = Ledger::decode_event(kind, &bytes) {
            // By chance it was an event: then it can be folded into anything.
            for mut state in [Account::Unopened, Account::Closed] {
                Ledger::evolve(&mut state, &event);
            }
        }
        prop_assert!(Ledger::decode_event("ledger.event.v1.Nothing", &bytes).is_err());
        let _state_or_error = Ledger::decode_snapshot(&bytes);
    }

    /// An event that was cut or changed is refused, or is another event: never a panic.
    #[test]
    fn a_changed_event_does_no_harm(
        states in vec(state(), 2), command in command(), at in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        for (_, event) in Ledger::decide(&states, &command).unwrap_or_default() {
            let (event_type, payload) = Ledger::encode_event(&event);
            let mut changed = payload.to_vec();
            if changed.is_empty() {
                continue;
            }
            let at = at.index(changed.len());
            let _cut = Ledger::decode_event(&event_type, &changed[..at]);
            changed[at] = to;
            if let Ok(event) = Ledger::decode_event(&event_type, &changed) {
                states.iter().cloned().for_each(|mut state| Ledger::evolve(&mut state, &event));
            }
        }
    }
}

const EVENT_TYPES: [&str; 8] = [
    "ledger.event.v1.AccountOpened",
    "ledger.event.v1.MoneyDeposited",
    "ledger.event.v1.MoneyWithdrawn",
    "ledger.event.v1.TransferSent",
    "ledger.event.v1.TransferReceived",
    "ledger.event.v1.AccountFrozen",
    "ledger.event.v1.AccountUnfrozen",
    "ledger.event.v1.AccountClosed",
];
