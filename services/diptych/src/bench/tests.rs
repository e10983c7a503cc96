//! Tests of the statistics and of the concurrent callers. The calls are tested against a running server.

use std::{cell::Cell, collections::HashSet, time::Duration};

use super::{
    benchmark_result::{BenchmarkResult, Parameters},
    concurrent_callers,
    measurement::Measurement,
    own_write_client::{OwnWriteResult, QueryAnswer},
    own_write_measurement::OwnWriteMeasurement,
    pacer::Pacer,
    workload::Workload,
};

fn parameters() -> Parameters {
    Parameters {
        benchmark: "commands",
        mode: "unary",
        connections: 1,
        in_flight: Some(4),
        rate_per_second: None,
        accounts: 2,
    }
}

fn measurement(latencies_ms: impl Iterator<Item = u64>, elapsed: Duration) -> Measurement {
    let mut measurement = Measurement::new().unwrap();
    latencies_ms.for_each(|ms| measurement.record_success(Duration::from_millis(ms)));
    measurement.add_elapsed(elapsed);
    measurement
}

#[test]
fn percentiles_are_those_of_the_latencies() {
    let measurement = measurement(1..=1_000, Duration::from_secs(2));
    for (percent, expected_ms) in [(50.0, 500.0), (90.0, 900.0), (99.0, 990.0), (100.0, 1_000.0)] {
        let value = measurement.percentile_ms(percent);
        assert!((value - expected_ms).abs() / expected_ms < 0.002, "p{percent}: {value}");
    }
    assert!((Measurement::new().unwrap().percentile_ms(99.0)).abs() < f64::EPSILON);
}

#[test]
fn a_latency_beyond_the_range_counts_as_the_longest() {
    let measurement = measurement([3_600_000].into_iter(), Duration::from_secs(1));
    assert_eq!(measurement.success_count(), 1);
    assert!((60_000.0..61_000.0).contains(&measurement.percentile_ms(100.0)));
}

#[test]
fn measurements_are_merged() {
    let mut sum = measurement(1..=10, Duration::from_secs(1));
    let mut other = measurement(1..=30, Duration::from_secs(3));
    other.record_failure("OVERLOADED");
    sum.merge(&other).unwrap();
    sum.merge(&other).unwrap();
    assert_eq!((sum.success_count(), sum.elapsed(), sum.failures()["OVERLOADED"]), (70, Duration::from_secs(7), 2));
}

#[test]
fn a_result_has_rates_and_a_ratio_and_is_clean_without_stale_answers() {
    let mut result = BenchmarkResult::new(parameters());
    let many = measurement(1..=100, Duration::from_secs(1));
    let one = measurement(1..=90, Duration::from_secs(1));
    result.add_series("many", &many);
    result.add_series("one", &one);
    result.set_ratio("one to many", &one, &many);
    assert!(result.is_clean());
    let json = serde_json::to_value(&result).unwrap();
    assert_eq!((&json["benchmark"], &json["series"][0]["succeeded_per_second"]), (&"commands".into(), &100.into()));
    assert!((json["ratio"]["value"].as_f64().unwrap() - 0.9).abs() < 1e-9);
    assert!(json.get("stale_answers").is_none());
    assert!(result.table().render().ends_with("one to many: 0.90\n"));
    result.set_stale_answers(1);
    assert!(!result.is_clean());
}

#[test]
fn a_failed_call_is_shown_with_its_reason_and_is_not_clean() {
    let mut result = BenchmarkResult::new(parameters());
    let mut failing = Measurement::new().unwrap();
    failing.record_failure("OVERLOADED");
    result.add_series("commands", &failing);
    assert!(!result.is_clean());
    assert!(result.table().render().contains("1 failed with OVERLOADED"));
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_and_delayed_calls_are_made_up_for() {
    let pacer = Pacer::for_duration(Duration::from_secs(10)).with_rate(Some(100));
    let mut calls = 0;
    while pacer.next().await.is_some() {
        calls += 1;
        if calls == 100 {
            // After a delay of three seconds the calls that are due follow at once.
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }
    assert!((995..=1_001).contains(&calls), "{calls}");
}

#[tokio::test(start_paused = true)]
async fn every_call_is_made_once_and_no_more_are_in_flight_than_there_are_callers() {
    let (in_flight, most) = (Cell::new(0), Cell::new(0));
    let (in_flight, most) = (&in_flight, &most);
    let measurement = concurrent_callers::run(vec![(); 4], &Pacer::for_calls(100), |()| {
        async move |call| {
            in_flight.set(in_flight.get() + 1);
            most.set(most.get().max(in_flight.get()));
            diptych_runtime::pause(Duration::from_millis(10)).await;
            in_flight.set(in_flight.get() - 1);
            if call % 10 == 0 { Err("TENTH".to_owned()) } else { Ok(()) }
        }
    })
    .await
    .unwrap();
    assert_eq!((measurement.success_count(), measurement.failures()["TENTH"], most.get()), (90, 10, 4));
    assert!((9.0..12.0).contains(&measurement.percentile_ms(50.0)));
    assert_eq!(measurement.elapsed().as_millis() / 50, 5);
}

#[tokio::test(start_paused = true)]
async fn all_callers_stop_after_the_duration() {
    let measurement = concurrent_callers::run(vec![(); 3], &Pacer::for_duration(Duration::from_millis(95)), |()| {
        async move |_| {
            diptych_runtime::pause(Duration::from_millis(10)).await;
            Ok(())
        }
    })
    .await
    .unwrap();
    assert!((24..=30).contains(&measurement.success_count()), "{}", measurement.success_count());
}

#[test]
fn request_ids_differ_between_runs_and_accounts_are_used_round_robin() {
    let workloads = [Workload::new(3), Workload::new(3)];
    let ids: HashSet<String> = workloads
        .iter()
        .flat_map(|workload| (0..100).map(|call| workload.deposit(workload.account_id(call)).request_id))
        .collect();
    assert_eq!(ids.len(), 200);
    assert!(ids.iter().all(|id| diptych_kernel::RequestId::parse(id).is_ok()));
    let [workload, _] = &workloads;
    assert_eq!(workload.account_id(4), workload.account_ids()[1]);
}

#[test]
fn a_stale_answer_is_counted_neither_as_fresh_nor_as_an_error() {
    let mut measurement = OwnWriteMeasurement::new().unwrap();
    let ms = Duration::from_millis(1);
    let mut record_answer = |query| measurement.record(&OwnWriteResult::Committed { receipt_latency: ms, query });
    record_answer(Ok(QueryAnswer { after_receipt: ms, is_fresh: true }));
    record_answer(Ok(QueryAnswer { after_receipt: ms, is_fresh: false }));
    record_answer(Err("VIEW_BEHIND".to_owned()));
    measurement.record(&OwnWriteResult::CommandFailed { reason: "OVERLOADED".to_owned() });
    let OwnWriteMeasurement { commands, queries, stale_count } = measurement;
    assert_eq!((commands.success_count(), queries.success_count(), stale_count), (3, 1, 1));
    assert_eq!((queries.failures().len(), commands.failures().len()), (1, 1));
}
