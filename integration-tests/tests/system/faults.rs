//! Each part is killed once, in the middle of an import, and started again: in the end every row is there once.

use tokio::time::{Instant, timeout};

use crate::{
    installation::{Installation, PATIENCE, transactions},
    tools,
};

/// From the caller's side to the stores.
const PARTS: [&str; 10] = [
    "edge",
    "gateway-1",
    "command-1",
    "relay-1",
    "projector-1",
    "query-1",
    "memcached",
    "kafka",
    "cassandra",
    "postgres",
];

pub(crate) async fn each_part_is_killed_under_traffic(installation: &Installation) {
    // The made-up sample is in before anything can be killed.
    let (_, is_large) = transactions();
    for part in PARTS {
        let began = Instant::now();
        let mut import = installation.begin_import(part);
        until_accounts_come(installation, part).await;
        installation.stack.kill(part).await.unwrap();
        assert!(!is_large || !import.has_ended(), "the import was over before {part} was killed");
        installation.stack.start_again(part).await.unwrap();
        let ended = timeout(PATIENCE, import.end()).await;
        ended.unwrap_or_else(|_| panic!("the import goes on for ever after a kill of {part}")).assert_equal();
        println!("{part} was killed and came back; the import took {:.1} s", began.elapsed().as_secs_f32());
    }
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
