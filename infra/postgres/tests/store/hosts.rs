//! Several hosts, some of which cannot be used, and errors of connecting.

use std::time::Duration;

use diptych_kernel::ports::{Effect, PortError, Remedy};
use diptych_postgres::{PostgresConfig, PostgresEventStore, migrate};
use tokio::net::TcpListener;

use crate::support::{
    appends::{append_one, unit},
    partitions, run, with_database,
};

/// The URL with other hosts before its own.
fn with_hosts_before(url: &str, hosts: &[String]) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (user, host) = rest.split_once('@').expect("the URL of the server names a user");
    format!("{scheme}://{user}@{},{host}", hosts.join(","))
}

#[test]
fn a_working_host_is_found_behind_unusable_ones() {
    with_database(|database| async move {
        // A port without a listener, and a server that accepts connections and never answers, like one that hangs.
        let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = database.config();
        let url = with_hosts_before(&config.url, &[dead.to_string(), silent.local_addr().unwrap().to_string()]);
        let config = PostgresConfig { url, ..config };
        let opened = tokio::time::timeout(config.connect_timeout, PostgresEventStore::open(config)).await;
        let handle = opened.expect("a silent host delays the others").unwrap();
        append_one(&handle, &unit("hosts", 1)).await;
    });
}

#[test]
fn a_silent_server_times_out_with_its_address() {
    with_database(|database| async move {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let url = format!("postgres://ada:secret@{address}/bank");
        let connect_timeout = Duration::from_millis(100);
        let config = PostgresConfig { url, connect_timeout, ..database.config() };
        let error = PostgresEventStore::open(config).await.err().unwrap();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
        assert_names_target(&error, &address.to_string());
    });
}

/// The error names the address and the setting that it comes from, and not the password.
#[track_caller]
fn assert_names_target(error: &PortError, address: &str) {
    let text = error.to_string();
    assert!(text.contains(address) && text.contains("postgres.url"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn a_refused_connection_names_its_address() {
    run(async {
        let free = || async { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
        let (one, two) = (free().await, free().await);
        let config = PostgresConfig::new(format!("postgres://ada:secret@{one},{two}/bank"));
        let opened = PostgresEventStore::open(config.clone()).await.err();
        for error in [opened, migrate(&config, partitions()).await.err()] {
            let error = error.unwrap();
            assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
            assert_names_target(&error, &format!("{one}, {two}"));
            assert!(error.to_string().contains("onnection refused"), "{error}");
        }
    });
}

#[test]
fn a_read_only_server_is_not_used() {
    with_database(|database| async move {
        let read_only = format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name());
        database.execute(&read_only).await;
        let error = PostgresEventStore::open(database.config()).await.err().unwrap();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
    });
}

#[test]
fn a_missing_database_is_for_the_operator_and_names_the_remedy() {
    with_database(|database| async move {
        let config = database.config();
        let url = config.url.replace(database.name(), "no_such_\"database");
        let (_, after_user) = url.split_once('@').expect("the URL of the server names a user");
        let address = after_user.split_once('/').unwrap().0.to_owned();
        let config = PostgresConfig { url, ..config };
        let opened = PostgresEventStore::open(config.clone()).await.err();
        for error in [opened, migrate(&config, partitions()).await.err()] {
            let error = error.unwrap();
            assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator), "{error}");
            assert_names_target(&error, &address);
            for part in ["does not exist", "CREATE DATABASE \"no_such_\"\"database\"", "run `diptych migrate`"] {
                assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
            }
        }
    });
}

/// Without a wait for the disk a receipt could be lost, whatever the server's default is.
#[test]
fn commits_wait_for_the_disk_whatever_the_default_is() {
    with_database(|database| async move {
        let name = database.name();
        for (default, expected) in [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")] {
            database.execute(&format!("ALTER DATABASE {name} SET synchronous_commit = {default}")).await;
            // Records the setting during an append of this crate.
            database
                .execute(
                    "CREATE TABLE IF NOT EXISTS test.settings (value text);
                     TRUNCATE test.settings;
                     CREATE OR REPLACE FUNCTION test.record_setting() RETURNS trigger LANGUAGE plpgsql AS $$
                     BEGIN
                         INSERT INTO test.settings VALUES (current_setting('synchronous_commit'));
                         RETURN NULL;
                     END $$;
                     CREATE OR REPLACE TRIGGER record_setting AFTER INSERT ON events
                     FOR EACH ROW EXECUTE FUNCTION test.record_setting()",
                )
                .await;
            let handle = database.open().await;
            append_one(&handle, &unit(default, 1)).await;
            let setting: String = database.row("SELECT value FROM test.settings", &[]).await.get(0);
            assert_eq!(setting, expected);
        }
    });
}
