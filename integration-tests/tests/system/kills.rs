//! Each process is killed under traffic and started again, one at a time: nothing is lost, and callers get answers
//! again.

use tokio::time::{Instant, timeout};

use crate::{
    admin,
    installation::StackInstallation,
    outage_table::OutageTable,
    support::edge::{WAIT_MAX, transactions},
    support::traffic::Traffic,
    tools,
};

/// All processes, from the edge to the stores.
const PROCESSES: [&str; 15] = [
    "edge",
    "gateway-1",
    "gateway-2",
    "command-1",
    "command-2",
    "relay-1",
    "relay-2",
    "projector-1",
    "projector-2",
    "query-1",
    "query-2",
    "memcached",
    "kafka",
    "cassandra",
    "postgres",
];

/// Number of kills of each process: `DIPTYCH_FAULT_ROUNDS`, or once.
pub(crate) fn rounds() -> usize {
    std::env::var("DIPTYCH_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

pub(crate) async fn each_process_is_killed(installation: &StackInstallation, traffic: &Traffic) {
    let mut outages = OutageTable::default();
    for _ in 0..rounds() {
        for process in PROCESSES {
            let killed_at = Instant::now();
            traffic.wait_while_correct(process, installation.kill_and_start(process)).await;
            admin::until_recovered(installation, traffic).await;
            outages.record(process, &traffic.call_log, killed_at);
            println!(
                "{process} was killed and started again; all callers had answers after {:.1} s",
                killed_at.elapsed().as_secs_f32()
            );
        }
    }
    outages.print();
}

/// An import continues, and every row is stored once.
pub(crate) async fn an_import_continues_after_a_kill(installation: &StackInstallation) {
    // The import of the sample ends before a process can be killed.
    let (_, is_large) = transactions();
    let process = "command-1";
    let mut import = installation.start_import(process);
    until_accounts_visible(installation, process).await;
    installation.stack.kill(process).await.unwrap();
    assert!(!is_large || !import.has_ended(), "the import ended before {process} was killed");
    installation.stack.start_process(process).await.unwrap();
    let ended = timeout(WAIT_MAX, import.end()).await;
    ended.unwrap_or_else(|_| panic!("the import did not end after {process} was killed")).assert_equal();
    admin::until_all_healthy(installation).await;
}

/// Waits until the first account of an import is visible, so that the import is running.
async fn until_accounts_visible(installation: &StackInstallation, owner: &str) {
    let url = format!("http://{}/v1/accounts?owner_id={owner}", installation.address());
    let visible = async {
        while tools::get_json(&url, installation.token()).await["accounts"].as_array().is_none_or(Vec::is_empty) {}
    };
    let in_time = timeout(WAIT_MAX, visible).await;
    in_time.unwrap_or_else(|_| panic!("no account of the import for {owner} became visible"));
}
