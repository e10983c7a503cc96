//! Commands about one stream go to one instance, through every gateway and in every protocol.

use std::collections::HashSet;

use diptych_proto::diptych::v1::Receipt;
use diptych_proto::ledger::command::v1::{
    CloseAccountRequest, ExecuteCommandsRequest, FreezeAccountRequest, OpenAccountRequest, TransferRequest,
    UnfreezeAccountRequest, WithdrawRequest, command_service_client::CommandServiceClient, execute_commands_response,
};
use futures::StreamExt;
use tonic::Request;

use super::{
    curl::curl,
    harness::{ALL, EnvoyHarness, channel, deposit},
    process::{Envoy, eventually},
};

fn instance_of(receipt: Option<Receipt>) -> String {
    receipt.unwrap().streams[0].stream_id.clone()
}

/// Sends every kind of command about the account through a gateway. Returns the instances that answered.
async fn instances_for(harness: &EnvoyHarness, gateway: &Envoy, account_id: &str) -> HashSet<String> {
    let mut client = CommandServiceClient::new(channel(gateway));
    let id = account_id.to_owned();
    let mut names = HashSet::new();
    macro_rules! send {
        ($method:ident, $message:expr) => {
            names.insert(instance_of(client.$method(harness.request($message)).await.unwrap().into_inner().receipt));
        };
    }
    send!(open_account, OpenAccountRequest { account_id: id.clone(), ..Default::default() });
    send!(deposit, deposit(account_id));
    send!(withdraw, WithdrawRequest { account_id: id.clone(), ..Default::default() });
    send!(transfer, TransferRequest { from_account_id: id.clone(), to_account_id: "x".into(), ..Default::default() });
    send!(freeze_account, FreezeAccountRequest { account_id: id.clone(), ..Default::default() });
    send!(unfreeze_account, UnfreezeAccountRequest { account_id: id.clone(), ..Default::default() });
    send!(close_account, CloseAccountRequest { account_id: id.clone(), ..Default::default() });

    let mut request: Request<_> = harness.request(futures::stream::iter([ExecuteCommandsRequest::default()]));
    request.metadata_mut().insert("x-stream-id", account_id.parse().unwrap());
    let answer = client.execute_commands(request).await.unwrap().into_inner().next().await.unwrap().unwrap();
    let Some(execute_commands_response::Result::Receipt(receipt)) = answer.result else { panic!("{answer:?}") };
    names.insert(instance_of(Some(receipt)));

    let url = gateway.url(&format!("/v1/accounts/{account_id}:deposit"));
    let answer = curl(&["-H", &harness.header(&ALL), "-d", "{}", &url]).json();
    names.insert(answer["receipt"]["streams"][0]["streamId"].as_str().unwrap().to_owned());
    names
}

#[tokio::test]
async fn commands_about_a_stream_go_to_one_instance() {
    let Some(harness) = EnvoyHarness::start().await else { return };
    let mut all = HashSet::new();
    for number in 0..16 {
        let account_id = format!("account-{number}");
        let mut names = HashSet::new();
        for gateway in &harness.gateways {
            names.extend(instances_for(&harness, gateway, &account_id).await);
        }
        assert_eq!(names.len(), 1, "{account_id}: {names:?}");
        all.extend(names);
    }
    assert_eq!(all.len(), 2, "both instances are used");
    let line = eventually("a log line", || harness.gateways[0].logged("account-3")).await;
    assert_eq!(line["stream"], "[\"account-3\"]");
}

/// The hash key is arbitrary input of the caller: no length and no character may break the gateway.
#[tokio::test]
async fn any_account_id_reaches_the_service() {
    let Some(harness) = EnvoyHarness::start().await else { return };
    for account_id in ["", "\u{0}\r\n%", "ünïcödé ✓", "\"]", "slow\n", &"a".repeat(1_000_000)] {
        harness.deposit(account_id).await.unwrap();
    }
    let received = harness.backends.iter().flat_map(|backend| backend.stub.calls("ünïcödé ✓"));
    assert!(
        received.clone().count() == 1 && received.into_iter().all(|metadata| metadata.get("x-stream-id").is_none())
    );
}
