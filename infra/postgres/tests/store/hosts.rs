//! Several hosts, of which not all are any good.

use std::time::Duration;

use diptych_kernel::ports::{Effect, Remedy};
use diptych_postgres::{PostgresConfig, PostgresEventStore};
use tokio::net::TcpListener;

use crate::support::{
    batch::{store, unit},
    with_database,
};

/// The URL with other hosts before its own.
fn after(url: &str, hosts: &[String]) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (user, host) = rest.split_once('@').expect("the URL of the server names a user");
    format!("{scheme}://{user}@{},{host}", hosts.join(","))
}

#[test]
fn the_host_that_works_is_found_behind_others() {
    with_database(|database| async move {
        // One that nobody listens on, and one that takes connections and says nothing, as a server that stands still does.
        let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = database.config();
        let url = after(&config.url, &[dead.to_string(), silent.local_addr().unwrap().to_string()]);
        let config = PostgresConfig { url, ..config };
        let opened = tokio::time::timeout(config.connect_timeout, PostgresEventStore::open(config)).await;
        let handle = opened.expect("a silent host holds nobody up").unwrap();
        store(&handle, &unit("hosts", 1)).await;
    });
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    with_database(|database| async move {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://ada:secret@{}/bank", silent.local_addr().unwrap());
        let connect_timeout = Duration::from_millis(100);
        let config = PostgresConfig { url, connect_timeout, ..database.config() };
        let error = PostgresEventStore::open(config).await.err().unwrap();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    });
}

#[test]
fn a_server_that_takes_no_writes_is_none() {
    with_database(|database| async move {
        let read_only = format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name());
        database.execute(&read_only).await;
        let error = PostgresEventStore::open(database.config()).await.err().unwrap();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
    });
}

#[test]
fn a_database_that_does_not_exist_needs_a_person() {
    with_database(|database| async move {
        let config = database.config();
        let url = config.url.replace(database.name(), "diptych_no_such_database");
        let error = PostgresEventStore::open(PostgresConfig { url, ..config }).await.err().unwrap();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator), "{error}");
    });
}

/// A commit that does not wait for the disk would make a receipt a lie, whatever the server's default is.
#[test]
fn commits_wait_for_the_disk_whatever_the_default_is() {
    with_database(|database| async move {
        let name = database.name();
        for (default, expected) in [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")] {
            database.execute(&format!("ALTER DATABASE {name} SET synchronous_commit = {default}")).await;
            // What a commit of this crate's connections has for a setting.
            database
                .execute(
                    "CREATE TABLE IF NOT EXISTS test.settings (value text);
                     TRUNCATE test.settings;
                     CREATE OR REPLACE FUNCTION test.tell() RETURNS trigger LANGUAGE plpgsql AS $$
                     BEGIN
                         INSERT INTO test.settings VALUES (current_setting('synchronous_commit'));
                         RETURN NULL;
                     END $$;
                     CREATE OR REPLACE TRIGGER tell AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION test.tell()",
                )
                .await;
            let handle = database.open().await;
            store(&handle, &unit(default, 1)).await;
            let told: String = database.row("SELECT value FROM test.settings", &[]).await.get(0);
            assert_eq!(told, expected);
        }
    });
}
