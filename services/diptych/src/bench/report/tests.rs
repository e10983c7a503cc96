//! Tests of ratios, formats and the description of the machine. Reports are measured in `tests/dev/bench_report.rs`.

use super::{
    args::ReportParameters,
    bench_report::BenchReport,
    environment::{Environment, Machine, cpu_model, memory_mib},
    figure::{Comparison, Figure, Quantity, ratio},
    findings::{FailedCalls, Findings},
};

fn report(findings: Findings) -> BenchReport {
    let environment = Environment {
        date: "2026-11-30".to_owned(),
        diptych_version: "0.1.0".to_owned(),
        build: "release",
        postgres_version: Some("15.4".to_owned()),
        machine: Machine {
            cores: 2,
            cpu_model: "Example CPU".to_owned(),
            memory_mib: 8_192,
            kernel: "Linux 6.1.0".to_owned(),
        },
        servers: vec!["127.0.0.1:7400".to_owned()],
    };
    let parameters = ReportParameters {
        seconds: 10,
        connections: 1,
        in_flight: 64,
        stream_in_flight: 1_024,
        rate_per_second: 200,
        accounts: 1_000,
    };
    BenchReport::new(environment, parameters, findings)
}

fn findings() -> Findings {
    let mut findings = Findings::default();
    let compared_with = Comparison::new("empty calls", Quantity::per_second(8_000.0));
    findings.add(Figure::new("unary", "unary commands", Quantity::per_second(4_999.6), compared_with, "Deposits."));
    let compared_with = Comparison::new("to the receipt", Quantity::milliseconds(2.0));
    findings.add(Figure::new("visible", "receipt to visible", Quantity::milliseconds(1.5), compared_with, "Time."));
    findings.add(Figure::without_comparison(
        "stream",
        "by stream",
        Quantity::per_second(9e4),
        "none: give it",
        "Deposits.",
    ));
    findings
}

#[test]
fn a_ratio_is_a_finite_number_or_missing() {
    assert_eq!(ratio(1.0, 4.0), Some(0.25));
    assert_eq!(ratio(0.0, 4.0), Some(0.0));
    assert_eq!((ratio(1.0, 0.0), ratio(0.0, 0.0), ratio(f64::NAN, 1.0)), (None, None, None));
}

#[test]
fn quantities_are_shown_with_their_units() {
    for (quantity, text) in [
        (Quantity::per_second(12_345.6), "12,346/s"),
        (Quantity::milliseconds(1.234), "1.23 ms"),
        (Quantity::seconds(0.1), "0.10 s"),
        (Quantity::answers(10_000), "10,000"),
    ] {
        assert_eq!(quantity.to_string(), text);
    }
}

#[test]
fn markdown_is_a_line_and_a_table() {
    let text = report(findings()).markdown();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        "`diptych bench report`, 2026-11-30: Diptych 0.1.0 (release build), Postgres 15.4; 2 cores (Example CPU), \
         8,192 MiB of memory, Linux 6.1.0; server at 127.0.0.1:7400; 10 s for each measurement, 1,000 accounts, \
         connections: 1, in flight: 64 unary calls, 1,024 commands by stream."
    );
    assert_eq!(
        lines[1..],
        [
            "",
            "| figure | measured | compared with | ratio | what it counts |",
            "|---|---|---|---|---|",
            "| unary commands | 5,000/s | 8,000/s empty calls | 0.62 | Deposits. |",
            "| receipt to visible | 1.50 ms | 2.00 ms to the receipt | 0.75 | Time. |",
            "| by stream | 90,000/s | none: give it | - | Deposits. |",
        ]
    );
}

#[test]
fn text_is_a_table_with_a_sentence_for_each_figure() {
    let text = report(findings()).table().render();
    assert!(text.starts_with("2026-11-30: Diptych 0.1.0 (release build), Postgres 15.4; 2 cores"), "{text}");
    assert!(text.contains("\nfigure              measured  ratio           compared with\n"), "{text}");
    assert!(text.contains("\nunary commands       5,000/s   0.62     8,000/s empty calls\n"), "{text}");
    assert!(text.ends_with("\nunary commands: Deposits.\nreceipt to visible: Time.\nby stream: Deposits.\n"), "{text}");
}

#[test]
fn json_has_the_environment_the_parameters_and_every_figure() {
    let json = serde_json::to_value(report(findings())).unwrap();
    assert_eq!((&json["benchmark"], &json["date"]), (&"report".into(), &"2026-11-30".into()));
    assert_eq!((&json["machine"]["cores"], &json["parameters"]["rate_per_second"]), (&2.into(), &200.into()));
    let unary = serde_json::json!({
        "id": "unary", "name": "unary commands", "measured": {"value": 4_999.6, "unit": "per_second"},
        "compared_with": {"name": "empty calls", "value": 8_000.0, "unit": "per_second"}, "ratio": 4_999.6 / 8_000.0,
        "counts": "Deposits.",
    });
    assert_eq!(json["figures"][0], unary);
    let by_stream = &json["figures"][2];
    assert_eq!((&by_stream["compared_with"], &by_stream["comparison_missing"]), (&().into(), &"none: give it".into()));
    assert_eq!(json["stale_answers"], 0);
}

#[test]
fn failed_calls_and_stale_answers_are_shown_and_are_not_clean() {
    assert!(report(findings()).is_clean());
    let failed = FailedCalls { calls: "unary commands", reason: "OVERLOADED".to_owned(), count: 1_000 };
    for (stale_count, failed_calls, line) in [
        (0, vec![failed], "unary commands: 1,000 failed with OVERLOADED"),
        (1, Vec::new(), "stale answers (without the command of their token): 1"),
    ] {
        let report = report(Findings { stale_count, failed_calls, ..findings() });
        assert!(!report.is_clean());
        assert!(report.markdown().ends_with(&format!("\n\n{line}\n")), "{}", report.markdown());
        assert!(report.table().render().ends_with(&format!("\n{line}\n")), "{}", report.table().render());
    }
}

#[test]
fn the_machine_is_read_from_the_files_of_linux() {
    assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A | B @ 3 GHz\nmodel name\t: other\n"), "A / B @ 3 GHz");
    assert_eq!(cpu_model(""), "unknown CPU");
    assert_eq!((memory_mib("MemTotal:       16384000 kB\nMemFree: 1 kB\n"), memory_mib("")), (16_000, 0));
}
