//! A restore of the write database to an earlier state, on real servers.

use diptych_proto::ledger::command::v1::{OpenAccountRequest, command_service_client::CommandServiceClient};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{
    database,
    installation::{self, PARTITIONS, TestInstallation, assert_own_writes, files, import},
    process::Dev,
    service::Service,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_write_database_is_refused_until_a_rebase() {
    let Some(installation) = TestInstallation::new() else { return };
    let url = installation.setting("DIPTYCH_POSTGRES__URL");
    let (server, name) = (&installation.postgres_server, url.rsplit_once('/').unwrap().1);
    let backup = format!("{name}_backup");
    let args = ["--partitions", PARTITIONS];
    let all = Dev::start_as("all", &args, &installation.settings());
    import(&all.url(), &files()[0], "kept-").await;
    stop(all).await;
    database::replace(server, &backup, name);

    let all = Dev::start_as("all", &args, &installation.settings());
    import(&all.url(), &files()[0], "lost-").await;
    installation.assert_verified().await;
    let mut query = Service::start("query", &installation.settings());
    query.until_ready();
    stop(all).await;
    database::replace(server, name, &backup);

    // Nothing is taken and nothing is answered on the database that lost commands.
    let mut settings = installation.settings();
    settings.push(("DIPTYCH_PARTITIONS", PARTITIONS));
    let mut refused = Service::start("all", &settings);
    let reason = refused.until_logged(|line| line["message"] == "operator action needed, retrying");
    assert!(reason["reason"].as_str().unwrap().contains("the write database went back"), "{reason:#}");
    refused.signal("KILL");
    refused.ended().await;
    // Nor later by a process that has nothing to compare it with.
    let mut command = Service::start("command", &installation.settings());
    command.until_ready();
    let open = OpenAccountRequest {
        request_id: Uuid::new_v4().to_string(),
        account_id: "late".into(),
        owner_id: "me".into(),
        currency_code: "EUR".into(),
        ..OpenAccountRequest::default()
    };
    let status = CommandServiceClient::new(command.channel().await).open_account(open).await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().reason, "WRITE_SUSPENDED", "{status:?}");
    command.signal("TERM");
    command.ended().await;

    let (status, report, errors) = installation::ended(installation.diptych(&["rebase", "--output", "json"])).await;
    assert_eq!((status, &report["deletes_rows"]), (0, &true.into()), "{report:#} {errors}");
    // A process that began with the history before does not go on.
    let (status, log) = query.ended().await;
    assert_eq!(status.code(), Some(1), "{log:#?}");
    assert!(log.iter().any(|line| line.to_string().contains("Restart this process")), "{log:#?}");

    let all = Dev::start_as("all", &args, &installation.settings());
    import(&all.url(), &files()[0], "kept-").await;
    import(&all.url(), &files()[0], "lost-").await;
    assert_own_writes(&all.url(), "100").await;
    installation.assert_verified().await;
}

async fn stop(all: Dev) {
    all.signal("TERM");
    let (status, log) = all.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
}
