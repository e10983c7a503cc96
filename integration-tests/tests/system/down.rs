//! A server stays away for a while: what can go on does, with how old it is, and what cannot says so and when to ask again.

use tokio::time::Instant;

use crate::{
    admin,
    installation::Installation,
    probe::{Probe, assert_unavailable, complete_up_to},
    traffic::{Kind, Traffic},
};

pub(crate) async fn each_server_stays_away(installation: &Installation, traffic: &Traffic) {
    without_memcached(installation, traffic).await;
    without_cassandra(installation, traffic).await;
    without_kafka(installation, traffic).await;
    without_postgres(installation, traffic).await;
}

/// Everything goes on.
async fn without_memcached(installation: &Installation, traffic: &Traffic) {
    let began_at = Instant::now();
    installation.stack.kill("memcached").await.unwrap();
    traffic.until_all_succeed(Instant::now()).await;
    back(installation, traffic, "memcached", began_at).await;
}

/// Commands go on; what is cached is answered, with how old it is; what is not, is not.
async fn without_cassandra(installation: &Installation, traffic: &Traffic) {
    let probe = Probe::new(installation);
    let [(cached, cached_token), (cold, cold_token)] = [probe.open().await, probe.open().await];
    for (account_id, token) in [(&cached, &cached_token), (&cold, &cold_token)] {
        traffic.while_all_is_right("it shows", until_it_shows(&probe, account_id, token)).await;
    }
    // From here on only what is read is in the cache.
    admin::flush_cache(installation).await;
    let before = complete_up_to(&probe.get_any(&cached).await.unwrap());
    let (of_traffic, all) = count_answered(&probe, traffic).await;
    assert_eq!(of_traffic, all, "every account can be read");

    let began_at = Instant::now();
    installation.stack.kill("cassandra").await.unwrap();
    assert_unavailable(&["READ_UNAVAILABLE"], async || probe.get_any(&cold).await).await;
    let token = probe.deposit(&cached).await.unwrap();
    let reasons = ["READ_UNAVAILABLE", "VIEW_BEHIND"];
    assert_unavailable(&reasons, async || probe.get_with(&cached, &token).await).await;
    let old = probe.get_any(&cached).await.unwrap();
    assert_eq!(old.account.as_ref().unwrap().version, 1, "{old:?}");
    assert!(complete_up_to(&old) >= before, "{old:?}");
    assert_stands_still(&probe, traffic, Kind::Command, &cached).await;
    // What is written to all the time may just not have been there.
    println!(
        "without cassandra {:?} of accounts that are written to are answered",
        count_answered(&probe, traffic).await
    );
    back(installation, traffic, "cassandra", began_at).await;
    assert_eq!(probe.get_with(&cached, &token).await.unwrap().account.unwrap().version, 2);
}

/// Commands go on, and are committed; their effects are not to be seen, and nobody is told otherwise.
async fn without_kafka(installation: &Installation, traffic: &Traffic) {
    let probe = Probe::new(installation);
    let (account_id, token) = probe.open().await;
    traffic.while_all_is_right("it shows", until_it_shows(&probe, &account_id, &token)).await;

    let began_at = Instant::now();
    installation.stack.kill("kafka").await.unwrap();
    let token = probe.deposit(&account_id).await.unwrap();
    assert_unavailable(&["VIEW_BEHIND"], async || probe.get_with(&account_id, &token).await).await;
    assert_eq!(probe.get_any(&account_id).await.unwrap().account.unwrap().version, 1);
    traffic.until_these_succeed(&[Kind::Command, Kind::Query], Instant::now()).await;
    assert_stands_still(&probe, traffic, Kind::Command, &account_id).await;
    back(installation, traffic, "kafka", began_at).await;
    assert_eq!(probe.get_with(&account_id, &token).await.unwrap().account.unwrap().version, 2);
}

/// Queries go on; commands are refused, and nothing is stored that was.
async fn without_postgres(installation: &Installation, traffic: &Traffic) {
    let probe = Probe::new(installation);
    let (account_id, token) = probe.open().await;
    traffic.while_all_is_right("it shows", until_it_shows(&probe, &account_id, &token)).await;

    let began_at = Instant::now();
    installation.stack.kill("postgres").await.unwrap();
    let reasons = ["WRITE_UNAVAILABLE", "OUTCOME_UNKNOWN"];
    assert_unavailable(&reasons, async || probe.deposit(&account_id).await).await;
    assert_eq!(probe.get_with(&account_id, &token).await.unwrap().account.unwrap().version, 1);
    assert_stands_still(&probe, traffic, Kind::Query, &account_id).await;
    back(installation, traffic, "postgres", began_at).await;
}

async fn until_it_shows(probe: &Probe, account_id: &str, token: &str) {
    while probe.get_with(account_id, token).await.is_err() {}
}

/// How many accounts of the traffic are answered, and how many there are.
async fn count_answered(probe: &Probe, traffic: &Traffic) -> (usize, usize) {
    let (mut answered, mut all) = (0, 0);
    for account_id in traffic.book.account_ids() {
        answered += usize::from(probe.get_any(account_id).await.is_ok());
        all += 1;
    }
    (answered, all)
}

/// Answers go on while other calls succeed, and say that they are not complete up to a later time.
async fn assert_stands_still(probe: &Probe, traffic: &Traffic, meanwhile: Kind, account_id: &str) {
    let mut before = None;
    let stands = async {
        loop {
            let now = complete_up_to(&probe.get_any(account_id).await.unwrap());
            // What was on its way may still come.
            if before.replace(now) == Some(now) {
                return;
            }
            traffic.journal.until_all_succeed(&[meanwhile], 20, Instant::now()).await;
        }
    };
    traffic.while_all_is_right("the time of answers stands still", stands).await;
}

async fn back(installation: &Installation, traffic: &Traffic, server: &str, began_at: Instant) {
    let away = began_at.elapsed().as_secs_f32();
    traffic.while_all_is_right("it starts", installation.stack.start_again(server)).await.unwrap();
    let started = began_at.elapsed().as_secs_f32();
    traffic.until_all_are_fine(installation).await;
    let fine = began_at.elapsed().as_secs_f32();
    let felt = traffic.journal.felt(began_at);
    println!("{server} was away for {away:.1} s, ready after {started:.1} s, all was fine after {fine:.1} s; {felt}");
}
