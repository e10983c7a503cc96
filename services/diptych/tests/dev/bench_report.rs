//! A report of all figures, against a running process.

use serde_json::Value;

use super::process::{Dev, run};

const FIGURES: [&str; 9] = [
    "unary_commands",
    "commands_by_stream",
    "hot_account",
    "pipeline",
    "pipeline_catch_up",
    "cached_queries",
    "receipt_to_visible_p50",
    "receipt_to_visible_p99",
    "own_writes",
];

#[test]
fn a_report_has_every_figure_with_its_ratio_and_no_stale_answer() {
    let dev = Dev::start(&[]);
    let report = ["bench", "report", "--to", &dev.url(), "--seconds", "1", "--warm-up", "0", "--output", "json"];
    let (status, out, errors) = run(&report);
    assert_eq!(status, 0, "{out} {errors}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["stale_answers"], 0, "{report:#}");
    let figures = report["figures"].as_array().unwrap();
    assert_eq!(figures.iter().map(|figure| figure["id"].as_str().unwrap()).collect::<Vec<_>>(), FIGURES);
    for figure in figures {
        assert!(figure["measured"]["value"].as_f64().unwrap() > 0.0, "{figure:#}");
        if figure["id"] == "commands_by_stream" {
            // Its comparison needs Postgres, which `dev` does not use.
            assert!(figure["comparison_missing"].as_str().unwrap().contains("postgres.url"), "{figure:#}");
        } else {
            // JSON has no number that is not finite.
            assert!(figure["ratio"].as_f64().unwrap() > 0.0, "{figure:#}");
        }
    }
    assert_eq!(errors.lines().filter(|line| line.starts_with('[')).count(), 7, "{errors}");
}
