//! The figures of commands.

use std::cell::RefCell;

use tokio::time::Instant;

use super::{
    figure::{Comparison, Figure, Quantity},
    findings::Findings,
    insert_limit::{self, InsertLimit},
    load::{Load, WrittenEvents},
};
use crate::{
    bench::{
        alternate::Turns, commands::TURNS, measurement::Measurement, pacer::Pacer, unary_calls::empty_commands,
        workload::Workload,
    },
    client::table::grouped,
};

/// Measures unary commands and empty calls in turns.
pub(super) async fn unary_commands(load: &Load, workload: &Workload, findings: &mut Findings) -> anyhow::Result<()> {
    load.deposit_unary(workload, load.warm_up).await?;
    let (commands, empty_calls) = Turns::split(load.duration, TURNS)
        .run(
            async |duration| load.deposit_unary(workload, duration).await,
            async |duration| empty_commands(&load.pool, load.in_flight, &Pacer::for_duration(duration)).await,
        )
        .await?;
    findings.add_failures("unary commands", &commands);
    findings.add_failures("empty calls", &empty_calls);
    findings.add(Figure::new(
        "unary_commands",
        "unary commands",
        Quantity::per_second(commands.success_rate()),
        Comparison::new("empty calls", Quantity::per_second(empty_calls.success_rate())),
        format!(
            "Deposits with a receipt, one call each, beside calls of an empty rpc (health check) on the same \
             connections; {} in flight.",
            grouped(load.in_flight)
        ),
    ));
    Ok(())
}

/// Measures commands by stream and, if there is a limit, bare batched INSERTs in turns. If the INSERT cannot be
/// prepared, the figure has the reason instead of a comparison.
pub(super) async fn commands_by_stream(
    load: &Load,
    workload: &Workload,
    limit: Option<&mut InsertLimit>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    const ID: &str = "commands_by_stream";
    const NAME: &str = "commands by stream";
    load.deposit_by_stream(workload, load.warm_up).await?;
    let counts = format!(
        "Deposits with a receipt, by stream, while the server's relay and projector work on them; {} in flight.",
        grouped(load.stream_in_flight)
    );
    let turns = Turns::split(load.duration, TURNS);
    let Some(limit) = limit else {
        let mut commands = Measurement::new()?;
        for _ in 0..turns.count {
            commands.merge(&load.deposit_by_stream(workload, turns.duration).await?.0)?;
        }
        findings.add_failures(NAME, &commands);
        let measured = Quantity::per_second(commands.success_rate());
        findings.add(Figure::without_comparison(ID, NAME, measured, insert_limit::missing_reason(), counts));
        return Ok(());
    };
    let newest = RefCell::new(WrittenEvents::default());
    let unprepared = RefCell::new(None::<String>);
    let connections = load.pool.all().len();
    let (commands, batches) = turns
        .run(
            async |duration| {
                let (measurement, written) = load.deposit_by_stream(workload, duration).await?;
                newest.replace(written);
                Ok(measurement)
            },
            async |duration| {
                if unprepared.borrow().is_some() {
                    return Measurement::new();
                }
                let newest = newest.borrow().clone();
                if let Err(error) = limit.prepare(&newest, connections).await {
                    unprepared.replace(Some(insert_limit::unprepared_reason(&error)));
                    return Measurement::new();
                }
                limit.insert(duration).await
            },
        )
        .await?;
    findings.add_failures(NAME, &commands);
    let measured = Quantity::per_second(commands.success_rate());
    if let Some(reason) = unprepared.into_inner() {
        findings.add(Figure::without_comparison(ID, NAME, measured, reason, counts));
        return Ok(());
    }
    findings.add_failures("bare batched INSERTs", &batches);
    let events_per_batch = limit.events_per_batch();
    #[allow(clippy::cast_precision_loss, reason = "a batch has at most 2^20 events")]
    let inserted_per_second = batches.success_rate() * events_per_batch as f64;
    findings.add(Figure::new(
        ID,
        NAME,
        measured,
        Comparison::new("bare batched INSERT", Quantity::per_second(inserted_per_second)),
        format!(
            "{counts} The INSERT writes the same rows (event and request) to tables of its own, empty at the start, with \
             the same indexes and without any check: {} commands a commit, the average of the commands; number of its \
             connections: {connections}.",
            grouped(events_per_batch as u64)
        ),
    ));
    Ok(())
}

/// Measures one hot account and many accounts in turns.
pub(super) async fn hot_account(load: &Load, many: &Workload, findings: &mut Findings) -> anyhow::Result<()> {
    let one = load.open_accounts(1).await?;
    load.deposit_by_stream(&one, load.warm_up).await?;
    let (hot, spread) = Turns::split(load.duration, TURNS)
        .run(
            async |duration| Ok(load.deposit_by_stream(&one, duration).await?.0),
            async |duration| Ok(load.deposit_by_stream(many, duration).await?.0),
        )
        .await?;
    findings.add_failures("commands to one hot account", &hot);
    findings.add_failures("commands to many accounts", &spread);
    let accounts = grouped(many.account_ids().len() as u64);
    findings.add(Figure::new(
        "hot_account",
        "one hot account",
        Quantity::per_second(hot.success_rate()),
        Comparison::new(&format!("to {accounts} accounts"), Quantity::per_second(spread.success_rate())),
        format!("Deposits with a receipt, by stream, all to one account, beside the same to {accounts} accounts."),
    ));
    Ok(())
}

/// Measures the whole pipeline: sends at full speed, then waits until all events are visible.
pub(super) async fn pipeline(load: &Load, findings: &mut Findings) -> anyhow::Result<()> {
    let workload = load.open_many_accounts().await?;
    let started_at = Instant::now();
    let (commands, receipts) = load.send_by_stream(&workload, load.duration).await?;
    let visible = load.wait_until_visible(&receipts).await?;
    let until_visible = started_at.elapsed();
    findings.add_failures("commands of the whole pipeline", &commands);
    // The event that opened each account was visible before.
    let events_count = visible.events_count.saturating_sub(visible.accounts_count);
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let visible_per_second = events_count as f64 / until_visible.as_secs_f64();
    findings.add(Figure::new(
        "pipeline",
        "the whole pipeline",
        Quantity::per_second(visible_per_second),
        Comparison::new("commands", Quantity::per_second(commands.success_rate())),
        "Events visible to queries, from the first command to the last visible event, beside the receipts of the same \
         commands while they were sent at full speed by stream.",
    ));
    findings.add(Figure::new(
        "pipeline_catch_up",
        "all visible after the last receipt",
        Quantity::seconds((until_visible - commands.elapsed()).as_secs_f64()),
        Comparison::new("of sending", Quantity::seconds(commands.elapsed().as_secs_f64())),
        format!(
            "Time from the last receipt of the whole pipeline until queries with the tokens of all {} accounts were \
             answered; smaller is better.",
            grouped(visible.accounts_count)
        ),
    ));
    Ok(())
}
