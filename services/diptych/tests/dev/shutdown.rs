//! Shutdown: graceful, and at once.

use diptych_proto::ledger::command::v1::{ExecuteCommandsRequest, command_service_client::CommandServiceClient};
use tokio::time::timeout;
use tonic::Code;
use uuid::Uuid;

use super::{
    calls::{balance_minor, channel, deposit, metrics, unfinished_call},
    process::{Dev, TIMEOUT},
};

#[tokio::test]
async fn a_signal_runs_the_shutdown_phases_in_order() {
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::start(&["--data", folder.path().to_str().unwrap()]);
        let client = channel(&dev).await;
        let receipt = deposit(&client, "alice", Uuid::new_v4()).await;
        assert_eq!(balance_minor(&client, "alice", receipt.written_at).await, 1_050);
        // An idle connection does not delay it.
        dev.signal(signal);
        let (status, log) = dev.ended().await;
        assert_eq!(status.code(), Some(0), "{log}");
        let phases: Vec<_> = log.lines().filter(|line| line.contains("shutdown phase finished")).collect();
        let order = ["grpc", "command", "relay", "projector", "query", "metrics"];
        assert_eq!(phases.len(), order.len(), "{log}");
        for (line, phase) in phases.iter().zip(order) {
            assert!(line.contains(&format!("\"{phase}\"")), "{log}");
        }
    }
}

#[tokio::test]
async fn an_open_command_stream_is_ended_with_unavailable() {
    let dev = Dev::start(&[]);
    let mut client = CommandServiceClient::new(channel(&dev).await);
    let (_send, requests) = tokio::sync::mpsc::channel::<ExecuteCommandsRequest>(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut answers = client.execute_commands(requests).await.unwrap().into_inner();
    dev.signal("TERM");
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    drop((answers, client));
    let (status, log) = dev.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn a_second_signal_exits_at_once() {
    let dev = Dev::start(&[]);
    // Graceful shutdown would wait for it.
    let _call = unfinished_call(&dev).await;
    let in_flight = async { while !metrics(&dev).await.contains("diptych_rpc_calls_in_flight 1") {} };
    timeout(TIMEOUT, in_flight).await.unwrap();
    dev.signal("TERM");
    dev.signal("INT");
    let (status, log) = dev.ended().await;
    assert_eq!(status.code(), Some(130), "{log}");
}
