//! The alerts and the dashboard of the chart: their metrics exist, and each alert has a test and a runbook.

use std::collections::BTreeSet;

use super::{
    metrics,
    pages::{read, tracked, words},
};

/// The rules and their tests.
const RULE_FILES: &str = "helm/diptych/files/monitoring/*.yaml";
const TEST_FILES: &str = "helm/diptych/files/monitoring/rules_test/*.yaml";
const RULES: &str = "helm/diptych/files/monitoring/rules.yaml";
const DASHBOARD: &str = "helm/diptych/files/monitoring/dashboard.json";
const RUNBOOKS: &str = "docs/runbooks";
const RUNBOOK_FILES: &str = "docs/runbooks/*.md";

/// Metrics of the process itself, which the exporter writes without a description by a macro.
const PROCESS_METRICS: &str = "services/runtime/src/telemetry/process.rs";

/// Panels that every Grafana has.
const PANEL_TYPES: [&str; 4] = ["row", "stat", "table", "timeseries"];

#[test]
fn every_metric_of_alerts_and_dashboard_exists() {
    let exposed = exposed();
    let mut unknown = Vec::new();
    for path in tracked(&[RULE_FILES, DASHBOARD]) {
        let text = read(&path);
        let named: BTreeSet<_> = words(&text, is_name).into_iter().map(|(_, name)| name).collect();
        let named = named.into_iter().filter(|name| name.starts_with("diptych_") || name.starts_with("process_"));
        unknown.extend(named.filter(|name| !exposed.contains(*name)).map(|name| format!("{path}: {name}")));
    }
    assert!(unknown.is_empty(), "metrics that no process has: {unknown:#?}");
}

#[test]
fn every_recording_that_is_used_is_made() {
    let rules = read(RULES);
    let recorded: BTreeSet<_> = values(&rules, "- record: ").into_iter().collect();
    let is_part = |c: char| is_name(c) || c == ':';
    for path in tracked(&[RULE_FILES, DASHBOARD]) {
        let text = read(&path);
        let used = words(&text, is_part).into_iter().map(|(_, name)| name).filter(|name| name.starts_with("diptych:"));
        let unknown: Vec<_> = used.filter(|name| !recorded.contains(name)).collect();
        assert!(unknown.is_empty(), "{path} uses what {RULES} does not record: {unknown:?}");
    }
}

#[test]
fn each_alert_has_a_runbook_and_each_runbook_an_alert() {
    let rules = read(RULES);
    let pages: BTreeSet<_> = alerts(&rules).into_iter().map(page_of).collect();
    assert!(pages.len() > 10, "{pages:?}");
    let index = format!("{RUNBOOKS}/README.md");
    let written: BTreeSet<_> = tracked(&[RUNBOOK_FILES]).into_iter().filter(|path| *path != index).collect();
    assert_eq!(pages, written);
    let listed = read(&index);
    for alert in alerts(&rules) {
        let page = page_of(alert);
        assert!(read(&page).starts_with(&format!("# {alert}\n")), "{page} has another title");
        let link = format!("[{alert}]({})", page.trim_start_matches("docs/runbooks/"));
        assert!(listed.contains(&link), "{index} has no {link}");
    }
}

#[test]
fn each_alert_names_its_runbook() {
    let rules = read(RULES);
    let mut parts = rules.split("- alert: ");
    assert!(!parts.next().unwrap_or_default().contains("runbook_url: "));
    for part in parts {
        let alert = part.lines().next().unwrap_or_default();
        assert_eq!(values(part, "runbook_url: "), [page_of(alert)], "{alert}");
        assert_eq!(values(part, "summary: ").len(), 1, "{alert}");
        assert!(part.contains("description: ") && part.contains("$value"), "{alert} has no description with its value");
    }
}

#[test]
fn each_alert_has_a_test_in_which_it_fires() {
    let tests: String = tracked(&[TEST_FILES]).iter().map(|path| read(path)).collect();
    // Those that expect an alert are written over several lines.
    let firing: BTreeSet<_> = values(&tests, "- alertname: ").into_iter().collect();
    let rules = read(RULES);
    let alerts: BTreeSet<_> = alerts(&rules).into_iter().collect();
    assert_eq!(firing, alerts);
}

#[test]
fn the_dashboard_has_panels_of_grafana_itself_with_one_id_each() {
    let dashboard: serde_json::Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let (id, kind) = (panel["id"].as_u64().unwrap(), panel["type"].as_str().unwrap());
        assert!(ids.insert(id), "two panels have the id {id}");
        assert!(PANEL_TYPES.contains(&kind), "panel {id} is a {kind}");
        if kind != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "panel {id}");
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "panel {id} asks for nothing");
        }
    }
}

/// The names in the text that a process exposes: of a histogram those of its parts.
fn exposed() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (name, metric) in metrics::all() {
        if metric.kind == "histogram" {
            names.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        } else {
            names.insert(name);
        }
    }
    let source = read(PROCESS_METRICS);
    names.extend(values(&source, "# TYPE ").into_iter().filter_map(|line| Some(line.split(' ').next()?.to_owned())));
    assert!(names.contains("process_cpu_seconds_total"), "{names:?}");
    names
}

fn alerts(rules: &str) -> Vec<&str> {
    values(rules, "- alert: ")
}

/// What follows this key in its line, of every line that has it.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| Some(line.split_once(key)?.1.trim())).collect()
}

/// The path of an alert's page: `RelayBehind` has `relay-behind.md`.
fn page_of(alert: &str) -> String {
    let mut name = String::new();
    for c in alert.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    format!("{RUNBOOKS}/{name}.md")
}

fn is_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}
