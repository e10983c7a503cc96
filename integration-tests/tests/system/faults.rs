//! Each part is killed under traffic and started again, one at a time: nothing is lost, and callers feel it for a while only.

use tokio::time::{Instant, timeout};

use crate::{
    admin,
    installation::{Installation, PATIENCE, transactions},
    outages::Outages,
    tools,
    traffic::Traffic,
};

/// From the caller's side to the stores.
const PARTS: [&str; 15] = [
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

/// How many times each part is killed: the environment's `DIPTYCH_FAULT_ROUNDS`, or once.
pub(crate) fn rounds() -> usize {
    std::env::var("DIPTYCH_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

pub(crate) async fn each_part_is_killed(installation: &Installation, traffic: &Traffic) {
    let mut outages = Outages::default();
    for _ in 0..rounds() {
        for part in PARTS {
            let killed_at = Instant::now();
            traffic.while_all_is_right(part, installation.kill_and_start(part)).await;
            traffic.until_all_are_fine(installation).await;
            outages.note(part, &traffic.journal, killed_at);
            println!(
                "{part} was killed and came back; all were answered after {:.1} s",
                killed_at.elapsed().as_secs_f32()
            );
        }
    }
    outages.print();
}

/// An import finds its way on, and every row is there once.
pub(crate) async fn an_import_goes_on_after_a_kill(installation: &Installation) {
    // The made-up sample is in before anything can be killed.
    let (_, is_large) = transactions();
    let part = "command-1";
    let mut import = installation.begin_import(part);
    until_accounts_come(installation, part).await;
    installation.stack.kill(part).await.unwrap();
    assert!(!is_large || !import.has_ended(), "the import was over before {part} was killed");
    installation.stack.start_again(part).await.unwrap();
    let ended = timeout(PATIENCE, import.end()).await;
    ended.unwrap_or_else(|_| panic!("the import goes on for ever after a kill of {part}")).assert_equal();
    admin::until_all_are_in_use(installation).await;
}

/// Returns when the first of an import's accounts can be seen, so that it is in its middle.
async fn until_accounts_come(installation: &Installation, owner: &str) {
    let url = format!("http://{}/v1/accounts?owner_id={owner}", installation.address());
    let seen = async {
        while tools::get_json(&url, installation.token()).await["accounts"].as_array().is_none_or(Vec::is_empty) {}
    };
    let in_time = timeout(PATIENCE, seen).await;
    in_time.unwrap_or_else(|_| panic!("nothing of the import for {owner} is to be seen"));
}
