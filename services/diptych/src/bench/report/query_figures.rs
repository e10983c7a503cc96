//! The figures of queries and of own writes.

use super::{
    figure::{Comparison, Figure, Quantity},
    findings::Findings,
    load::Load,
};
use crate::{
    bench::{
        alternate::Turns,
        fixed_rate::{self, FixedRate},
        own_write_client::Query,
        own_write_measurement::run_pairs,
        pacer::Pacer,
        queries::TURNS_PER_SECOND,
        unary_calls::{empty_queries, get_accounts},
        workload::Workload,
    },
    client::table::grouped,
};

/// Pairs in flight at a fixed rate. At a rate that the server can sustain fewer are needed.
const PAIRS_IN_FLIGHT_MAX: usize = 1_024;

/// Measures GetAccount and empty calls in turns.
pub(super) async fn cached_queries(load: &Load, workload: &Workload, findings: &mut Findings) -> anyhow::Result<()> {
    let query = async |duration| {
        let pacer = Pacer::for_duration(duration);
        get_accounts(&load.pool, workload, load.in_flight, &pacer).await
    };
    query(load.warm_up).await?;
    let seconds = u32::try_from(load.duration.as_secs()).unwrap_or(u32::MAX);
    let (queries, empty_calls) = Turns::split(load.duration, seconds.saturating_mul(TURNS_PER_SECOND))
        .run(query, async |duration| empty_queries(&load.pool, load.in_flight, &Pacer::for_duration(duration)).await)
        .await?;
    findings.add_failures("GetAccount", &queries);
    findings.add_failures("empty calls", &empty_calls);
    findings.add(Figure::new(
        "cached_queries",
        "GetAccount, cached",
        Quantity::per_second(queries.success_rate()),
        Comparison::new("empty calls", Quantity::per_second(empty_calls.success_rate())),
        format!(
            "Answers to GetAccount on rows that the cache has, beside calls of an empty rpc (health check) on the same \
             connections; {} in flight.",
            grouped(load.in_flight)
        ),
    ));
    Ok(())
}

/// Measures the time from receipt to visible, at a fixed rate.
pub(super) async fn receipt_to_visible(
    load: &Load,
    workload: &Workload,
    rate_per_second: u64,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let rate = FixedRate { rate_per_second, in_flight_max: PAIRS_IN_FLIGHT_MAX };
    fixed_rate::run(&load.pool, workload, rate, load.warm_up).await?;
    let measurement = fixed_rate::run(&load.pool, workload, rate, load.duration).await?;
    let (commands, queries) = (&measurement.own_writes.commands, &measurement.own_writes.queries);
    findings.add_failures("commands at a fixed rate", commands);
    findings.add_failures("queries at a fixed rate", queries);
    findings.stale_count += measurement.own_writes.stale_count;
    let dropped = match measurement.commands_dropped {
        0 => String::new(),
        count => format!(" {} commands were due and not sent, as too many were in flight.", grouped(count)),
    };
    for (id, name, percent) in [
        ("receipt_to_visible_p50", "receipt to visible, p50", 50.0),
        ("receipt_to_visible_p99", "receipt to visible, p99", 99.0),
    ] {
        findings.add(Figure::new(
            id,
            name,
            Quantity::milliseconds(queries.percentile_ms(percent)),
            Comparison::new("to the receipt", Quantity::milliseconds(commands.percentile_ms(percent))),
            format!(
                "Time from the receipt of a unary command to the answer of a query that includes it, beside the time \
                 from when the command was due to its receipt; {}/s; smaller is better.{dropped}",
                grouped(rate_per_second)
            ),
        ));
    }
    Ok(())
}

/// Counts fresh and stale answers to queries of own writes.
pub(super) async fn own_writes(load: &Load, workload: &Workload, findings: &mut Findings) -> anyhow::Result<()> {
    let pacer = Pacer::for_duration(load.duration);
    let measurement = run_pairs(&load.pool, workload, load.in_flight, Query::Account, &pacer).await?;
    findings.add_failures("commands of own writes", &measurement.commands);
    findings.add_failures("queries of own writes", &measurement.queries);
    findings.stale_count += measurement.stale_count;
    let fresh = measurement.queries.success_count();
    let stale = measurement.stale_count;
    findings.add(Figure::new(
        "own_writes",
        "own writes, fresh answers",
        Quantity::answers(fresh),
        Comparison::new("answers", Quantity::answers(fresh + stale)),
        format!(
            "Answers to queries with the token of a command that include the command, beside all answers: {} stale.",
            grouped(stale)
        ),
    ));
    Ok(())
}
