//! Tests of the statistics and of the lanes; the calls themselves are tested against a running server.

use std::{cell::Cell, collections::HashSet, time::Duration};

use super::{
    lanes,
    limit::Limit,
    measured::Measured,
    report::{Report, Setting},
    visible::{Outcome, Shown, Visible},
    workload::Workload,
};

fn setting() -> Setting {
    Setting { what: "commands", mode: "unary", connections: 1, in_flight: Some(4), rate_per_second: None, accounts: 2 }
}

fn measured(latencies_ms: impl Iterator<Item = u64>, elapsed: Duration) -> Measured {
    let mut measured = Measured::new().unwrap();
    latencies_ms.for_each(|ms| measured.answered(Duration::from_millis(ms)));
    measured.lasted(elapsed);
    measured
}

#[test]
fn percentiles_are_those_of_the_latencies() {
    let measured = measured(1..=1_000, Duration::from_secs(2));
    for (percent, expected_ms) in [(50.0, 500.0), (90.0, 900.0), (99.0, 990.0), (100.0, 1_000.0)] {
        let value = measured.percentile_ms(percent);
        assert!((value - expected_ms).abs() / expected_ms < 0.002, "p{percent}: {value}");
    }
    assert!((Measured::new().unwrap().percentile_ms(99.0)).abs() < f64::EPSILON);
}

#[test]
fn a_latency_beyond_the_range_counts_as_the_longest() {
    let measured = measured([3_600_000].into_iter(), Duration::from_secs(1));
    assert_eq!(measured.count(), 1);
    assert!((60_000.0..61_000.0).contains(&measured.percentile_ms(100.0)));
}

#[test]
fn measurements_add_up() {
    let mut sum = measured(1..=10, Duration::from_secs(1));
    let mut other = measured(1..=30, Duration::from_secs(3));
    other.failed("OVERLOADED");
    sum.absorb(&other).unwrap();
    sum.absorb(&other).unwrap();
    assert_eq!((sum.count(), sum.elapsed(), sum.failures()["OVERLOADED"]), (70, Duration::from_secs(7), 2));
}

#[test]
fn a_report_has_rates_a_ratio_and_judges() {
    let mut report = Report::new(setting());
    report.series("spread", &measured(1..=100, Duration::from_secs(1)));
    report.series("hot", &measured(1..=90, Duration::from_secs(1)));
    report.ratio("hot to spread", 1, 0);
    assert!(report.is_clean());
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["bench"], &json["series"][0]["per_second"]), (&"commands".into(), &100.into()));
    assert!((json["ratio"]["value"].as_f64().unwrap() - 0.9).abs() < 1e-9);
    assert!(json.get("stale").is_none());
    assert!(report.table().render().ends_with("hot to spread: 0.90\n"));
    report.stale(1);
    assert!(!report.is_clean());
}

#[test]
fn a_failed_call_is_told_and_not_clean() {
    let mut report = Report::new(setting());
    let mut failing = Measured::new().unwrap();
    failing.failed("OVERLOADED");
    report.series("commands", &failing);
    assert!(!report.is_clean());
    assert!(report.table().render().contains("1 failed with OVERLOADED"));
}

#[tokio::test(start_paused = true)]
async fn a_pace_is_kept_and_made_up_for() {
    let limit = Limit::time(Duration::from_secs(10)).paced(Some(100));
    let mut turns = 0;
    while limit.next().await.is_some() {
        turns += 1;
        if turns == 100 {
            // Held up for three seconds: what is due since then follows at once.
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }
    assert!((995..=1_001).contains(&turns), "{turns}");
}

#[tokio::test(start_paused = true)]
async fn lanes_take_every_turn_once_and_no_more_are_under_way_than_there_are_lanes() {
    let (under_way, most) = (Cell::new(0), Cell::new(0));
    let (under_way, most) = (&under_way, &most);
    let measured = lanes::run(vec![(); 4], &Limit::turns(100), |()| {
        async move |turn| {
            under_way.set(under_way.get() + 1);
            most.set(most.get().max(under_way.get()));
            diptych_runtime::pause(Duration::from_millis(10)).await;
            under_way.set(under_way.get() - 1);
            if turn % 10 == 0 { Err("TENTH".to_owned()) } else { Ok(()) }
        }
    })
    .await
    .unwrap();
    assert_eq!((measured.count(), measured.failures()["TENTH"], most.get()), (90, 10, 4));
    assert!((9.0..12.0).contains(&measured.percentile_ms(50.0)));
    assert_eq!(measured.elapsed().as_millis() / 50, 5);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_time_ends_all_lanes() {
    let measured = lanes::run(vec![(); 3], &Limit::time(Duration::from_millis(95)), |()| {
        async move |_| {
            diptych_runtime::pause(Duration::from_millis(10)).await;
            Ok(())
        }
    })
    .await
    .unwrap();
    assert!((24..=30).contains(&measured.count()), "{}", measured.count());
}

#[test]
fn request_ids_differ_also_from_run_to_run_and_accounts_take_turns() {
    let workloads = [Workload::new(3), Workload::new(3)];
    let ids: HashSet<String> = workloads
        .iter()
        .flat_map(|workload| (0..100).map(|turn| workload.deposit(workload.account(turn)).request_id))
        .collect();
    assert_eq!(ids.len(), 200);
    assert!(ids.iter().all(|id| diptych_kernel::RequestId::parse(id).is_ok()));
    let [workload, _] = &workloads;
    assert_eq!(workload.account(4), workload.accounts()[1]);
}

#[test]
fn an_older_answer_is_neither_fresh_nor_an_error() {
    let mut visible = Visible::new().unwrap();
    let ms = Duration::from_millis(1);
    visible.add(&Outcome::Committed { command: ms, query: Ok(Shown { after: ms, fresh: true }) });
    visible.add(&Outcome::Committed { command: ms, query: Ok(Shown { after: ms, fresh: false }) });
    visible.add(&Outcome::Committed { command: ms, query: Err("VIEW_BEHIND".to_owned()) });
    visible.add(&Outcome::NotCommitted { reason: "OVERLOADED".to_owned() });
    assert_eq!((visible.commands.count(), visible.queries.count(), visible.stale), (3, 1, 1));
    assert_eq!((visible.queries.failures().len(), visible.commands.failures().len()), (1, 1));
}
